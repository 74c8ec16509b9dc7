//! `mixscope info`: what a model is, and what it needs.

use super::stderr::Stderr;
use super::{ModelArgs, apply_threads, harmless, memory, print, report_text};
use crate::engine::{Target, look_up};
use crate::hub::{Settings, cached};
use crate::model::{Loaded, Location, families, open};
use crate::trace::{Device, Dims, Meta, json_text, size};
use anyhow::Result;
use clap::Args;
use serde_json::json;
use std::fmt::Write;
use std::sync::Arc;

#[derive(Args)]
pub struct Info {
    #[command(flatten)]
    model: ModelArgs,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// A model on this machine, or on the Hub.
struct About {
    meta: Arc<Meta>,
    tokenizer: Option<usize>,
    /// Commit and files to download, if the model is not on this machine yet.
    remote: Option<(String, Vec<(String, u64)>)>,
    /// Memory available for the weights, bytes.
    memory: Option<u64>,
    /// Free space on the disk of the cache, bytes; `None` if nothing has to be downloaded.
    disk: Option<u64>,
}

impl Info {
    pub fn main(self) -> Result<()> {
        apply_threads(self.model.threads)?;
        let about = self.look()?;
        if self.json {
            return print(&json_text(&about.json())?);
        }
        print(&harmless(&about.text()?))
    }

    fn look(&self) -> Result<About> {
        let memory = memory::available();
        if let Target::Hub(repo) = Target::parse(&self.model.model)? {
            let settings = Settings::from_env()?;
            let Some(path) = cached(&repo, &settings) else {
                let model = &self.model;
                let remote = look_up(&model.model, &repo, &settings, model.precision, model.dtype)?;
                let disk = memory::free_disk(&settings.cache);
                let meta = Arc::new(Meta { device: self.model.device, ..remote.meta });
                let tokenizer = remote.tokenizer;
                return Ok(About { meta, tokenizer, remote: Some((remote.commit, remote.files)), memory, disk });
            };
            // Opens the cached revision: looking for a newer one could start a download.
            let loaded = open(&Location::at(&path)?, self.model.precision, self.model.dtype, false)?;
            let mut loaded = loaded.on(self.model.device)?;
            let meta = Arc::make_mut(&mut loaded.meta);
            (meta.name, meta.title) = (repo.to_string(), repo.to_string());
            return Ok(About::of(&loaded, memory));
        }
        Ok(About::of(&self.model.open(false, &Stderr::new(true))?, memory))
    }
}

impl About {
    /// A model on this machine.
    fn of(loaded: &Loaded, memory: Option<u64>) -> Self {
        let tokenizer = loaded.tokenizer.as_ref().map(|tokenizer| tokenizer.vocab_size());
        Self { meta: loaded.meta.clone(), tokenizer, remote: None, memory, disk: None }
    }

    fn download_bytes(&self) -> Option<u64> {
        self.remote.as_ref().map(|(_, files)| files.iter().map(|(_, size)| size).sum())
    }

    /// Whether the model fits, in one sentence.
    fn verdict(&self) -> String {
        if let (Some(need), Some(free)) = (self.download_bytes(), self.disk)
            && need > free
        {
            return format!("does not fit on the disk: {} to download, {} free in the cache", size(need), size(free));
        }
        match (self.memory, self.copied_bytes()) {
            (_, Some(copied)) if self.meta.device != Device::Candle => format!(
                "not known: weights are copied to {} when they are first used (at most {}), and the memory of this device is not known",
                self.meta.device,
                size(copied)
            ),
            (Some(memory), Some(copied)) if copied <= memory => {
                format!("fits: candle uses f32 copies of the weights, at most {}", size(copied))
            }
            (Some(_), Some(copied)) => format!(
                "does not fit: candle uses f32 copies of the weights, {} when all are used; use --device cpu",
                size(copied)
            ),
            (memory, None) => memory::verdict_in_place(&self.meta, memory),
            (None, Some(_)) => "not known: this system does not report its free memory".to_owned(),
        }
    }

    /// Bytes of the copies on the device when all weights have been used; `None` if weights are used in place.
    fn copied_bytes(&self) -> Option<u64> {
        let meta = &self.meta;
        let table = (meta.dims.vocab * meta.dims.d_model) as u64;
        match meta.device {
            Device::Cpu => None,
            // Everything but the embedding table, from which rows are only looked up.
            Device::Candle => Some(4 * meta.params.0.saturating_sub(table)),
            Device::Cuda(_) | Device::Metal(_) => Some(meta.weight_bytes),
        }
    }

    /// The architecture as transformers calls it.
    fn architecture(&self) -> String {
        let config = &self.meta.config;
        let kind = config.get("model_type").and_then(serde_json::Value::as_str);
        let of_kind = families().find(|(_, model_type, _)| kind == Some(*model_type)).map(|(.., class)| class);
        let named = config.pointer("/architectures/0").and_then(serde_json::Value::as_str);
        of_kind.or(named).unwrap_or("unknown").to_owned()
    }

    fn json(&self) -> serde_json::Value {
        let meta = &self.meta;
        let files = self.remote.as_ref().map(|(_, files)| {
            files.iter().map(|(name, bytes)| json!({"name": name, "bytes": bytes})).collect::<Vec<_>>()
        });
        json!({
            "model": meta.name,
            "architecture": self.architecture(),
            "dims": meta.dims,
            "parameters": meta.params.0,
            "active_parameters": meta.params.1,
            "weights_dtype": meta.weights_dtype,
            "stored_bytes": meta.stored.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
            "compute_dtype": meta.compute_dtype,
            "precision": meta.policy,
            "device": meta.device,
            "tokenizer": self.tokenizer,
            "chat_template": meta.has_chat,
            "context": meta.dims.context,
            "eos": meta.eos,
            "weight_bytes": meta.weight_bytes,
            "weight_bytes_per_token": meta.touched_bytes,
            "kv_bytes_per_token": meta.dims.kv_bytes_per_token(),
            "trace_bytes_per_token": meta.dims.kept_bytes_per_token(),
            "copied_bytes": self.copied_bytes(),
            "available_memory": self.memory,
            "downloaded": self.remote.is_none(),
            "commit": self.remote.as_ref().map(|(commit, _)| commit),
            "download": files,
            "free_disk": self.disk,
            "verdict": self.verdict(),
            "validation": meta.report,
        })
    }

    fn text(&self) -> Result<String> {
        let meta = &self.meta;
        let d: Dims = meta.dims;
        let mut text = String::new();
        let mut line = |what: &str, value: String| writeln!(text, "{what:<14}{value}");
        line("model", meta.title.clone())?;
        line("architecture", self.architecture())?;
        let dense = match d.dense.is_empty() {
            true => String::new(),
            false => format!("; one MLP of {} in layers {}", d.d_dense, d.dense),
        };
        let shared = if d.d_shared > 0 { format!(", shared expert {}", d.d_shared) } else { String::new() };
        let experts = format!("{} experts, top-{}, expert width {}{shared}", d.experts, d.top_k, d.d_ff);
        line("layers", format!("{} × {experts}{dense}", d.layers))?;
        line("attention", format!("{} query heads, {} kv heads of {}", d.heads, d.kv_heads, d.d_head))?;
        line("width", format!("{}, vocabulary {}", d.d_model, d.vocab))?;
        let windowed = (0..d.layers).filter(|layer| d.window_at(*layer).is_some()).count();
        let window = match d.window {
            Some(window) if windowed == d.layers => format!("sliding window {window}"),
            Some(window) if windowed > 0 => format!("sliding window {window} in {windowed} of {} layers", d.layers),
            _ => "no sliding window".to_owned(),
        };
        line("context", format!("{} tokens, {window}", d.context))?;
        let tokenizer = match self.tokenizer {
            Some(entries) => format!("{entries} entries"),
            None => "not known before the download".to_owned(),
        };
        let chat = if meta.has_chat { ", with a chat template (--chat)" } else { "" };
        line("tokenizer", format!("{tokenizer}{chat}"))?;
        line("parameters", format!("{}, {} used per token", count(meta.params.0), count(meta.params.1)))?;
        let mut weights = format!("{} in {}", size(meta.weight_bytes), meta.weights_dtype);
        if meta.stored.len() > 1 {
            let parts: Vec<String> =
                meta.stored.iter().map(|(name, bytes)| format!("{name} {}", size(*bytes))).collect();
            weights += &format!(" ({})", parts.join(", "));
        }
        line("weights", weights)?;
        line("precision", format!("{} in {}", meta.policy, meta.compute_dtype))?;
        if let Some(advice) = meta.ggml_advice() {
            line("", advice.to_owned())?;
        }
        line("device", meta.device.to_string())?;
        let (kv, kept) = (d.kv_bytes_per_token() as u64, d.kept_bytes_per_token() as u64);
        let read = size(meta.touched_bytes);
        line("per token", format!("{read} of weights read, {} KV cache, {} kept for the views", size(kv), size(kept)))?;
        if let Some((commit, files)) = &self.remote {
            let bytes = size(self.download_bytes().unwrap_or(0));
            let free = self.disk.map(|free| format!(", {} free on the disk", size(free))).unwrap_or_default();
            line("download", format!("{bytes} in {} files at commit {commit}{free}", files.len()))?;
        }
        line("memory", format!("{} available", self.memory.map_or_else(|| "unknown".to_owned(), size)))?;
        line("here", self.verdict())?;
        text.push_str("\nvalidated\n");
        text.push_str(&report_text(&meta.report));
        Ok(text)
    }
}

/// 46.7 B, 5.76 M, 512
fn count(n: u64) -> String {
    // The same digits as sizes have, with the units of counts.
    let text = size(n);
    let (digits, unit) = text.split_once(' ').unwrap_or((&text, ""));
    let unit = match unit {
        "kB" => " k",
        "MB" => " M",
        "GB" => " B",
        "TB" => " T",
        _ => "",
    };
    format!("{digits}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_read_well() {
        assert_eq!([46_700_000_000, 5_758_592, 512, 999_999].map(count), ["46.7 B", "5.76 M", "512", "1.00 M"]);
    }
}
