//! Prompts of more than one chunk, under edits that begin and end at the borders of chunks and of pages of the cache.

use super::{Case, edits, empty, ids, same};
use mixscope::control::Control;
use mixscope::model::{Edits, Location, open};
use mixscope::trace::{HookKind as K, Policy, TracePlan};
use std::fs::File;
use std::time::{Duration, SystemTime};

/// Tokens of a chunk are 64, those of a page 32.
const TOKENS: usize = 150;

fn kinds(file: &str) -> Vec<String> {
    let plain = [
        "ban L1.E1@60..70",
        "force L0.E0@64..",
        "bias L1.E2@63 +1.5",
        "topk L1 4@63..64",
        "topk L0 1@127..129",
        "zero L0.E1@64..127",
        "scale L1.E*@31..33 0.5",
        "mean L0.E1@100..",
        "mean L1.H1@63..128",
        "mean L1.attn@128..",
        "zero L1.H0@64",
        "zero L1.mlp@128..",
        "cut L1.H1 100->97",
        "cut L0.H* 64..130->60..70",
        "cut L1.H0 *->32",
    ];
    let mut all: Vec<String> = plain.map(str::to_owned).into();
    all.push(format!("patch L1.resid_mid@64 {file}@127"));
    all.push(format!("patch L0.z@60..70 {file}"));
    all.push(format!("replay L1@63..129 {file}"));
    all
}

#[test]
fn a_long_prompt_has_the_same_bits_however_it_is_read() {
    let (folder, none) = (tempfile::tempdir().unwrap(), Control::none());
    let path = folder.path().join("other.safetensors");
    for (name, policy) in [("tiny-bf16", Policy::Hf), ("tied-window-legacy", Policy::F32), ("top3", Policy::F32Router)]
    {
        let loaded = Case::new(name, policy).loaded;
        let prompt = ids(&loaded, TOKENS);
        let mut other = empty(&loaded);
        let reversed: Vec<u32> = prompt.iter().rev().copied().collect();
        other.set_prompt(&reversed, &none, &mut |_, _| {}).unwrap();
        let records = other.records();
        let plan = TracePlan::new(&records, &serde_json::json!({}), false, &[], |kind, _| kind != K::Pattern);
        plan.unwrap().write(&path).unwrap();
        let mut plain = empty(&loaded);
        plain.set_prompt(&prompt, &none, &mut |_, _| {}).unwrap();
        for text in kinds(path.to_str().unwrap()) {
            let of_run = edits(&loaded, &[&text]);
            let read = |chunk: usize| {
                let mut live = empty(&loaded).in_chunks_of(chunk).edited(Some(&of_run), &none).unwrap();
                live.set_prompt(&prompt, &none, &mut |_, _| {}).unwrap();
                live
            };
            let whole = read(TOKENS);
            assert!(super::sites(whole.tokens()) > 0, "{name}: {text}");
            let what = |how: &str| format!("{name}, {policy}: {text}: {how}");
            same(&what("chunks of 64"), &whole, &read(64));
            same(&what("chunks of 100"), &whole, &read(100));
            same(&what("steps"), &whole, &read(1));
            same(&what("read again"), &whole, &plain.edited(Some(&of_run), &none).unwrap());
            same(&what("taken back"), &plain, &whole.edited(None, &none).unwrap());
        }
    }
}

#[test]
fn a_file_that_is_written_again_is_read_again() {
    let none = Control::none();
    let loaded = std::sync::Arc::new(open(&Location::Demo, Policy::Hf, None, false).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v.safetensors");
    let write = |by: f32, at: u64| {
        let d = loaded.meta.dims.d_model;
        let bytes: Vec<u8> = (0..d).flat_map(|i| (by * i as f32).to_le_bytes()).collect();
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![d], &bytes).unwrap();
        std::fs::write(&path, safetensors::serialize([("v", view)], None).unwrap()).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(at)).unwrap();
    };
    let text = format!("add L2.resid_post {} 1", path.display());
    let read = || -> Edits { edits(&loaded, &[&text]) };
    write(0.001, 1_000);
    let first = read();
    assert!(first.are_current());
    write(0.002, 2_000);
    assert!(!first.are_current(), "as long, and written later");
    let second = read();
    assert!(second.are_current());
    std::fs::remove_file(&path).unwrap();
    assert!(second.are_current(), "what is gone can't be read again");
    // A run under the first is not taken for one under the second.
    let mut core = mixscope::engine::Core::new(loaded.clone());
    let mut id = 0;
    let mut answer = |ask| {
        id += 1;
        core.answer(mixscope::protocol::RequestId(id), ask);
        core.run().tokens().to_vec()
    };
    use mixscope::protocol::Ask;
    answer(Ask::Prompt(mixscope::trace::Prompt::Ids(ids(&loaded, 12))));
    let ask = |edits: &[&str]| Ask::Edits { edits: super::parsed(edits), at: 0 };
    write(0.001, 3_000);
    let one = answer(ask(&[&text]));
    // The run under the edit is kept as the other of the two runs.
    answer(ask(&[]));
    write(0.002, 4_000);
    let two = answer(ask(&[&text]));
    assert!(one.iter().zip(&two).any(|(a, b)| a.next != b.next), "the vector is another");
    let mut fresh = empty(&loaded).edited(Some(&read()), &none).unwrap();
    fresh.set_prompt(&ids(&loaded, 12), &none, &mut |_, _| {}).unwrap();
    assert!(fresh.tokens().iter().zip(&two).all(|(a, b)| a.row(K::ResidPost, 5) == b.row(K::ResidPost, 5)));
}
