//! The forms in which a model's folder comes: which files count, what names they use, and what is no model at all.

use crate::support::cli::{Run, mixscope, stderr};
use crate::support::fixture;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

mod dtypes;
mod names;
mod plain;

const HEAD: &str = "lm_head.weight";
const EMBED: &str = "model.embed_tokens.weight";
const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const SHARDS: [&str; 2] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

/// A small model that can be written in other forms.
struct Model {
    folder: tempfile::TempDir,
    tensors: Tensors,
    config: Value,
}

impl Model {
    fn new() -> Self {
        let from = fixture("top1/model");
        let folder = tempfile::tempdir().unwrap();
        let bytes = std::fs::read(from.join(SINGLE)).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let tensor = |(name, view): (&str, TensorView)| {
            (name.to_owned(), (view.dtype(), view.shape().to_vec(), view.data().to_vec()))
        };
        let tensors = file.iter().map(tensor).collect();
        let config = serde_json::from_slice(&std::fs::read(from.join("config.json")).unwrap()).unwrap();
        std::fs::copy(from.join("tokenizer.json"), folder.path().join("tokenizer.json")).unwrap();
        let model = Self { folder, tensors, config };
        model.save();
        model
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(name), bytes).unwrap();
    }

    fn save(&self) {
        self.write("config.json", self.config.to_string());
        self.write(SINGLE, file(&self.tensors));
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.path().join(name)).unwrap();
    }

    fn rename(&mut self, new: impl Fn(&str) -> String) {
        self.tensors =
            std::mem::take(&mut self.tensors).into_iter().map(|(name, tensor)| (new(&name), tensor)).collect();
    }

    /// Writes the first half and the second half of the tensors, and an index of them.
    fn shard(&self) -> [Tensors; 2] {
        let middle = self.tensors.len() / 2;
        let of = |second: bool| {
            let all = self.tensors.iter().enumerate().filter(|(i, _)| (*i >= middle) == second);
            all.map(|(_, (name, tensor))| (name.clone(), tensor.clone())).collect::<Tensors>()
        };
        let both = [of(false), of(true)];
        for (name, tensors) in SHARDS.iter().zip(&both) {
            self.write(name, file(tensors));
        }
        self.index(|_| {});
        both
    }

    fn index(&self, edit: impl FnOnce(&mut BTreeMap<String, String>)) {
        let middle = self.tensors.len() / 2;
        let shard = |i: usize| SHARDS[usize::from(i >= middle)].to_owned();
        let mut map = self.tensors.keys().enumerate().map(|(i, name)| (name.clone(), shard(i))).collect();
        edit(&mut map);
        self.write(INDEX, json!({"weight_map": map}).to_string());
    }

    /// What a run computes, and what it says on stderr.
    fn run(&self) -> (String, String) {
        run(self.path())
    }

    fn refused(&self) -> String {
        refused(self.path())
    }
}

fn file(tensors: &Tensors) -> Vec<u8> {
    let views = tensors
        .iter()
        .map(|(name, (dtype, shape, data))| (name.as_str(), TensorView::new(*dtype, shape.clone(), data).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

fn run(model: &Path) -> (String, String) {
    let run = Run::of(&[model.to_str().unwrap(), "--prompt-ids", "1,5,9,33,100", "--format", "csv"]);
    assert_eq!(run.output.status.code(), Some(0), "{}", stderr(&run.output));
    (String::from_utf8(run.files["candidates.csv"].clone()).unwrap(), stderr(&run.output).to_owned())
}

fn refused(model: &Path) -> String {
    let output = mixscope(["info".as_ref(), model.as_os_str()]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    stderr(&output).to_owned()
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

#[test]
fn one_set_of_weights_is_used_and_the_other_is_named() {
    let mut model = Model::new();
    let (right, said) = model.run();
    assert!(!said.contains("warning"), "{said}");
    // The other set has other numbers.
    let single = std::mem::take(&mut model.tensors);
    model.tensors = single.clone();
    model.tensors.get_mut(EMBED).unwrap().2.reverse();
    model.shard();
    let (found, said) = model.run();
    assert_eq!(found, right, "model.safetensors is read, as transformers does");
    says(&said, &["warning", SHARDS[0], INDEX, "model.safetensors is used"]);
    // A stale index.
    model.remove(SHARDS[1]);
    let (found, said) = model.run();
    assert_eq!(found, right);
    says(&said, &["stale", SHARDS[1]]);
}

#[test]
fn an_index_of_the_single_file_is_no_other_set() {
    let model = Model::new();
    let (right, _) = model.run();
    let map: BTreeMap<&String, &str> = model.tensors.keys().map(|name| (name, SINGLE)).collect();
    model.write(INDEX, json!({"weight_map": map}).to_string());
    model.write("generation_config.json", "");
    model.write("._model.safetensors", "what macOS leaves beside a file");
    let (found, said) = model.run();
    assert_eq!(found, right);
    assert!(said.contains("generation_config.json") && !said.contains("no other set"), "{said}");
}

#[test]
fn shards_in_a_folder_of_their_own_are_read() {
    let model = Model::new();
    let (right, _) = model.run();
    model.shard();
    model.remove(SINGLE);
    std::fs::create_dir(model.path().join("w")).unwrap();
    for shard in SHARDS {
        std::fs::rename(model.path().join(shard), model.path().join("w").join(shard)).unwrap();
    }
    model.index(|map| map.values_mut().for_each(|shard| *shard = format!("w/{shard}")));
    assert_eq!(model.run().0, right);
}

#[test]
fn a_header_whose_length_spells_another_format_is_read() {
    // 80 02, as a Python pickle begins.
    let model = Model::new();
    let (right, _) = model.run();
    let bytes = std::fs::read(model.path().join(SINGLE)).unwrap();
    let old = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let length = ((old as u64 + 7) & !0xffff) + 0x1_0000 + 0x0280;
    let mut header = bytes[8..8 + old].to_vec();
    header.resize(length as usize, b' ');
    model.write(SINGLE, [&length.to_le_bytes()[..], &header, &bytes[8 + old..]].concat());
    assert!(std::fs::read(model.path().join(SINGLE)).unwrap().starts_with(&[0x80, 0x02]));
    assert_eq!(model.run().0, right);
}

#[test]
fn shards_say_themselves_what_they_hold() {
    let model = Model::new();
    let (right, _) = model.run();
    model.remove(SINGLE);
    let [mut first, second] = model.shard();
    let (found, said) = model.run();
    assert_eq!((found.as_str(), said.contains("warning")), (right.as_str(), false), "{said}");
    // The index names the wrong shard of one tensor, and one that is nowhere.
    model.index(|map| {
        let (name, _) = first.first_key_value().unwrap();
        map.insert(name.clone(), SHARDS[1].to_owned());
        map.insert("model.unused.weight".to_owned(), SHARDS[0].to_owned());
    });
    let (found, said) = model.run();
    assert_eq!(found, right);
    says(&said, &["warning", INDEX, "and 1 more", "the shards are the truth"]);
    // A tensor in both shards: equal copies count as one, of others the last counts.
    model.index(|_| {});
    let (name, tensor) = second.last_key_value().unwrap();
    first.insert(name.clone(), tensor.clone());
    model.write(SHARDS[0], file(&first));
    let (found, said) = model.run();
    assert_eq!(found, right);
    says(&said, &["note", name.as_str(), "the numbers are the same"]);
    first.get_mut(name).unwrap().2.fill(0);
    model.write(SHARDS[0], file(&first));
    let (found, said) = model.run();
    assert_eq!(found, right, "the last shard's");
    says(&said, &["warning", "with other numbers", name.as_str()]);
    // No index.
    model.remove(INDEX);
    let (found, said) = model.run();
    assert_eq!(found, right);
    says(&said, &["warning", "transformers would not find them"]);
    model.remove(SHARDS[0]);
    says(&model.refused(), &["lacks", SHARDS[0]]);
    model.shard();
    model.remove(SHARDS[1]);
    says(&model.refused(), &[SHARDS[1], "does not exist", "download it"]);
}

#[test]
fn names_with_something_before_them_are_read() {
    let (right, _) = Model::new().run();
    for (prefix, new) in [
        ("base_model.model.", &(|name: &str| format!("base_model.model.{name}")) as &dyn Fn(&str) -> String),
        ("_orig_mod.", &|name| format!("_orig_mod.{name}")),
        ("module.", &|name| format!("module.{name}")),
        ("model.language_model.", &|name| match name.strip_prefix("model.") {
            Some(rest) => format!("model.language_model.{rest}"),
            None => name.to_owned(),
        }),
        ("language_model.", &|name| format!("language_model.{name}")),
        ("without `model.`", &|name| name.trim_start_matches("model.").to_owned()),
        ("_orig_mod", &|name| name.replace("layers.0.", "layers.0._orig_mod.")),
    ] {
        let mut model = Model::new();
        model.rename(new);
        model.save();
        let (found, said) = model.run();
        assert_eq!(found, right, "{prefix}");
        says(&said, &[prefix]);
    }
}

#[test]
fn files_say_whether_the_head_is_the_embedding() {
    let mut model = Model::new();
    let (right, _) = model.run();
    assert_eq!(model.config["tie_word_embeddings"], json!(false));
    model.config["tie_word_embeddings"] = json!(true);
    model.save();
    let (found, said) = model.run();
    assert_eq!(found, right, "the file's own head is used, as in transformers 5");
    says(&said, &["warning", "tie_word_embeddings", HEAD, "as transformers 5 does"]);
    let check = mixscope(["check".as_ref(), model.path().as_os_str()]);
    says(std::str::from_utf8(&check.stdout).unwrap(), &["tie_word_embeddings", HEAD]);
    // Equal copies are tied.
    let embed = model.tensors[EMBED].clone();
    model.tensors.insert(HEAD.to_owned(), embed);
    model.save();
    let (tied, said) = model.run();
    assert!(tied != right && !said.contains("warning"), "{said}");
    model.tensors.remove(HEAD);
    model.save();
    assert_eq!(model.run().0, tied);
    // One matrix under the head's name serves as both.
    let embed = model.tensors.remove(EMBED).unwrap();
    model.tensors.insert(HEAD.to_owned(), embed);
    model.save();
    assert_eq!(model.run().0, tied);
    // Not tied, and no head: the base model.
    let head = model.tensors.remove(HEAD).unwrap();
    model.tensors.insert(EMBED.to_owned(), head);
    model.config["tie_word_embeddings"] = json!(false);
    model.save();
    says(&model.refused(), &["missing tensor `lm_head.weight`", "the base model"]);
}

#[test]
fn weights_that_another_tool_quantised_are_refused_by_its_name() {
    for (tool, key, found) in [
        ("gptq", "quantization_config", json!({"quant_method": "gptq", "bits": 4})),
        ("awq", "quantization_config", json!({"quant_method": "awq", "bits": 4})),
        ("bitsandbytes", "quantization_config", json!({"load_in_4bit": true})),
        ("bitsandbytes", "quantization_config", json!({"quant_method": "bitsandbytes"})),
        ("fp8", "quantization_config", json!({"quant_method": "fp8", "activation_scheme": "dynamic"})),
        ("compressed-tensors", "quantization_config", json!({"quant_method": "compressed-tensors"})),
        ("hqq", "quantization_config", json!({"quant_method": "hqq"})),
        ("torchao", "quantization_config", json!({"quant_method": "torchao"})),
        ("mlx", "quantization", json!({"group_size": 64, "bits": 4})),
        ("another tool", "quantization_config", json!({"x": 1})),
    ] {
        let mut model = Model::new();
        model.config[key] = found;
        model.save();
        let message = model.refused();
        let said =
            format!("quantised by {tool} ({key} in config.json), not supported; use the original weights or a GGUF");
        says(&message, &[&said]);
        assert!(!message.contains("download"), "{message}");
    }
    let model = Model::new();
    model.write("quantize_config.json", "{\"bits\": 4, \"group_size\": 128}");
    says(&model.refused(), &["quantised by gptq (quantize_config.json beside config.json)"]);
    // Tensors alone tell it too, and never run as if nothing were.
    for (last, tool) in [
        ("qweight", "gptq"),
        ("weight_scale", "fp8"),
        ("weight_scale_inv", "fp8"),
        ("weight.absmax", "bitsandbytes"),
        ("scales", "mlx"),
        ("weight_packed", "compressed-tensors"),
    ] {
        let mut model = Model::new();
        let scale = (Dtype::F32, vec![1], 1f32.to_le_bytes().to_vec());
        model.tensors.insert(format!("model.layers.0.self_attn.q_proj.{last}"), scale);
        model.save();
        says(&model.refused(), &["quantised by", tool, "use the original weights or a GGUF"]);
    }
    // The scale of a cache says nothing about weights; null and an empty object are no quantisation.
    let mut model = Model::new();
    let (right, _) = model.run();
    model.config["quantization_config"] = json!({});
    let scale = (Dtype::F32, vec![1], 1f32.to_le_bytes().to_vec());
    model.tensors.insert("model.layers.0.self_attn.k_proj.k_scale".to_owned(), scale);
    model.save();
    assert_eq!(model.run().0, right);
}

#[test]
fn what_stands_in_for_a_file_is_named() {
    let lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";
    for (content, said) in [
        (lfs, "git lfs pull"),
        ("<!DOCTYPE html>\n<html><head></head></html>", "web page (HTML)"),
        ("<?xml version=\"1.0\"?><Error><Message>Access Denied</Message></Error>", "Access Denied"),
        ("{\"error\": \"Repository not found\"}", "Repository not found"),
        ("PK\u{3}\u{4}archive", "zip archive"),
        ("", "empty"),
    ] {
        for name in [SINGLE, "tokenizer.json", "config.json"] {
            let model = Model::new();
            model.write(name, content);
            let message = model.refused();
            says(&message, &[name]);
            // A JSON object is valid as config.json; what it lacks is said.
            if !(name == "config.json" && content.starts_with('{')) {
                says(&message, &[said]);
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        std::fs::write(&path, content).unwrap();
        says(&refused(&path), &["model.gguf", said]);
        let model = Model::new();
        model.shard();
        model.remove(SINGLE);
        model.write(INDEX, content);
        says(&model.refused(), &[INDEX]);
    }
    let model = Model::new();
    model.write(SINGLE, "Entry not found");
    says(&model.refused(), &["Entry not found"]);
    model.write(SINGLE, "GGUF\u{3}\u{0}\u{0}\u{0}");
    says(&model.refused(), &["it is a GGUF file"]);
}

#[cfg(unix)]
#[test]
fn a_link_to_nothing_is_named() {
    let model = Model::new();
    model.remove(SINGLE);
    std::os::unix::fs::symlink("../../blobs/0123", model.path().join(SINGLE)).unwrap();
    says(&model.refused(), &[SINGLE, "link", "../../blobs/0123"]);
}

#[test]
fn folders_without_safetensors_say_what_they_hold() {
    for (files, said) in [
        (&["pytorch_model.bin", "training_args.bin"][..], "PyTorch files (pytorch_model.bin)"),
        (
            &["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin", "pytorch_model.bin.index.json"],
            "save_pretrained",
        ),
        (&["adapter_config.json", "adapter_model.safetensors"], "adapter (LoRA)"),
        (&["consolidated.00.pt", "params.json"], "Mistral's own form"),
        (&["consolidated.safetensors"], "Mistral's own form"),
        (&["Mixtral.Q4_K_M.gguf"], "give a GGUF file by its own name"),
        (&["tf_model.h5"], "tf_model.h5"),
        (&[], "a model directory holds config.json and safetensors files"),
    ] {
        for has_config in [true, false] {
            let model = Model::new();
            model.remove(SINGLE);
            if !has_config {
                model.remove("config.json");
            }
            for file in files {
                model.write(file, "x");
            }
            let message = model.refused();
            says(&message, &[said]);
            assert!(!message.contains("download"), "{message}");
        }
    }
    let model = Model::new();
    let (right, _) = model.run();
    std::fs::rename(model.path().join(SINGLE), model.path().join("weights.safetensors")).unwrap();
    assert_eq!(model.run().0, right);
    model.write("more.safetensors", file(&model.tensors));
    says(&model.refused(), &["several sets of weights", "more.safetensors", "weights.safetensors"]);
}

#[test]
fn a_repo_in_the_cache_of_the_hub_is_opened() {
    let model = Model::new();
    let (right, _) = model.run();
    let cache = tempfile::tempdir().unwrap();
    let repo = cache.path().join("models--example--tiny");
    let snapshot = |commit: &str| {
        let folder = repo.join("snapshots").join(commit);
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["config.json", SINGLE, "tokenizer.json"] {
            std::fs::copy(model.path().join(name), folder.join(name)).unwrap();
        }
    };
    snapshot("0123abc");
    assert_eq!(run(&repo).0, right);
    let output = mixscope(["info".as_ref(), repo.as_os_str()]);
    says(std::str::from_utf8(&output.stdout).unwrap(), &["example/tiny"]);
    snapshot("4567def");
    says(&refused(&repo), &["several snapshots", "0123abc", "4567def"]);
    std::fs::create_dir_all(repo.join("refs")).unwrap();
    std::fs::write(repo.join("refs/main"), "4567def").unwrap();
    assert_eq!(run(&repo).0, right);
    std::fs::remove_dir_all(repo.join("snapshots")).unwrap();
    std::fs::create_dir_all(repo.join("snapshots")).unwrap();
    says(&refused(&repo), &["without a snapshot"]);
}

#[test]
fn pieces_of_a_cut_file_are_joined_first() {
    let folder = tempfile::tempdir().unwrap();
    for (names, whole) in [
        (&["a.gguf.part1of2", "a.gguf.part2of2"][..], "a.gguf"),
        (&["b.gguf-split-a", "b.gguf-split-b"], "b.gguf"),
        (&["c.gguf.part-aa", "c.gguf.part-ab"], "c.gguf"),
        (&["d.gguf.000", "d.gguf.001"], "d.gguf"),
        (&["e.gguf.part2", "e.gguf.part10"], "e.gguf"),
    ] {
        for name in names {
            std::fs::write(folder.path().join(name), "GGUF").unwrap();
        }
        let message = refused(&folder.path().join(names[0]));
        says(&message, &[&format!("cat {} > {whole}", names.join(" "))]);
        assert!(!message.contains("download"), "{message}");
    }
}

#[test]
fn a_file_of_a_model_names_its_folder() {
    let model = Model::new();
    for name in ["config.json", SINGLE] {
        let message = refused(&model.path().join(name));
        says(&message, &["give its directory", model.path().to_str().unwrap()]);
    }
}

#[test]
fn a_tensor_without_numbers_is_no_alarm() {
    let mut model = Model::new();
    model.tensors.insert("model.unused".to_owned(), (Dtype::F32, vec![0, 4], Vec::new()));
    model.save();
    let (_, said) = model.run();
    assert!(!said.contains("zeros"), "{said}");
}

#[test]
fn a_byte_order_mark_is_named() {
    let model = Model::new();
    let config = model.folder.path().join("config.json");
    let text = std::fs::read(&config).unwrap();
    std::fs::write(&config, [b"\xef\xbb\xbf".as_slice(), &text].concat()).unwrap();
    let output = mixscope(["info", model.folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("config.json begins with a byte order mark"), "{}", stderr(&output));
}
