//! A directory as transformers 4.36 writes it.

use super::tokenizer;
use super::weights::{Dims, Tensor};
use anyhow::{Context, Result};
use half::{bf16, f16};
use serde_json::{Map, Value, json};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

const TRANSFORMERS: &str = "4.36.0.dev0";

#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Dtype {
    Bf16,
    F16,
    F32,
}

impl Dtype {
    fn bytes(self) -> usize {
        if matches!(self, Self::F32) { 4 } else { 2 }
    }

    /// As safetensors and as torch name it.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Bf16 => ("BF16", "bfloat16"),
            Self::F16 => ("F16", "float16"),
            Self::F32 => ("F32", "float32"),
        }
    }

    fn encode(self, row: &[f32]) -> Vec<u8> {
        match self {
            Self::Bf16 => row.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes()).collect(),
            Self::F16 => row.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect(),
            Self::F32 => row.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }
}

/// Writes the model into the existing directory `dir`.
pub fn write(
    dir: &Path,
    dims: &Dims,
    seed: u64,
    dtype: Dtype,
    shard_bytes: usize,
    tokenizer: Option<&Path>,
) -> Result<()> {
    let shards = split(dims.tensors(seed), dtype, shard_bytes);
    let mut weight_map = Map::new();
    let mut total = 0;
    for (index, shard) in shards.iter().enumerate() {
        let name = match shards.len() {
            1 => "model.safetensors".to_owned(),
            count => format!("model-{:05}-of-{count:05}.safetensors", index + 1),
        };
        let bytes = write_shard(&dir.join(&name), shard, dtype).with_context(|| format!("cannot write {name}"))?;
        eprintln!("{name}: {} tensors, {bytes} bytes", shard.len());
        total += bytes;
        weight_map.extend(shard.iter().map(|tensor| (tensor.name.clone(), Value::from(name.as_str()))));
    }
    if shards.len() > 1 {
        let index = json!({ "metadata": { "total_size": total }, "weight_map": weight_map });
        write_json(&dir.join("model.safetensors.index.json"), &index)?;
    }
    write_json(&dir.join("config.json"), &config(dims, dtype))?;
    let generation = json!({
        "_from_model_config": true,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "transformers_version": TRANSFORMERS,
    });
    write_json(&dir.join("generation_config.json"), &generation)?;
    tokenizer.map_or(Ok(()), |tokenizer| tokenizer::copy(tokenizer, dir))
}

fn config(dims: &Dims, dtype: Dtype) -> Value {
    json!({
        "architectures": ["MixtralForCausalLM"],
        "attention_dropout": 0.0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": dims.d_model,
        "initializer_range": 0.02,
        "intermediate_size": dims.d_ff,
        "max_position_embeddings": dims.context,
        "model_type": "mixtral",
        "num_attention_heads": dims.heads,
        "num_experts_per_tok": dims.top_k,
        "num_hidden_layers": dims.layers,
        "num_key_value_heads": dims.kv_heads,
        "num_local_experts": dims.experts,
        "output_router_logits": false,
        "rms_norm_eps": super::RMS_NORM_EPS,
        "rope_theta": super::ROPE_THETA,
        "router_aux_loss_coef": 0.02,
        "sliding_window": null,
        "tie_word_embeddings": false,
        "torch_dtype": dtype.names().1,
        "transformers_version": TRANSFORMERS,
        "use_cache": true,
        "vocab_size": dims.vocab,
    })
}

/// Tensors in order, in shards that are no larger than `limit` unless one tensor is.
fn split(tensors: Vec<Tensor>, dtype: Dtype, limit: usize) -> Vec<Vec<Tensor>> {
    let mut shards: Vec<Vec<Tensor>> = Vec::new();
    let mut filled = 0;
    for tensor in tensors {
        let bytes = tensor.len() * dtype.bytes();
        match shards.last_mut() {
            Some(shard) if filled + bytes <= limit => {
                shard.push(tensor);
                filled += bytes;
            }
            _ => {
                shards.push(vec![tensor]);
                filled = bytes;
            }
        }
    }
    shards
}

/// Returns the bytes of the tensors.
fn write_shard(path: &Path, tensors: &[Tensor], dtype: Dtype) -> Result<usize> {
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), json!({ "format": "pt" }));
    let mut end = 0;
    for tensor in tensors {
        let start = end;
        end += tensor.len() * dtype.bytes();
        let entry = json!({ "dtype": dtype.names().0, "shape": tensor.shape, "data_offsets": [start, end] });
        header.insert(tensor.name.clone(), entry);
    }
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(8), b' ');

    let mut out = BufWriter::new(File::create_new(path)?);
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    for tensor in tensors {
        tensor.write(&mut out, |row| row, |row| Ok(dtype.encode(&row)))?;
    }
    out.flush()?;
    Ok(end)
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
