//! Fidelity: what was validated, and two runs of the same tokens.

pub mod compare;
pub mod details;
pub mod flips;
pub mod lab;
pub mod loss;
pub mod validated;

use crate::state::text::harmless;
use crate::trace::{Dtype, Variant};
use crate::ui::canvas::Canvas;
use crate::ui::chrome::title::view_panel;
use ratatui::layout::Rect;

/// Two runs that can be compared: A, and the run on screen.
struct Two {
    /// The number of tokens of A that have arrived.
    pub known: usize,
    /// The dtype of the margins in ulp.
    pub dtype: Dtype,
}

impl Two {
    /// Draws the frame of the panel with the names of both runs; `None`, with a sentence in the panel, if there is
    /// nothing to compare.
    pub fn of(c: &mut Canvas, area: Rect, what: &str) -> Option<(Self, Rect)> {
        let Some((a, b)) = want_baseline(c) else {
            let inside = view_panel(c, area, [what.to_owned()]);
            let forms = if c.state.tokens.is_empty() {
                ["no token yet"; 2]
            } else if c.is_saved() {
                ["needs a model: o opens one; `mixscope diff` compares saved runs", "needs a model: o opens one"]
            } else {
                [
                    "one run so far: p reads the same tokens under the next policy, P lists them; both are compared here",
                    "p or P reads it under another policy",
                ]
            };
            let fits = crate::state::text::width(forms[0]) <= usize::from(inside.width);
            c.nothing(inside, forms[usize::from(!fits)]);
            return None;
        };
        let (known, all) = (c.state.baseline.tokens().len(), c.state.tokens.len());
        let differences = c.state.baseline.diff();
        let holds = if c.state.baseline.is_recorded() { "holds" } else { "has read" };
        let so_far = match c.state.baseline.differs_from(&c.state.tokens) {
            Some(0) => {
                let inside = view_panel(c, area, [format!("A {a}, B {b}")]);
                c.nothing(inside, "A is another text: not even the first token is the same, so nothing is compared");
                return None;
            }
            Some(at) => format!(" · the texts differ from token {at} on"),
            None if known < all => format!(" · A {holds} {known} of {all}"),
            None => String::new(),
        };
        let found = match differences {
            Some(found) if found.choices() > 0 => match found.flips().0 {
                1 => " · 1 flip".to_owned(),
                flips => format!(" · {flips} flips"),
            },
            _ => String::new(),
        };
        let inside = view_panel(
            c,
            area,
            [format!("{what} · A {a}, B {b}{so_far}{found}"), format!("A {a}, B {b}{so_far}{found}")],
        );
        let dtype = differences.map_or(Dtype::F32, crate::analysis::diff::RunDiff::dtype);
        Some((Self { known, dtype }, inside))
    }
}

/// The name of A and the name of B; requests the missing tokens of A.
fn want_baseline(c: &mut Canvas) -> Option<(String, String)> {
    let state = c.state;
    let (a, b) = (state.baseline.name()?, Variant::of(state.meta()?).to_string());
    let (known, all) = (state.baseline.tokens().len(), state.tokens.len());
    // Work on the run comes first.
    if let (true, Some(variant)) = (known < all && !state.is_busy(), state.baseline.variant()) {
        c.wanted.baseline.run = Some((variant.clone(), known, all));
    }
    (all > 0).then(|| (harmless(&a), harmless(&b)))
}
