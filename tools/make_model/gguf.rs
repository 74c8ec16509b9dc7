//! One GGUF file as llama.cpp's converter and quantiser lay it out: the architecture of the family, merged experts.

use super::gguf_writer::{ALIGNMENT, Header, TensorInfo, Value, padding};
use super::tokenizer;
use super::weights::{Dims, Family, Tensor};
use anyhow::{Context, Result};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor as Candle};
use serde_json::Value as Json;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// A type by the name of the option, with its ids among tensors and among whole files (`general.file_type`).
#[derive(Clone, Copy)]
pub struct Kind {
    name: &'static str,
    dtype: GgmlDType,
    ggml_type: u32,
    file_type: u32,
}

/// The type of gpt-oss's experts, which candle does not write: blocks of 32 values in 17 bytes.
const MXFP4: u32 = 39;
const MXFP4_BLOCK: (usize, usize) = (32, 17);

const fn kind(name: &'static str, dtype: GgmlDType, ggml_type: u32, file_type: u32) -> Kind {
    Kind { name, dtype, ggml_type, file_type }
}

const KINDS: [Kind; 14] = [
    kind("f32", GgmlDType::F32, 0, 0),
    kind("f16", GgmlDType::F16, 1, 1),
    kind("bf16", GgmlDType::BF16, 30, 32),
    kind("q4_0", GgmlDType::Q4_0, 2, 2),
    kind("q4_1", GgmlDType::Q4_1, 3, 3),
    kind("q5_0", GgmlDType::Q5_0, 6, 8),
    kind("q5_1", GgmlDType::Q5_1, 7, 9),
    kind("q8_0", GgmlDType::Q8_0, 8, 7),
    kind("q2_k", GgmlDType::Q2K, 10, 10),
    kind("q3_k", GgmlDType::Q3K, 11, 11),
    kind("q4_k", GgmlDType::Q4K, 12, 15),
    kind("q5_k", GgmlDType::Q5K, 13, 17),
    kind("q6_k", GgmlDType::Q6K, 14, 18),
    // Everything but the experts is q8_0.
    kind("mxfp4", GgmlDType::Q8_0, MXFP4, 38),
];

impl Kind {
    pub fn parse(name: &str) -> Result<Self, String> {
        let names = || KINDS.map(|kind| kind.name).join(", ");
        KINDS.into_iter().find(|kind| kind.name == name).ok_or_else(|| format!("it is one of {}", names()))
    }

    fn of(dtype: GgmlDType) -> Self {
        KINDS.into_iter().find(|kind| kind.dtype == dtype).expect("a type of the table") // q8_0 comes before mxfp4
    }

    fn bytes(&self, values: usize) -> usize {
        if self.ggml_type == MXFP4 {
            return values / MXFP4_BLOCK.0 * MXFP4_BLOCK.1;
        }
        values / self.dtype.block_size() * self.dtype.type_size()
    }

    fn encode(&self, row: Vec<f32>) -> Result<Vec<u8>> {
        if self.ggml_type == MXFP4 {
            return Ok(row.as_chunks::<{ MXFP4_BLOCK.0 }>().0.iter().flat_map(mxfp4).collect());
        }
        let width = row.len();
        let row = Candle::from_vec(row, width, &Device::Cpu)?;
        Ok(QTensor::quantize(&row, self.dtype)?.data()?.into_owned())
    }

    /// The type of a tensor in a file of this type: llama.cpp's `_M` mixes, without its exceptions for 8 experts.
    fn for_tensor(self, name: &str, dims: &Dims, cols: usize) -> Self {
        use GgmlDType::{F16, F32, Q2K, Q3K, Q4_0, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};
        let (layer, part) = layer_part(name, "blk.").unwrap_or((0, name));
        if part.ends_with("norm")
            || part == "output_norm.weight"
            || part == "ffn_gate_inp"
            || part == "attn_sinks"
            || name.ends_with(".bias")
        {
            return Self::of(F32);
        }
        if self.dtype.block_size() == 1 || self.ggml_type == MXFP4 && part.ends_with("_exps") {
            return self;
        }
        let eighth = dims.layers / 8;
        let more = layer < eighth || layer >= 7 * dims.layers / 8 || (layer - eighth) % 3 == 2;
        let wanted = match (self.dtype, part) {
            (Q8_0, _) => Q8_0,
            (_, "output.weight") => Q6K,
            (Q4K | Q5K, "attn_v" | "ffn_down_exps") if more => Q6K,
            (dtype, _) => dtype,
        };
        let fallback = match wanted {
            Q6K => Q8_0,
            Q5K => Q5_1,
            Q4K => Q5_0,
            Q2K | Q3K => Q4_0,
            _ => F16,
        };
        let fits = [wanted, fallback, F16].into_iter().find(|dtype| cols.is_multiple_of(dtype.block_size()));
        Self::of(fits.unwrap_or(F32))
    }
}

/// A tensor of the file: one official tensor, or one of all experts.
struct Packed {
    name: String,
    kind: Kind,
    parts: Vec<Tensor>,
}

impl Packed {
    fn info(&self) -> TensorInfo {
        let first = &self.parts[0];
        let mut dims: Vec<u64> = first.shape.iter().rev().map(|dim| *dim as u64).collect();
        if self.name.contains("_exps.") {
            dims.push(self.parts.len() as u64);
        }
        let bytes = self.kind.bytes(first.len() * self.parts.len()) as u64;
        TensorInfo { name: self.name.clone(), dims, ggml_type: self.kind.ggml_type, bytes }
    }

    fn write(&self, out: &mut impl Write, dims: &Dims) -> Result<()> {
        let (d_head, is_qk) =
            (dims.d_head(), self.name.ends_with("attn_q.weight") || self.name.ends_with("attn_k.weight"));
        let rotated = is_qk && dims.family == Family::Mixtral;
        let source = |row| if rotated { half_split(row, d_head) } else { row };
        self.parts.iter().try_for_each(|part| part.write(out, source, |row| self.kind.encode(row)))
    }
}

/// llama.cpp rotates neighbouring components and transformers the two halves: the row of a head that becomes `row`.
fn half_split(row: usize, d_head: usize) -> usize {
    let (head, within) = (row / d_head, row % d_head);
    head * d_head + within % 2 * (d_head / 2) + within / 2
}

/// Writes the model to the new file `path`.
pub fn write(path: &Path, dims: &Dims, seed: u64, kind: Kind, tokens: Option<&Json>) -> Result<()> {
    let tensors = pack(dims, seed, kind)?;
    let mut metadata = metadata(dims, kind);
    if let Some(json) = tokens {
        match tokenizer::metadata(json, dims.vocab) {
            Some(keys) => metadata.extend(keys),
            None => eprintln!("the tokenizer is not laid out as Llama's: the file gets none"),
        }
    }
    let infos = tensors.iter().map(Packed::info).collect();
    let header = Header { metadata, tensors: infos, alignment: ALIGNMENT };
    let mut out = BufWriter::new(File::create_new(path)?);
    header.write(&mut out)?;
    for (tensor, info) in tensors.iter().zip(&header.tensors) {
        tensor.write(&mut out, dims).with_context(|| format!("cannot write {}", tensor.name))?;
        out.write_all(&vec![0; padding(info.bytes, ALIGNMENT) as usize])?;
        eprintln!("{}: {} {:?}, {} bytes", tensor.name, tensor.kind.name, info.dims, info.bytes);
    }
    out.flush()?;
    Ok(())
}

fn pack(dims: &Dims, seed: u64, kind: Kind) -> Result<Vec<Packed>> {
    let mut packed: Vec<Packed> = Vec::new();
    for tensor in dims.tensors(seed) {
        let name = gguf_name(&tensor.name, dims.family).with_context(|| format!("no GGUF name for {}", tensor.name))?;
        match packed.iter_mut().rev().find(|packed| packed.name == name) {
            Some(packed) => packed.parts.push(tensor),
            None => {
                let kind = kind.for_tensor(&name, dims, tensor.cols);
                packed.push(Packed { name, kind, parts: vec![tensor] });
            }
        }
    }
    Ok(packed)
}

/// Four bits a value, and one exponent for all: the powers of two of the e8m0 scale, and E2M1.
fn mxfp4(values: &[f32; MXFP4_BLOCK.0]) -> [u8; MXFP4_BLOCK.1] {
    const STEPS: [f32; 8] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];
    let largest = values.iter().fold(0f32, |most, x| most.max(x.abs()));
    // The largest value becomes at most 6 = 1.5 * 2^2.
    let exponent = if largest > 0.0 { (largest / 6.0).log2().ceil() } else { 0.0 };
    let code = |x: f32| {
        let size = x.abs() / exponent.exp2();
        let nearest = (0..8).min_by(|a, b| (STEPS[*a] - size).abs().total_cmp(&(STEPS[*b] - size).abs())).unwrap_or(0);
        nearest as u8 | if x < 0.0 { 8 } else { 0 }
    };
    let mut block = [0; MXFP4_BLOCK.1];
    block[0] = (exponent + 127.0) as u8;
    for at in 0..16 {
        block[1 + at] = code(values[at]) | code(values[at + 16]) << 4;
    }
    block
}

fn gguf_name(official: &str, family: Family) -> Option<String> {
    let outside = match official {
        "model.embed_tokens.weight" => "token_embd.weight",
        "model.norm.weight" => "output_norm.weight",
        "lm_head.weight" => "output.weight",
        _ => "",
    };
    if !outside.is_empty() {
        return Some(outside.to_owned());
    }
    let (layer, part) = layer_part(official, "model.layers.")?;
    let end = if official.ends_with(".bias") { "bias" } else { "weight" };
    let part = match part {
        "input_layernorm" => "attn_norm",
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.o_proj" => "attn_output",
        "self_attn.q_norm" => "attn_q_norm",
        "self_attn.k_norm" => "attn_k_norm",
        "self_attn.sinks" => "attn_sinks",
        "post_attention_layernorm" if family == Family::GptOss => "post_attention_norm",
        "post_attention_layernorm" => "ffn_norm",
        "block_sparse_moe.gate" => "ffn_gate_inp",
        expert => match expert.rsplit_once('.')?.1 {
            "w1" => "ffn_gate_exps",
            "w2" => "ffn_down_exps",
            "w3" => "ffn_up_exps",
            _ => return None,
        },
    };
    Some(format!("blk.{layer}.{part}.{end}"))
}

/// Layer and part of a name like `blk.LAYER.PART.weight` or `….bias`.
fn layer_part<'a>(name: &'a str, prefix: &str) -> Option<(usize, &'a str)> {
    let whole = name.strip_prefix(prefix)?;
    let (layer, part) = whole.strip_suffix(".weight").or_else(|| whole.strip_suffix(".bias"))?.split_once('.')?;
    Some((layer.parse().ok()?, part))
}

fn metadata(dims: &Dims, kind: Kind) -> Vec<(String, Value)> {
    let count = |count: usize| Value::U32(count as u32);
    let architecture = match dims.family {
        Family::Mixtral => "llama",
        Family::Olmoe => "olmoe",
        Family::Qwen3Moe => "qwen3moe",
        Family::GptOss => "gpt-oss",
    };
    let mut all: Vec<(String, Value)> = [
        ("architecture", Value::from(architecture)),
        ("type", Value::from("model")),
        ("name", Value::from("mixscope random")),
        ("file_type", Value::U32(kind.file_type)),
        ("quantization_version", Value::U32(2)),
    ]
    .into_iter()
    .map(|(key, value)| (format!("general.{key}"), value))
    .collect();
    let mut own = vec![
        ("block_count", count(dims.layers)),
        ("context_length", count(dims.context)),
        ("embedding_length", count(dims.d_model)),
        ("feed_forward_length", count(dims.d_ff)),
        ("attention.head_count", count(dims.heads)),
        ("attention.head_count_kv", count(dims.kv_heads)),
        ("attention.layer_norm_rms_epsilon", Value::F32(super::RMS_NORM_EPS as f32)),
        ("rope.freq_base", Value::F32(super::ROPE_THETA as f32)),
        ("rope.dimension_count", count(dims.d_head())),
        ("expert_count", count(dims.experts)),
        ("expert_used_count", count(dims.top_k)),
        ("vocab_size", count(dims.vocab)),
    ];
    if dims.d_head.is_some() {
        own.extend([("attention.key_length", count(dims.d_head())), ("attention.value_length", count(dims.d_head()))]);
    }
    if dims.family != Family::Mixtral {
        own.push(("expert_feed_forward_length", count(dims.d_ff)));
    }
    if dims.family == Family::GptOss {
        own.push(("attention.sliding_window", count(128)));
    }
    all.extend(own.into_iter().map(|(key, value)| (format!("{architecture}.{key}"), value)));
    all
}
