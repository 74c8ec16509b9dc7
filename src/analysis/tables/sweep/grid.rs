use crate::analysis::sweep::SweepGrid;
use crate::analysis::tables::row::table;

table! {
    "sweep.usage";
    /// One row for each cell of a view of a sweep: `sweep.usage`, `sweep.groups`, `sweep.pairs`, `sweep.transitions` and
    /// `sweep.compare`.
    pub struct GridRow<'a> {
        /// The row: a layer (`L3`), an expert (`E5`) or a group.
        row: &'a str,
        /// The column: an expert.
        column: &'a str,
        /// The number of the view; empty where there is none.
        value: Option<f64>,
        /// What to expect of experts that are chosen at random; empty if that is not known.
        at_random: Option<f64>,
    }
}

/// The rows of a matrix.
pub fn grid_rows(grid: &SweepGrid) -> impl Iterator<Item = GridRow<'_>> {
    let columns = &grid.columns.1;
    grid.rows.1.iter().enumerate().flat_map(move |(row, name)| {
        columns.iter().enumerate().map(move |(column, other)| GridRow {
            row: name,
            column: other,
            value: grid.value(row, column),
            at_random: grid.at_random,
        })
    })
}
