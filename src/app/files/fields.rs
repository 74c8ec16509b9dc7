//! The fields of a trace, with the names of `--capture`.

use crate::trace::HookKind;
use anyhow::{Result, bail};
use std::collections::BTreeSet;

/// Names of fields, and their hooks.
const FIELDS: [(&str, &[HookKind]); 7] = {
    use HookKind as K;
    [
        ("routing", &[K::RouterLogits, K::ExpertWeights, K::ExpertIndices, K::MixingWeights]),
        ("residuals", &[K::Embed, K::ResidPre, K::ResidMid, K::ResidPost]),
        ("attention", &[K::Q, K::K, K::V, K::QNorm, K::KNorm, K::RotQ, K::RotK, K::Z]),
        ("pattern", &[K::Pattern]),
        ("norms", &[K::Ln1Scale, K::Ln1, K::Ln2Scale, K::Ln2, K::LnFinalScale, K::LnFinal]),
        ("outputs", &[K::AttnOut, K::MlpOut, K::ExpertOut, K::SharedOut, K::SharedGate]),
        ("logits", &[K::Logits]),
    ]
};

/// The fields that a trace keeps of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// The hooks.
    pub hooks: BTreeSet<HookKind>,
    /// The best tokens of every lens cell.
    pub lens: bool,
    /// The score of each token and the candidates after it.
    pub candidates: bool,
}

impl Fields {
    /// All fields.
    pub fn all() -> Self {
        Self { hooks: HookKind::recorded().collect(), lens: true, candidates: true }
    }

    /// `routing, residuals, lens`: complete groups, then single hooks.
    pub fn describe(&self) -> String {
        let mut rest = self.hooks.clone();
        let mut names = Vec::new();
        for (name, group) in FIELDS {
            if group.iter().all(|kind| self.hooks.contains(kind)) {
                rest.retain(|kind| !group.contains(kind));
                names.push(name);
            }
        }
        names.extend(rest.iter().map(|kind| kind.suffix()));
        names.extend(self.candidates.then_some(CANDIDATES));
        names.extend(self.lens.then_some(LENS));
        if names.is_empty() { "only the tokens".to_owned() } else { names.join(", ") }
    }
}

const LENS: &str = "lens";
const CANDIDATES: &str = "candidates";

/// Parses comma-separated fields: `all`, `none`, a group (routing, residuals, …), lens, candidates, or a hook by its
/// name in the trace file without the layer (`attn.hook_q`, or just `q`).
///
/// # Errors
/// If a name is none of these.
pub fn capture(text: &str) -> Result<Fields> {
    let mut fields = Fields::default();
    for field in text.split(',').map(str::trim).filter(|field| !field.is_empty()) {
        if field.starts_with("blocks.") {
            bail!("`{field}` names a layer; give the hook without it (attn.hook_q) and choose layers with --layers");
        }
        match field {
            "all" => fields = Fields::all(),
            "none" => {}
            LENS => fields.lens = true,
            CANDIDATES => fields.candidates = true,
            _ => {
                if let Some((_, group)) = FIELDS.iter().find(|(name, _)| *name == field) {
                    fields.hooks.extend(group.iter());
                } else if let Some(kind) = HookKind::all().find(|kind| names(*kind).contains(&field)) {
                    fields.hooks.insert(kind);
                } else {
                    let groups: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
                    bail!(
                        "`{field}` is not a field; use all, none, {}, {CANDIDATES}, {LENS}, or the name of a hook such as \
                         mlp.hook_router_logits",
                        groups.join(", ")
                    );
                }
            }
        }
    }
    Ok(fields)
}

/// A hook's suffix, and its last word without `hook_`.
fn names(kind: HookKind) -> [&'static str; 2] {
    [kind.suffix(), kind.short_name()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_name_hooks() {
        assert_eq!(capture("all").unwrap(), Fields::all());
        let some = capture("routing, q,ln1,mlp.hook_expert_out,ln_final").unwrap();
        assert_eq!((some.hooks.len(), some.lens, some.candidates), (8, false, false));
        let hooks = &some.hooks;
        assert!(hooks.contains(&HookKind::Ln1) && hooks.contains(&HookKind::LnFinal) && hooks.contains(&HookKind::Q));
        assert_eq!(some.describe(), "routing, ln_final.hook_out, ln1.hook_out, attn.hook_q, mlp.hook_expert_out");
        let scale = capture("ln_final.hook_scale").unwrap();
        assert!(
            scale.hooks == [HookKind::LnFinalScale].into() && Fields::all().hooks.contains(&HookKind::LnFinalScale)
        );
        assert_eq!(capture("none").unwrap(), Fields::default());
        let scores = capture("mlp.hook_choice_scores").unwrap();
        assert!(
            scores.hooks == [HookKind::ChoiceScores].into() && !Fields::all().hooks.contains(&HookKind::ChoiceScores)
        );
        assert_eq!(
            capture("lens,candidates").unwrap(),
            Fields { hooks: BTreeSet::new(), lens: true, candidates: true }
        );
        assert!(capture("everything").unwrap_err().to_string().contains("everything"));
    }

    #[test]
    fn fields_are_described_by_their_groups() {
        let all = "routing, residuals, attention, pattern, norms, outputs, logits, candidates, lens";
        assert_eq!(Fields::all().describe(), all);
        assert_eq!(capture("none").unwrap().describe(), "only the tokens");
    }
}
