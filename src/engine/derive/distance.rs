//! How far two runs are apart: KL by position, and the residual stream by layer.

use crate::analysis::{Distance, align};
use crate::control::Control;
use crate::engine::run::Live;
use crate::model::Distribution;
use crate::trace::{HookKind, TokenRecord};
use anyhow::{Context, Result};
use std::sync::Arc;

/// The distance of B from A over their aligned positions.
///
/// # Errors
/// [`Stopped`](crate::control::Stopped) if `control` is cancelled; if a run keeps no residuals.
pub fn distance(a: &Live, b: &Live, control: &Control) -> Result<Distance> {
    let ids = |run: &Live| run.tokens().iter().map(|token| token.id).collect::<Vec<u32>>();
    let rows = align(&ids(a), &ids(b));
    let layers = a.meta().dims.layers;
    let mut kl = Vec::with_capacity(rows.len());
    let mut sums = vec![(0.0f64, 0.0f64); layers];
    for (of_a, of_b) in &rows {
        control.check()?;
        let (Some(of_a), Some(of_b)) = (*of_a, *of_b) else {
            kl.push(None);
            continue;
        };
        let (token_a, token_b) = (&a.tokens()[of_a], &b.tokens()[of_b]);
        let last = |token: &TokenRecord| {
            token.row(HookKind::ResidPost, layers - 1).map(<[f32]>::to_vec).context("the run keeps no residuals")
        };
        let is_same = Arc::ptr_eq(&token_a.values, &token_b.values) || last(token_a)? == last(token_b)?;
        kl.push(Some(if is_same {
            0.0
        } else {
            let [a, b] = [a.logits(of_a..of_a + 1)?, b.logits(of_b..of_b + 1)?];
            f64::from(Distribution::of(&a).kl(&Distribution::of(&b))).max(0.0)
        }));
        for (layer, (change, whole)) in sums.iter_mut().enumerate() {
            let (Some(x), Some(y)) = (token_a.row(HookKind::ResidPost, layer), token_b.row(HookKind::ResidPost, layer))
            else {
                continue;
            };
            for (x, y) in x.iter().zip(y) {
                *change += (f64::from(*y) - f64::from(*x)).powi(2);
                *whole += f64::from(*x).powi(2);
            }
        }
    }
    let residual = sums.into_iter().map(|(change, whole)| if whole > 0.0 { (change / whole).sqrt() } else { 0.0 });
    Ok(Distance { kl, residual: residual.collect() })
}
