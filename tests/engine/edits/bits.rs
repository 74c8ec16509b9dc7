use super::{AFTER, Case, edits, empty, same};
use mixscope::control::Control;
use mixscope::trace::{HookKind, Policy, Sampling, TracePlan};

/// One edit of every kind, at all positions and at some.
fn kinds(file: &str) -> Vec<Vec<String>> {
    let single = [
        "ban L1.E1",
        "ban L0.E0@4..9",
        "force L1.E0,E2@3..",
        "bias L1.E2 +1.5",
        "topk L0 1",
        "topk L1 3@2..6",
        "zero L0.E1",
        "scale L1.E0 0.5@last",
        "mean L0.E1",
        "mean L1.H1@7",
        "zero L1.H0",
        "zero L0.attn@5",
        "zero L1.mlp@prompt",
        "cut L1.H1 9->3",
        "cut L0.H* *->0",
        "zero L1.H1@generated",
    ];
    let mut all: Vec<Vec<String>> = single.iter().map(|edit| vec![(*edit).to_owned()]).collect();
    all.push(vec![format!("patch L1.resid_mid@6 {file}@2")]);
    all.push(vec![format!("replay L1 {file}")]);
    all.push(vec!["ban L0.E1".into(), "scale L1.E* 2@8..".into(), "cut L1.H0 *->1".into(), "topk L1 1@3".into()]);
    all
}

#[test]
fn prefill_chunks_steps_and_the_rest_of_a_known_run_give_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.safetensors");
    for (name, policy) in [
        ("demo", Policy::Hf),
        ("tiny-bf16", Policy::Hf),
        ("tiny-bf16", Policy::F32),
        ("tied-window-legacy", Policy::Hf),
        ("top3", Policy::F32Router),
    ] {
        let case = Case::new(name, policy);
        let (none, loaded) = (Control::none(), &case.loaded);
        let mut other = empty(loaded);
        let reversed: Vec<u32> = case.ids.iter().rev().copied().collect();
        other.set_prompt(&reversed, &none, &mut |_, _| {}).unwrap();
        let records = other.records();
        TracePlan::new(&records, &serde_json::json!({}), false, &[], |kind, _| kind != HookKind::Pattern)
            .unwrap()
            .write(&path)
            .unwrap();
        // A run that goes on after its prompt.
        let more = [5, 9, 11];
        let mut plain = case.plain.clone();
        plain.extend(&more, AFTER, &none).unwrap();
        for texts in kinds(path.to_str().unwrap()) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let what = format!("{name}, {policy}: {}", texts.join("; "));
            let edits = edits(loaded, &texts);
            let mut whole = case.under(&texts);
            whole.extend(&more, AFTER, &none).unwrap();
            for chunk in [1, 7] {
                let mut chunks = empty(loaded).in_chunks_of(chunk).edited(Some(&edits), &none).unwrap();
                chunks.set_prompt(&case.ids, &none, &mut |_, _| {}).unwrap();
                for id in more {
                    chunks.extend(&[id], AFTER, &none).unwrap();
                }
                same(&format!("{what}: chunks of {chunk}"), &whole, &chunks);
            }
            let again = plain.edited(Some(&edits), &none).unwrap();
            same(&format!("{what}: read again"), &whole, &again);
            same(&format!("{what}: taken back"), &plain, &again.edited(None, &none).unwrap());
            let more_edits: Vec<&str> = texts.iter().copied().chain(["zero L1.attn@10.."]).collect();
            let both = again.edited(Some(&super::edits(loaded, &more_edits)), &none).unwrap();
            same(&format!("{what}: one edit more and less"), &whole, &both.edited(Some(&edits), &none).unwrap());
            // Generation goes on under the edits.
            let (mut a, mut b) = (whole.clone(), again.clone());
            for _ in 0..3 {
                assert_eq!(a.step(&Sampling::default(), &none).unwrap(), b.step(&Sampling::default(), &none).unwrap());
            }
            same(&format!("{what}: generated"), &a, &b);
        }
    }
}

#[test]
fn another_prompt_moves_what_depends_on_it() {
    let case = Case::new("tiny-bf16", Policy::Hf);
    let none = Control::none();
    for texts in [&["zero L1.H0@last"][..], &["mean L0.H1"], &["ban L1.E1@prompt"], &["ban L1.E1@4"]] {
        let mut live = case.under(texts);
        let shorter = &case.ids[..12];
        live.set_prompt(shorter, &none, &mut |_, _| {}).unwrap();
        let mut fresh = empty(&case.loaded).edited(Some(&edits(&case.loaded, texts)), &none).unwrap();
        fresh.set_prompt(shorter, &none, &mut |_, _| {}).unwrap();
        same(&texts.join("; "), &fresh, &live);
        // The policy changes means, too.
        let mut switched = live.under(Policy::F32);
        switched.extend_from(&live.ids_and_sources(), &none, &mut |_, _| {}).unwrap();
        let case = Case::new("tiny-bf16", Policy::F32);
        let mut fresh = empty(&case.loaded).edited(Some(&edits(&case.loaded, texts)), &none).unwrap();
        fresh.set_prompt(shorter, &none, &mut |_, _| {}).unwrap();
        same(&format!("{} under f32", texts.join("; ")), &fresh, &switched);
    }
}

#[test]
fn edits_survive_a_stop_while_their_means_are_computed() {
    let case = Case::new("tiny-bf16", Policy::Hf);
    let (none, texts) = (Control::none(), ["mean L0.H1"]);
    let live = case.under(&texts);
    let mut stopped = live.under(Policy::F32);
    let tokens = live.ids_and_sources();
    let error =
        stopped.extend(&case.ids, mixscope::trace::Source::Prompt, &Control::cancelled_by(&|| true)).unwrap_err();
    assert!(error.is::<mixscope::control::Stopped>(), "{error:#}");
    stopped.extend_from(&tokens, &none, &mut |_, _| {}).unwrap();
    let mut whole = live.under(Policy::F32);
    whole.extend_from(&tokens, &none, &mut |_, _| {}).unwrap();
    assert!(super::sites(whole.tokens()) > 0);
    same("after a stop", &whole, &stopped);
}
