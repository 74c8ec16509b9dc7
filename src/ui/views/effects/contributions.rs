//! Heads and experts of all layers by their contribution to the target's logit, or to logit(target) − logit(foil): direct logit
//! attribution, without running anything again.
//!
//! ```text
//!      part      share          bars to ±3.42
//!    1 L5.E3    +3.421              │███████
//! embed + heads + experts 11.920 · rounding +0.010 · logit 11.930
//! ```

use super::{watched, without};
use crate::analysis::{ModelPart, ModelShares, Share};
use crate::state::Spot;
use crate::state::text::harmless;
use crate::ui::canvas::Canvas;
use crate::ui::chrome::title::view_panel;
use crate::ui::views::Panel;
use crate::ui::widgets::bar::put_bar;
use crate::ui::widgets::number::{plain, signed};
use crate::ui::widgets::window::window;
use ratatui::layout::Rect;

pub const PANEL: Panel = Panel::new(draw);

/// Width of the bars, cells.
const BAR: usize = 41;

fn draw(c: &mut Canvas, area: Rect) {
    let state = c.state;
    let Some(watch) = state.watch().filter(|_| without(c).is_none()) else {
        let inside = view_panel(c, area, ["of all layers".to_owned()]);
        return c.nothing(inside, without(c).unwrap_or("no target: the candidates are not known"));
    };
    let inside = view_panel(c, area, [format!("of all layers to {}", watched(state, watch))]);
    match state.derived.shares(watch) {
        Some(Ok(found)) => list(c, inside, found),
        Some(Err(reason)) => c.nothing(inside, &format!("contributions can't be derived: {}", harmless(reason))),
        None => {
            if !state.is_busy() {
                c.wanted.experiments.shares = Some(watch);
            }
            c.nothing(inside, "deriving …");
        }
    }
}

fn list(c: &mut Canvas, inside: Rect, found: &ModelShares) {
    let ranked = found.ranked();
    let full = ranked.first().map_or(0.0, |share| share.value().abs());
    let has_foil = found.foil.is_some();
    let heading = if has_foil { "     part        target −    foil =   share" } else { "     part         share" };
    c.put(inside, inside.x, inside.y, heading, c.theme.dim());
    let body = Rect { y: inside.y + 1, height: inside.height.saturating_sub(2), ..inside };
    let at = c.pane.scroll.min(ranked.len().saturating_sub(1));
    for (y, row) in (body.y..body.bottom()).zip(window(at, ranked.len(), usize::from(body.height))) {
        put_share(c, inside, y, (row, &ranked[row], found), row == at, full);
    }
    let sum: f64 = ranked.iter().map(Share::value).sum();
    let rest = found.logit() - sum;
    let what = if has_foil { "logit(target) − logit(foil)" } else { "logit" };
    let forms = [
        format!(
            "all parts {} · rounding {} · {what} {}   F foil  = pin",
            plain(sum),
            signed(rest),
            plain(found.logit())
        ),
        format!("sum {} · rounding {} · {what} {}", plain(sum), signed(rest), plain(found.logit())),
        format!("sum {}, {what} {}", plain(sum), plain(found.logit())),
    ];
    c.put_first_that_fits(inside, inside.x + 1, inside.bottom().saturating_sub(1), &forms, c.theme.strong());
}

fn put_share(
    c: &mut Canvas,
    inside: Rect,
    y: u16,
    (row, share, found): (usize, &Share, &ModelShares),
    at: bool,
    full: f64,
) {
    let style = if at { c.theme.cursor() } else { c.theme.strong() };
    let x = c.put(inside, inside.x, y, &format!("{:>4} {:<9}", row + 1, share.part.to_string()), style);
    let x = match share.foil {
        Some(foil) => c.put(inside, x, y, &format!(" {:>8} {:>8}", signed(share.target), signed(foil)), c.theme.dim()),
        None => x,
    };
    let x = c.put(inside, x, y, &format!(" {:>8}", signed(share.value())), c.theme.signed(share.value()));
    if let ModelPart::Edit(_, edit) = share.part {
        let label = found.target.edits.get(edit).map_or_else(String::new, |edit| harmless(&edit.label));
        c.put(inside, x + 2, y, &label, c.theme.dim());
        return;
    }
    let room = usize::from(inside.right().saturating_sub(x)).saturating_sub(2);
    let part = if full > 0.0 { share.value() / full } else { 0.0 };
    put_bar(c, inside, (x + 2, y), part, room.min(BAR));
    let spot = match share.part {
        ModelPart::Embed => Spot::default(),
        ModelPart::AttnRest(layer) | ModelPart::MlpRest(layer) | ModelPart::Shared(layer) => {
            Spot { layer: Some(layer), ..Spot::default() }
        }
        ModelPart::Head(layer, head) => Spot { layer: Some(layer), head: Some(head), ..Spot::default() },
        ModelPart::Edit(layer, _) => Spot { layer: Some(layer), ..Spot::default() },
        ModelPart::Expert(layer, expert) => Spot { layer: Some(layer), expert: Some(expert), ..Spot::default() },
    };
    c.hit_lines(inside, y, 1, spot);
}
