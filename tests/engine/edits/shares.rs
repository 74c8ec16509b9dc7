//! Contributions to a logit under edits.

use super::{Case, edits, empty};
use crate::support::fixture;
use mixscope::analysis::Attribution;
use mixscope::control::Control;
use mixscope::engine::{Capture, Live, attribution};
use mixscope::trace::{HookKind as K, Policy, TracePlan};

const POSITION: usize = 12;
const TARGET: u32 = 9;

fn whole(run: &Live) -> Attribution {
    attribution(run, POSITION, TARGET, 0..run.meta().dims.layers, &Control::none()).unwrap()
}

/// The run under edits that keeps what views need and no more.
fn run(case: &Case, texts: &[&str]) -> Live {
    let layers = case.loaded.meta.dims.layers;
    let live = Live::new(case.loaded.clone(), Capture::for_views(layers), 1);
    let mut live = live.edited(Some(&edits(&case.loaded, texts)), &Control::none()).unwrap();
    live.set_prompt(&case.ids, &Control::none(), &mut |_, _| {}).unwrap();
    live
}

#[test]
fn the_rows_add_up_to_the_logit_under_every_kind_of_edit() {
    let case = Case::new("tiny-f32", Policy::F32);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.safetensors");
    let mut other = empty(&case.loaded);
    let reversed: Vec<u32> = case.ids.iter().rev().copied().collect();
    other.set_prompt(&reversed, &Control::none(), &mut |_, _| {}).unwrap();
    let records = other.records();
    TracePlan::new(&records, &serde_json::json!({}), false, &[], |_, _| true).unwrap().write(&path).unwrap();
    let (file, vectors) = (path.display(), fixture("edits/tiny-f32.vectors.safetensors").display().to_string());
    let mut texts: Vec<Vec<String>> = [
        "ban L1.E1",
        "force L1.E0",
        "bias L1.E2 +1.5",
        "topk L1 1",
        "topk L1 3",
        "zero L1.E1",
        "scale L*.E* 0.5",
        "mean L1.E1",
        "zero L1.H0",
        "scale L1.H* -1.5",
        "mean L1.H1",
        "zero L1.attn",
        "scale L1.mlp 2",
        "mean L1.attn",
        "zero L2.mlp",
        "mean L2.mlp",
        "cut L1.H* *->0",
        "cut L1.H1 12->3",
    ]
    .iter()
    .map(|text| vec![(*text).to_owned()])
    .collect();
    for hook in ["resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post"] {
        for layer in 0..2 {
            texts.push(vec![format!("add L{layer}.{hook} {vectors}:v 4.0")]);
            texts.push(vec![format!("patch L{layer}.{hook} {file}")]);
            texts.push(vec![format!("patch L{layer}.{hook} {file}"), format!("add L{layer}.{hook} {vectors}:v 2.0")]);
            texts.push(vec![format!("add L{layer}.{hook} {vectors}:v 2.0"), format!("patch L{layer}.{hook} {file}")]);
        }
    }
    texts.push(vec![format!("add L1.attn_out {vectors}:v 4.0"), "scale L1.attn 0.5".into()]);
    texts.push(vec![format!("patch L1.z {file}"), "zero L0.H1".into()]);
    texts.push(vec![format!("patch L1.H0 {file}"), format!("patch L1.E* {file}"), format!("replay L2 {file}")]);
    for texts in texts {
        let what = texts.join("; ");
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let found = whole(&run(&case, &texts));
        let size = 1.0
            + [&found.attn, &found.mlp].into_iter().flatten().map(|share| share.abs()).sum::<f64>()
            + found.edits.iter().map(|edit| edit.share.abs()).sum::<f64>();
        assert!(found.remainder.abs() <= 1e-4 * size, "{what}: {}", found.remainder);
        assert!((found.sum() + found.remainder - f64::from(found.logit)).abs() < 1e-9, "{what}");
        let replaces = |part: &str| texts.iter().any(|text| text.contains(part) && !text.starts_with("scale"));
        for shares in &found.details {
            if !replaces("attn") || texts.iter().all(|text| text.starts_with("zero") || text.starts_with("add")) {
                assert!(shares.heads_remainder.abs() <= 1e-4 * size, "{what}: heads {}", shares.heads_remainder);
            }
            if !replaces("mlp") || texts.iter().all(|text| text.starts_with("zero") || text.starts_with("add")) {
                assert!(shares.experts_remainder.abs() <= 1e-4 * size, "{what}: experts {}", shares.experts_remainder);
            }
        }
    }
}

#[test]
fn what_is_zeroed_contributes_nothing_and_what_is_scaled_its_part() {
    let case = Case::new("tiny-f32", Policy::F32);
    let found = whole(&run(&case, &["zero L1.attn", "zero L1.mlp"]));
    let of_layer = found.layer(1).unwrap();
    assert_eq!((found.attn[1], found.mlp[1]), (0.0, 0.0));
    assert!(of_layer.heads.iter().all(|share| *share == 0.0));
    assert!(of_layer.experts.iter().all(|expert| (expert.share, expert.norm, expert.cosine) == (0.0, 0.0, None)));
    // In the last layer an edit leaves its own layer's parts as they were, but for the frozen scale.
    let last = case.loaded.meta.dims.layers - 1;
    let plain = whole(&run(&case, &["scale L0.H0 1"]));
    let scaled = whole(&run(&case, &[&format!("scale L{last}.H1 -0.5"), &format!("scale L{last}.E* 0.25")]));
    let scale = |of: &Attribution| f64::from(of.scale);
    let heads = |of: &Attribution, head: usize| of.layer(last).unwrap().heads[head] / scale(of);
    assert!((heads(&scaled, 1) + 0.5 * heads(&plain, 1)).abs() < 1e-5 * (1.0 + heads(&plain, 1).abs()));
    assert!((heads(&scaled, 0) - heads(&plain, 0)).abs() < 1e-5 * (1.0 + heads(&plain, 0).abs()));
    let kept: f64 = scaled.layer(last).unwrap().experts.iter().map(|expert| expert.share).sum();
    assert!((kept - scaled.mlp[last]).abs() < 1e-4 * (1.0 + kept.abs()), "the scaled weights are the factors");
}

#[test]
fn an_added_vector_has_a_row_of_its_own() {
    let case = Case::new("tiny-f32", Policy::F32);
    let vectors = fixture("edits/tiny-f32.vectors.safetensors");
    let trace = mixscope::trace::TraceFile::read(&vectors).unwrap();
    let v = trace.get("v").unwrap().f32().unwrap().to_vec();
    let model = &case.loaded.model;
    for (hook, layer) in [("resid_pre", 1), ("attn_out", 0), ("resid_mid", 2), ("mlp_out", 1), ("resid_post", 2)] {
        let live = run(&case, &[&format!("add L{layer}.{hook} {}:v 4.0", vectors.display())]);
        let found = whole(&live);
        let last = live.tokens()[POSITION].row(K::ResidPost, live.meta().dims.layers - 1).unwrap();
        let direction = model.direction(last, TARGET, live.precision()).unwrap();
        let want: f64 = direction.u.iter().zip(&v).map(|(u, x)| u * 4.0 * f64::from(*x)).sum();
        assert_eq!(found.edits.len(), 1, "{hook}");
        let edit = &found.edits[0];
        assert_eq!((edit.layer, edit.is_patch), (layer, false));
        assert!(edit.label.starts_with("added: ") && edit.label.ends_with("tiny-f32.vectors.safetensors:v"));
        assert!((edit.share - want).abs() < 1e-9 && want.abs() > 1e-3, "{hook}: {} is not {want}", edit.share);
    }
    let elsewhere = run(&case, &[&format!("add L1.resid_post@3 {}:v 4.0", vectors.display())]);
    assert!(whole(&elsewhere).edits.is_empty(), "another position");
}
