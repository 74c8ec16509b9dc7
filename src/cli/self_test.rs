//! The self-test as text.

use crate::engine::{SelfTest, TRAINED};
use std::fmt::Write;

/// The tables of a self-test, without the verdict.
pub fn self_test_text(found: &SelfTest) -> String {
    let mut text = String::from("\nself-test\n");
    // Writing to a String can't fail.
    let _ = losses(found, &mut text).and_then(|()| routers(found, &mut text)).and_then(|()| rest(found, &mut text));
    text
}

fn losses(found: &SelfTest, text: &mut String) -> std::fmt::Result {
    writeln!(text, "  text      tokens  nats/token  nats/byte")?;
    for part in &found.texts {
        let per_byte = part.per_byte.map_or_else(|| "cut off".to_owned(), |loss| format!("{loss:.3}"));
        writeln!(text, "  {:<8}  {:>6}  {:>10.3}  {per_byte:>9}", part.name, part.tokens, part.loss)?;
    }
    let words = if found.trained { "trained" } else { "random, so the loss says nothing about them" };
    let [embed, unembed] = found.spread;
    writeln!(
        text,
        "  weights look {words} (spread of row norms: embedding {embed:.2}, unembedding {unembed:.2}; trained above {TRAINED})"
    )?;
    for way in &found.agreement {
        let [equal, all] = way.equal;
        let words =
            if way.is_exact() { "bit for bit".to_owned() } else { format!("apart by up to {:.1e}", way.max_abs) };
        let [read, tokens] = way.tokens;
        let of = if read < tokens { format!(" of {read} of {tokens} tokens") } else { String::new() };
        let (mark, way) = (mark(way.is_exact()), &way.way);
        writeln!(text, "  {mark:<6} {way} = one prefill: {equal} of {all} logits{of}, {words}")?;
    }
    Ok(())
}

fn routers(found: &SelfTest, text: &mut String) -> std::fmt::Result {
    writeln!(text, "\n  router  entropy  load of an expert  near-ties")?;
    for (layer, router) in found.routers.iter().enumerate() {
        if router.load.is_empty() {
            writeln!(text, "  {layer:>6}  no router")?;
            continue;
        }
        let least = router.load.iter().copied().fold(f64::INFINITY, f64::min);
        let most = router.load.iter().copied().fold(0.0, f64::max);
        let load = format!("{:.1} – {:.1} %", least * 100.0, most * 100.0);
        writeln!(text, "  {layer:>6}  {:>7.3}  {load:>17}  {:>7.2} %", router.entropy, router.near_ties * 100.0)?;
    }
    Ok(())
}

fn rest(found: &SelfTest, text: &mut String) -> std::fmt::Result {
    writeln!(text, "\n  against its definition     values    equal    max ulp")?;
    for operation in &found.definition {
        let share = 100.0 * operation.equal as f64 / operation.values.max(1) as f64;
        let (mark, name) = (mark(operation.ok()), operation.name);
        writeln!(text, "  {mark:<6} {name:<16} {:>9}  {share:>6.2} %  {:>9.1}", operation.values, operation.max_steps)?;
    }
    if let (Some(first), false) = (found.texts.first(), found.otherwise.is_empty()) {
        writeln!(text, "\n  computed otherwise, loss on {} instead of {:.3}", first.name, first.loss)?;
        for other in &found.otherwise {
            writeln!(text, "  {:>8.3}  {}", other.loss, other.with)?;
        }
    }
    text.push('\n');
    found.failures.iter().try_for_each(|failure| writeln!(text, "  FAIL   {failure}"))?;
    found.warnings.iter().try_for_each(|warning| writeln!(text, "  warn   {warning}"))
}

fn mark(ok: bool) -> &'static str {
    if ok { "ok" } else { "FAIL" }
}
