//! `mixscope bench`: how long a token takes on this machine, next to the streaming read that bounds it.

use super::memory::{Resident, resident};
use super::stderr::Stderr;
use super::{ModelArgs, apply_threads, harmless, print, values};
use crate::app::files::Reporter;
use crate::control::Control;
use crate::engine::{Bench as Found, Costs, bench};
use crate::model::kernels::Isa;
use crate::trace::{Device, json_text, size};
use anyhow::Result;
use clap::Args;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;

const ABOUT: &str = "\
A decoding step has to read the weights of its token once. So a streaming read of 512 MB on all
threads is timed next to every step: it is the floor. Steps that keep no hook and steps that keep
those of a default run take turns. Figures are medians. Compare shares of the floor, not times,
because other programs disturb.";

#[derive(Args)]
#[command(after_help = ABOUT)]
pub struct Bench {
    #[command(flatten)]
    model: ModelArgs,
    /// Tokens of the prompt, which is generated for the measurement.
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = values::whole(1..=u32::MAX))]
    prompt_tokens: u32,
    /// Decoding steps of each kind.
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = values::whole(1..=u32::MAX))]
    steps: u32,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Print only errors to stderr.
    #[arg(short, long)]
    quiet: bool,
}

impl Bench {
    pub fn main(self) -> Result<()> {
        apply_threads(self.model.threads)?;
        let stderr = Stderr::new(self.quiet);
        let started = Instant::now();
        let loaded = Arc::new(self.model.open(true, &stderr)?);
        let load_ms = started.elapsed().as_secs_f64() * 1e3;
        let progress = |done, all| stderr.progress("reading the prompt, tokens × layers", done, all);
        let mut memory = None;
        let lengths = (self.prompt_tokens as usize, self.steps as usize);
        let found = bench(&loaded, lengths, &Control::watched_by(&progress), &mut || memory = resident())?;
        stderr.clear();
        // Other devices have their own.
        let instructions = if loaded.meta.device == Device::Cpu { Some(Isa::chosen()?) } else { None };
        if self.json {
            let mut all = serde_json::to_value(&found)?;
            all["model"] = json!(loaded.meta.name);
            all["precision"] = json!(loaded.meta.policy);
            all["device"] = json!(loaded.meta.device);
            all["instructions"] = json!(instructions.map(Isa::name));
            all["threads"] = json!(rayon::current_num_threads());
            all["load_ms"] = json!(load_ms);
            all["peak_bytes"] = json!(memory.map(|memory| memory.peak));
            all["anonymous_bytes"] = json!(memory.map(|memory| memory.anonymous));
            return print(&json_text(&all)?);
        }
        let meta = &loaded.meta;
        let mut about =
            format!("{} · precision {} · {} · {}", meta.title, meta.policy, meta.weights_dtype, meta.device);
        if let Some(isa) = instructions {
            about += &format!(" ({isa})");
        }
        print(&harmless(&text(&about, load_ms, &found, memory)))
    }
}

fn text(about: &str, load_ms: f64, found: &Found, memory: Option<Resident>) -> String {
    let threads = rayon::current_num_threads();
    let mut text = format!("{about}\n\n");
    let mut least = String::new();
    if let Some(bandwidth) = found.bandwidth {
        text += &format!("  {:<23}{}/s on {threads} threads\n", "streaming read", size(bandwidth as u64));
        least = format!(", {:.3} ms at least", found.token_bytes as f64 / bandwidth * 1e3);
    }
    text += &format!("  {:<23}{} of weights{least}\n", "a token", size(found.token_bytes));
    text += &format!("  {:<23}{load_ms:.1} ms\n", "opened in");
    if let Some(Resident { peak, anonymous }) = memory {
        let (peak, anonymous) = (size(peak), size(anonymous));
        text += &format!("  {:<23}{peak} at most, {anonymous} of it not mapped weights\n", "memory");
    }
    text += &format!("\n  {:<23}prefill tok/s  ms/token   tok/s  of the floor\n", "hooks kept");
    let line = |what: &str, costs: &Costs| {
        let (prefill, ms) = (costs.prefill_per_second, costs.step_ms);
        let share = costs.of_floor.map_or_else(|| "–".to_owned(), |share| format!("{:.0} %", share * 100.0));
        format!("  {what:<23}{prefill:>13.1}  {ms:>8.3}  {:>6.1}  {share:>12}\n", 1e3 / ms)
    };
    text += &line("none", &found.bare);
    text += &line("those of a default run", &found.captured);
    // Adding zero turns −0 into 0.
    let more = (found.capture_overhead * 1e3).round() / 10.0 + 0.0;
    text += &format!("\n{} tokens, then {} steps of each; ", found.prompt, found.steps);
    text += &format!("with hooks a step takes {more:+.1} % more time (less, if negative)\n");
    text + match found.bandwidth {
        Some(_) => {
            "medians; each share compares a step with its own streaming read, so it is not the ratio of the medians\n"
        }
        None => "medians; the floor is only known where the CPU reads the weights in place\n",
    }
}
