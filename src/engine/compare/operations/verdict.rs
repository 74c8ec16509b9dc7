//! The verdict on a recording, and the finding in one sentence.

use super::search::Fit;
use crate::analysis::diff::{ConfigDiff, Gap, Operation};
use crate::trace::{Dtype, Hook, HookKind as K};
use serde::Serialize;

/// The outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every operation gives what was recorded.
    Agrees,
    /// Every operation does, with rounding of a kind that is known.
    AgreesUpToRounding,
    /// An operation does not.
    Differs,
}

/// The operation that is the first to differ.
#[derive(Clone, Debug, Serialize)]
pub struct Guilt {
    /// The hook of its output.
    pub hook: Hook,
    /// The decoder layer; `None` for hooks that occur once a pass.
    pub layer: Option<u32>,
    /// The first position at which it differs.
    pub position: usize,
    /// The heads or experts that differ, if it is not all of them.
    pub parts: Vec<usize>,
    /// The finding, in one sentence.
    pub sentence: String,
    /// What gives the recorded values, if a suspect does.
    pub cause: Option<String>,
    /// How well.
    pub fit: Option<Fit>,
}

impl Guilt {
    /// Where it is, and the cause.
    pub fn place(&self) -> String {
        let layer = self.layer.map(|layer| format!("in layer {layer}, ")).unwrap_or_default();
        let cause = self.cause.as_deref().unwrap_or("no known cause gives A's values");
        format!("{layer}`{}`: {cause}", self.hook)
    }
}

/// Whether causes of a difference can be tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tested {
    /// They were.
    Yes,
    /// What the value follows from is not recorded.
    NotRecorded,
    /// An edit changes the value.
    Edited,
}

/// The finding in words. `all` holds every operation, in order.
pub fn guilt(
    operation: &Operation,
    fit: Option<Fit>,
    tested: Tested,
    configs: &[ConfigDiff],
    all: &[Operation],
) -> Guilt {
    let hook = operation.hook;
    let place = operation.layer.map_or_else(|| "outside the layers".to_owned(), |layer| format!("in layer {layer}"));
    let position = operation.position.unwrap_or(0);
    let parts = match (&operation.parts[..], hook.kind) {
        ([], _) => String::new(),
        (some, K::ExpertOut) => format!(" of {}", list("expert", some)),
        (some, _) => format!(" of {}", list("head", some)),
    };
    let inputs: Vec<String> = operation.inputs.iter().map(|input| format!("`{input}`")).collect();
    let from = match &inputs[..] {
        [] => "the token ids".to_owned(),
        some => some.join(", "),
    };
    let earlier = || all.iter().take_while(|other| other.hook != hook);
    let is_first = !earlier().any(|other| other.gap.values > 0);
    let is_clean = earlier().all(|other| other.ok || other.explained);
    let before = match (is_first, position) {
        (true, 0) => "",
        (false, _) if !is_clean => "",
        (true, _) => "; the positions before agree",
        (false, 0) => "; what comes before it agrees",
        (false, _) => "; what comes before it agrees, and so do the positions before",
    };
    let gap: &Gap = &operation.gap;
    let cause = fit.as_ref().map(|fit| with_config(&fit.cause, fit.suspect.config_key(), configs));
    let why = match (&fit, &cause) {
        (Some(fit), Some(cause)) => {
            format!("; the cause: {cause}; {}", fit.words())
        }
        _ if hook.kind == K::ExpertIndices => "; A did not choose the experts with the highest scores".to_owned(),
        _ if gap.non_finite > 0 => "; no cause is looked for among NaN".to_owned(),
        _ if hook.kind == K::ResidPre && hook.layer > 0 => "; A's stream changes between the two layers".to_owned(),
        _ if tested == Tested::Edited => "; no cause is looked for where an edit changes the value".to_owned(),
        _ if tested == Tested::NotRecorded => {
            "; its cause can't be tested, because what it follows from was not recorded".to_owned()
        }
        _ => format!("; none of the causes that mixscope knows gives A's values{}", said(configs)),
    };
    // In f32 almost every value differs in its last bits.
    let what = match operation.dtype {
        _ if gap.non_finite > 0 => gap.non_finite_words(),
        Dtype::F32 if hook.kind != K::ExpertIndices => {
            format!("the values do not follow from {from} (relative L2 {:.1e})", gap.relative_l2)
        }
        _ => format!("{} of {} values do not follow from {from}", gap.values - gap.equal, gap.values),
    };
    let sentence = format!("the fault is {place}, `{hook}`{parts}: {what}, from position {position} on{before}{why}");
    Guilt { hook, layer: operation.layer, position, parts: operation.parts.clone(), sentence, cause, fit }
}

fn list(what: &str, some: &[usize]) -> String {
    let names: Vec<String> = some.iter().map(usize::to_string).collect();
    format!("{what}{} {}", if some.len() == 1 { "" } else { "s" }, names.join(", "))
}

/// The cause with the difference of the configs that it depends on.
fn with_config(cause: &str, key: Option<&str>, configs: &[ConfigDiff]) -> String {
    match configs.iter().find(|diff| Some(diff.key) == key) {
        Some(diff) => format!("{cause} ({diff})"),
        None => cause.to_owned(),
    }
}

fn said(configs: &[ConfigDiff]) -> String {
    match configs {
        [] => String::new(),
        some => format!(" ({})", some.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
    }
}
