//! The tensors of a Mixtral, and random values for them.

use anyhow::{Result, ensure};
use half::bf16;
use rayon::prelude::*;
use std::io::Write;

/// Values that are made and encoded before they are written.
const CHUNK: usize = 4 << 20;
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A family of models.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Family {
    Mixtral,
    Olmoe,
    Qwen3Moe,
    GptOss,
}

/// The shape of the model.
#[derive(clap::Args)]
pub struct Dims {
    /// Other families than Mixtral are written as GGUF only
    #[arg(long, value_enum, default_value = "mixtral")]
    pub family: Family,
    #[arg(long, default_value_t = 2)]
    pub layers: usize,
    /// Width of the residual stream
    #[arg(long, default_value_t = 4096)]
    pub d_model: usize,
    /// Hidden width of an expert
    #[arg(long, default_value_t = 14336)]
    pub d_ff: usize,
    /// Query heads
    #[arg(long, default_value_t = 32)]
    pub heads: usize,
    /// Key and value heads
    #[arg(long, default_value_t = 8)]
    pub kv_heads: usize,
    /// Width of a head [default: the width of the residual stream divided by the query heads]
    #[arg(long, value_name = "D_HEAD")]
    pub d_head: Option<usize>,
    /// Experts of a layer
    #[arg(long, default_value_t = 8)]
    pub experts: usize,
    /// Experts that a token goes through
    #[arg(long, default_value_t = 2)]
    pub top_k: usize,
    #[arg(long, default_value_t = 32000)]
    pub vocab: usize,
    /// Positions that the model claims to know
    #[arg(long, default_value_t = 32768)]
    pub context: usize,
}

impl Dims {
    pub fn check(&self) -> Result<()> {
        let least =
            [self.layers, self.d_model, self.d_ff, self.heads, self.kv_heads, self.top_k, self.vocab, self.context];
        ensure!(!least.contains(&0), "a model without layers, width, heads, experts, tokens or positions");
        ensure!(
            self.d_head.is_some() || self.d_model.is_multiple_of(2 * self.heads),
            "--d-model {} can't be split in {} heads of even width",
            self.d_model,
            self.heads
        );
        ensure!(
            self.heads.is_multiple_of(self.kv_heads),
            "--heads {} can't be grouped by {} key/value heads",
            self.heads,
            self.kv_heads
        );
        ensure!(self.top_k <= self.experts, "--top-k {} of {} experts", self.top_k, self.experts);
        Ok(())
    }

    pub fn d_head(&self) -> usize {
        self.d_head.unwrap_or(self.d_model / self.heads)
    }

    /// All tensors under their official names, in the order of the layers.
    pub fn tensors(&self, seed: u64) -> Vec<Tensor> {
        let (d, all_heads, kv) = (self.d_model, self.heads * self.d_head(), self.kv_heads * self.d_head());
        let mut all = Vec::new();
        let mut add = |name: String, shape: &[usize]| all.push(Tensor::new(name, shape, seed));
        add("model.embed_tokens.weight".to_owned(), &[self.vocab, d]);
        for layer in 0..self.layers {
            let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
            add(name("input_layernorm"), &[d]);
            add(name("self_attn.q_proj"), &[all_heads, d]);
            add(name("self_attn.k_proj"), &[kv, d]);
            add(name("self_attn.v_proj"), &[kv, d]);
            add(name("self_attn.o_proj"), &[d, all_heads]);
            match self.family {
                Family::Mixtral => {}
                Family::Olmoe => {
                    add(name("self_attn.q_norm"), &[all_heads]);
                    add(name("self_attn.k_norm"), &[kv]);
                }
                Family::Qwen3Moe => {
                    add(name("self_attn.q_norm"), &[self.d_head()]);
                    add(name("self_attn.k_norm"), &[self.d_head()]);
                }
                Family::GptOss => {
                    let bias = |part: &str| format!("model.layers.{layer}.{part}.bias");
                    add(bias("self_attn.q_proj"), &[all_heads]);
                    add(bias("self_attn.k_proj"), &[kv]);
                    add(bias("self_attn.v_proj"), &[kv]);
                    add(bias("self_attn.o_proj"), &[d]);
                    add(name("self_attn.sinks"), &[self.heads]);
                    add(bias("block_sparse_moe.gate"), &[self.experts]);
                    for expert in 0..self.experts {
                        let bias = |part: &str| bias(&format!("block_sparse_moe.experts.{expert}.{part}"));
                        add(bias("w1"), &[self.d_ff]);
                        add(bias("w2"), &[d]);
                        add(bias("w3"), &[self.d_ff]);
                    }
                }
            }
            add(name("post_attention_layernorm"), &[d]);
            add(name("block_sparse_moe.gate"), &[self.experts, d]);
            for expert in 0..self.experts {
                let name = |part: &str| name(&format!("block_sparse_moe.experts.{expert}.{part}"));
                add(name("w1"), &[self.d_ff, d]);
                add(name("w2"), &[d, self.d_ff]);
                add(name("w3"), &[self.d_ff, d]);
            }
        }
        add("model.norm.weight".to_owned(), &[d]);
        add("lm_head.weight".to_owned(), &[self.vocab, d]);
        all
    }
}

/// A random tensor: its values are a function of seed, name and index, so no format or order changes them.
pub struct Tensor {
    pub name: String,
    pub shape: Vec<usize>,
    pub rows: usize,
    pub cols: usize,
    key: u64,
    mean: f32,
    std: f32,
}

impl Tensor {
    /// Scaled such that activations stay near those of a trained model.
    fn new(name: String, shape: &[usize], seed: u64) -> Self {
        let (rows, cols) = match *shape {
            [rows, cols] => (rows, cols),
            _ => (1, shape.iter().product()),
        };
        let (mean, std) = match name.as_str() {
            name if name.ends_with(".bias") || name.ends_with("sinks.weight") => (0.0, 0.02),
            _ if shape.len() == 1 => (1.0, 0.05),
            name if name.ends_with("embed_tokens.weight") || name.ends_with(".gate.weight") => (0.0, 0.02),
            _ => (0.0, 1.0 / (cols as f32).sqrt()),
        };
        let key = name.bytes().fold(mix(seed), |key, byte| mix(key ^ u64::from(byte)));
        Self { name, shape: shape.to_vec(), rows, cols, key, mean, std }
    }

    pub fn len(&self) -> usize {
        self.rows * self.cols
    }

    /// One row, rounded to bf16: what every format starts from. The sum of four uniform numbers is normal enough.
    pub fn row(&self, row: usize) -> Vec<f32> {
        const MEAN: f32 = 2.0 * 65535.0;
        const STD: f32 = 37837.23; // of the sum: 65536 * sqrt(4 / 12)
        let start = mix(self.key.wrapping_add(GOLDEN.wrapping_mul(row as u64)));
        let scale = self.std / STD;
        (1..=self.cols as u64)
            .map(|col| {
                let bits = mix(start.wrapping_add(GOLDEN.wrapping_mul(col)));
                let sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
                bf16::from_f32(self.mean + (sum as f32 - MEAN) * scale).to_f32()
            })
            .collect()
    }

    /// Writes the rows in the order `source` gives, each as `encode` has it, holding a chunk of them at a time.
    pub fn write(
        &self,
        out: &mut impl Write,
        source: impl Fn(usize) -> usize + Sync,
        encode: impl Fn(Vec<f32>) -> Result<Vec<u8>> + Sync,
    ) -> Result<()> {
        let step = (CHUNK / self.cols).max(1);
        for start in (0..self.rows).step_by(step) {
            let rows = start..self.rows.min(start + step);
            let encoded: Vec<Vec<u8>> =
                rows.into_par_iter().map(|row| encode(self.row(source(row)))).collect::<Result<_>>()?;
            encoded.iter().try_for_each(|row| out.write_all(row))?;
        }
        Ok(())
    }
}

/// The finaliser of splitmix64.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}
