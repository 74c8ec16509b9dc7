//! The vocabulary and the contexts of the expert at the cursor.

use super::paper::Paper;
use super::thousands;
use crate::analysis::sweep::PickedBy;
use crate::state::corpus::Corpus;
use crate::state::text::{harmless, show_piece, width};
use crate::trace::Piece;
use crate::ui::widgets::bar::bar;
use crate::ui::widgets::number::prob;
use crate::ui::widgets::window::window;
use ratatui::layout::Rect;

/// Width of a token and of a bar.
const TOKEN: usize = 20;
const BAR: usize = 16;

fn piece(corpus: &Corpus, id: u32) -> Piece {
    corpus.sweep.pieces.get(&id).cloned().unwrap_or_else(|| Piece::from(format!("<id {id}>")))
}

/// Tokens by the share of them that chose the expert.
pub fn vocabulary(p: &mut Paper, area: Rect, corpus: &Corpus) {
    let spec = &corpus.spec;
    let title = format!(
        "vocabulary · L{}.E{} · {} tokens that occur at least {} times, all groups",
        spec.layer,
        spec.expert,
        spec.kind.name(),
        corpus.least
    );
    let entries = corpus.sweep.vocabulary_of(spec, corpus.least);
    if entries.is_empty() {
        let text = match corpus.sweep.about.options.vocabulary.contains(&spec.kind) {
            true => "no token that occurs so often chose this expert",
            false => "this sweep did not count these tokens (--vocabulary)",
        };
        return p.panel(area, &title, text);
    }
    let inside = p.frame(area, &title);
    let head = format!("{:<TOKEN$} {:>10} {:>10} {:>6}  {:>6}", "token", "count", "chosen", "share", "first");
    p.put(inside, inside.x + 1, inside.y, &head, p.theme.dim());
    let room = usize::from(inside.height).saturating_sub(1);
    let rows = window(corpus.row, entries.len(), room);
    for (y, row) in (inside.y + 1..).zip(rows) {
        let entry = &entries[row];
        let style = if row == corpus.row { p.theme.accent() } else { p.theme.strong() };
        p.put(inside, inside.x, y, if row == corpus.row { "▸" } else { " " }, style);
        let token = Rect { width: (TOKEN as u16 + 1).min(inside.width), ..inside };
        p.put(token, inside.x + 1, y, &show_piece(&piece(corpus, entry.id)), style);
        let share = entry.chosen as f64 / entry.count as f64;
        let numbers = format!(
            " {:>10} {:>10} {:>6}  {:>6}  ",
            thousands(entry.count),
            thousands(entry.chosen),
            prob(share as f32),
            prob((entry.first as f64 / entry.count as f64) as f32)
        );
        let x = p.put(inside, inside.x + 1 + TOKEN as u16, y, &numbers, p.theme.dim());
        p.put(inside, x, y, &bar(share as f32, BAR), p.theme.expert_text(spec.expert));
    }
}

/// Tokens that chose the expert, in the middle of the text around them.
pub fn contexts(p: &mut Paper, area: Rect, corpus: &Corpus) {
    let spec = &corpus.spec;
    let how = match spec.picked {
        PickedBy::Random => "drawn at random from the tokens that chose it",
        PickedBy::Strongest => "the tokens with the largest router probability",
    };
    let title = format!("contexts · L{}.E{} · {how}", spec.layer, spec.expert);
    let samples = corpus.sweep.contexts_of(spec);
    if samples.is_empty() {
        return p.panel(area, &title, "no token chose this expert, or no contexts were kept (--contexts)");
    }
    let inside = p.frame(area, &title);
    let lines = 2;
    let rows = window(corpus.row, samples.len(), (usize::from(inside.height) / lines).max(1));
    for (y, row) in (inside.y..).step_by(lines).zip(rows) {
        let sample = &samples[row];
        let text = |ids: &[u32]| ids.iter().map(|id| piece(corpus, *id).text()).collect::<String>();
        let style = if row == corpus.row { p.theme.accent() } else { p.theme.dim() };
        let place = format!(
            "{} {} · part {} · window {} · position {} · rank {} · p {} · weight {}",
            if row == corpus.row { "▸" } else { " " },
            harmless(&sample.group),
            sample.place.part,
            sample.place.window,
            sample.position,
            sample.rank,
            prob(sample.prob),
            prob(sample.weight)
        );
        p.put(inside, inside.x, y, &place, style);
        // The token stands in the middle.
        let middle = usize::from(inside.width) / 2;
        let before = harmless(&text(&sample.ids[..sample.at]));
        let before = last_cells(&before, middle.saturating_sub(3));
        let token = show_piece(&piece(corpus, sample.ids[sample.at]));
        let x = inside.x + 3 + (middle.saturating_sub(3 + width(&before))) as u16;
        let x = p.put(inside, x, y + 1, &before, p.theme.strong());
        let x = p.put(inside, x, y + 1, &token, p.theme.expert(spec.expert));
        p.put(inside, x, y + 1, &harmless(&text(&sample.ids[sample.at + 1..])), p.theme.strong());
    }
}

/// The end of a text that fits into `room` cells.
fn last_cells(text: &str, room: usize) -> String {
    let mut start = text.len();
    for (at, _) in text.char_indices().rev() {
        if width(&text[at..]) > room {
            break;
        }
        start = at;
    }
    text[start..].to_owned()
}
