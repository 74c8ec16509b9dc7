use serde::Serialize;

/// A table that mixscope writes or copies.
#[derive(Debug)]
pub struct Table {
    /// Its name: that of its file in a run's folder, or of the view that it is exported from.
    pub name: &'static str,
    /// What a row is.
    pub about: &'static str,
    /// Its columns, in order.
    pub columns: &'static [Column],
}

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name in the header row.
    pub name: &'static str,
    /// Its meaning in a sentence, with the unit.
    pub about: &'static str,
    /// The type of its values in the row type, such as `Option<f64>`.
    pub of: &'static str,
}

/// A row of a table. Its fields are the columns.
pub trait Row: Serialize {
    /// The table that it is a row of.
    const TABLE: &'static Table;
}

impl Table {
    /// The columns as a Markdown table.
    pub fn markdown(&self) -> String {
        let escaped = |text: &str| text.replace('|', "\\|");
        let lines = self.columns.iter().map(|column| format!("| `{}` | {} |\n", column.name, escaped(column.about)));
        format!("| column | meaning |\n|---|---|\n{}", lines.collect::<String>())
    }
}

/// Declares a row type. The documentation of its fields is what [`Row::TABLE`] says of the columns.
macro_rules! table {
    (
        $table:literal;
        $(#[doc = $about:literal])+
        pub struct $row:ident $(<$life:lifetime>)? {
            $( $(#[doc = $meaning:literal])+ $column:ident: $type:ty, )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, serde::Serialize)]
        pub struct $row $(<$life>)? {
            $( $(#[doc = $meaning])+ pub $column: $type, )+
        }

        impl $(<$life>)? $crate::analysis::tables::Row for $row $(<$life>)? {
            const TABLE: &'static $crate::analysis::tables::Table = &$crate::analysis::tables::Table {
                name: $table,
                about: concat!($($about),+).trim_ascii(),
                columns: &[$(
                    $crate::analysis::tables::Column {
                        name: stringify!($column),
                        about: concat!($($meaning),+).trim_ascii(),
                        of: stringify!($type),
                    },
                )+],
            };
        }
    };
}

pub(super) use table;
