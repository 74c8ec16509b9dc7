//! The text with all tokens, coloured, and the cursor in it.

use crate::state::input::Unit;
use crate::state::text::fit;
use crate::state::{FULL_NATS, Lines, Selection, Spot, State, StripColour};
use crate::trace::{Source, TokenRecord};
use crate::ui::canvas::{ABSENT, Canvas};
use crate::ui::theme::Theme;
use crate::ui::theme::marks::NEAR_TIE;
use crate::ui::views::attention::want_side;
use crate::ui::widgets::heatmap;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

/// The mark before a token with a bookmark.
const BOOKMARK: &str = "◆";

pub fn draw(c: &mut Canvas, area: Rect) {
    let state = c.state;
    c.geometry.strip_is_untitled = !c.framed;
    let inside = if c.framed { c.panel(area, &title(c)) } else { area };
    if state.tokens.is_empty() {
        let reading = state.is_busy();
        let text = if reading { "reading the prompt … space pauses" } else { "no text yet: i opens the prompt" };
        c.nothing(inside, text);
        return;
    }
    let (w, h) = (usize::from(inside.width), usize::from(inside.height));
    c.geometry.text_width = Some(w);
    // Only the first frame at a new width has to compute the lines.
    let found;
    let lines = if state.lines.room() == w {
        &state.lines
    } else {
        found = Lines::of(&state.shown, w);
        &found
    };
    // Without colours a line of numbers follows each line of text.
    let numbered = has_numbers(state, c.theme) && h >= 2;
    let each = if numbered { 2 } else { 1 };
    let h = h / each;
    let first = lines.line_of(state.cursor.token).saturating_sub(h / 2).min(lines.count().saturating_sub(h));
    if state.strip_colour() == StripColour::Attention {
        want_side(c, state.heads());
    }
    let selected = state.selected();
    for (y, line) in (inside.y..inside.bottom()).step_by(each).take(h).zip(first..lines.count()) {
        let mut x = inside.x;
        for pos in lines.tokens(line) {
            if state.bookmarks.contains(&pos) {
                x = c.put(inside, x, y, BOOKMARK, c.theme.accent());
            }
            let mut style = style(c, pos, &state.tokens[pos]);
            if pos != state.cursor.token && selected.as_ref().is_some_and(|range| range.contains(&pos)) {
                style = style.add_modifier(Modifier::REVERSED);
            }
            let text = fit(&state.shown[pos].0, w);
            let spot = Spot { token: Some(pos), in_strip: true, ..Spot::default() };
            let end = c.put_spot(inside, x, y, &text, style, spot);
            if numbered {
                put_number(c, Rect { width: end - inside.x, ..inside }, (x, y + 1), pos, spot);
            }
            x = end;
        }
    }
}

/// Whether a line of numbers follows each line of text, as experts have no colours.
pub fn has_numbers(state: &State, theme: &Theme) -> bool {
    state.strip_colour() == StripColour::Expert && !theme.has_experts()
}

/// Writes the first expert of a token below it, as far as it fits, with a mark for a near-tie.
fn put_number(c: &mut Canvas, room: Rect, (x, y): (u16, u16), pos: usize, spot: Spot) {
    let layer = c.state.cursor.layer;
    let Some(expert) = c.state.tokens[pos].experts(layer).and_then(|chosen| chosen.first()) else { return };
    let near = if c.is_near_tie(pos, layer) { NEAR_TIE } else { "" };
    let number = expert.to_string();
    let forms = [format!("{number}{near}"), number];
    let fitting = forms.iter().find(|text| usize::from(x) + text.chars().count() <= usize::from(room.right()));
    c.put_spot(room, x, y, fitting.map_or("…", String::as_str), c.theme.dim(), spot);
}

/// The quantity that is shown of each token, and how it is shown.
fn title(c: &Canvas) -> String {
    let state = c.state;
    if let Some(selection) = state.selection {
        return selected(state, selection);
    }
    let is_dense = c.dims().is_some_and(|d| !d.has_router(state.cursor.layer));
    let absent = match state.strip_colour() {
        StripColour::Expert if is_dense => " · no router".to_owned(),
        _ if is_absent(state) => format!(" · {ABSENT}"),
        _ => String::new(),
    };
    let caption = state.strip_caption();
    let (carrier, note) = match state.strip_colour() {
        StripColour::Plain => return "text".to_owned(),
        StripColour::Expert if !c.theme.has_experts() => ("number below", " · near-ties bold, with ≈"),
        StripColour::Expert => ("colour", " · near-ties bold, without background"),
        _ if !c.theme.has_ramp() => ("emphasis", ", dim to bold and underlined"),
        _ => ("colour", ""),
    };
    format!("text · {carrier}: {caption}{note}{absent}")
}

/// Whether a saved run lacks the numbers for these colours.
fn is_absent(state: &State) -> bool {
    let layer = state.cursor.layer;
    match state.strip_colour() {
        StripColour::Expert => state.tokens.first().is_some_and(|token| token.experts(layer).is_none()),
        StripColour::Loss | StripColour::Entropy => state.tokens.get(1).is_some_and(|token| token.score.is_none()),
        StripColour::Attention => state.meta().is_some_and(|meta| !meta.has_attention(layer)),
        StripColour::Plain => false,
    }
}

/// What a token has, if it was computed.
type OfToken = fn(&TokenRecord) -> Option<f32>;

/// The selected tokens: what they are, how many, their mean loss and entropy and those of all others, and their near-ties.
fn selected(state: &State, selection: Selection) -> String {
    let (Some(range), Some(usage)) = (state.selected(), &state.selected_usage) else { return "text".to_owned() };
    let (what, next) = match selection.unit {
        Unit::Tokens => ("tokens", "V: lines"),
        Unit::Lines => ("lines, tokens", "V: prompt"),
        Unit::Prompt => ("prompt, tokens", "V: generated"),
        Unit::Generated => ("generated, tokens", "V: from here"),
    };
    let inside = state.tokens.get(range.clone()).unwrap_or_default();
    let others = |of: OfToken| {
        let outside =
            state.tokens.iter().enumerate().filter(|(pos, _)| !range.contains(pos)).map(|(_, token)| &**token);
        (mean(inside.iter().map(|token| &**token), of), mean(outside, of))
    };
    let mut text = format!("{what} {} to {} selected: {}", range.start, range.end - 1, range.len());
    let of_tokens: [(&str, OfToken); 2] = [
        ("mean loss", |token| token.score.map(|score| score.nll)),
        ("entropy", |token| token.score.map(|score| score.entropy)),
    ];
    for (name, of) in of_tokens {
        match others(of) {
            (Some(own), Some(other)) => text += &format!(" · {name} {own:.2} (others {other:.2}) nats"),
            (Some(own), None) => text += &format!(" · {name} {own:.2} nats"),
            (None, _) => {}
        }
    }
    let near: usize = usage.inside.layers().iter().map(|layer| layer.near_ties.len()).sum();
    format!("{text} · near-ties {near} · {next} · esc ends it")
}

/// The mean of what some tokens have.
fn mean<'a>(tokens: impl Iterator<Item = &'a TokenRecord>, of: OfToken) -> Option<f64> {
    let (sum, count) = tokens.filter_map(of).fold((0.0, 0), |(sum, count), value| (sum + f64::from(value), count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

fn style(c: &Canvas, pos: usize, token: &TokenRecord) -> Style {
    let (state, cursor) = (c.state, c.state.cursor);
    let value = |value: f32| c.theme.emphasis(value);
    let mut style = match state.strip_colour() {
        StripColour::Expert => {
            token.experts(cursor.layer).and_then(|chosen| chosen.first()).map_or(Style::new(), |expert| {
                let expert = *expert as usize;
                // Italics and underlines mark the source of a token.
                if c.is_near_tie(pos, cursor.layer) { c.theme.expert_text(expert) } else { c.theme.expert(expert) }
            })
        }
        StripColour::Loss => token.score.map_or(Style::new(), |score| value(score.nll / FULL_NATS)),
        StripColour::Entropy => token.score.map_or(Style::new(), |score| value(score.entropy / FULL_NATS)),
        StripColour::Attention => state
            .attention_weight(state.heads(), pos)
            .map_or(c.theme.dim(), |weight| value(heatmap::scaled(weight, state.heads().log))),
        StripColour::Plain => Style::new(),
    };
    if token.source != Source::Prompt {
        style = style.add_modifier(Modifier::ITALIC);
    }
    if token.source == Source::Forced {
        style = style.add_modifier(Modifier::UNDERLINED);
    }
    if state.search.as_ref().is_some_and(|search| search.has(pos)) {
        style = c.theme.found();
    }
    if pos == cursor.token { c.theme.cursor() } else { style }
}
