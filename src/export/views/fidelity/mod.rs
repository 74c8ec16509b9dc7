//! What was validated, and two runs of the same tokens compared: A, the baseline, and B, the run itself.

pub mod compare;
pub mod flips;
pub mod lab;
pub mod loss;
pub mod validated;

use crate::analysis::diff::RunDiff;
use crate::analysis::view::ViewData;
use crate::export::figure::font::drawable;
use crate::trace::Records;
use anyhow::{Context, Result, ensure};

/// A and B over the tokens that both have, and their difference.
fn two(data: &ViewData) -> Result<(Records, &Records, RunDiff)> {
    let (a, b) = (data.against.as_ref().context("there is no second run to compare with")?, &data.trace);
    let n = b.tokens.len();
    ensure!(a.tokens.len() >= n && a.meta.dims.layers == b.meta.dims.layers, "the two runs are not of the same tokens");
    let a = Records { meta: a.meta.clone(), tokens: a.tokens[..n].to_vec() };
    let dtype = a.meta.router_dtype().coarser(b.meta.router_dtype());
    let mut found = RunDiff::new(b.meta.dims.layers, dtype);
    found.extend(&a.tokens, &b.tokens);
    Ok((a, b, found))
}

/// `A hf bf16, B f32 bf16 (A: another model)`
fn names(a: &Records, b: &Records) -> String {
    let of = |trace: &Records| format!("{} {}", trace.meta.policy, trace.meta.compute_dtype);
    let other = if a.meta.title == b.meta.title { String::new() } else { format!(" of {}", drawable(&a.meta.title)) };
    format!("A {}{other}, B {}", of(a), of(b))
}

/// The mean losses of both runs.
fn losses(found: &RunDiff) -> String {
    let means = found.mean_losses().map(|[a, b]| format!("mean loss A {a:.4}, B {b:.4} nats (B − A {:+.4})", b - a));
    means.unwrap_or_else(|| "the losses are not in both runs".to_owned())
}
