//! Choices of experts under lists of edits, against the run without any.

use super::{AFTER, Case, edits, empty, same, sites};
use mixscope::analysis::diff::RunDiff;
use mixscope::control::Control;
use mixscope::engine::{EffectTarget, lab, measure};
use mixscope::trace::{HookKind as K, Policy, TracePlan};

fn target() -> EffectTarget {
    EffectTarget { position: 19, token: 5, foil: None }
}

#[test]
fn a_bias_that_turns_no_choice_hides_no_flip_of_an_earlier_edit() {
    let case = Case::new("demo", Policy::Hf);
    let flips = |texts: &[&str]| {
        let run = case.under(texts);
        let measures = measure(&case.plain, &run, target(), &Control::none()).unwrap();
        let chose = run.tokens().iter().flat_map(|token| &token.sites).filter(|site| site.chose).count();
        (measures.flips, measures.sites, chose)
    };
    let (alone, _, chose) = flips(&["zero L0.mlp"]);
    assert!(alone > 0 && chose == 0);
    // In bf16 so small a bias changes no logit of this size by more than an ulp, and here no choice.
    let bias = "bias L1..5.E* +0.25";
    let (together, sites, chose) = flips(&["zero L0.mlp", bias]);
    assert_eq!(sites, 6 * case.ids.len(), "every place changes: the logits");
    assert_eq!(chose, 0, "all experts alike: no choice changes");
    assert_eq!(together, alone, "the bias chose nothing");
    // A bias that does choose counts as the edit's own choice.
    let (forced, _, chose) = flips(&["zero L0.mlp", "bias L1..5.E0 +50"]);
    assert!(chose > 0 && forced < alone, "{forced} of {alone}");
}

#[test]
fn edits_that_only_together_leave_the_choice_have_no_site() {
    let case = Case::new("demo", Policy::Hf);
    for texts in [&["topk L1 1", "topk L1 2"][..], &["ban L2.E3", "topk L2 1", "topk L2 2", "force L2.E3@0..1"]] {
        let run = case.under(texts);
        if texts.len() == 2 {
            same(&texts.join("; "), &case.plain, &run);
            assert_eq!(sites(run.tokens()), 0);
        }
        for (a, b) in case.plain.tokens().iter().zip(run.tokens()) {
            let layer = if texts.len() == 2 { 1 } else { 2 };
            let changed = a.experts(layer) != b.experts(layer);
            assert_eq!(changed, !b.sites.is_empty(), "{}: sites are where the choice is another", texts.join("; "));
        }
    }
}

#[test]
fn tokens_with_more_or_fewer_experts_are_flips_that_rounding_does_not_explain() {
    let case = Case::new("demo", Policy::Hf);
    let n = case.ids.len();
    for edit in ["topk L1 3", "topk L1 1"] {
        let run = case.under(&[edit]);
        for (a, b) in [(&case.plain, &run), (&run, &case.plain)] {
            let mut diff = RunDiff::new(6, case.loaded.meta.router_dtype());
            diff.extend(a.tokens(), b.tokens());
            assert_eq!((diff.layers()[1].flips().len(), diff.layers()[1].within_rounding()), (n, 0), "{edit}");
        }
    }
}

#[test]
fn the_lab_runs_under_edits_of_how_many_experts_there_are() {
    let case = Case::new("demo", Policy::Hf);
    let (none, n) = (Control::none(), case.ids.len());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.safetensors");
    let mut other = empty(&case.loaded);
    let reversed: Vec<u32> = case.ids.iter().rev().copied().collect();
    other.set_prompt(&reversed, &none, &mut |_, _| {}).unwrap();
    other.extend(&[5, 9, 11], AFTER, &none).unwrap();
    let records = other.records();
    let plan = TracePlan::new(&records, &serde_json::json!({}), false, &[], |kind, _| kind == K::ExpertIndices);
    plan.unwrap().write(&path).unwrap();
    let replay = format!("replay L* {}", path.display());
    let policies = [Policy::F32, Policy::F32Router];
    for text in ["topk L1 3", "topk L*@4..9 1", &replay] {
        let of_run = edits(&case.loaded, &[text]);
        let found = lab(&case.loaded, &case.ids, 3, Policy::Hf, &policies, Some((&of_run, n)), &none).unwrap();
        // The base is the run under the same edits.
        let run = case.under(&[text]);
        let nll: Vec<f32> = run.tokens().iter().filter_map(|token| Some(token.score?.nll)).collect();
        assert_eq!(found.rows[0].nll, nll, "{text}");
        assert_eq!(found.rows.len(), 3);
        let mut other = case.plain.variant(Policy::F32, Some(&of_run), &none).unwrap();
        other.extend_from(&case.plain.ids_and_sources(), &none, &mut |_, _| {}).unwrap();
        for (layer, of_lab) in found.rows[1].end_to_end.iter().enumerate() {
            let differs = |(a, b): &(_, _)| {
                let (a, b): (&std::sync::Arc<mixscope::trace::TokenRecord>, &std::sync::Arc<_>) = (*a, *b);
                !mixscope::analysis::diff::same_experts(a, b, layer).unwrap()
            };
            let flips = run.tokens().iter().zip(other.tokens()).filter(differs).count();
            assert_eq!((of_lab.flips, of_lab.choices), (flips, n), "{text}, layer {layer}");
        }
        if text.starts_with("replay") {
            assert!(found.rows[1..].iter().all(|row| row.end_to_end.iter().all(|layer| layer.flips == 0)));
        }
    }
}
