//! A comparison of two runs as text.

use crate::analysis::diff::{Comparison, Flip, HookDiff, LayerRouting, Mode};
use crate::trace::{Dtype, Hook, HookKind as K};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Columns of the table; a hook that no layer has is left out.
const COLUMNS: [(K, &str); 3] = [(K::AttnOut, "attn_out"), (K::MlpOut, "mlp_out"), (K::ResidPost, "resid_post")];
/// Width of a column: share, largest difference, ulp.
const WIDTH: usize = 27;

/// The comparison without a verdict: a table by layer, totals, first differences.
pub fn statistics_text(found: &Comparison) -> String {
    let mut text = format!("{}\n\n", found.mode);
    body(found, &mut text);
    text
}

fn body(found: &Comparison, text: &mut String) {
    table(found, text);
    text.push('\n');
    totals(found, text);
    first_differences(found, text);
}

/// The comparison: a table by layer, totals, first differences, and the verdict.
pub fn comparison_text(found: &Comparison) -> String {
    let mut text = format!("{}, tolerance: {}\n\n", found.mode, found.tolerance.words(found.mode));
    body(found, &mut text);
    if found.ok {
        let part = found.common_prefix.as_ref().map(|prefix| {
            let all = prefix.tokens.iter().max().copied().unwrap_or(prefix.length);
            format!(", in the first {} of {all} tokens: what follows is another text", prefix.length)
        });
        text += &format!("agree within the tolerance{}\n", part.unwrap_or_default());
    }
    for failure in &found.failures {
        // Writing to a String can't fail.
        let _ = writeln!(text, "beyond the tolerance: {failure}");
    }
    text
}

fn table(found: &Comparison, text: &mut String) {
    let held = |kind: K| found.hooks.iter().any(|diff| diff.hook.kind == kind);
    let columns: Vec<(K, &str)> = COLUMNS.into_iter().filter(|(kind, _)| held(*kind)).collect();
    let layers: BTreeSet<u32> = found.hooks.iter().filter_map(|diff| diff.layer).collect();
    let mut lines = vec![String::from("       "), String::from("  layer")];
    for (_, name) in &columns {
        lines[0] += &format!("  {name:<width$}", width = WIDTH - 2);
        lines[1] += &format!("  {:>9}{:>9}{:>7}", "equal", "max |Δ|", "ulp");
    }
    lines[1] += "  flips";
    for layer in layers {
        let mut line = format!("  {layer:>5}");
        for (kind, _) in &columns {
            line += &match found.hook(kind.at(layer as usize)) {
                Some(diff) => cell(diff),
                None => format!("{:>WIDTH$}", "not in both"),
            };
        }
        let routing = found.routing.iter().find(|routing| routing.layer == layer);
        line += &routing.map_or_else(|| format!("{:>7}", "-"), |routing| format!("{:>7}", routing.flips));
        lines.push(line);
    }
    for hook in [K::Embed, K::LnFinal, K::Logits].map(|kind| kind.at(0)) {
        if let Some(diff) = found.hook(hook) {
            lines.push(format!("  {:<18}{}", hook.to_string(), cell(diff)));
        }
    }
    for line in lines.iter().filter(|line| !line.trim().is_empty()) {
        *text += line.trim_end();
        text.push('\n');
    }
    if found.dtypes[0] != found.dtypes[1] {
        *text += "  equal: after rounding both to the coarser dtype\n";
    }
}

fn cell(diff: &HookDiff) -> String {
    let ulps = match diff.max_ulps {
        0.0 => "0".to_owned(),
        ulps if ulps < 99_999.5 => format!("{ulps:.0}"),
        ulps => format!("{ulps:.0e}"),
    };
    format!("  {:>7} %{:>9}{ulps:>7}", percent(diff.share()), number(diff.max_abs))
}

/// A share of 0 to 1 in percent with two digits. A share below 1 is never shown as 100.00.
pub fn percent(share: f64) -> String {
    let share = share * 100.0;
    format!("{:.2}", if share < 100.0 { (share * 100.0).floor() / 100.0 } else { share })
}

fn number(x: f64) -> String {
    if x == 0.0 { "0".to_owned() } else { format!("{x:.1e}") }
}

fn totals(found: &Comparison, text: &mut String) {
    let mut line = |what: &str, value: String| *text += &format!("  {what:<11} {value}\n");
    let (equal, all) = found.equal();
    let dtypes = found.dtypes;
    line(
        "compared",
        format!("{} hooks of {} tokens; A is {}, B {}", found.hooks.len(), found.tokens, dtypes[0], dtypes[1]),
    );
    line("equal", format!("{equal} of {all} values bit for bit"));
    if let Some(worst) = found.largest().filter(|worst| worst.max_abs > 0.0) {
        let (mean, l2) = (worst.mean_abs, worst.relative_l2);
        line("largest", format!("{:.2e} in `{}` (mean {mean:.1e}, relative L2 {l2:.1e})", worst.max_abs, worst.hook));
    }
    let bad = found.hooks.iter().fold([0, 0], |sum, diff| [sum[0] + diff.non_finite[0], sum[1] + diff.non_finite[1]]);
    if bad != [0, 0] {
        line(
            "not finite",
            format!("{} values of A, {} of B are NaN or infinite; they count as different", bad[0], bad[1]),
        );
    }
    if !found.routing.is_empty() {
        line("routing", routing(found));
    }
    let other_counts: Vec<String> =
        found.routing.iter().filter_map(|layer| Some(chosen_text(layer.layer, layer.chosen?))).collect();
    if !other_counts.is_empty() {
        line("experts", format!("{}: such a token counts as flipped", other_counts.join("; ")));
    }
    if let Some(loss) = &found.loss
        && let [Some(a), Some(b)] = loss.mean
    {
        let top = loss.top_changed.map_or_else(String::new, |[n, of]| format!(", top-1 changed {n} of {of}"));
        line(
            "mean loss",
            format!("A {a:.5}, B {b:.5} ({:+.2e} nats; one token up to {:.2e}){top}", b - a, loss.max_abs),
        );
    }
    for (side, only) in ["A", "B"].into_iter().zip(&found.only_in) {
        if let Some(first) = only.first() {
            line("not in both", format!("{} hooks are only in {side}, first `{first}`", only.len()));
        }
    }
    if !found.not_isolated.is_empty() {
        let layers: Vec<String> = found.not_isolated.iter().map(usize::to_string).collect();
        line(
            "not alone",
            format!("layers {}: A has neither their resid_pre nor resid_post of the layer before", layers.join(", ")),
        );
    }
}

/// `layer 2: up to 2 a token in A, 3 in B`
fn chosen_text(layer: u32, [a, b]: [usize; 2]) -> String {
    format!("layer {layer}: up to {a} a token in A, {b} in B")
}

fn routing(found: &Comparison) -> String {
    let ((flips, all), layers) = (found.flips(), &found.routing);
    let sum = |of: fn(&LayerRouting) -> usize| layers.iter().map(of).sum::<usize>();
    let jaccard = layers.iter().map(|layer| layer.jaccard).sum::<f64>() / layers.len() as f64;
    let exact = match sum(|layer| layer.exact_ties) {
        0 => String::new(),
        exact => format!(", {exact} where scores are equal"),
    };
    let mut text = format!(
        "{flips} of {all} choices flipped ({} within rounding{exact}), first expert changed {}, mean Jaccard {jaccard:.4}",
        sum(|layer| layer.within_rounding),
        sum(|layer| layer.first_flips)
    );
    let kl: Vec<(f64, f64)> = layers.iter().filter_map(|layer| Some((layer.kl_mean?, layer.kl_max?))).collect();
    if !kl.is_empty() {
        let mean = kl.iter().map(|(mean, _)| mean).sum::<f64>() / kl.len() as f64;
        let max = kl.iter().map(|(_, max)| *max).fold(0.0, f64::max);
        text += &format!(", KL(A ‖ B) mean {} max {} nats", number(mean), number(max));
    }
    text
}

/// The first difference and the first flip, in sentences.
fn first_differences(found: &Comparison, text: &mut String) {
    let place = |hook: Hook| match hook.kind.is_global() {
        true => format!("`{hook}`"),
        false => format!("layer {}, `{hook}`", hook.layer),
    };
    *text += &match found.first_difference {
        Some(first) => format!("first difference: {}, position {}\n", place(first.hook), first.position),
        None => "no value differs\n".to_owned(),
    };
    if let Some(flip) = &found.first_flip {
        *text += &format!("first flip: {}\n", flip_text(flip, found));
    }
}

fn flip_text(flip: &Flip, found: &Comparison) -> String {
    let [a, b] = &flip.experts;
    let mut text = format!("layer {}, position {}: A chose {a:?}, B {b:?}", flip.layer, flip.position);
    let dtype = found.dtypes[0].coarser(found.dtypes[1]);
    let gap = |side: usize| {
        let ulps = flip.ulps[side].filter(|_| dtype != Dtype::F32);
        let ulps = ulps.map_or_else(String::new, |ulps| format!(" = {ulps:.1} ulp"));
        flip.gaps[side].map_or_else(|| "unknown".to_owned(), |gap| format!("{gap:.2e}{ulps}"))
    };
    text += &format!("; margin A {}, B {}", gap(0), gap(1));
    match (flip.input, found.mode) {
        (Some(input), _) if input.equal && input.immediate => {
            text += &format!("; `{}` was equal there, so the router is the first to differ", input.hook);
        }
        (Some(input), _) if input.equal => {
            text += &format!("; `{}` was equal there, and the hooks in between are not in both", input.hook);
        }
        (Some(input), Mode::EndToEnd) => {
            text += &format!("; `{}` differed there already, so the hidden state is the first to differ", input.hook);
        }
        (Some(input), Mode::Isolated) => text += &format!("; `{}` differed there already", input.hook),
        (None, _) => text += "; no hidden state before it is in both",
    }
    text
}
