//! The title of a view: its tab, the layouts of the tab and the measures of the view, to be clicked, and what is shown.
//!
//! ```text
//! ┌ routing: token layer map [usage] pairs · [first] chosen weight · share of first choices, % ─┐
//! ```

use crate::analysis::view::Layout;
use crate::state::Spot;
use crate::state::input::Action;
use crate::state::text::{fit, width};
use crate::ui::canvas::Canvas;
use ratatui::layout::Rect;

/// Room for the number of hidden rows, as `↑10 ↓3 more`.
const HIDDEN: usize = 12;
const NARROW: usize = 50;

/// A part of a title.
struct Part {
    text: String,
    /// Whether it is the layout or the measure that is shown.
    is_chosen: bool,
    action: Option<Action>,
}

/// How much of the layouts and measures a title lists.
#[derive(Clone, Copy)]
enum Listing {
    /// All layouts and all measures.
    All,
    /// All layouts, and the measure that is shown.
    Layouts,
    /// The layout and the measure that are shown, with their numbers.
    Shown,
    /// The names of the layout and of the measure that are shown.
    Short,
    /// The layout that is shown.
    Layout,
}

/// Draws the frame of the view of a pane. `about` says what is shown, from the longest form to the shortest. Returns the
/// inside.
pub fn view_panel(c: &mut Canvas, area: Rect, about: impl AsRef<[String]>) -> Rect {
    let about = about.as_ref();
    let inside = c.panel(area, "");
    if area.is_empty() {
        return inside;
    }
    let edge = if c.framed { 2 } else { 0 };
    let line = Rect { x: area.x + edge, width: area.width.saturating_sub(2 * edge), height: 1, ..area };
    let room = usize::from(line.width.saturating_sub(if c.framed { 2 } else { 0 }));
    // Hidden rows are counted at the end of the line; on a wide one they may cover the end of what is shown.
    let free = if room < NARROW { room.saturating_sub(HIDDEN) } else { room };
    let each = |listing: Listing| about.iter().map(move |about| (listing, about.as_str()));
    let tried =
        each(Listing::All).chain(each(Listing::Layouts)).chain(each(Listing::Shown)).chain(each(Listing::Short));
    // The measure is more important than words about it.
    let tried = tried.chain([(Listing::Short, "")]).chain(each(Listing::Layout));
    let fitting = tried.map(|(listing, about)| (parts(c, listing), about.to_owned())).find(|(parts, about)| {
        let gap = if about.is_empty() || parts.is_empty() { 0 } else { 3 };
        parts.iter().map(|part| width(&part.text)).sum::<usize>() + gap + width(about) <= free
    });
    let (parts, about) = fitting.unwrap_or_else(|| {
        let parts = parts(c, Listing::Layout);
        let taken = parts.iter().map(|part| width(&part.text)).sum::<usize>() + 3;
        let shortest = about.last().map_or("", String::as_str);
        // Where nothing else fits, what is shown is more important than what could be.
        if taken + 8 <= room { (parts, fit(shortest, room - taken)) } else { (Vec::new(), fit(shortest, room)) }
    });
    let strong = if c.focused && !c.framed { c.theme.accent() } else { c.theme.strong() };
    let mut x = line.x;
    if c.framed {
        x = c.put(line, x, line.y, " ", strong);
    }
    for part in &parts {
        let style = match part {
            Part { is_chosen: true, .. } => c.theme.chosen(),
            Part { action: Some(_), .. } => c.theme.dim(),
            _ => strong,
        };
        let spot = Spot { action: part.action, ..Spot::default() };
        x = if part.action.is_some() {
            c.put_spot(line, x, line.y, &part.text, style, spot)
        } else {
            c.put(line, x, line.y, &part.text, style)
        };
    }
    if !about.is_empty() {
        let gap = if parts.is_empty() { "" } else { " · " };
        x = c.put(line, x, line.y, &format!("{gap}{about}"), strong);
    }
    if c.framed {
        c.put(line, x, line.y, " ", strong);
    }
    inside
}

fn parts(c: &Canvas, listing: Listing) -> Vec<Part> {
    let plain = |text: &str| Part { text: text.to_owned(), is_chosen: false, action: None };
    let (layouts, shown) = (Layout::all(c.pane.tab()), c.pane.layout());
    let is_short = matches!(listing, Listing::Short);
    let mut parts = vec![plain(&c.pane.tab().name().to_lowercase())];
    let named: Vec<(&str, bool, Action)> =
        layouts.iter().map(|layout| (layout.name(), *layout == shown, Action::ShowLayout(*layout))).collect();
    if named.len() > 1 {
        parts.push(plain(":"));
        list(&mut parts, &named, matches!(listing, Listing::All | Listing::Layouts), !is_short);
    }
    let measures = c.state.measures(c.pane);
    let measure = c.state.shown_measure(c.pane);
    let named: Vec<(&str, bool, Action)> =
        measures.iter().map(|one| (one.name(), Some(*one) == measure, Action::ShowMeasure(*one))).collect();
    if named.len() > 1 && !matches!(listing, Listing::Layout) {
        parts.extend((!is_short).then(|| plain(" ·")));
        list(&mut parts, &named, matches!(listing, Listing::All), !is_short);
    }
    parts
}

/// Adds the names: all of them, or the chosen one with its number, which a click changes to the next one.
fn list(parts: &mut Vec<Part>, named: &[(&str, bool, Action)], has_all: bool, has_number: bool) {
    let part = |text: String, is_chosen: bool, action: Action| Part { text, is_chosen, action: Some(action) };
    let gap = |parts: &mut Vec<Part>| {
        if !parts.is_empty() {
            parts.push(Part { text: " ".to_owned(), is_chosen: false, action: None });
        }
    };
    if has_all {
        for (name, is_chosen, action) in named {
            gap(parts);
            parts.push(part(if *is_chosen { format!("[{name}]") } else { (*name).to_owned() }, *is_chosen, *action));
        }
        return;
    }
    let Some(at) = named.iter().position(|(_, is_chosen, _)| *is_chosen) else { return };
    let next = named[(at + 1) % named.len()].2;
    gap(parts);
    parts.push(part(format!("[{}]", named[at].0), true, next));
    if has_number {
        parts.push(part(format!(" {}/{}", at + 1, named.len()), false, next));
    }
}
