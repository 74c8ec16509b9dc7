//! Edits against transformers: the same edits as hooks on its modules, in f32 (tools/record_edits.py).

use crate::support::fixture;
use mixscope::control::Control;
use mixscope::engine::{Capture, Live};
use mixscope::model::{Edits, Location, open};
use mixscope::trace::{Edit, Policy, TraceFile};
use std::path::Path;
use std::sync::Arc;

fn numbers(json: &serde_json::Value) -> Vec<usize> {
    json.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as usize).collect()
}

fn agrees(name: &str, location: &Location) {
    let folder = fixture("edits");
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join(format!("{name}.json"))).unwrap()).unwrap();
    let recorded = TraceFile::read(&folder.join(format!("{name}.safetensors"))).unwrap();
    let loaded = Arc::new(open(location, Policy::F32, None, false).unwrap());
    let dims = loaded.meta.dims;
    let ids: Vec<u32> = numbers(&json["ids"]).into_iter().map(|id| id as u32).collect();
    let (positions, columns) = (numbers(&json["positions"]), numbers(&json["columns"]));
    let none = Control::none();
    let mut plain = Live::new(loaded, Capture::for_views(dims.layers), 1);
    plain.set_prompt(&ids, &none, &mut |_, _| {}).unwrap();
    let check = |what: &str, run: &Live, tensor: &str| {
        let want = recorded.get(tensor).unwrap().f32().unwrap();
        for (row, pos) in positions.iter().enumerate() {
            let logits = run.logits(*pos..*pos + 1).unwrap();
            for (column, id) in columns.iter().enumerate() {
                let (got, want) = (logits[*id], want[row * columns.len() + column]);
                let tolerance = 1e-4 + 2e-5 * want.abs();
                assert!(
                    (got - want).abs() <= tolerance,
                    "{name}, {what}: position {pos}, token {id}: {got} is not {want}"
                );
            }
        }
    };
    check("no edit", &plain, "baseline.logits");
    let cases = json["cases"].as_array().unwrap();
    assert!(cases.len() >= 30, "{name}: {} cases", cases.len());
    let file = |end: &str| Path::new(&folder).join(format!("{name}.{end}.safetensors")).display().to_string();
    for (i, case) in cases.iter().enumerate() {
        let texts: Vec<&str> = case["edits"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
        let edit = |text: &&str| -> Edit {
            let text = text.replace("clean.safetensors", &format!("\"{}\"", file("clean")));
            text.replace("v.safetensors", &format!("\"{}\"", file("vectors"))).parse().unwrap()
        };
        let edits = Edits::new(texts.iter().map(edit).collect(), dims).unwrap();
        let run = plain.edited(Some(&edits), &none).unwrap();
        let what = texts.join("; ");
        for (layer, choices) in case["experts"].as_array().unwrap().iter().enumerate() {
            for (pos, choice) in choices.as_array().unwrap().iter().enumerate() {
                let got: Vec<usize> = run.tokens()[pos].experts(layer).unwrap().iter().map(|e| *e as usize).collect();
                assert_eq!(got, numbers(choice), "{name}, {what}: layer {layer}, position {pos}");
            }
        }
        check(&what, &run, &format!("case.{i}.logits"));
    }
}

#[test]
fn edits_do_what_hooks_on_transformers_do() {
    agrees("tiny-f32", &Location::Dir(fixture("tiny-f32").join("model")));
    agrees("top3", &Location::Dir(fixture("top3").join("model")));
}

#[test]
fn edits_of_the_embedded_model_do_what_hooks_on_transformers_do() {
    agrees("demo", &Location::Demo);
}
