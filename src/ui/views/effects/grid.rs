//! A map of signed values: a row per layer, the last on top, a column per expert, head, block or token. Tokens that do not fit
//! continue in the next band.

use crate::analysis::{EffectMap, Found, MapMeasure};
use crate::state::Spot;
use crate::state::text::width;
use crate::ui::canvas::Canvas;
use crate::ui::theme::marks::NEAR_TIE;
use crate::ui::widgets::signed_number::compact;
use crate::ui::widgets::token_names::{NAMES, put_token_names};
use crate::ui::widgets::window::window;
use ratatui::layout::Rect;
use std::ops::Range;

/// The columns of a map.
pub enum Columns<'a> {
    /// Names above the columns, and what a click on one means.
    Named(Vec<(String, Spot)>),
    /// The tokens of the run.
    Tokens(&'a dyn Fn(usize, usize) -> bool),
}

/// A map as it is drawn.
pub struct Grid<'a> {
    pub map: &'a EffectMap,
    pub measure: MapMeasure,
    /// The value with the full colour.
    pub full: f64,
    pub columns: Columns<'a>,
    /// The column of the cursor.
    pub at: usize,
}

/// Widths of columns, the widest that fits is taken.
const WIDTHS: [usize; 6] = [8, 6, 4, 3, 2, 1];

impl Grid<'_> {
    /// Draws the map inside the panel `area`, whose title tells what is left out.
    pub fn draw(&self, c: &mut Canvas, area: Rect, inside: Rect) {
        let (layers, count) = (self.map.layers(), self.map.columns);
        let across = usize::from(inside.width).saturating_sub(NAMES).max(1);
        let lines = usize::from(inside.height);
        let band_lines = layers + 1;
        let bands_that_fit = if matches!(self.columns, Columns::Tokens(_)) { (lines / band_lines).max(1) } else { 1 };
        let fits = |cell: &&usize| (across / **cell).max(1) * bands_that_fit >= count;
        let cell = WIDTHS.iter().find(fits).copied().unwrap_or(if c.theme.has_ramp() { 1 } else { 2 });
        let per_band = (across / cell).max(1);
        let shown = lines.saturating_sub(1).clamp(1, layers);
        let bands = if shown < layers { 1 } else { bands_that_fit };
        let at = self.at.min(count.saturating_sub(1));
        let bands = match self.columns {
            Columns::Tokens(_) => {
                let which = window(at / per_band, count.div_ceil(per_band), bands);
                which.map(|band| band * per_band..((band + 1) * per_band).min(count)).collect::<Vec<_>>()
            }
            Columns::Named(_) => vec![window(at, count, per_band)],
        };
        let rows = window(layers - 1 - c.state.cursor.layer.min(layers - 1), layers, shown);
        c.left_out(area, &rows, layers);
        let mut y = inside.y;
        for columns in bands {
            self.put_heading(c, inside, y, cell, columns.clone());
            y += 1;
            for row in rows.clone() {
                self.put_layer(c, inside, y, (layers - 1 - row, cell), columns.clone());
                y += 1;
            }
        }
    }

    fn put_heading(&self, c: &mut Canvas, inside: Rect, y: u16, cell: usize, columns: Range<usize>) {
        let names = match &self.columns {
            Columns::Tokens(_) => return put_token_names(c, inside, y, cell, columns),
            Columns::Named(names) => names,
        };
        let (mut free, x0) = (0, inside.x + NAMES as u16);
        for (i, column) in columns.clone().enumerate() {
            let (name, spot) = &names[column];
            let x = i * cell;
            c.hit_columns(inside, x0 + x as u16, cell as u16, *spot);
            let style = if column == self.at { c.theme.accent() } else { c.theme.dim() };
            // Names that would touch the one before are left out.
            if x >= free || column == self.at {
                let room = cell.max(width(name));
                let text = if cell >= 4 { format!("{name:>0$}", cell - 1) } else { name.clone() };
                c.put(inside, x0 + x as u16, y, &text, style);
                free = x + room + usize::from(cell < 4);
            }
        }
        if columns.start > 0 {
            c.put(inside, inside.x + NAMES as u16 - 1, y, "‹", c.theme.warn());
        }
        if columns.end < self.map.columns {
            c.put(inside, x0 + (columns.len() * cell) as u16, y, "›", c.theme.warn());
        }
    }

    fn put_layer(&self, c: &mut Canvas, inside: Rect, y: u16, (layer, cell): (usize, usize), columns: Range<usize>) {
        let cursor = c.state.cursor;
        c.hit_lines(inside, y, 1, Spot { layer: Some(layer), ..Spot::default() });
        let (mark, style) = if layer == cursor.layer { ("▸", c.theme.accent()) } else { (" ", c.theme.dim()) };
        c.put(inside, inside.x, y, &format!("{mark}L{layer}"), style);
        let place = Rect { y, height: 1, ..inside }.intersection(inside);
        for (i, column) in columns.enumerate() {
            let x = inside.x + (NAMES + i * cell) as u16;
            let here = layer == cursor.layer && column == self.at;
            if let Columns::Tokens(near) = &self.columns {
                c.hit_columns(place, x, cell as u16, Spot { token: Some(column), ..Spot::default() });
                self.put_cell(c, inside, (x, y), (layer, column, cell), here, near(layer, column));
            } else {
                self.put_cell(c, inside, (x, y), (layer, column, cell), here, false);
            }
        }
    }

    fn put_cell(
        &self,
        c: &mut Canvas,
        inside: Rect,
        (x, y): (u16, u16),
        (layer, column, cell): (usize, usize, usize),
        at: bool,
        is_near_tie: bool,
    ) {
        let found = self.map.get(layer, column);
        // Colours separate narrow cells.
        let gap = usize::from(cell > 4 || cell > 2 && !c.theme.has_ramp());
        let value = found.and_then(|found| found.value(self.measure));
        let share = value.map_or(0.0, |value| if self.full > 0.0 { value / self.full } else { 0.0 });
        let number = value.map(|value| match self.measure {
            MapMeasure::Flips => format!("{value:.0}"),
            MapMeasure::Kl => compact(value, (cell - gap).min(6)).replace('+', ""),
            _ => compact(value, (cell - gap).min(6)),
        });
        let text = match (found, cell) {
            (None, _) => "·".to_owned(),
            (Some(Found::Nothing), _) | (_, 0) => " ".to_owned(),
            (_, 3) if !c.theme.has_ramp() => glyph_of(c, share, true),
            (_, 1..=2) if c.theme.has_ramp() => if is_near_tie { NEAR_TIE } else { " " }.to_owned(),
            (_, 1..=2) => glyph_of(c, share, cell == 2),
            _ => number.unwrap_or_default(),
        };
        let room = cell - gap;
        let style = match (at, found) {
            (true, _) => c.theme.cursor(),
            (_, None | Some(Found::Nothing)) => c.theme.dim(),
            _ => c.theme.diverging(share),
        };
        let pad = room.saturating_sub(width(&text));
        let padded = format!("{}{text}", " ".repeat(pad));
        let end = c.put(inside, x, y, &padded, style);
        if is_near_tie && gap > 0 {
            c.put(inside, end, y, NEAR_TIE, c.theme.warn());
        }
    }
}

/// A share of −1..1 as a glyph, after its sign if that `fits`.
fn glyph_of(c: &Canvas, share: f64, fits: bool) -> String {
    match (c.theme.glyph(share.abs() as f32), share < 0.0) {
        (" ", _) => "·".to_owned(),
        (glyph, _) if !fits => glyph.to_owned(),
        (glyph, is_less) => format!("{}{glyph}", if is_less { "−" } else { "+" }),
    }
}

/// `−0.52 ▒▓  0  ▓▒ +0.52`: the colours of values.
pub fn legend(c: &mut Canvas, area: Rect, x: u16, y: u16, full: f64, is_size: bool) -> u16 {
    const STEPS: i32 = 4;
    let end = compact(full, 6);
    let end = end.trim_start_matches('+');
    let low = if is_size { "0 ".to_owned() } else { format!("−{end} ") };
    let mut x = c.put(area, x, y, &low, c.theme.dim());
    for step in if is_size { 0 } else { -STEPS }..=STEPS {
        let value = f64::from(step) / f64::from(STEPS);
        let glyph = if c.theme.has_ramp() { " " } else { c.theme.glyph(value.abs() as f32) };
        x = c.put(area, x, y, glyph, c.theme.diverging(value));
    }
    c.put(area, x, y, &format!(" {}{end}", if is_size { "" } else { "+" }), c.theme.dim())
}
