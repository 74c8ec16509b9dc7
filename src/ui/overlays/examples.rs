//! The lines below the demo model's prompt editor: example prompts, and an introduction on the first run.
//!
//! ```text
//! a small trained Mixtral: 6 layers of 8 experts, 2 of them per token
//! it knows a toy world: stories in 3 languages, capitals, sums, code
//! enter reads the text · space adds a token · 1 to 6 look inside · ? keys
//!
//! tab fills in an example:
//! alt-1  The capital of France is
//!        3 Lens: the answer appears only in the last layers
//! ```

use crate::analysis::view::Tab;
use crate::state::input::{Action, Scope};
use crate::state::overlays::examples::EXAMPLES;
use crate::state::text::{fit, harmless};
use crate::ui::canvas::Canvas;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// A line as pieces of text with their styles.
type Line = Vec<(String, Style)>;

/// The lines that fit into `width` cells and `most` lines; none if the model is not the demo.
pub fn lines(c: &Canvas, width: usize, most: usize) -> Vec<Line> {
    let Some(meta) = c.state.meta().filter(|meta| meta.name == "demo") else { return Vec::new() };
    let d = meta.dims;
    if !c.state.first_run {
        let short = short(c, width);
        return if short.len() <= most { short } else { Vec::new() };
    }
    let key = |scope, action| c.state.keymap.key_of(scope, action).map(|key| key.to_string()).unwrap_or_default();
    let tab = |at: usize| key(Scope::Explore, Action::Show(Tab::ALL[at]));
    let hints = [
        format!("a small trained Mixtral: {} layers of {} experts, {} of them per token", d.layers, d.experts, d.top_k),
        "it knows a toy world: stories in 3 languages, capitals, sums, code".to_owned(),
        format!(
            "{} reads the text · {} adds a token · {} to {} look inside · {} keys",
            key(Scope::Input, Action::Accept),
            key(Scope::Explore, Action::Generate),
            tab(0),
            tab(Tab::ALL.len() - 1),
            key(Scope::Explore, Action::Help),
        ),
    ];
    let narrow = [
        "a small trained Mixtral".to_owned(),
        format!(
            "{} reads · {} adds a token · {} keys",
            key(Scope::Input, Action::Accept),
            key(Scope::Explore, Action::Generate),
            key(Scope::Explore, Action::Help),
        ),
        format!("{}: an example", key(Scope::Input, Action::Example)),
    ];
    let hints = if width < 60 || most < hints.len() { narrow } else { hints };
    let mut lines: Vec<Line> = hints.into_iter().map(|hint| vec![(fit(&hint, width), c.theme.strong())]).collect();
    let long = long(c, width);
    if lines.len() + 2 + long.len() <= most {
        lines.insert(0, Vec::new());
    }
    if lines.len() + 1 + long.len() <= most {
        lines.push(Vec::new());
        lines.extend(long);
    } else if lines.len() + 1 + EXAMPLES.len() <= most {
        lines.extend(short(c, width));
    }
    lines.truncate(most);
    lines
}

/// Draws the lines below each other.
pub fn draw(c: &mut Canvas, area: Rect, lines: &[Line]) {
    for (y, line) in (area.y..area.bottom()).zip(lines) {
        let parts: Vec<(&str, Style)> = line.iter().map(|(text, style)| (text.as_str(), *style)).collect();
        c.line(area, area.x, y, &parts);
    }
}

fn heading(c: &Canvas, width: usize) -> Line {
    let next = c.state.keymap.key_of(Scope::Input, Action::Example);
    let text = next.map_or("examples:".to_owned(), |key| format!("{key} fills in an example:"));
    vec![(fit(&text, width), c.theme.accent())]
}

/// The key that fills in an example, seven cells wide.
fn key(c: &Canvas, at: usize) -> (String, Style) {
    let key = c.state.keymap.key_of(Scope::Input, Action::PickExample(at as u8 + 1));
    (format!("{:<7}", key.map(|key| key.to_string()).unwrap_or_default()), c.theme.accent())
}

/// Each example in one line: its prompt, and what it shows.
fn short(c: &Canvas, width: usize) -> Vec<Line> {
    let mut lines = vec![heading(c, width)];
    for (at, example) in EXAMPLES.iter().enumerate() {
        let prompt = format!("{:<1$}", fit(&harmless(example.prompt), (width / 2).saturating_sub(9)), width / 2 - 9);
        let rest = width.saturating_sub(width / 2);
        lines.push(vec![
            key(c, at),
            (prompt, c.theme.strong()),
            ("  ".to_owned(), Style::new()),
            (fit(example.shows, rest), c.theme.dim()),
        ]);
    }
    lines
}

/// Each example in two lines.
fn long(c: &Canvas, width: usize) -> Vec<Line> {
    let mut lines = vec![heading(c, width)];
    let room = width.saturating_sub(7);
    for (at, example) in EXAMPLES.iter().enumerate() {
        lines.push(vec![key(c, at), (fit(&harmless(example.prompt), room), c.theme.strong())]);
        lines.push(vec![("       ".to_owned(), Style::new()), (fit(example.shows, room), c.theme.dim())]);
    }
    lines
}
