//! What experiments compute, counted.

use super::Case;
use mixscope::control::{Control, Stopped};
use mixscope::engine::{EffectPlan, EffectTarget, How, Over, ablate, effect, lab};
use mixscope::trace::{Policy, Sampling};

fn counts(case: &Case) -> [u64; 2] {
    let tally = case.loaded.model.tally();
    [tally.passes(), tally.logits()]
}

fn target(case: &Case) -> EffectTarget {
    EffectTarget { position: case.ids.len() - 1, token: 5, foil: None }
}

#[test]
fn a_map_takes_means_and_the_logits_of_the_run_without_edits_once() {
    let case = Case::new("tiny-bf16", Policy::Hf);
    let (dims, n) = (case.loaded.meta.dims, case.ids.len() as u64);
    for (over, how, means) in [(Over::Heads, How::Mean, 1), (Over::Heads, How::Zero, 0), (Over::Mlp, How::Mean, 1)] {
        let before = counts(&case);
        let mut found = Vec::new();
        ablate(&case.plain, (over, how), target(&case), &Control::none(), &mut |one| found.push(one)).unwrap();
        let cells = found.len() as u64;
        assert_eq!(cells as usize, if over == Over::Mlp { dims.layers } else { dims.layers * dims.heads });
        assert!(found.iter().all(|one| one.measures.sites > 0));
        let [passes, logits] = counts(&case).map(|count| count);
        assert_eq!(
            passes - before[0],
            cells + means,
            "{over:?}, {how:?}: one pass for each part, and one for all means"
        );
        // A pass over the prompt gives the logits of its last chunk; the means need none.
        let of_means = means * n;
        assert_eq!(logits - before[1], n + of_means + 2 * n * cells, "{over:?}, {how:?}");
    }
}

#[test]
fn random_edits_share_means_and_the_run_without_edits() {
    let case = Case::new("tiny-bf16", Policy::Hf);
    let edits = super::edits(&case.loaded, &["mean L1.H1"]);
    let sampling = Sampling { temperature: 0.0, ..Sampling::default() };
    let plan = EffectPlan { edits: &edits, target: target(&case), steps: 0, sampling, null: (3, 1) };
    let before = counts(&case)[0];
    let found = effect(&case.plain, &plan, &Control::none()).unwrap();
    let draws = found.null.unwrap().draws.len() as u64;
    assert_eq!((draws, counts(&case)[0] - before), (3, 1 + 1 + 3), "the means, the edits, and each draw");
    // They are the means that each run would have taken for itself.
    let alone = case.plain.edited(Some(&edits), &Control::none()).unwrap();
    let measures = mixscope::engine::measure(&case.plain, &alone, target(&case), &Control::none()).unwrap();
    assert_eq!(measures, found.measures);
}

#[test]
fn a_lab_that_is_stopped_takes_no_means() {
    let case = Case::new("tiny-bf16", Policy::Hf);
    let edits = super::edits(&case.loaded, &["mean L1.H1"]);
    let before = counts(&case)[0];
    let stopped = Control::cancelled_by(&|| true);
    let policies = [Policy::F32, Policy::F32Router];
    let found = lab(&case.loaded, &case.ids, 2, Policy::Hf, &policies, Some((&edits, case.ids.len())), &stopped);
    assert!(found.unwrap_err().is::<Stopped>());
    assert_eq!(counts(&case)[0] - before, 1, "it stops in the first pass");
}
