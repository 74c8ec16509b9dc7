//! The measures of an effect: two runs over the same tokens.

pub use crate::analysis::Watch as Target;
use crate::analysis::diff::RunDiff;
use crate::analysis::{LayerEffect, Measures, PositionEffect, Watched};
use crate::control::Control;
use crate::engine::run::Live;
use crate::model::Distribution;
use crate::trace::{HookKind, TokenRecord};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Positions whose logits are in memory together.
const ROWS: usize = 64;
/// Bytes of logits of a baseline that are kept for the next comparison.
const MOST_KEPT: usize = 256 << 20;

/// What two runs over the same tokens differ in.
pub struct Found {
    pub measures: Measures,
    pub losses: Option<[f64; 2]>,
    pub target: Watched,
    pub foil: Option<Watched>,
    pub positions: Vec<PositionEffect>,
    pub layers: Vec<LayerEffect>,
}

/// The run A that edited runs are compared with. Its logits are computed when they are needed first, and kept.
pub struct Baseline {
    run: Live,
    /// By the first position of a piece.
    kept: BTreeMap<usize, Arc<[f32]>>,
    bytes: usize,
}

impl Baseline {
    /// A run without edits.
    pub fn new(run: &Live) -> Self {
        Self { run: run.clone(), kept: BTreeMap::new(), bytes: 0 }
    }

    /// The run.
    pub fn run(&self) -> &Live {
        &self.run
    }

    fn logits(&mut self, rows: Range<usize>) -> Result<Arc<[f32]>> {
        if let Some(kept) =
            self.kept.get(&rows.start).filter(|kept| kept.len() == rows.len() * self.run.meta().dims.vocab)
        {
            return Ok(kept.clone());
        }
        let logits: Arc<[f32]> = self.run.logits(rows.clone())?.into();
        let bytes = size_of_val(&*logits);
        if self.bytes + bytes <= MOST_KEPT {
            self.bytes += bytes;
            self.kept.insert(rows.start, logits.clone());
        }
        Ok(logits)
    }

    /// The measures of the run B under edits.
    ///
    /// # Errors
    /// As [`measure`].
    pub fn measure(&mut self, b: &Live, target: Target, control: &Control) -> Result<Measures> {
        Ok(compare(self, b, target, false, control)?.measures)
    }
}

/// The measures of the run B under edits, compared with A. With several runs B, [`Baseline::measure`] computes less.
///
/// # Errors
/// [`Stopped`](crate::control::Stopped) if `control` is cancelled; if a run lacks the residuals of the last layer.
pub fn measure(a: &Live, b: &Live, target: Target, control: &Control) -> Result<Measures> {
    Baseline::new(a).measure(b, target, control)
}

/// As [`measure`], with the parts of each measure; the change of the residuals only if `residuals`.
pub fn compare(baseline: &mut Baseline, b: &Live, target: Target, residuals: bool, control: &Control) -> Result<Found> {
    let a = &baseline.run.clone();
    let n = a.tokens().len().min(b.tokens().len());
    let dims = a.meta().dims;
    let mut positions: Vec<PositionEffect> = Vec::with_capacity(n);
    let (mut found, mut foil) = (None, None);
    for from in (0..n).step_by(ROWS) {
        control.check()?;
        let rows = from..(from + ROWS).min(n);
        // The run before the first site is the same, and so are its logits.
        let is_same = rows.clone().all(|pos| Arc::ptr_eq(&a.tokens()[pos].values, &b.tokens()[pos].values));
        // Where nothing is watched, the same logits tell nothing.
        let is_read = !is_same || rows.contains(&target.position);
        let left = if is_read { baseline.logits(rows.clone())? } else { Arc::default() };
        let right = if is_same { left.clone() } else { b.logits(rows.clone())?.into() };
        for (row, pos) in rows.enumerate() {
            let row = row * dims.vocab..(row + 1) * dims.vocab;
            let pair = left.get(row.clone()).zip(right.get(row));
            let kl = match pair {
                Some((left, right)) if !is_same && left != right => {
                    let [left, right] = [left, right].map(Distribution::of);
                    f64::from(left.kl(&right)).max(0.0)
                }
                _ => 0.0,
            };
            if let (true, Some((left, right))) = (pos == target.position, pair) {
                let both = [left, right].map(Distribution::of);
                found = Some(watched(a, &both, target.token));
                foil = target.foil.map(|foil| watched(a, &both, foil));
            }
            let (token, edited) = (&a.tokens()[pos], &b.tokens()[pos]);
            let loss_change = token.score.zip(edited.score).map(|(a, b)| f64::from(b.nll) - f64::from(a.nll));
            positions.push(PositionEffect {
                position: pos,
                token_id: token.id,
                token: token.piece.clone(),
                loss_change,
                kl,
                sites: layers_of(edited),
            });
        }
    }
    let target = found.with_context(|| format!("position {} is outside the run", target.position))?;
    let layers = layers(a, b, residuals);
    let mut diff = RunDiff::new(0, a.meta().router_dtype());
    diff.extend(a.tokens(), b.tokens());
    let losses = diff.mean_losses();
    let difference = |of: &Watched| f64::from(of.logit[1]) - f64::from(of.logit[0]);
    let measures = Measures {
        sites: positions.iter().map(|position| position.sites).sum(),
        loss_change: losses.map(|[a, b]| b - a),
        kl: positions.iter().map(|position| position.kl).sum::<f64>() / n.max(1) as f64,
        target_logit_change: difference(&target),
        target_logprob_change: target.logprob[1] - target.logprob[0],
        logit_difference_change: foil.as_ref().map(|foil| difference(&target) - difference(foil)),
        flips: layers.iter().map(|layer| layer.flips).sum(),
    };
    Ok(Found { measures, losses, target, foil, positions, layers })
}

/// How many layers the edits changed at a position.
fn layers_of(token: &TokenRecord) -> usize {
    let mut layers: Vec<u16> = token.sites.iter().map(|site| site.layer).collect();
    layers.sort_unstable();
    layers.dedup();
    layers.len()
}

fn watched(run: &Live, [a, b]: &[Distribution; 2], id: u32) -> Watched {
    let at = id as usize;
    Watched {
        token_id: id,
        token: run.piece(id),
        logit: [a.logit(at), b.logit(at)],
        logprob: [a.log_prob(at), b.log_prob(at)],
        rank: [a.rank(at), b.rank(at)],
    }
}

fn layers(a: &Live, b: &Live, residuals: bool) -> Vec<LayerEffect> {
    let dims = a.meta().dims;
    let mut diff = RunDiff::new(dims.layers, a.meta().router_dtype());
    diff.extend(a.tokens(), b.tokens());
    // A choice that an edit made is no flip that it induced. Edits that A has, too, made the same choice there.
    let shared = a.meta().edits.iter().zip(&*b.meta().edits).take_while(|(a, b)| a == b).count();
    let is_edited = |position: usize, layer: usize| {
        let own = |site: &&crate::trace::Site| usize::from(site.layer) == layer && usize::from(site.edit) >= shared;
        b.tokens()[position].sites.iter().find(|site| own(site) && site.chose).is_some()
    };
    let of_layer = |layer: usize| {
        let flips = diff.layers()[layer].flips().iter().filter(|flip| !is_edited(flip.position, layer));
        let (count, near) =
            flips.fold((0, 0), |(n, near), flip| (n + 1, near + usize::from(flip.is_within_rounding())));
        let at = |token: &&Arc<TokenRecord>| token.sites.iter().any(|site| usize::from(site.layer) == layer);
        LayerEffect {
            layer,
            sites: b.tokens().iter().filter(at).count(),
            flips: count,
            near_tie_flips: near,
            residual_change: if residuals { residual_change(a, b, layer) } else { 0.0 },
        }
    };
    (0..dims.layers).map(of_layer).collect()
}

fn residual_change(a: &Live, b: &Live, layer: usize) -> f64 {
    let (mut change, mut whole) = (0.0, 0.0);
    for (a, b) in a.tokens().iter().zip(b.tokens()) {
        let rows = a.row(HookKind::ResidPost, layer).zip(b.row(HookKind::ResidPost, layer));
        for (a, b) in rows.into_iter().flat_map(|(a, b)| a.iter().zip(b)) {
            change += (f64::from(*b) - f64::from(*a)).powi(2);
            whole += f64::from(*a).powi(2);
        }
    }
    if whole > 0.0 { (change / whole).sqrt() } else { 0.0 }
}
