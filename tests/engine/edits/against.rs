//! Recordings that were made under edits, compared with the model.

use super::{Case, sites};
use crate::support::recordings::edited;
use crate::support::{fixture, load};
use mixscope::control::Control;
use mixscope::engine::{Fidelity, Live, Verdict, check_against};
use mixscope::model::Edits;
use mixscope::trace::{
    Dtype, Edit, HookKind as K, NO_EXPERT, Policy, TraceFile, TracePlan, TraceReader, TraceTensor, Values,
};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

fn save(run: &Live, path: &Path) {
    let records = run.records();
    TracePlan::new(&records, &serde_json::json!({}), true, &[], |_, _| true).unwrap().write(path).unwrap();
}

fn check(case: &Case, path: &Path, edits: Option<&Edits>) -> anyhow::Result<Fidelity> {
    check_against(&case.loaded, &TraceReader::open(path).unwrap(), None, edits, &Control::none())
}

/// Edits of every kind, and the hook at which a model without them is the first to differ.
fn kinds(vectors: &str, other: &str) -> Vec<(Vec<String>, K)> {
    let one = |text: String, hook: K| (vec![text], hook);
    let mut all: Vec<(Vec<String>, K)> = [
        ("ban L1.E1", K::ExpertIndices),
        ("ban L0.E0@4..9", K::ExpertIndices),
        ("force L1.E0,E2@3..", K::ExpertIndices),
        ("bias L1.E2 +1.5", K::RouterLogits),
        ("zero L0.E1", K::MixingWeights),
        ("scale L1.E*@last 0.5", K::MixingWeights),
        ("mean L0.E1", K::ExpertOut),
        ("mean L1.H1@7", K::Z),
        ("zero L1.H0", K::Z),
        ("zero L0.attn@5", K::AttnOut),
        ("scale L1.mlp@prompt 2", K::MlpOut),
        ("cut L1.H1 9->3", K::Pattern),
        ("cut L0.H* *->0", K::Pattern),
    ]
    .map(|(text, hook)| one(text.to_owned(), hook))
    .into();
    all.push(one(format!("add L1.resid_post {vectors}:v 4.0"), K::ResidPost));
    all.push(one(format!("add L0.resid_mid@3.. {vectors}:v -2"), K::ResidMid));
    all.push(one(format!("patch L1.resid_pre@6 {other}@2"), K::ResidPre));
    all.push(one(format!("patch L0.resid_pre@6 {other}@2"), K::ResidPre));
    all.push(one(format!("patch L1.H0 {other}"), K::Z));
    all.push(one(format!("patch L1.router_logits@4..9 {other}"), K::RouterLogits));
    all.push(one(format!("replay L1 {other}"), K::ExpertIndices));
    all.push((vec!["ban L1.E1".into(), "scale L1.E* 2@8..".into(), "cut L1.H0 *->1".into()], K::Pattern));
    all
}

#[test]
fn a_recording_agrees_under_its_own_edits_and_differs_without_where_these_begin() {
    let vectors = fixture("edits/tiny-f32.vectors.safetensors").display().to_string();
    let folder = tempfile::tempdir().unwrap();
    for (name, policy) in [("tiny-f32", Policy::F32), ("tiny-bf16", Policy::Hf)] {
        let case = Case::new(name, policy);
        let mut other = super::empty(&case.loaded);
        let reversed: Vec<u32> = case.ids.iter().rev().copied().collect();
        other.set_prompt(&reversed, &Control::none(), &mut |_, _| {}).unwrap();
        let other_path = folder.path().join(format!("{name}.safetensors"));
        save(&other, &other_path);
        for (texts, first) in kinds(&vectors, other_path.to_str().unwrap()) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let what = format!("{name}: {}", texts.join("; "));
            let run = case.under(&texts);
            assert!(sites(run.tokens()) > 0, "{what}");
            let path = folder.path().join("edited.safetensors");
            save(&run, &path);
            let edits = super::edits(&case.loaded, &texts);
            let found = check(&case, &path, Some(&edits)).unwrap_or_else(|error| panic!("{what}: {error:#}"));
            let said = found.guilty.as_ref().map(|guilty| &guilty.sentence);
            assert_eq!((found.verdict, found.ok), (Verdict::Agrees, true), "{what}: {said:?}");
            assert!(found.operations.iter().all(|operation| operation.ok), "{what}");
            for comparison in [&found.end_to_end, &found.isolated] {
                let (equal, all) = comparison.equal();
                assert_eq!(equal, all, "{what}, {}: a run of this program has these bits", comparison.mode);
            }
            // The same without its list of edits, as another program writes it.
            let (_folder, plain) = edited(&path, "plain.safetensors", |trace| drop(trace.metadata.remove("edits")));
            let found = check(&case, &plain, Some(&edits)).unwrap();
            assert_eq!(found.verdict, Verdict::Agrees, "{what}");
            let found = check(&case, &plain, None).unwrap();
            let guilty = found.guilty.as_ref().unwrap_or_else(|| panic!("{what}: {:?}", found.verdict));
            assert_eq!((found.verdict, guilty.hook.kind), (Verdict::Differs, first), "{what}: {}", guilty.sentence);
        }
    }
}

#[test]
fn other_edits_than_those_of_the_recording_are_refused_with_what_to_type() {
    let case = Case::new("tiny-f32", Policy::F32);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("edited.safetensors");
    save(&case.under(&["zero L1.H0", "ban L0.E1"]), &path);
    let remedy = "compare it with the model under the same edits: --edit 'zero L1.H0' --edit 'ban L0.E1'";
    for given in [&[][..], &["zero L1.H0"], &["ban L0.E1", "zero L1.H0"]] {
        let edits = super::edits(&case.loaded, given);
        let error = format!("{:#}", check(&case, &path, Some(&edits)).unwrap_err());
        assert!(error.contains(remedy), "{given:?}: {error}");
    }
}

#[test]
fn another_number_of_experts_is_compared_under_its_edit_and_named_without() {
    let case = Case::new("tiny-f32", Policy::F32);
    let folder = tempfile::tempdir().unwrap();
    for texts in [&["topk L1 1"][..], &["topk L1 3@2..6"], &["topk L0 3", "zero L1.mlp@5"]] {
        let path = folder.path().join("edited.safetensors");
        save(&case.under(texts), &path);
        let found = check(&case, &path, Some(&super::edits(&case.loaded, texts))).unwrap();
        assert_eq!(found.verdict, Verdict::Agrees, "{texts:?}: {:?}", found.guilty.map(|guilty| guilty.sentence));
        let (_folder, plain) = edited(&path, "plain.safetensors", |trace| {
            trace.metadata.remove("edits");
            // Another program has no empty slots to write.
            for tensor in trace.tensors.values_mut() {
                if let Values::U32(ids) = &mut tensor.values {
                    ids.iter_mut().filter(|id| **id == NO_EXPERT).for_each(|id| *id = 0);
                }
            }
        });
        let error = format!("{:#}", check(&case, &plain, None).unwrap_err());
        assert!(error.contains("expected shape"), "{texts:?}: {error}");
    }
}

#[test]
fn a_difference_at_an_edited_value_is_found_under_the_edit() {
    let case = Case::new("tiny-f32", Policy::F32);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("edited.safetensors");
    save(&case.under(&["zero L1.H0"]), &path);
    let z = K::Z.at(1).to_string();
    let (_folder, broken) =
        edited(&path, "broken.safetensors", |trace| crate::support::recordings::floats(trace, &z)[20] += 0.5);
    let found = check(&case, &broken, Some(&super::edits(&case.loaded, &["zero L1.H0"]))).unwrap();
    let guilty = found.guilty.unwrap();
    assert_eq!((found.verdict, guilty.hook), (Verdict::Differs, K::Z.at(1)));
    assert!(guilty.sentence.contains("no cause is looked for where an edit changes the value"), "{}", guilty.sentence);
}

/// The experts that transformers chose with hooks that do what the edits say.
#[test]
fn the_choices_of_transformers_under_hooks_agree_under_the_same_edits_only() {
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(fixture("edits/tiny-f32.json")).unwrap()).unwrap();
    let loaded = load("tiny-f32", Policy::F32);
    let numbers = |json: &serde_json::Value| -> Vec<u32> {
        json.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as u32).collect()
    };
    let file = |end: &str| fixture(&format!("edits/tiny-f32.{end}.safetensors")).display().to_string();
    let folder = tempfile::tempdir().unwrap();
    let (mut agreed, mut differed) = (0, 0);
    for case in json["cases"].as_array().unwrap() {
        let edit = |text: &serde_json::Value| -> Edit {
            let text = text.as_str().unwrap().replace("clean.safetensors", &format!("\"{}\"", file("clean")));
            text.replace("v.safetensors", &format!("\"{}\"", file("vectors"))).parse().unwrap()
        };
        let edits: Vec<Edit> = case["edits"].as_array().unwrap().iter().map(edit).collect();
        let edits = Edits::new(edits, loaded.meta.dims).unwrap();
        let tokens = numbers(&json["ids"]);
        let (n, mut tensors) = (tokens.len(), BTreeMap::new());
        let whole = |shape: Vec<usize>, values| TraceTensor { shape, dtype: Dtype::F32, values: Values::U32(values) };
        tensors.insert("tokens".to_owned(), whole(vec![n], tokens));
        let mut is_narrow = false;
        for (layer, choices) in case["experts"].as_array().unwrap().iter().enumerate() {
            let rows: Vec<Vec<u32>> = choices.as_array().unwrap().iter().map(numbers).collect();
            let k = rows.iter().map(Vec::len).max().unwrap();
            // A file of another program has as many experts for every token.
            is_narrow |= rows.iter().any(|row| row.len() != k);
            let indices = whole(vec![n, k], rows.concat());
            tensors.insert(K::ExpertIndices.at(layer).to_string(), indices);
        }
        if is_narrow {
            continue;
        }
        let path = folder.path().join("hooks.safetensors");
        let said = [("format", "mixscope-trace"), ("version", "1")];
        let metadata: HashMap<String, String> = said.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        write(&TraceFile { metadata, tensors }, &path);
        let reference = TraceReader::open(&path).unwrap();
        let what = case["edits"].to_string();
        let found = check_against(&loaded, &reference, None, Some(&edits), &Control::none());
        let found = found.unwrap_or_else(|error| panic!("{what}: {error:#}"));
        assert_eq!(found.verdict, Verdict::Agrees, "{what}: {:?}", found.guilty.map(|guilty| guilty.sentence));
        assert_eq!(found.end_to_end.flips().0, 0, "{what}");
        agreed += 1;
        let without = check_against(&loaded, &reference, None, None, &Control::none());
        differed += usize::from(without.is_err_and(|error| format!("{error:#}").contains("expected shape")));
        let without = check_against(&loaded, &reference, None, None, &Control::none());
        differed += usize::from(without.is_ok_and(|found| found.end_to_end.flips().0 > 0));
    }
    assert!(agreed >= 25 && differed >= 20, "{agreed} agreed, {differed} differed without the edits");
}

fn write(trace: &TraceFile, path: &Path) {
    use safetensors::tensor::{Dtype as StDtype, TensorView};
    let data: Vec<Vec<u8>> = trace
        .tensors
        .values()
        .map(|tensor| tensor.u32().unwrap().iter().flat_map(|id| i64::from(*id).to_le_bytes()).collect())
        .collect();
    let views = trace.tensors.iter().zip(&data).map(|((name, tensor), bytes)| {
        (name.as_str(), TensorView::new(StDtype::I64, tensor.shape.clone(), bytes).unwrap())
    });
    std::fs::write(path, safetensors::serialize(views, Some(trace.metadata.clone())).unwrap()).unwrap();
}
