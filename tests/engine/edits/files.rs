//! The files that edits read: vectors in every form that they come in, and choices with other numbers of experts.

use super::{Case, parsed, sites};
use mixscope::model::Edits;
use mixscope::trace::{HookKind as K, Policy};
use safetensors::tensor::{Dtype, TensorView};
use std::path::Path;

/// A file of NumPy.
fn npy(shape: &str, descr: &str, bytes: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    [&b"\x93NUMPY\x01\x00"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes(), bytes].concat()
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A safetensors file of tensors of zeros: integers as `tokens`, else F32.
fn tensors(all: &[(String, Vec<usize>)]) -> Vec<u8> {
    let zeros = vec![0; 4 << 16];
    let views = all.iter().map(|(name, shape)| {
        let bytes = &zeros[..4 * shape.iter().product::<usize>()];
        let dtype = if name == "tokens" { Dtype::I32 } else { Dtype::F32 };
        (name.clone(), TensorView::new(dtype, shape.clone(), bytes).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

#[test]
fn a_vector_of_numpy_is_added_like_one_of_safetensors() {
    let case = Case::new("tiny-bf16", Policy::Hf);
    let width = case.loaded.meta.dims.d_model;
    let folder = tempfile::tempdir().unwrap();
    // Exact in every width.
    let values: Vec<f32> = (0..width).map(|i| i as f32 / 16.0 - 1.0).collect();
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F32, vec![width], &bytes).unwrap();
    let known = safetensors::serialize([("v", view)], Some([("version".to_owned(), "7".to_owned())].into())).unwrap();
    let known = write(folder.path(), "v.safetensors", &known);
    let wanted = case.under(&[&format!("add L0.resid_post {known} 2")]);
    assert_eq!(sites(wanted.tokens()), case.ids.len());
    let doubles: Vec<u8> = values.iter().flat_map(|x| f64::from(*x).to_le_bytes()).collect();
    let halves: Vec<u8> = values.iter().flat_map(|x| half::f16::from_f32(*x).to_le_bytes()).collect();
    for (descr, shape, bytes) in [
        ("<f4", format!("({width},)"), &bytes),
        ("<f8", format!("({width},)"), &doubles),
        ("<f2", format!("(1, {width})"), &halves),
    ] {
        // The name does not matter.
        let path = write(folder.path(), "v.dat", &npy(&shape, descr, bytes));
        let run = case.under(&[&format!("add L0.resid_post {path} 2")]);
        for (a, b) in wanted.tokens().iter().zip(run.tokens()) {
            assert_eq!(a.row(K::ResidPost, 0), b.row(K::ResidPost, 0), "{descr}");
        }
    }
    let path = write(folder.path(), "v.npy", &npy(&format!("({width},)"), "<f4", &bytes));
    let rows = write(folder.path(), "rows.npy", &npy("(2, 2)", "<f4", &[0; 16]));
    let big = write(folder.path(), "big.npy", &npy("(2,)", ">f4", &[0; 8]));
    let none = write(folder.path(), "none.npy", &npy("(1,)", "<f4", &f32::NAN.to_le_bytes()));
    for (text, part) in [
        (format!("{path}:v"), "holds one array, which has no name: leave out `:v`"),
        (rows, "expected a vector, found shape [2, 2]; save one row"),
        (big, "big-endian: save it with `.astype('float32')`"),
        (none, "not finite"),
    ] {
        refused(&case, &format!("add L0.resid_post {text}"), part);
    }
}

#[track_caller]
fn refused(case: &Case, text: &str, part: &str) -> String {
    let error = format!("{:#}", Edits::new(parsed(&[text]), case.loaded.meta.dims).unwrap_err());
    assert!(error.contains(part), "{text}: {error}");
    error
}

#[test]
fn what_is_no_file_of_vectors_is_named_with_how_to_convert_it() {
    let case = Case::new("tiny-bf16", Policy::Hf);
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, what, convert) in [
        ("v.pt", &b"PK\x03\x04\0\0archive/data.pkl"[..], "PyTorch's .pt", "safetensors.torch.save_file("),
        ("v.bin", b"\x80\x02}q\0.", "a Python pickle", "safetensors.torch.save_file("),
        ("v.gguf", b"GGUF\x03\0\0\0", "a GGUF file", "gguf.GGUFReader"),
        ("v.txt", b"0.5 1.5 2\n", "a text", "numpy.loadtxt"),
        ("v.json", b"[0.5, 1.5]", "a JSON file", "json.load"),
    ] {
        let path = write(folder.path(), name, bytes);
        let error = refused(&case, &format!("add L0.resid_post {path}"), what);
        assert!(error.contains(convert) && error.contains("expected a .safetensors or .npy file"), "{error}");
        let error = refused(&case, &format!("patch L0.z {path}"), what);
        assert!(error.contains("expected a trace, such as trace.safetensors"), "{error}");
    }
    let cut = write(folder.path(), "cut.safetensors", &tensors(&[("v".to_owned(), vec![4])])[..30]);
    refused(&case, &format!("add L0.resid_post {cut}"), "cut.safetensors is not a readable safetensors file");
}

#[test]
fn a_file_of_many_tensors_is_not_listed_whole() {
    let case = Case::new("tiny-bf16", Policy::Hf);
    let folder = tempfile::tempdir().unwrap();
    let names = (0..160).map(|i| (format!("layers.{i:03}.steer"), vec![if i < 20 { 64 } else { 4 }, 1]));
    let many = write(folder.path(), "many.safetensors", &tensors(&names.collect::<Vec<_>>()));
    let error = refused(&case, &format!("add L0.resid_post {many}"), "it has 160 tensors: layers.000.steer, ");
    assert!(error.contains("and 154 more") && error.contains(":NAME") && error.len() < 400, "{error}");
    let error =
        refused(&case, &format!("add L0.resid_post {many}:layers.017.stear"), "did you mean `layers.017.steer`?");
    assert!(error.contains("has no tensor `layers.017.stear`"), "{error}");
    refused(&case, &format!("add L0.resid_post {many}:.159."), "did you mean `layers.159.steer`?");
    let mixed = [("a", vec![2, 2]), ("b", vec![4]), ("tokens", vec![3])].map(|(name, shape)| (name.to_owned(), shape));
    let mixed = write(folder.path(), "mixed.safetensors", &tensors(&mixed));
    refused(&case, &format!("add L0.resid_post {mixed}"), "it has 3 tensors, of which these are vectors: b");
    refused(&case, &format!("add L0.resid_post {mixed}:a"), "expected a vector, found shape [2, 2]");
}

#[test]
fn a_choice_of_other_numbers_of_experts_is_meant_or_refused() {
    let case = Case::new("tiny-bf16", Policy::Hf);
    let dims = case.loaded.meta.dims;
    let (layers, len) = (dims.layers, case.ids.len());
    let folder = tempfile::tempdir().unwrap();
    let of = |k: usize| {
        let ids: Vec<u8> = (0..len * layers).flat_map(|_| 0..k as u8).collect();
        write(folder.path(), &format!("{k}.npy"), &npy(&format!("({len}, {layers}, {k})"), "|u1", &ids))
    };
    for k in [1, 3] {
        let path = of(k);
        let said = format!("expected {} experts a position in layer 0, found {k}", dims.top_k);
        let error = refused(&case, &format!("replay L* {path}"), &said);
        assert!(error.contains(&format!("put `topk L0 {k}` before this edit")), "{error}");
        let run = case.under(&[&format!("topk L* {k}"), &format!("replay L* {path}")]);
        for token in run.tokens() {
            let wanted: Vec<u32> = (0..k as u32).collect();
            assert!((0..layers).all(|layer| token.experts(layer).unwrap() == wanted));
        }
    }
    // A trace says that its run was edited.
    let run = case.under(&["topk L* 1"]);
    let path = folder.path().join("one.safetensors");
    let write = |records: &mixscope::trace::Records| {
        let plan = mixscope::trace::TracePlan::new(records, &serde_json::json!({}), false, &[], |kind, _| {
            kind == K::ExpertIndices
        });
        plan.unwrap().write(&path).unwrap();
    };
    write(&run.records());
    let replay = format!("replay L* {}", path.display());
    assert!(case.under(&[&replay]).tokens().iter().all(|token| token.experts(0).unwrap().len() == 1));
    let mut records = run.records();
    std::sync::Arc::make_mut(&mut records.meta).edits = [].into();
    records.tokens = records
        .tokens
        .iter()
        .map(|token| {
            let mut token = (**token).clone();
            token.sites.clear();
            std::sync::Arc::new(token)
        })
        .collect();
    write(&records);
    refused(&case, &replay, "the file is of another model, or a part of one");
}

#[test]
fn a_folder_of_a_run_stands_for_its_trace() {
    let case = Case::new("demo", Policy::Hf);
    let folder = tempfile::tempdir().unwrap();
    let trace = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/edits/demo.clean.safetensors");
    std::fs::copy(&trace, folder.path().join("trace.safetensors")).unwrap();
    let of = |path: &Path| case.under(&[&format!("replay L* \"{}\"", path.display())]);
    let (file, run) = (of(&trace), of(folder.path()));
    let chosen = |run: &mixscope::engine::Live| -> Vec<Vec<u32>> {
        run.tokens().iter().flat_map(|token| (0..6).map(|layer| token.experts(layer).unwrap().to_vec())).collect()
    };
    assert_eq!(chosen(&file), chosen(&run));
    assert_ne!(chosen(&run), chosen(&case.plain), "the replay matters");
    let empty = tempfile::tempdir().unwrap();
    refused(&case, &format!("replay L* {}", empty.path().display()), "trace.safetensors");
}
