use crate::analysis::sweep::Sweep;
use crate::analysis::tables::row::table;

table! {
    "chance.csv";
    /// One row for each group, layer and expert: whether the group's use of the expert differs from chance. The labels of texts
    /// are shuffled, so that groups mean nothing.
    pub struct ChanceRow {
        /// Name of the group.
        group: String,
        /// Parts of texts of the group whose labels were shuffled with those of the other groups.
        parts: usize,
        /// Decoder layer, from 0.
        layer: usize,
        /// Expert, from 0.
        expert: usize,
        /// Domain specialisation in these parts: share of tokens that chose the expert, 0 to 1.
        specialisation: f64,
        /// The same over all groups.
        overall: f64,
        /// Mean specialisation of the group over the shuffles.
        shuffled_mean: f64,
        /// Standard deviation over the shuffles.
        shuffled_deviation: f64,
        /// (`specialisation` - `shuffled_mean`) / `shuffled_deviation`; empty if all shuffles are alike.
        z: Option<f64>,
        /// Share of the shuffles, the real labels among them, in which the group is at least as far from `overall`.
        p: f64,
    }
}

/// The rows of `chance.csv`; none if no labels are shuffled.
pub fn chance(sweep: &Sweep) -> impl Iterator<Item = ChanceRow> {
    let (times, experts) = (sweep.about.options.null, sweep.about.model.shape.experts);
    let found = if times > 0 { sweep.units.shuffled(times) } else { Vec::new() };
    let groups: Vec<(String, usize)> = sweep.units.groups().into_iter().map(|(name, n)| (name.to_owned(), n)).collect();
    groups.into_iter().zip(found).flat_map(move |((group, parts), chances)| {
        chances.into_iter().enumerate().map(move |(at, chance)| ChanceRow {
            group: group.clone(),
            parts,
            layer: at / experts,
            expert: at % experts,
            specialisation: chance.found,
            overall: chance.overall,
            shuffled_mean: chance.mean,
            shuffled_deviation: chance.deviation,
            z: (chance.deviation > 0.0).then(|| (chance.found - chance.mean) / chance.deviation),
            p: (1 + chance.as_far) as f64 / (1 + times) as f64,
        })
    })
}
