//! Decoding speed and memory of several models, step by step in turn, and of candle-transformers' Mixtral in f32 beside
//! them.
//!
//! ```text
//! cargo run --release --example wide_decode -- MODEL… [--candle DIR] [--steps N] [--prompt N]
//! ```

use anyhow::{Context, Result};
use candle_core::{DType, Device, IndexOp, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::mixtral;
use clap::Parser;
use mixscope::control::Control;
use mixscope::engine::{Capture, Live, OpenOptions, open_model};
use mixscope::trace::{Device as Place, Policy, Sampling, Source};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

#[derive(Parser)]
struct Args {
    /// Models of mixscope.
    models: Vec<String>,
    /// A directory of safetensors that candle loads in f32.
    #[arg(long)]
    candle: Option<PathBuf>,
    /// Decoding steps of each.
    #[arg(long, default_value_t = 12)]
    steps: usize,
    /// Tokens of the prompt.
    #[arg(long, default_value_t = 16)]
    prompt: u32,
}

/// A number of `/proc/self/status`, MB.
fn status(key: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let kb = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kb.unwrap_or(f64::NAN) / 1024.0
}

fn memory(what: &str) {
    println!("{what}: RssAnon {:.1} MB, RssFile {:.0} MB", status("RssAnon"), status("RssFile"));
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn main() -> Result<()> {
    let args = Args::parse();
    let prompt: Vec<u32> = (0..args.prompt).map(|i| 100 + i * 37).collect();
    let mut runs: Vec<(String, Live, Vec<f64>)> = Vec::new();
    memory("at start");
    for name in &args.models {
        let started = Instant::now();
        let options = OpenOptions { policy: Policy::Hf, dtype: None, ids_only: true, device: Place::Cpu };
        let loaded = Arc::new(open_model(name, options, &Control::none(), &mut |_| {})?);
        let opened = ms(started);
        let capture = Capture::for_views(loaded.meta.dims.layers);
        let mut session = Live::new(loaded, capture, 64);
        let first = Instant::now();
        session.extend(&prompt[..1], Source::Prompt, &Control::none())?;
        let first = ms(first);
        let rest = Instant::now();
        session.extend(&prompt[1..], Source::Prompt, &Control::none())?;
        let rest = ms(rest);
        println!(
            "{name}: opened in {opened:.0} ms, first token after {first:.0} ms, {} more in {rest:.0} ms",
            prompt.len() - 1
        );
        memory(name);
        runs.push((name.clone(), session, Vec::new()));
    }
    let mut candle = args.candle.as_deref().map(|dir| Candle::open(dir, &prompt)).transpose()?;
    for _ in 0..args.steps {
        for (_, session, times) in &mut runs {
            let started = Instant::now();
            session.step(&Sampling::default(), &Control::none())?;
            times.push(ms(started));
        }
        if let Some(candle) = &mut candle {
            candle.step()?;
        }
    }
    for (name, session, times) in &mut runs {
        let touched = session.meta().touched_bytes as f64;
        let median = median(times);
        println!("{name}: {median:.1} ms/token, {:.2} GB/token, {:.1} GB/s", touched / 1e9, touched / median / 1e6);
    }
    if let Some(candle) = &mut candle {
        println!("candle f32: {:.1} ms/token", median(&mut candle.times));
    }
    memory("at the end");
    println!("VmHWM {:.0} MB", status("VmHWM"));
    Ok(())
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// candle-transformers' Mixtral in f32.
struct Candle {
    model: mixtral::Model,
    pos: usize,
    last: u32,
    times: Vec<f64>,
}

impl Candle {
    fn open(dir: &Path, prompt: &[u32]) -> Result<Self> {
        let started = Instant::now();
        let text = std::fs::read(dir.join("config.json")).context("config.json")?;
        let mut json: serde_json::Value = serde_json::from_slice(&text)?;
        // Its config has no null window and no default for flash attention.
        json["sliding_window"] = 1_000_000.into();
        json["use_flash_attn"] = false.into();
        let config: mixtral::Config = serde_json::from_value(json)?;
        let entries = std::fs::read_dir(dir)?.collect::<Result<Vec<_>, _>>()?;
        let mut files: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
        // SAFETY: the files are only read and nobody changes them meanwhile.
        let weights = unsafe { VarBuilder::from_mmaped_safetensors(&files, DType::F32, &Device::Cpu)? };
        let mut model = mixtral::Model::new(&config, weights)?;
        println!("candle: opened in {:.0} ms", ms(started));
        let started = Instant::now();
        let logits = model.forward(&Tensor::new(prompt, &Device::Cpu)?.unsqueeze(0)?, 0)?;
        println!("candle: {} tokens in {:.0} ms", prompt.len(), ms(started));
        memory("candle");
        let last = best(&logits)?;
        Ok(Self { model, pos: prompt.len(), last, times: Vec::new() })
    }

    fn step(&mut self) -> Result<()> {
        let started = Instant::now();
        let logits = self.model.forward(&Tensor::new(&[self.last], &Device::Cpu)?.unsqueeze(0)?, self.pos)?;
        self.last = best(&logits)?;
        self.times.push(ms(started));
        self.pos += 1;
        Ok(())
    }
}

fn best(logits: &Tensor) -> Result<u32> {
    Ok(logits.i((0, 0))?.argmax(0)?.to_scalar::<u32>()?)
}
