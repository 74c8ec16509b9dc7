//! The text with every token, coloured, and the cursor in it: the map of everything.

use super::heatmap;
use crate::state::text::fit;
use crate::state::{Lines, Selection, Side, Spot, State, StripColour};
use crate::trace::{Source, TokenRecord};
use crate::ui::canvas::{ABSENT, Canvas, prob};
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
    c.drawn.wanted.lines = Some(w);
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
        super::attention::want_side(c);
    }
    for (y, line) in (inside.y..inside.bottom()).zip(first..lines.count()) {
        let mut x = inside.x;
        for pos in lines.tokens(line) {
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
    let absent = if is_absent(state) { format!(" · {ABSENT}") } else { String::new() };
    format!("{}{absent}", colour(state))
}

/// Whether a saved run has no numbers for the colour of its text.
fn is_absent(state: &State) -> bool {
    let layer = state.cursor.layer;
    match state.strip_colour() {
        StripColour::Expert => state.tokens.first().is_some_and(|token| token.experts(layer).is_none()),
        StripColour::Loss | StripColour::Entropy => state.tokens.get(1).is_some_and(|token| token.score.is_none()),
        StripColour::Attention => state.meta().is_some_and(|meta| !meta.has_attention(layer)),
        StripColour::Plain => false,
    }
}

fn colour(state: &State) -> String {
    let cursor = state.cursor;
    if let Some(selection) = state.selection {
        return selected(state, selection);
    }
    match state.strip_colour() {
        StripColour::Expert => {
            format!("text · colour: first expert of layer {} · near-ties bold, without background", cursor.layer)
        }
        StripColour::Loss => format!("text · colour: loss, 0 to {FULL_NATS} nats"),
        StripColour::Entropy => format!("text · colour: entropy before the token, 0 to {FULL_NATS} nats"),
        StripColour::Attention => {
            let side = if state.heads.side == Side::Row { "from the cursor (row)" } else { "to the cursor (column)" };
            let scale = if state.heads.log { "log, 1e-4 to 1" } else { "0 to 1" };
            format!("text · colour: attention {side}, {scale}, layer {} {}", cursor.layer, state.pick())
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
        StripColour::Attention => super::attention::weight_at(state, pos)
            .map_or(c.theme.dim(), |weight| value(heatmap::scaled(weight, state.heads.log))),
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
pub fn score(token: &TokenRecord, pos: usize) -> [String; 2] {
    let source = token.source.as_str();
    let nothing =
        if pos == 0 { "nothing predicted the first token" } else { "how it was predicted is not in this trace" };
    token.score.map_or_else(
        || [source.to_owned(), nothing.to_owned()],
        |s| {
            let p = prob((-s.nll).exp());
            [
                format!("{source} · rank {} · p {p}", s.rank),
                format!("loss {:.2}, entropy before {:.2} nats", s.nll, s.entropy),
            ]
        },
    )
}
