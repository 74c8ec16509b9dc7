//! `mixscope info`: what a model is and what it needs.

use super::{ModelArgs, harmless, print};
use crate::model::open;
use crate::trace::{Level, Meta};
use anyhow::Result;
use clap::Args;
use serde_json::json;
use std::fmt::Write;

#[derive(Args)]
pub struct Info {
    #[command(flatten)]
    model: ModelArgs,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Memory that programs can still take, bytes; `None` where the system does not say.
fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb * 1024)
}

fn verdict(meta: &Meta, memory: Option<u64>) -> String {
    match memory {
        Some(memory) if meta.weight_bytes <= memory => "the weights fit into memory".to_owned(),
        Some(_) => "the weights exceed the memory: they are read from disk as needed, which is slow".to_owned(),
        None => "how much memory is free is not known here".to_owned(),
    }
}

impl Info {
    pub fn main(self) -> Result<()> {
        self.model.apply_threads()?;
        let loaded = open(&self.model.location()?, self.model.precision, self.model.dtype, false)?;
        let meta = &loaded.meta;
        let memory = available_memory();
        let (kv, kept) = (meta.dims.kv_bytes_per_token(), meta.dims.kept_bytes_per_token());
        if self.json {
            let info = json!({
                "model": meta.name,
                "architecture": "MixtralForCausalLM",
                "dims": meta.dims,
                "parameters": meta.params.0,
                "active_parameters": meta.params.1,
                "weights_dtype": meta.weights_dtype,
                "compute_dtype": meta.compute_dtype,
                "precision": meta.policy,
                "tokenizer": loaded.tokenizer.as_ref().map(|t| t.vocab_size()),
                "context": meta.dims.context,
                "eos": meta.eos,
                "weight_bytes": meta.weight_bytes,
                "weight_bytes_per_token": meta.touched_bytes,
                "kv_bytes_per_token": kv,
                "trace_bytes_per_token": kept,
                "available_memory": memory,
                "verdict": verdict(meta, memory),
                "validation": meta.report,
            });
            return print(&format!("{}\n", serde_json::to_string_pretty(&info)?));
        }
        let d = meta.dims;
        let mut text = String::new();
        let mut line = |what: &str, value: String| writeln!(text, "{what:<14}{value}");
        line("model", meta.title.clone())?;
        line("architecture", "MixtralForCausalLM".to_owned())?;
        line("layers", format!("{} × {} experts, top-{}, expert width {}", d.layers, d.experts, d.top_k, d.d_ff))?;
        line("attention", format!("{} query heads, {} kv heads of {}", d.heads, d.kv_heads, d.d_head))?;
        line("width", format!("{}, vocabulary {}", d.d_model, d.vocab))?;
        let window = d.window.map_or_else(|| "no sliding window".to_owned(), |w| format!("sliding window {w}"));
        line("context", format!("{} tokens, {window}", d.context))?;
        line("parameters", format!("{}, {} used per token", count(meta.params.0), count(meta.params.1)))?;
        line("weights", format!("{} in {}", bytes(meta.weight_bytes), meta.weights_dtype))?;
        line("precision", format!("{} in {}", meta.policy, meta.compute_dtype))?;
        line(
            "per token",
            format!(
                "{} of weights read, {} KV cache, {} kept for the views",
                bytes(meta.touched_bytes),
                bytes(kv as u64),
                bytes(kept as u64)
            ),
        )?;
        let free = memory.map_or_else(|| "unknown".to_owned(), bytes);
        line("memory", format!("{free} available: {}", verdict(meta, memory)))?;
        text.push_str("\nvalidated\n");
        for finding in &meta.report.findings {
            let mark = match finding.level {
                Level::Ok => "ok",
                Level::Note => "note",
                Level::Warn => "warn",
                Level::Refuse => "refuse",
            };
            writeln!(text, "  {mark:<6} {finding}")?;
        }
        print(&harmless(&text))
    }
}

/// 46.7 B, 5.76 M, 512
fn count(n: u64) -> String {
    scaled(n as f64, 1000.0, ["", " k", " M", " B", " T"])
}

/// 93.4 GB, 11.5 MB
fn bytes(n: u64) -> String {
    scaled(n as f64, 1000.0, [" B", " kB", " MB", " GB", " TB"])
}

fn scaled(mut value: f64, by: f64, units: [&str; 5]) -> String {
    let mut unit = 0;
    while value >= by && unit + 1 < units.len() {
        value /= by;
        unit += 1;
    }
    let digits = if unit == 0 || value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        assert_eq!(bytes(93_400_000_000), "93.4 GB");
        assert_eq!(count(5_758_592), "5.76 M");
        assert_eq!(bytes(512), "512 B");
        assert_eq!(count(999_999), "1000 k");
    }
}
