//! The text with every token, coloured, and the cursor in it: the map of everything.

use crate::state::text::fit;
use crate::state::{Lines, State, StripColour};
use crate::trace::{Source, TokenRecord};
use crate::ui::canvas::{Canvas, prob};
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

/// Losses and entropies from here on have the strongest colour, nats.
const FULL_NATS: f32 = 8.0;

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
    c.wanted.lines = Some(w);
    // Only the first frame at a new width has to find the lines itself.
    let found;
    let lines = if state.lines.room() == w {
        &state.lines
    } else {
        found = Lines::of(&state.shown, w);
        &found
    };
    let first = lines.line_of(state.cursor.token).saturating_sub(h / 2).min(lines.count().saturating_sub(h));
    if state.strip_colour() == StripColour::Attention {
        let cursor = state.cursor;
        let row = state.derived.row(cursor.layer, cursor.head, cursor.token);
        if row.is_none()
            && let Some(d) = c.dims()
        {
            c.wanted.rows = Some((cursor.layer, 0..d.heads, cursor.token));
        }
    }
    for (y, line) in (inside.y..inside.bottom()).zip(first..lines.count()) {
        let mut x = inside.x;
        for pos in lines.tokens(line) {
            let style = style(c, pos, &state.tokens[pos]);
            let text = fit(&state.shown[pos].0, w);
            x = c.put(inside, x, y, &text, style);
        }
    }
}

fn title(state: &State) -> String {
    let cursor = state.cursor;
    match state.strip_colour() {
        StripColour::Expert => {
            format!("text · colour: first expert of layer {} · near-ties bold, without background", cursor.layer)
        }
        StripColour::Loss => format!("text · colour: loss, 0 to {FULL_NATS} nats"),
        StripColour::Entropy => format!("text · colour: entropy before the token, 0 to {FULL_NATS} nats"),
        StripColour::Attention => {
            format!("text · colour: attention 0 to 1 from the cursor, layer {} head {}", cursor.layer, cursor.head)
        }
        StripColour::Plain => "text".to_owned(),
    }
}

fn style(c: &Canvas, pos: usize, token: &TokenRecord) -> Style {
    let (state, cursor) = (c.state, c.state.cursor);
    let value = |value: f32| c.theme.emphasis(value);
    let mut style = match state.strip_colour() {
        StripColour::Expert => {
            token.experts(cursor.layer).and_then(|chosen| chosen.first()).map_or(Style::new(), |expert| {
                let expert = *expert as usize;
                // Italics and underlines already say where a token came from.
                if c.is_near_tie(pos, cursor.layer) { c.theme.expert_text(expert) } else { c.theme.expert(expert) }
            })
        }
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
                format!("{source} · rank {} · p {p}", s.rank),
                format!("loss {:.2}, entropy before {:.2} nats", s.nll, s.entropy),
            ]
        },
    )
}
