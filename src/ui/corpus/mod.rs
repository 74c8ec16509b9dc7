//! Drawing a sweep.
//!
//! ```text
//! mixscope · sweep1 · demo · 3 groups · 2.9 M tokens                       prefill
//!  1 usage  2 groups  3 pairs  4 transitions  5 compare  6 vocabulary  7 contexts
//! ┌ usage · all groups: share of tokens that chose the expert ───────────────────┐
//! │      E0   E1   E2 …                                                          │
//! │ L5  .25  .12 [.40]                                                           │
//! └──────────────────────────────────────────────────────────────────────────────┘
//! L5.E2: 1,234 tokens …
//! ←→ expert  ↑↓ layer  [ ] group  m measure  e export  ? keys  q leave
//! ```

mod grid;
mod lists;
mod paper;

use super::theme::Theme;
use crate::analysis::sweep::{Count, SweepView};
use crate::state::corpus::{Corpus, KEYS};
use crate::state::text::harmless;
use paper::Paper;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// The smallest screen.
const SMALLEST: (u16, u16) = (40, 10);

/// Draws the whole screen. Pure: the same state, theme and area give the same cells.
pub fn draw_corpus(corpus: &Corpus, theme: &Theme, area: Rect) -> Buffer {
    let mut p = Paper { theme, cells: Buffer::empty(area) };
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let text = format!("mixscope needs {}×{}, this is {}×{}", SMALLEST.0, SMALLEST.1, area.width, area.height);
        p.put(area, area.x, area.y, &text, theme.warn());
        return p.cells;
    }
    header(&mut p, area, corpus);
    tabs(&mut p, area, corpus);
    let body = Rect { y: area.y + 2, height: area.height - 4, ..area };
    if corpus.help {
        keys(&mut p, body);
    } else if corpus.spec.view.is_grid() {
        match corpus.sweep.grid(&corpus.spec, corpus.other.as_deref()) {
            Some(found) => grid::draw(&mut p, body, corpus, &found),
            None => p.panel(body, corpus.spec.view.name(), "this group has no token in this phase"),
        }
    } else if corpus.spec.view == SweepView::Vocabulary {
        lists::vocabulary(&mut p, body, corpus);
    } else {
        lists::contexts(&mut p, body, corpus);
    }
    let line = Rect { y: area.bottom() - 2, height: 1, ..area };
    p.put(line, line.x + 1, line.y, &at_cursor(corpus), theme.strong());
    footer(&mut p, Rect { y: area.bottom() - 1, height: 1, ..area }, corpus);
    p.cells
}

fn header(p: &mut Paper, area: Rect, corpus: &Corpus) {
    let about = &corpus.sweep.about;
    let groups = corpus.groups().len();
    let text = format!(
        " {} · {} · {} · {groups} {} · {} tokens",
        harmless(&corpus.name),
        harmless(&about.model.name),
        about.model.precision,
        if groups == 1 { "group" } else { "groups" },
        thousands(corpus.sweep.tokens())
    );
    let x = p.put(area, area.x, area.y, "mixscope", p.theme.accent());
    p.put(area, x, area.y, &text, p.theme.strong());
    p.put_right(area, area.y, &format!(" {} ", corpus.spec.phase.name()), p.theme.dim());
}

fn tabs(p: &mut Paper, area: Rect, corpus: &Corpus) {
    let mut x = area.x;
    for (number, view) in SweepView::ALL.into_iter().enumerate() {
        let style = if view == corpus.spec.view { p.theme.chosen() } else { p.theme.dim() };
        x = p.put(area, x + 1, area.y + 1, &format!("{} {}", number + 1, view.name()), style) + 1;
    }
}

/// The numbers of the expert at the cursor.
fn at_cursor(corpus: &Corpus) -> String {
    let (spec, shape) = (&corpus.spec, corpus.sweep.about.model.shape);
    let (layer, expert) = (spec.layer.min(shape.layers - 1), spec.expert.min(shape.experts - 1));
    let group = spec.group.as_deref();
    let Some(counts) = corpus.sweep.counts(group, spec.phase) else { return String::new() };
    let tokens = counts.one(Count::Tokens, layer);
    let of = |count| counts.of(count, layer)[expert];
    let share = |part: u64, whole: u64| 100.0 * part as f64 / whole.max(1) as f64;
    format!(
        "L{layer}.E{expert} in {}: chosen by {} of {} tokens ({:.1} %), first by {:.1} %; near-ties {:.2} %",
        group.map_or_else(|| "all groups".to_owned(), harmless),
        thousands(of(Count::Chosen)),
        thousands(tokens),
        share(of(Count::Chosen), tokens),
        share(of(Count::First), tokens),
        share(counts.one(Count::NearTies, layer), counts.one(Count::Margins, layer)),
    )
}

fn footer(p: &mut Paper, area: Rect, corpus: &Corpus) {
    if let Some(message) = &corpus.message {
        p.put(area, area.x + 1, area.y, &harmless(message), p.theme.warn());
        return;
    }
    let own: &[(&str, &str)] = match corpus.spec.view {
        SweepView::Usage => &[("←→", "expert"), ("↑↓", "layer"), ("[ ]", "group"), ("m", "measure")],
        SweepView::Groups => &[("←→", "expert"), ("↑↓", "group"), ("+ -", "layer"), ("m", "measure")],
        SweepView::Pairs | SweepView::Transitions => &[("↑↓", "expert"), ("+ -", "layer"), ("[ ]", "group")],
        SweepView::Compare => {
            &[("←→", "expert"), ("↑↓", "layer"), ("[ ]", "group"), ("{ }", "against"), ("m", "measure")]
        }
        SweepView::Vocabulary => &[("←→", "expert"), ("+ -", "layer"), ("↑↓", "row"), ("t", "tokens")],
        SweepView::Contexts => &[("←→", "expert"), ("+ -", "layer"), ("↑↓", "row"), ("c", "random or strongest")],
    };
    let mut x = area.x;
    for (key, what) in own.iter().chain(&[("e", "export"), ("?", "keys"), ("q", "leave")]) {
        x = p.put(area, x + 1, area.y, key, p.theme.accent());
        x = p.put(area, x + 1, area.y, what, p.theme.dim()) + 1;
    }
}

fn keys(p: &mut Paper, area: Rect) {
    let inside = p.frame(area, "keys");
    for (y, (key, what)) in (inside.y..inside.bottom()).zip(KEYS) {
        p.put(inside, inside.x + 1, y, key, p.theme.accent());
        p.put(inside, inside.x + 16, y, what, p.theme.strong());
    }
}

/// `1,234,567`
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
