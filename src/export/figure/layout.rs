//! The place of everything on a page.

use super::font::{self, Face, drawable};
use super::pen::{Align, Pen, Rgb, Skin};
use super::{
    About, Figure, GAP, HIGHEST, LABEL, LINE, Legend, Lines, Look, MARGIN, MIN_WIDTH, PAD, PRINTED, Page, Panel,
    Setting, Size, Style, TEXT, TITLE,
};
use anyhow::Result;

/// The place of everything.
struct Layout<'a> {
    size: (f64, f64),
    pad: f64,
    title: Vec<String>,
    subtitle: Vec<String>,
    notes: Vec<String>,
    legends: Vec<(&'a Legend, (f64, f64))>,
    panels: Vec<(Panel, (f64, f64))>,
    notes_at: f64,
}

impl Figure {
    /// The figure as a page.
    ///
    /// # Errors
    /// If it would be too large.
    pub fn page(&self, look: &Look, recipe: Vec<(&'static str, String)>) -> Result<Page> {
        let setting = Setting::of(look);
        let about = About { title: self.title.clone(), caption: self.caption(), recipe };
        let (layout, size) = match look.style {
            Style::Screen => {
                let layout = self.on_screen(setting);
                let size = Size::on_screen(layout.size, look.scale);
                (layout, size)
            }
            Style::Paper { width, dpi } => {
                let unit = PRINTED / LABEL;
                let layout = self.on_paper(setting, width.cm() / 2.54 * 72.0 / unit);
                let size = Size { points: layout.size, unit, scale: f64::from(dpi) / 72.0 * unit, dpi: Some(dpi) };
                (layout, size)
            }
        };
        // Before the work instead of after it.
        size.pixels()?;
        let mut skin = Skin::new(look.dark);
        if setting.paper {
            // Grey text is hard to read in print.
            skin.dim = skin.ink;
        }
        let mut pen = Pen::new(setting.face, skin);
        layout.draw(&mut pen, setting);
        Page::new(pen, size, about)
    }

    /// As large as the panels are.
    fn on_screen(&self, setting: Setting) -> Layout<'_> {
        let across = self.across.max(1);
        let panels: Vec<Panel> = shared(&self.panels, across, setting).iter().flat_map(Panel::on_screen).collect();
        let content = columns(&panels, across, setting);
        let content = content.iter().sum::<f64>() + GAP * content.len().saturating_sub(1) as f64;
        let legends = self.legends.iter().map(|legend| legend.width(setting)).fold(0.0, f64::max);
        let inner = content.max(MIN_WIDTH).max(legends);
        let wrap = |text: &str, em: f64| wrapped(setting.face, &drawable(text), inner / em);
        let notes = self.notes.iter().flat_map(|note| wrap(note, TEXT)).collect();
        let top = (wrap(&self.title, TITLE), wrap(&self.subtitle, TEXT));
        arrange((PAD, inner), top, &self.legends, panels, across, notes, setting)
    }

    /// As wide as requested.
    fn on_paper(&self, setting: Setting, width: f64) -> Layout<'_> {
        let inner = width - 2.0 * MARGIN;
        let fits = |across: &usize| {
            let slot = (inner - GAP * (across - 1) as f64) / *across as f64;
            self.panels.iter().all(|panel| panel.is_comfortable(setting, slot))
        };
        let across = (2..=self.across.max(1)).rev().find(fits).unwrap_or(1);
        let slot = (inner - GAP * (across - 1) as f64) / across as f64;
        // Rows of panels share the page.
        let high = HIGHEST / self.panels.len().div_ceil(across).max(1) as f64;
        let panels = shared(&self.panels, across, setting);
        let panels = panels.iter().flat_map(|panel| panel.on_paper(setting, (slot, high))).collect();
        // A page without a chart is its notes.
        let wrap = |text: &String| wrapped(setting.face, &drawable(text), inner / TEXT);
        let notes = if self.panels.is_empty() { self.notes.iter().flat_map(wrap).collect() } else { Vec::new() };
        arrange((MARGIN, inner), (Vec::new(), Vec::new()), &self.legends, panels, across, notes, setting)
    }
}

/// The panels; plots of the same positions below each other have one axis.
fn shared(panels: &[Panel], across: usize, setting: Setting) -> Vec<Panel> {
    let mut panels = panels.to_vec();
    if across > 1 {
        return panels;
    }
    let same = |a: &Panel, b: &Panel| match (a, b) {
        (Panel::Lines(a), Panel::Lines(b)) => a.x.labels == b.x.labels && a.x.name == b.x.name,
        _ => false,
    };
    for group in panels.chunk_by_mut(same) {
        let plots = group.iter_mut().filter_map(|panel| match panel {
            Panel::Lines(lines) => Some(lines),
            _ => None,
        });
        Lines::share(&mut plots.collect::<Vec<_>>(), setting);
    }
    panels
}

/// The widths of the columns of panels.
fn columns(panels: &[Panel], across: usize, setting: Setting) -> Vec<f64> {
    let extents: Vec<f64> = panels.iter().map(|panel| panel.extent(setting).0).collect();
    let column = |k: usize| extents.iter().skip(k).step_by(across).copied().fold(0.0, f64::max);
    (0..across.min(extents.len().max(1))).map(column).collect()
}

fn arrange<'a>(
    (pad, inner): (f64, f64),
    (title, subtitle): (Vec<String>, Vec<String>),
    legends: &'a [Legend],
    panels: Vec<Panel>,
    across: usize,
    notes: Vec<String>,
    setting: Setting,
) -> Layout<'a> {
    let columns = columns(&panels, across, setting);
    let mut y = pad + title.len() as f64 * TITLE * LINE + subtitle.len() as f64 * TEXT * LINE;
    if !setting.paper {
        y += 6.0;
    }
    // On paper the caption says what is only text.
    let drawn: Vec<&Legend> =
        legends.iter().filter(|legend| !(setting.paper && matches!(legend, Legend::Text(_)))).collect();
    let (mut spot, mut placed) = ((0.0, 0.0), Vec::new());
    let mut row = 0.0f64;
    for legend in drawn {
        let (width, height) = (legend.width(setting), legend.height(setting));
        if spot.0 > 0.0 && spot.0 + width > inner {
            spot = (0.0, spot.1 + row);
            row = 0.0;
        }
        row = row.max(height);
        placed.push((legend, (pad + spot.0, y + spot.1)));
        spot.0 += width + if setting.paper { GAP } else { 2.0 * GAP };
    }
    if !placed.is_empty() {
        y += spot.1 + row + if setting.paper { 4.0 } else { 8.0 };
    }
    let gap = if setting.paper { GAP * 0.6 } else { GAP };
    // Narrow charts stand in the middle of a page of paper.
    let content = columns.iter().sum::<f64>() + GAP * columns.len().saturating_sub(1) as f64;
    let left = if setting.paper { pad + ((inner - content) / 2.0).max(0.0) } else { pad };
    let mut all = panels.into_iter().peekable();
    let mut panels = Vec::new();
    while all.peek().is_some() {
        let (mut x, mut height) = (left, 0.0f64);
        for (panel, column) in all.by_ref().take(across).zip(&columns) {
            height = height.max(panel.extent(setting).1);
            panels.push((panel, (x, y)));
            x += column + GAP;
        }
        y += height + gap;
    }
    if !panels.is_empty() && notes.is_empty() {
        y -= gap;
    }
    let height = y + notes.len() as f64 * TEXT * LINE + pad;
    Layout { size: (inner + 2.0 * pad, height), pad, title, subtitle, notes, legends: placed, panels, notes_at: y }
}

impl Layout<'_> {
    fn draw(&self, pen: &mut Pen, setting: Setting) {
        let skin = pen.skin;
        // Pixels at the edge of a page may be only partly on it.
        pen.rect((0.0, 0.0), (self.size.0 + 1.0, self.size.1 + 1.0), skin.paper);
        let lines = |pen: &mut Pen, lines: &[String], em: f64, colour: Rgb, y: &mut f64| {
            for line in lines {
                pen.text((self.pad, *y + em * LINE / 2.0), line, em, Align::Start, colour);
                *y += em * LINE;
            }
        };
        let mut y = self.pad;
        lines(pen, &self.title, TITLE, skin.ink, &mut y);
        lines(pen, &self.subtitle, TEXT, skin.dim, &mut y);
        self.legends.iter().for_each(|(legend, at)| legend.draw(pen, setting, *at));
        self.panels.iter().for_each(|(panel, at)| panel.draw(pen, setting, *at));
        lines(pen, &self.notes, TEXT, skin.dim, &mut self.notes_at.clone());
    }
}

impl Panel {
    /// As large as its cells need.
    fn on_screen(&self) -> Vec<Self> {
        match self {
            Self::Grid(grid) => grid.on_screen().into_iter().map(Self::Grid).collect(),
            other => vec![other.clone()],
        }
    }

    /// Made to fit a width, and if possible a height.
    fn on_paper(&self, setting: Setting, room: (f64, f64)) -> Vec<Self> {
        match self {
            Self::Grid(grid) => grid.on_paper(setting, room).into_iter().map(Self::Grid).collect(),
            Self::Lines(lines) => vec![Self::Lines(lines.on_paper(setting, room.0))],
            Self::Bars(bars) => vec![Self::Bars(bars.on_paper(setting, room.0))],
            Self::Thumbs(thumbs) => vec![Self::Thumbs(thumbs.on_paper(setting, room))],
        }
    }

    /// Whether it can be next to others in this width.
    fn is_comfortable(&self, setting: Setting, width: f64) -> bool {
        match self {
            Self::Grid(grid) => grid.is_comfortable(setting, width),
            other => other.extent(setting).0 <= width,
        }
    }
}

/// Lines of at most `room` em, broken at spaces where there are some; at most three.
fn wrapped(face: Face, text: &str, room: f64) -> Vec<String> {
    let room = room.max(5.0);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let fits = |line: &String| face.width(line) + face.width(" ") + face.width(word) <= room;
        match lines.last_mut() {
            Some(line) if fits(line) => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    if lines.len() > 3 {
        let rest = lines.split_off(2).join(" ");
        lines.push(rest);
    }
    lines.retain(|line| !line.is_empty());
    // Cutting tries every length, and no line needs more characters than this.
    let most = (room * 6.0) as usize + 8;
    lines.iter().map(|line| face.fit(&font::fit(line, most), room)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::font::ADVANCE;
    use super::*;

    #[test]
    fn titles_break_at_spaces_and_end_after_three_lines() {
        let wrapped = |text: &str, chars: usize| wrapped(Face::Mono, text, chars as f64 * ADVANCE);
        assert_eq!(wrapped("one two three", 9), ["one two", "three"]);
        let long = wrapped(&"word ".repeat(40), 20);
        assert_eq!(long.len(), 3);
        assert!(long[2].ends_with('…') && long.iter().all(|line| line.chars().count() <= 20), "{long:?}");
        assert_eq!(wrapped(&"x".repeat(50), 20), [format!("{}…", "x".repeat(19))]);
        assert!(wrapped("", 20).is_empty());
    }
}
