//! The operations of a model compared with those of a recording, as text.

use crate::analysis::diff::{LayerRouting, Operation};
use crate::engine::Fidelity;
use crate::trace::HookKind;
use std::fmt::Write;

/// Losses and flips first, then a table with a row for each kind of operation.
pub fn operations_text(fidelity: &Fidelity) -> String {
    let mut text = String::new();
    if let Some(loss) = &fidelity.end_to_end.loss
        && let [Some(a), Some(b)] = loss.mean
    {
        // Writing to a String can't fail.
        let _ = writeln!(text, "mean loss        A {a:.5}, B {b:.5} ({:+.2e} nats)", b - a);
    }
    let routing = &fidelity.end_to_end.routing;
    if !routing.is_empty() {
        let sum = |of: fn(&LayerRouting) -> usize| routing.iter().map(of).sum::<usize>();
        let (flips, within) = (sum(|layer| layer.flips), sum(|layer| layer.within_rounding));
        let _ = write!(text, "choices          {flips} of {} flipped end to end", sum(|layer| layer.tokens));
        if within > 0 {
            let _ = write!(text, ", {within} of them at margins that rounding can turn");
        }
        let exact = sum(|layer| layer.exact_ties);
        if exact > 0 {
            let _ = write!(text, ", {exact} where two experts have the same score");
        }
        text.push('\n');
    }
    text += "\noperation by operation, each computed from the recording's own input of it\n\n";
    let _ = writeln!(
        text,
        "           {:<22}{:>7}{:>12}{:>10}{:>14}{:>10}",
        "output", "hooks", "values", "equal", "relative L2", "max ulp"
    );
    let mut kinds: Vec<HookKind> = fidelity.operations.iter().map(|operation| operation.hook.kind).collect();
    kinds.sort_unstable_by_key(|kind| kind.at(0).order());
    kinds.dedup();
    for kind in kinds {
        let all: Vec<&Operation> = fidelity.operations.iter().filter(|operation| operation.hook.kind == kind).collect();
        text += &line(kind, &all);
    }
    for fit in &fidelity.kinds {
        let _ = writeln!(text, "\nrounding: {}; {}", fit.cause, fit.words());
    }
    text
}

fn line(kind: HookKind, all: &[&Operation]) -> String {
    let sum = |of: fn(&Operation) -> usize| all.iter().map(|operation| of(operation)).sum::<usize>();
    let most = |of: fn(&Operation) -> f64| all.iter().map(|operation| of(operation)).fold(0.0, f64::max);
    let (values, equal) = (sum(|operation| operation.gap.values), sum(|operation| operation.gap.equal));
    let is_off = all.iter().any(|operation| !operation.ok && !operation.explained);
    let is_rounding = all.iter().any(|operation| operation.explained);
    let is_open = all.iter().any(|operation| !operation.direct);
    let mark = match (is_off, is_rounding, is_open) {
        (true, ..) => "DIFFERS",
        (false, true, _) => "rounding",
        (false, false, true) => "within",
        (false, false, false) => "ok",
    };
    let share = 100.0 * equal as f64 / values.max(1) as f64;
    let share = if equal == values { "100 %".to_owned() } else { format!("{:.2} %", share.min(99.99)) };
    let bad: Vec<String> = all
        .iter()
        .filter(|operation| !operation.ok && !operation.explained)
        .map(|operation| operation.layer.map_or_else(|| "once".to_owned(), |layer| layer.to_string()))
        .collect();
    let mut line = format!(
        "  {mark:<9}{:<22}{:>7}{values:>12}{share:>10}{:>14}{:>10}",
        kind.short_name(),
        all.len(),
        format!("{:.1e}", most(|operation| operation.gap.relative_l2)),
        match most(|operation| operation.gap.max_ulps) {
            large @ 1e4.. => format!("{large:.0e}"),
            small => format!("{small:.1}"),
        },
    );
    if is_off && all.len() > 1 {
        line += &match &bad[..] {
            every if every.len() == all.len() => "  in all layers".to_owned(),
            [one] => format!("  in layer {one}"),
            [first, .., last] => format!("  in {} layers, {first} to {last}", bad.len()),
            [] => String::new(),
        };
    }
    let ties = [0, 1].map(|i| all.iter().map(|operation| operation.ties[i]).sum::<usize>());
    if ties != [0, 0] {
        line += &format!("  chosen otherwise at exact ties: {}, at near-ties: {}", ties[0], ties[1]);
    }
    line + "\n"
}
