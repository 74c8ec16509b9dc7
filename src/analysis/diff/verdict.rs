use super::comparison::Comparison;
use super::hook::{HookDiff, share};
use super::tolerance::{EQUAL_SHARE, FEW, FLIPS, MOST_ULPS, Mode, Tolerance};
use crate::trace::HookKind as K;

impl Comparison {
    /// Sets the verdict of every hook and of the whole comparison.
    pub(super) fn judge(&mut self, other_sum: bool) {
        let (mode, tolerance, final_isolated) = (self.mode, self.tolerance, self.final_isolated);
        let not_isolated = self.not_isolated.clone();
        let wide_flips = |layer: u32| {
            let routing = self.routing.iter().find(|routing| routing.layer == layer);
            routing.is_some_and(|routing| routing.flips > routing.within_rounding)
        };
        for diff in &mut self.hooks {
            let is_first = diff.hook.kind == K::Embed || diff.layer == Some(0);
            let is_alone = match mode {
                Mode::EndToEnd => is_first,
                Mode::Isolated => match diff.layer {
                    Some(layer) => !not_isolated.contains(&(layer as usize)),
                    None => is_first || final_isolated,
                },
            };
            diff.ok = match tolerance {
                Tolerance::Given { .. } | Tolerance::F32 => Some(diff.beyond == 0),
                Tolerance::Half { .. } | Tolerance::Mixed { .. } if !is_alone => None,
                Tolerance::Half { .. } | Tolerance::Mixed { .. } if diff.hook.kind == K::ExpertIndices => {
                    Some(!wide_flips(diff.hook.layer))
                }
                Tolerance::Half { .. } => Some(halves_agree(diff, other_sum)),
                Tolerance::Mixed { dtype } => {
                    let allowed = (mode == Mode::Isolated).then(|| f64::from(MOST_ULPS * dtype.ulp(1.0)));
                    allowed.map(|most| diff.judged.relative_l2 <= most)
                }
            };
            if diff.non_finite != [0, 0] {
                diff.ok = Some(false);
            }
        }
        self.failures = self.find_failures();
        self.ok = self.failures.is_empty();
    }

    fn find_failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        let bad: Vec<&HookDiff> = self.hooks.iter().filter(|diff| diff.ok == Some(false)).collect();
        if let Some(first) = bad.first() {
            let of = self.hooks.iter().filter(|diff| diff.ok.is_some()).count();
            failures.push(format!("{} of {of} hooks differ by more than allowed, first {}", bad.len(), first.words()));
        }
        let (flips, choices) = self.flips();
        let is_statistical = matches!(self.tolerance, Tolerance::Half { .. } | Tolerance::Mixed { .. });
        let wide = self.routing.iter().map(|layer| layer.flips - layer.within_rounding).sum::<usize>();
        match (self.mode, is_statistical) {
            (Mode::EndToEnd, true) if flips as f64 > FLIPS * choices as f64 => failures.push(format!(
                "{flips} of {choices} choices of experts differ, more than the {} % that rounding explains",
                FLIPS * 100.0
            )),
            (Mode::Isolated, true) if wide > 0 && self.not_isolated.is_empty() => failures
                .push(format!("{wide} of {choices} choices of experts differ at a margin that rounding can't explain")),
            (_, false) if flips > 0 => failures.push(format!("{flips} of {choices} choices of experts differ")),
            _ => {}
        }
        if let (Some(loss), Some(most)) = (&self.loss, self.tolerance.loss())
            && let Some(change) = loss.change()
            && (change.is_nan() || change.abs() > most)
        {
            failures.push(format!("the mean loss differs by {change:+.5} nats, more than {most}"));
        }
        failures
    }
}

/// Whether a tensor of one 16-bit program agrees with that of another program on the same input.
fn halves_agree(diff: &HookDiff, other_sum: bool) -> bool {
    let is_sum = matches!(diff.hook.kind, K::MlpOut | K::ResidPost);
    // Under `f32-router` the router's matrix product is the only tensor that is not rounded.
    let widened = diff.hook.kind == K::RouterLogits && diff.dtypes[0] != diff.dtypes[1];
    let (equal, all) = (diff.judged.equal, diff.judged.values);
    let is_equal = share(equal, all) >= EQUAL_SHARE || all - equal <= FEW;
    diff.beyond == 0 && (is_equal || widened || is_sum && other_sum)
}
