//! Adapters in or beside a model's weights, and names of tools whose checkpoints hold no plain Mixtral.

use crate::model::weights::{Store, names_in};
use crate::trace::{Level, Report};
use anyhow::{Result, bail};
use std::path::Path;

/// Parts of names under which peft keeps the weights that an adapter changes.
const WRAPPED: [&str; 3] = ["base_layer", "original_module", "modules_to_save"];
/// How the parts of names begin that hold an adapter's own tensors.
const ADAPTERS: [&str; 7] = ["lora_", "ia3_", "oft_", "boft_", "hada_", "lokr_", "vera_"];
/// The files of an adapter.
const FILES: [&str; 3] = ["adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"];
const MERGE: &str = "merge it into its base model first (in peft: merge_and_unload, then save_pretrained)";

/// Refuses names that say that the weights are not those of the model that they seem to be.
///
/// # Errors
/// If there are such names; the error names a tensor, the tool, and what to do.
pub fn refuse(store: &Store) -> Result<()> {
    let mut names = store.tensors().keys();
    if let Some(name) = names.clone().find(|name| has_part(name, |part| WRAPPED.contains(&part))) {
        bail!("it holds an adapter (LoRA) that is not merged (tensor `{name}`): {MERGE}");
    }
    // An adapter may hold an embedding of its own.
    let has_weights = names.clone().any(|name| name.ends_with("q_proj.weight"));
    if let Some(name) = names.clone().find(|name| is_adapters(name)).filter(|_| !has_weights) {
        bail!("it holds an adapter (LoRA) without its model (tensor `{name}`): {MERGE}");
    }
    if let Some(name) = names.find(|name| has_part(name, |part| part == "switch_mlp")) {
        bail!(
            "it was written by mlx-lm, which keeps all experts of a layer in one tensor (`{name}`), not supported; use the \
             original weights or a GGUF"
        );
    }
    Ok(())
}

/// Warns of an adapter beside the weights, in the folder or among the tensors: it is not applied.
pub fn note_leftovers(dir: &Path, store: &Store, report: &mut Report) {
    let names = names_in(dir).unwrap_or_default();
    let files: Vec<&str> = FILES.into_iter().filter(|file| names.contains(*file)).collect();
    if !files.is_empty() {
        let advice = format!("it is not applied (transformers applies it where peft is installed): {MERGE}");
        report.add(Level::Warn, "weights", "no adapter beside them", files.join(", "), advice);
    }
    let mut left = store.tensors().keys().filter(|name| is_adapters(name));
    if let Some(first) = left.next() {
        let more = left.count();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let advice =
            "an adapter (LoRA) that is not applied, as in transformers: were the weights saved before it was merged?";
        report.add(Level::Warn, "tensors", "weights only", format!("`{first}`{more}"), advice);
    }
}

fn is_adapters(name: &str) -> bool {
    has_part(name, |part| ADAPTERS.iter().any(|start| part.starts_with(start)))
}

fn has_part(name: &str, is: impl Fn(&str) -> bool) -> bool {
    name.split('.').any(is)
}
