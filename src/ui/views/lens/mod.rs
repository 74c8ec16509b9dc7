//! The logit lens: what the model would say if it stopped at each layer.

pub mod details;
pub mod grid;
pub mod targets;

use crate::trace::{Dims, LensKey, LensSite};
use crate::ui::canvas::Canvas;
use crate::ui::theme::Theme;
use ratatui::style::Style;
use std::collections::HashSet;

/// The mark of the model's own answer.
pub const ANSWER: char = '★';
/// The marks of the targets, in their order.
const GLYPHS: [char; 20] =
    ['●', '■', '▲', '◆', '○', '□', '△', '◇', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'J', 'K', 'L', 'M'];

/// The mark of a target.
pub fn glyph(target: usize) -> char {
    GLYPHS[target % GLYPHS.len()]
}

/// The colour of a target.
fn colour(theme: &Theme, target: usize) -> Style {
    theme.expert_colour(target).map_or(Style::new(), |colour| Style::new().fg(colour))
}

/// Requests missing cells of these positions, those of the cursor first. The details and the curves need both
/// residuals of every layer there.
fn want(c: &mut Canvas, d: Dims, shown: impl Iterator<Item = usize>, sites: &[LensSite]) {
    let at = c.state.cursor.token;
    let mut positions: Vec<usize> = shown.filter(|pos| *pos != at).collect();
    positions.sort_by_key(|pos| (pos.abs_diff(at), *pos));
    let both = [LensSite::ResidMid, LensSite::ResidPost];
    let mut missing = Vec::new();
    for pos in std::iter::once(at).chain(positions) {
        let sites = if pos == at { &both[..] } else { sites };
        let keys = (0..d.layers).flat_map(|layer| sites.iter().map(move |site| LensKey { pos, layer, site: *site }));
        missing.extend(keys.filter(|key| c.state.derived.lens(*key).is_none() && c.has_lens(key.layer, key.site)));
    }
    // Another pane may show the lens, too.
    let asked: HashSet<LensKey> = c.wanted.lens.iter().copied().collect();
    c.wanted.lens.extend(missing.into_iter().filter(|key| !asked.contains(key)));
}

/// Requests missing trajectories of the targets at the cursor.
fn want_targets(c: &mut Canvas) {
    let (state, pos) = (c.state, c.state.cursor.token);
    // A saved run has only the trajectory of the final answer.
    if c.is_saved() {
        return;
    }
    let missing =
        state.targets.iter().map(|target| target.id).filter(|id| state.derived.trajectory(pos, *id).is_none());
    let missing: Vec<u32> = missing.collect();
    if !missing.is_empty() {
        c.wanted.trajectories = Some((pos, missing));
    }
}

/// Stands for an unknown value.
fn unknown(c: &Canvas) -> &'static str {
    if c.is_saved() { "needs the model" } else { "…" }
}
