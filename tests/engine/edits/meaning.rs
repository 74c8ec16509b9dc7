use super::{Case, ids, parsed, sites};
use mixscope::model::Edits;
use mixscope::trace::{HookKind as K, Policy, Site};

#[test]
fn a_banned_expert_is_left_out_and_the_next_best_moves_up() {
    let case = Case::new("demo", Policy::Hf);
    let banned = case.under(&["ban L2.E5"]);
    for (pos, (a, b)) in case.plain.tokens().iter().zip(banned.tokens()).enumerate() {
        let (before, after) = (a.experts(2).unwrap(), b.experts(2).unwrap());
        assert!(!after.contains(&5));
        let chose = before.contains(&5);
        assert_eq!(b.sites.contains(&Site { edit: 0, layer: 2, chose: true }), chose, "position {pos}");
        assert_eq!(chose, before != after, "layer 2 reads the same in both runs");
        if !chose {
            assert_eq!(a.row(K::MlpOut, 2), b.row(K::MlpOut, 2));
        } else {
            let sum: f32 = b.row(K::MixingWeights, 2).unwrap().iter().sum();
            assert!((sum - 1.0).abs() < 1e-6);
        }
    }
    assert!(sites(banned.tokens()) > 0);
}

#[test]
fn forced_experts_come_first_and_fewer_or_more_experts_can_be_chosen() {
    let case = Case::new("demo", Policy::Hf);
    for token in case.under(&["force L1.E6"]).tokens() {
        assert_eq!(token.experts(1).unwrap()[0], 6);
    }
    for token in case.under(&["force L1.E0,E3,E7@4.."]).tokens().iter().skip(4) {
        let probs = token.row(K::ExpertWeights, 1).unwrap();
        let chosen = token.experts(1).unwrap();
        assert!(chosen.iter().all(|e| [0, 3, 7].contains(e)));
        assert!(probs[chosen[0] as usize] >= probs[chosen[1] as usize]);
    }
    let run = case.under(&["topk L3 1@2..5", "topk L4 4"]);
    for (pos, token) in run.tokens().iter().enumerate() {
        let count = if (2..=5).contains(&pos) { 1 } else { 2 };
        for (layer, count) in [(3, count), (4, 4)] {
            assert_eq!(token.experts(layer).unwrap().len(), count, "position {pos}");
            assert_eq!(token.row(K::MixingWeights, layer).unwrap().len(), count);
            assert_eq!(token.row(K::ExpertOut, layer).unwrap().len(), count * case.loaded.meta.dims.d_model);
        }
    }
    // The later of two edits wins.
    let both = case.under(&["ban L1.E6", "force L1.E6"]);
    assert!(both.tokens().iter().all(|token| token.experts(1).unwrap()[0] == 6));
    let both = case.under(&["force L1.E6", "ban L1.E6"]);
    assert!(both.tokens().iter().all(|token| !token.experts(1).unwrap().contains(&6)));
}

#[test]
fn a_cut_key_weighs_nothing_and_the_others_share_its_weight() {
    let case = Case::new("demo", Policy::F32);
    let run = case.under(&["cut L2.H3 9->4", "cut L1.H* *->0"]);
    let dims = case.loaded.meta.dims;
    let row = |pos: usize, layer: usize, head: usize| {
        let all = run.tokens()[pos].row(K::Pattern, layer).unwrap();
        all[head * (pos + 1)..(head + 1) * (pos + 1)].to_vec()
    };
    let cut = row(9, 2, 3);
    assert_eq!(cut[4], 0.0);
    assert!((cut.iter().sum::<f32>() - 1.0).abs() < 1e-5);
    for head in 0..dims.heads {
        assert_eq!(row(7, 1, head)[0], 0.0);
        assert_eq!(row(0, 1, head), [0.0], "the first token sees nothing");
    }
    assert!(run.tokens()[0].row(K::Z, 1).unwrap().iter().all(|z| *z == 0.0));
    assert_eq!(run.tokens()[9].sites.iter().filter(|site| site.edit == 0).count(), 1);
}

#[test]
fn the_weight_of_a_scaled_expert_is_the_factor_that_its_output_gets() {
    let case = Case::new("demo", Policy::Hf);
    let run = case.under(&["scale L5.E2 0.25"]);
    for (a, b) in case.plain.tokens().iter().zip(run.tokens()) {
        let (before, after) = (a.row(K::MixingWeights, 5).unwrap(), b.row(K::MixingWeights, 5).unwrap());
        for (slot, expert) in a.experts(5).unwrap().iter().enumerate() {
            assert_eq!(after[slot], before[slot] * if *expert == 2 { 0.25 } else { 1.0 });
        }
        assert_eq!(a.row(K::ExpertOut, 5), b.row(K::ExpertOut, 5), "chosen and computed as before");
    }
}

#[test]
fn a_mean_is_that_of_the_unedited_prompt() {
    let case = Case::new("demo", Policy::F32);
    let d = case.loaded.meta.dims;
    let run = case.under(&["mean L2.H3@6", "zero L0.mlp"]);
    let z = |pos: usize| &case.plain.tokens()[pos].row(K::Z, 2).unwrap()[3 * d.d_head..4 * d.d_head];
    let got = &run.tokens()[6].row(K::Z, 2).unwrap()[3 * d.d_head..4 * d.d_head];
    for (i, got) in got.iter().enumerate() {
        let mean = (0..case.ids.len()).map(|pos| f64::from(z(pos)[i])).sum::<f64>() / case.ids.len() as f64;
        assert!((f64::from(*got) - mean).abs() < 1e-6 * mean.abs().max(1.0));
    }
}

#[test]
fn bans_together_leave_enough_experts() {
    let dims = Case::new("demo", Policy::Hf).loaded.meta.dims;
    for texts in [&["ban L3.E0..3", "ban L3.E4..7"][..], &["ban L*.E0..3", "ban L3.E4..6@7"]] {
        let error = format!("{:#}", Edits::new(parsed(texts), dims).unwrap_err());
        assert!(error.contains("with the bans before it") && error.contains("a token needs 2"), "{error}");
    }
    assert!(Edits::new(parsed(&["ban L3.E0..3", "ban L4.E4..7", "ban L3.E4,E5"]), dims).is_ok());
}

#[test]
fn the_later_edit_of_a_choice_wins_whatever_it_edits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clean.safetensors");
    let case = Case::new("demo", Policy::Hf);
    let records = case.plain.records();
    let plan = mixscope::trace::TracePlan::new(&records, &serde_json::json!({}), false, &[], |kind, _| {
        matches!(kind, K::ExpertWeights | K::ExpertOut | K::MixingWeights | K::ExpertIndices)
    });
    plan.unwrap().write(&path).unwrap();
    let patch = format!("patch L3.expert_weights {}", path.display());
    let run = case.under(&[&patch, "ban L3.E5"]);
    assert!(run.tokens().iter().all(|token| !token.experts(3).unwrap().contains(&5)));
    // Rows of other lengths in the same pass change nothing.
    let wide = "topk L3 3@5";
    for hook in ["expert_out", "mixing_weights"] {
        let patch = format!("patch L3.{hook}@2 {}", path.display());
        let run = case.under(&[wide, &patch]);
        assert!(run.tokens()[2].sites.is_empty(), "the row is its own");
    }
}

/// Views derive z, patterns and experts' outputs from what they keep; under edits they are those of the pass.
#[test]
fn what_views_derive_follows_the_edits() {
    let loaded = Case::new("demo", Policy::Hf).loaded;
    let (d, layers) = (loaded.meta.dims, loaded.meta.dims.layers);
    let texts = ["zero L2.H3", "cut L1.H2 9->4", "mean L3.E*", "patch L4.z@5 CLEAN@2"];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clean.safetensors");
    let case = Case::new("demo", Policy::Hf);
    let records = case.plain.records();
    let plan = mixscope::trace::TracePlan::new(&records, &serde_json::json!({}), false, &[], |kind, _| kind == K::Z);
    plan.unwrap().write(&path).unwrap();
    let texts = texts.map(|text| text.replace("CLEAN", path.to_str().unwrap()));
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let whole = case.under(&texts);
    let none = mixscope::control::Control::none();
    let mut views = mixscope::engine::Live::new(loaded.clone(), mixscope::engine::Capture::for_views(layers), 4);
    views.set_prompt(&case.ids, &none, &mut |_, _| {}).unwrap();
    let views = views.edited(Some(&super::edits(&loaded, &texts)), &none).unwrap();
    let precision = views.precision();
    for pos in 0..case.ids.len() {
        let (kept, token) = (&views.tokens()[pos], &whole.tokens()[pos]);
        for layer in 0..layers {
            let outputs = loaded.model.derive_expert_out(kept, layer, precision).unwrap().unwrap();
            assert_eq!(outputs, token.row(K::ExpertOut, layer).unwrap(), "experts of L{layer} at {pos}");
            for head in 0..d.heads {
                let at = (layer, head);
                let kept = (views.tokens(), views.cache());
                let cuts = views.edits().unwrap().cuts(layer);
                let z = mixscope::model::derive_z(kept, at, pos, (d, loaded.model.scores()), precision.module, cuts)
                    .unwrap();
                assert_eq!(z, token.row(K::Z, layer).unwrap()[head * d.d_head..][..d.d_head], "z of {at:?} at {pos}");
            }
        }
    }
    for (layer, head) in [(1, 2), (1, 0), (2, 3)] {
        let cuts = views.edits().unwrap().cuts(layer);
        let at = (layer, head);
        let pattern =
            mixscope::model::derive_pattern(views.tokens(), at, (d, loaded.model.scores()), precision.module, cuts)
                .unwrap();
        assert!(views.tokens().iter().all(|token| token.row(K::Pattern, layer).is_none()), "no pattern is kept");
        let rows: Vec<f32> = whole
            .tokens()
            .iter()
            .enumerate()
            .flat_map(|(pos, token)| {
                token.row(K::Pattern, layer).unwrap()[head * (pos + 1)..(head + 1) * (pos + 1)].to_vec()
            })
            .collect();
        assert_eq!(pattern.weights, rows, "L{layer} H{head}");
    }
}

/// Runs and saved runs keep no pattern because of a cut: they derive it from queries, keys and the cut.
#[test]
fn a_cut_shows_in_patterns_where_it_is_and_nowhere_else() {
    use mixscope::engine::{Capture, HeadCache, Live, Replay, Run, pattern};
    let case = Case::new("demo", Policy::Hf);
    let (none, layers) = (mixscope::control::Control::none(), case.loaded.meta.dims.layers);
    let texts = ["cut L2.H3 9->4", "cut L3.H1 12..14->2..6", "cut L4.H0 *->0", "cut L5.H2@prompt 19->0..19"];
    let whole = case.under(&texts);
    let mut live = Live::new(case.loaded.clone(), Capture::for_views(layers), 4);
    live.set_prompt(&case.ids, &none, &mut |_, _| {}).unwrap();
    let plain = Run::Live(live.clone());
    let live = live.edited(Some(&super::edits(&case.loaded, &texts)), &none).unwrap();
    assert!(live.tokens().iter().all(|token| (0..layers).all(|layer| token.row(K::Pattern, layer).is_none())));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.safetensors");
    let records = live.records();
    let plan = mixscope::trace::TracePlan::new(&records, &serde_json::json!({}), true, &[], |_, _| true).unwrap();
    plan.write(&path).unwrap();
    for run in [Run::Live(live), Run::Replay(Replay::open(&path).unwrap())] {
        let mut columns = HeadCache::default();
        for (layer, head) in [(0, 0), (1, 5), (2, 3), (2, 0), (3, 1), (4, 0), (5, 2)] {
            let found = pattern(&run, layer, head).unwrap();
            let rows = whole.tokens().iter().enumerate().flat_map(|(pos, token)| {
                token.row(K::Pattern, layer).unwrap()[head * (pos + 1)..(head + 1) * (pos + 1)].to_vec()
            });
            assert_eq!(found.weights, rows.collect::<Vec<f32>>(), "L{layer} H{head}");
            let is_below = layer < 2;
            let same = found.weights == pattern(&plain, layer, head).unwrap().weights;
            assert!(!is_below || same, "L{layer} H{head}: nothing is cut before");
            // Columns read single weights.
            for key in [0, 4, 9] {
                let pick = mixscope::analysis::Pick::One(head);
                let column = columns.column(&run, layer, pick, key, &none).unwrap().unwrap();
                let want: Vec<f32> =
                    (key..case.ids.len()).map(|query| found.weights[query * (query + 1) / 2 + key]).collect();
                assert_eq!(column.weights, want, "L{layer} H{head}, key {key}");
            }
        }
    }
}

#[test]
fn files_that_do_not_fit_are_refused() {
    let case = Case::new("tiny-bf16", Policy::Hf);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let npy = |shape: &str, descr: &str, bytes: &[u8]| {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        [&b"\x93NUMPY\x01\x00"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes(), bytes].concat()
    };
    let dims = case.loaded.meta.dims;
    let (layers, k) = (dims.layers, dims.top_k);
    let pairs: Vec<u8> = (0..3 * layers).flat_map(|_| [0i16, 1]).flat_map(i16::to_le_bytes).collect();
    let good = file("good.npy", &npy(&format!("(3, {layers}, {k})"), "<i2", &pairs));
    let run = case.under(&[&format!("replay L* {good}")]);
    for token in &run.tokens()[..3] {
        assert_eq!(token.experts(0).unwrap(), [0, 1]);
    }
    assert!(run.tokens()[3..].iter().all(|token| token.sites.is_empty()), "later positions choose for themselves");
    let double = file("double.npy", &npy(&format!("(3, {layers}, {k})"), "<i2", &vec![0; pairs.len()]));
    let deep = file("deep.npy", &npy(&format!("(1, {}, {k})", layers * 3), "<i2", &pairs));
    let short = file("short.npy", &npy(&format!("(9, {layers}, {k})"), "<i2", &pairs));
    let floats = file("floats.npy", &npy(&format!("(3, {layers}, {k})"), "<f4", &pairs));
    let other = file("other.npy", b"hello");
    let steering = file("steer.json", br#"{"layer_configs": {"1": {"expert_ids": [1]}}}"#);
    assert!(
        case.under(&[&format!("replay L* {steering}")]).tokens().iter().all(|t| !t.experts(1).unwrap().contains(&1))
    );
    for (text, part) in [
        (format!("replay L* {double}"), "expert 0 occurs twice at position 0"),
        (format!("replay L* {deep}"), "MoE layers, found"),
        (format!("replay L* {short}"), "bytes of numbers, found"),
        (format!("replay L* {floats}"), "expected integers such as int16, found dtype `<f4`"),
        (format!("replay L* {other}"), "does not begin as a .npy file"),
        (format!("replay! L* {good}"), "holds no weights"),
        (format!("patch L0.z {good}"), "is not a readable trace"),
        (format!("patch L0.z {good}"), "an array of NumPy (.npy); expected a trace, such as trace.safetensors"),
        (format!("add L0.resid_post {good}"), "expected floating-point numbers such as float32, found dtype `<i2`"),
        ("add L0.resid_post nowhere.safetensors".to_owned(), "cannot read nowhere.safetensors"),
        ("replay L* nowhere.npy".to_owned(), "cannot read nowhere.npy"),
    ] {
        let error = format!("{:#}", Edits::new(parsed(&[&text]), dims).unwrap_err());
        assert!(error.contains(part), "{text}: {error}");
    }
    assert_eq!(ids(&case.loaded, 5).len(), 5);
}
