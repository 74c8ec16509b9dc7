use super::{Case, differ, same, sites};
use mixscope::trace::{HookKind, Policy, TracePlan};
use std::path::Path;

const POLICIES: [Policy; 3] = [Policy::Hf, Policy::F32, Policy::F32Router];

fn save(case: &Case, path: &Path) {
    let records = case.plain.records();
    let plan = TracePlan::new(&records, &serde_json::json!({}), false, &[], |kind, _| kind != HookKind::Pattern);
    plan.unwrap().write(path).unwrap();
}

/// Edits that change nothing, and next to each one of the same parts that changes something.
#[test]
fn edits_that_change_nothing_leave_every_bit_and_say_so() {
    let folder = tempfile::tempdir().unwrap();
    for (name, policy) in [
        ("demo", POLICIES[0]),
        ("tiny-bf16", POLICIES[0]),
        ("tiny-f32", POLICIES[1]),
        ("tiny-bf16", POLICIES[2]),
        ("top3", POLICIES[0]),
        ("tied-window-legacy", POLICIES[0]),
    ] {
        let case = Case::new(name, policy);
        let dims = case.loaded.meta.dims;
        let path = folder.path().join(format!("{name}-{policy}.safetensors"));
        save(&case, &path);
        let file = path.to_str().unwrap();
        let k = dims.top_k;
        let never = (0..dims.experts)
            .find(|e| case.plain.tokens().iter().all(|t| !t.experts(0).unwrap().contains(&(*e as u32))));
        let mut pairs = vec![
            ("scale L*.E* 1".to_owned(), "scale L*.E* 0.5".to_owned()),
            ("scale L*.H* 1".to_owned(), "scale L*.H* 0.5".to_owned()),
            ("scale L*.attn 1".to_owned(), "zero L*.attn".to_owned()),
            ("scale L*.mlp 1".to_owned(), "zero L*.mlp".to_owned()),
            ("bias L*.E* 0".to_owned(), "bias L*.E0 +8".to_owned()),
            (format!("topk L* {k}"), format!("topk L* {}", k + 1)),
            (format!("replay L* {file}"), "ban L*.E0".to_owned()),
            (format!("replay! L* {file}"), "force L*.E1".to_owned()),
            (format!("patch L*.resid_pre {file}"), format!("patch L*.resid_pre@3 {file}@2")),
            (format!("patch L*.z {file}"), format!("patch L*.z@1.. {file}@0")),
            (format!("patch L*.H* {file}"), format!("patch L*.H0@4 {file}@1")),
            (format!("patch L*.E* {file}"), "zero L*.E*".to_owned()),
            (format!("patch L*.expert_out {file}"), "mean L*.mlp".to_owned()),
            (format!("patch L*.router_logits {file}"), format!("patch L*.router_logits@9 {file}@3")),
            (format!("patch L*.mixing_weights {file}"), format!("patch L0.mlp_out@5 {file}@4")),
            (format!("patch L*.ln2.hook_scale {file}"), format!("patch L*.ln2.hook_scale@8 {file}@0")),
        ];
        if let Some(never) = never {
            pairs.push((format!("ban L0.E{never}"), format!("force L0.E{never}")));
        }
        for (nothing, something) in pairs {
            let what = format!("{name}, {policy}: {nothing}");
            let edited = case.under(&[&nothing]);
            same(&what, &case.plain, &edited);
            assert_eq!(sites(edited.tokens()), 0, "{what}");
            let edited = case.under(&[&something]);
            assert!(sites(edited.tokens()) > 0 && differ(&case.plain, &edited), "{name}, {policy}: {something}");
        }
    }
}

#[test]
fn banning_then_replaying_the_banned_run_is_banning() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["demo", "top3"] {
        let mut case = Case::new(name, Policy::Hf);
        let banned = case.under(&["ban L0..1.E1"]);
        assert!(differ(&banned, &case.plain));
        case.plain = banned;
        let path = folder.path().join("banned.safetensors");
        save(&case, &path);
        let replayed = case.under(&[&format!("replay L* {}", path.display())]);
        assert!(
            case.plain.tokens().iter().zip(replayed.tokens()).all(|(a, b)| a.values == b.values && a.next == b.next)
        );
        let both = case.under(&["ban L0..1.E1", &format!("replay L* {}", path.display())]);
        assert!(
            both.tokens().iter().flat_map(|token| &token.sites).all(|site| site.edit == 0),
            "the replay adds nothing"
        );
    }
}

#[test]
fn a_run_patched_at_one_layer_with_another_is_the_other_from_there_on() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["demo", "tiny-bf16"] {
        let mut case = Case::new(name, Policy::Hf);
        let path = folder.path().join("clean.safetensors");
        save(&case, &path);
        case.ids[5..].reverse();
        let clean = case.plain.clone();
        let patched = case.under(&[&format!("patch L1.resid_pre {}", path.display())]);
        for (a, b) in clean.tokens().iter().zip(patched.tokens()) {
            assert_eq!(a.next, b.next, "recovery is 1");
        }
        assert!(differ(&case.under(&[]), &clean), "without the patch the runs differ");
    }
}

#[test]
fn zeroing_every_chosen_expert_is_zeroing_the_block() {
    let case = Case::new("demo", Policy::Hf);
    let (experts, block) = (case.under(&["zero L2.E*"]), case.under(&["zero L2.mlp"]));
    for (a, b) in experts.tokens().iter().zip(block.tokens()) {
        assert!(a.row(HookKind::MlpOut, 2).unwrap().iter().all(|x| *x == 0.0));
        assert_eq!(a.next, b.next);
        assert_eq!(a.row(HookKind::ResidMid, 2), a.row(HookKind::ResidPost, 2));
    }
    assert!(differ(&case.plain, &experts));
}
