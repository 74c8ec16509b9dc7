//! The text with every token, coloured, and the cursor in it: the map of everything.

use crate::state::text::fit;
use crate::state::{Selection, Spot, State, StripColour};
use crate::trace::{Source, TokenRecord};
use crate::ui::canvas::{Canvas, prob};
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

/// Losses and entropies from here on have the strongest colour, nats.
const FULL_NATS: f32 = 8.0;

/// Stands before a token that has a bookmark.
const BOOKMARK: &str = "◆";

pub fn draw(c: &mut Canvas, area: Rect) {
    let state = c.state;
    let inside = if c.framed { c.panel(area, &title(state)) } else { area };
    if state.tokens.is_empty() {
        let reading = state.is_busy();
        let text = if reading { "reading the prompt … space pauses" } else { "no text yet: i opens the prompt" };
        c.nothing(inside, text);
        return;
    }
    let (w, h) = (usize::from(inside.width), usize::from(inside.height));
    let lines = wrap(state, w);
    let at = lines.iter().position(|line| line.contains(&state.cursor.token)).unwrap_or(0);
    let first = at.saturating_sub(h / 2).min(lines.len().saturating_sub(h));
    if state.strip_colour() == StripColour::Attention {
        let cursor = state.cursor;
        let row = state.derived.row(cursor.layer, cursor.head, cursor.token);
        if row.is_none()
            && let Some(d) = c.dims()
        {
            c.drawn.wanted.rows = Some((cursor.layer, 0..d.heads, cursor.token));
        }
    }
    for (y, line) in (inside.y..inside.bottom()).zip(&lines[first..]) {
        let mut x = inside.x;
        for pos in line.clone() {
            if state.bookmarks.contains(&pos) {
                x = c.put(inside, x, y, BOOKMARK, c.theme.accent());
            }
            let style = style(c, pos, &state.tokens[pos]);
            let text = fit(&state.shown[pos].0, w);
            let spot = Spot { token: Some(pos), in_strip: true, ..Spot::default() };
            x = c.put_spot(inside, x, y, &text, style, spot);
        }
    }
}

fn title(state: &State) -> String {
    let cursor = state.cursor;
    if let Some(selection) = state.selection {
        return selected(state, selection);
    }
    match state.strip_colour() {
        StripColour::Expert => format!("text · colour: first expert of layer {}", cursor.layer),
        StripColour::Loss => format!("text · colour: loss, 0 to {FULL_NATS} nats"),
        StripColour::Entropy => format!("text · colour: entropy before the token, 0 to {FULL_NATS} nats"),
        StripColour::Attention => {
            format!("text · colour: attention 0 to 1 from the cursor, layer {} head {}", cursor.layer, cursor.head)
        }
        StripColour::Plain => "text".to_owned(),
    }
}

/// What is known of the selected tokens together.
fn selected(state: &State, selection: Selection) -> String {
    let range = selection.range();
    let loss = crate::trace::mean_loss(state.tokens.get(range.clone()).unwrap_or_default());
    let loss = loss.map(|loss| format!(" · mean loss {loss:.3} nats")).unwrap_or_default();
    format!("tokens {} to {} selected: {}{loss} · esc ends it", range.start, range.end - 1, range.len())
}

/// Lines of whole tokens, each at most `room` cells wide.
fn wrap(state: &State, room: usize) -> Vec<std::ops::Range<usize>> {
    let mut lines = Vec::new();
    let (mut start, mut used) = (0, 0);
    for (pos, (_, cells)) in state.shown.iter().enumerate() {
        let mark = usize::from(state.bookmarks.contains(&pos));
        let cells = (usize::from(*cells) + mark).min(room);
        if used + cells > room && pos > start {
            lines.push(start..pos);
            (start, used) = (pos, 0);
        }
        used += cells;
    }
    lines.push(start..state.shown.len());
    lines
}

fn style(c: &Canvas, pos: usize, token: &TokenRecord) -> Style {
    let (state, cursor) = (c.state, c.state.cursor);
    let value = |value: f32| c.theme.emphasis(value);
    let mut style = match state.strip_colour() {
        StripColour::Expert => token
            .experts(cursor.layer)
            .and_then(|chosen| chosen.first())
            .map_or(Style::new(), |expert| c.theme.expert(*expert as usize)),
        StripColour::Loss => token.score.map_or(Style::new(), |score| value(score.nll / FULL_NATS)),
        StripColour::Entropy => token.score.map_or(Style::new(), |score| value(score.entropy / FULL_NATS)),
        StripColour::Attention => {
            let row = state.derived.row(cursor.layer, cursor.head, cursor.token);
            row.and_then(|row| row.weights.get(pos)).map_or(c.theme.dim(), |weight| value(*weight))
        }
        StripColour::Plain => Style::new(),
    };
    if token.source != Source::Prompt {
        style = style.add_modifier(Modifier::ITALIC);
    }
    if token.source == Source::Forced {
        style = style.add_modifier(Modifier::UNDERLINED);
    }
    if state.selection.is_some_and(|selection| selection.range().contains(&pos)) {
        style = style.add_modifier(Modifier::REVERSED);
    }
    if state.search.as_ref().is_some_and(|search| search.has(pos)) {
        style = c.theme.found();
    }
    if pos == cursor.token { c.theme.cursor() } else { style }
}

/// What the model had thought of a token, in two lines.
pub fn score(token: &TokenRecord) -> [String; 2] {
    let source = token.source.as_str();
    token.score.map_or_else(
        || [source.to_owned(), "nothing predicted the first token".to_owned()],
        |s| {
            let p = prob((-s.nll).exp());
            [
                format!("{source} · rank {} · p {p} · loss {:.2} nats", s.rank, s.nll),
                format!("entropy before it {:.2} nats", s.entropy),
            ]
        },
    )
}
