use serde::{Deserialize, Serialize};

/// The text on which heads are measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MeasuredOn {
    /// The run.
    #[default]
    Text,
    /// Random tokens given twice.
    Repeated,
}

impl MeasuredOn {
    /// Both, in the order in which the key goes through them.
    pub const ALL: [Self; 2] = [Self::Text, Self::Repeated];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Repeated => "random",
        }
    }

    /// The name in titles.
    pub fn about(self) -> &'static str {
        match self {
            Self::Text => "on this text",
            Self::Repeated => "on random tokens given twice",
        }
    }
}
