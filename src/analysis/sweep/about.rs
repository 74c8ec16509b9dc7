use super::shape::Shape;
use super::vocabulary::TokenKind;
use crate::trace::Dtype;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a sweep is of, and how it was made. Shards of one sweep differ in nothing but
/// [`About::shard`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Version of the program.
    pub mixscope: String,
    /// The model.
    pub model: ModelAbout,
    /// The texts.
    pub corpus: CorpusAbout,
    /// How they were read.
    pub options: SweepOptions,
    /// The part of the corpus that was read; `None`: all of it.
    pub shard: Option<Shard>,
    /// Where the sweep was stopped; `None` once it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
}

/// Where a sweep stopped: everything before it is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The part that is read next, or that is being read.
    pub part: u64,
    /// The windows of it that are counted.
    pub windows: u64,
    /// The hash of the parts before it and of it.
    pub hash: String,
}

/// The model of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelAbout {
    /// Its name, without a folder.
    pub name: String,
    /// SHA-256 of its config, the names, types and shapes of its tensors, and samples of their bytes.
    pub hash: String,
    /// Precision policy.
    pub precision: String,
    /// The dtype in which the policy rounds.
    pub compute_dtype: String,
    /// The dtype whose ulp decides near-ties.
    pub near_tie_dtype: String,
    /// The device of the matrix products.
    pub device: String,
    /// Sizes of the counts.
    pub shape: Shape,
}

/// The texts of a sweep.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CorpusAbout {
    /// SHA-256 of all texts and their groups, in order.
    pub hash: String,
    /// Texts that are not empty.
    pub texts: u64,
    /// Parts of them: a long text is read in several.
    pub parts: u64,
    /// Bytes of the texts.
    pub bytes: u64,
}

/// The options that decide the numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepOptions {
    /// Tokens of a window, a beginning-of-text token included.
    pub window: usize,
    /// `file`, `folder`, or a field of JSON lines.
    pub group_by: String,
    /// The field of JSON lines that holds the text.
    pub text_field: String,
    /// Whether each line of a plain file is a text.
    pub lines: bool,
    /// Seed of the random contexts.
    pub seed: u64,
    /// Contexts that are kept of each expert and way to pick them.
    pub contexts: usize,
    /// The kinds of tokens whose experts are counted.
    pub vocabulary: Vec<TokenKind>,
    /// Tokens that are generated after each window.
    pub decode: usize,
    /// How often the labels of texts are shuffled.
    pub null: usize,
}

/// A part of a corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Which one, from 1.
    pub number: u64,
    /// Of how many.
    pub of: u64,
}

impl Shard {
    /// Whether a part of a text, counted from 0, belongs to the shard.
    pub fn has(self, part: u64) -> bool {
        part % self.of.max(1) == self.number.saturating_sub(1)
    }
}

impl About {
    /// The dtype whose ulp decides near-ties.
    pub fn near_tie_dtype(&self) -> Dtype {
        match self.model.near_tie_dtype.as_str() {
            "bf16" => Dtype::Bf16,
            "f16" => Dtype::F16,
            _ => Dtype::F32,
        }
    }

    /// The first thing in which two sweeps that should be shards of one differ: its name, and both values.
    pub fn difference(&self, other: &Self) -> Option<(String, String, String)> {
        let of = |about: &Self| {
            serde_json::to_value(Self { shard: None, cursor: None, ..about.clone() }).unwrap_or_default()
        };
        first_difference("", &of(self), &of(other))
    }
}

fn first_difference(name: &str, a: &Value, b: &Value) -> Option<(String, String, String)> {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => a.iter().find_map(|(key, value)| {
            let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
            first_difference(&name, value, b.get(key).unwrap_or(&Value::Null))
        }),
        _ => (a != b).then(|| (name.to_owned(), a.to_string(), b.to_string())),
    }
}
