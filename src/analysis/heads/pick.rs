use serde::{Serialize, Serializer};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// One head of a layer, or all heads of the layer combined weight by weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pick {
    /// This query head.
    One(usize),
    /// The mean over the heads.
    Mean,
    /// The maximum over the heads.
    Max,
}

impl Pick {
    /// The heads it is made of, in a layer that has `all` of them.
    pub fn heads(self, all: usize) -> Range<usize> {
        match self {
            Self::One(head) => head..head + 1,
            Self::Mean | Self::Max => 0..all,
        }
    }

    /// Its name in tables, file names and on the command line: the head's number, `mean` or `max`.
    pub fn name(self) -> String {
        match self {
            Self::One(head) => head.to_string(),
            Self::Mean => "mean".to_owned(),
            Self::Max => "max".to_owned(),
        }
    }
}

impl FromStr for Pick {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        match name {
            "mean" => Ok(Self::Mean),
            "max" => Ok(Self::Max),
            number => {
                let head = number.parse().ok();
                head.map(Self::One).ok_or_else(|| anyhow::anyhow!("`{number}` is not a head's number, mean or max"))
            }
        }
    }
}

/// As its name in tables, see [`Pick::name`].
impl Serialize for Pick {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(head) => serializer.serialize_u64(*head as u64),
            Self::Mean | Self::Max => serializer.serialize_str(&self.name()),
        }
    }
}

impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(head) => write!(f, "head {head}"),
            Self::Mean => f.write_str("mean of heads"),
            Self::Max => f.write_str("max of heads"),
        }
    }
}
