use super::fit::EDGE;
use super::{Cells, GAP, Grid, LABEL, NAME, Turn, cut};
use crate::analysis::colour_map::{EXPERTS, diverging, ink, viridis};
use crate::export::figure::Setting;
use crate::export::figure::marks::{MARK, corner};
use crate::export::figure::pen::{Align, At, Pen, Rgb};

/// Surfaces of more cells than this, without text, are drawn as one image.
const SURFACE: usize = 4096;
/// The smallest digit in a cell, points, on a screen and on paper.
const DIGIT: [f64; 2] = [7.0, 8.0];

impl Grid {
    /// Draws the grid with its top left corner at `at`.
    pub fn draw(&self, pen: &mut Pen, setting: Setting, at: At) {
        let skin = pen.skin;
        let (inset, plot) = (self.inset(setting), self.plot());
        let (x0, y0) = (at.0 + inset.0, at.1 + inset.1);
        pen.text((x0, at.1 + LABEL / 2.0), &self.caption, LABEL, Align::Start, skin.ink);
        let corner = |row: usize, col: usize| (x0 + col as f64 * self.cell.0, y0 + row as f64 * self.cell.1);
        pen.frame((x0 - 1.0, y0 - 1.0), (x0 + plot.0 + 1.0, y0 + plot.1 + 1.0), 1.0, skin.rule);
        match &self.cells {
            Cells::Heat { values, range, texts } => self.heat(pen, setting, &corner, values, *range, texts),
            Cells::Stack(lists) => self.stacks(pen, setting, &corner, lists),
        }
        self.frames(pen, &corner);
        self.labels(pen, setting, (x0, y0), plot);
    }

    fn heat(
        &self,
        pen: &mut Pen,
        setting: Setting,
        corner: &dyn Fn(usize, usize) -> At,
        values: &[f32],
        range: (f32, f32),
        texts: &[String],
    ) {
        let (rows, cols) = self.size;
        let size = if texts.is_empty() { None } else { self.text_size(setting, texts) };
        if size.is_none() && rows * cols > SURFACE {
            let paper = pen.skin.paper;
            let cells = values.iter().map(|value| ramp(*value, range).unwrap_or(paper)).collect();
            pen.pixels(corner(0, 0), corner(rows, cols), cols, cells);
            return;
        }
        for row in 0..rows {
            let line = &values[row * cols..(row + 1) * cols];
            let mut start = 0;
            while start < cols {
                // Neighbours of one colour are one rectangle, which makes files far smaller where most weights are near
                // zero.
                let colour = ramp(line[start], range);
                let run = line[start..].iter().take_while(|value| ramp(**value, range) == colour).count();
                let (from, to) = (corner(row, start), corner(row + 1, start + run));
                match colour {
                    Some(colour) => pen.cell(from, to, colour),
                    // What reaches over from the cells above is covered.
                    None => pen.cell(from, to, pen.skin.paper),
                }
                start += run;
            }
        }
        let Some(em) = size else { return };
        let fit = |text: &str| setting.face.fit(text, (self.cell.0 - EDGE) / em);
        for (i, (text, value)) in texts.iter().zip(values).enumerate() {
            let Some(paper) = ramp(*value, range) else { continue };
            let ink = ink(paper);
            let (x, y) = corner(i / cols, i % cols);
            let middle = (x + self.cell.0 / 2.0, y + self.cell.1 / 2.0);
            match self.under.get(i) {
                Some(under) => {
                    pen.text((middle.0, middle.1 - em * 0.52), &fit(text), em, Align::Middle, ink);
                    pen.text((middle.0, middle.1 + em * 0.52), &fit(under), em * 0.9, Align::Middle, ink);
                }
                None => pen.text(middle, &fit(text), em, Align::Middle, ink),
            }
        }
    }

    fn stacks(&self, pen: &mut Pen, setting: Setting, corner: &dyn Fn(usize, usize) -> At, lists: &[Vec<u32>]) {
        let least = DIGIT[usize::from(setting.paper)];
        for (i, list) in lists.iter().enumerate() {
            let (x, y) = corner(i / self.size.1, i % self.size.1);
            let each = self.cell.1 / list.len().max(1) as f64;
            for (k, category) in list.iter().enumerate() {
                let colour = EXPERTS[*category as usize % EXPERTS.len()];
                let top = y + k as f64 * each;
                pen.cell((x, top), (x + self.cell.0, top + each), colour);
                let digit = category.to_string();
                let em = (each * 0.95).min(LABEL).min((self.cell.0 - 0.5) / setting.face.width(&digit));
                if em >= least {
                    let middle = (x + self.cell.0 / 2.0, top + each / 2.0);
                    pen.text(middle, &digit, em, Align::Middle, (0, 0, 0));
                }
            }
        }
        // Rules between rows, or the second choices of one row would touch the first choices of the next.
        let rule = pen.skin.paper;
        for row in 1..self.size.0 {
            let (x, y) = corner(row, 0);
            pen.rect((x, y - 1.0), (x + self.plot().0, y), rule);
        }
    }

    fn frames(&self, pen: &mut Pen, at: &dyn Fn(usize, usize) -> At) {
        let least = self.cell.0.min(self.cell.1);
        let edge = (least * 0.12).clamp(0.6, 2.0);
        for (row, col) in &self.framed {
            let (from, to) = (at(*row, *col), at(row + 1, col + 1));
            // Black within white is visible on every colour.
            pen.frame(from, to, edge, MARK[0]);
            pen.frame(from, to, edge / 2.0, MARK[1]);
        }
        let side = (least * 0.45).clamp(2.5, 9.0);
        for (row, col) in &self.marked {
            corner(pen, at(*row, col + 1), side);
        }
    }

    fn labels(&self, pen: &mut Pen, setting: Setting, (x0, y0): At, plot: (f64, f64)) {
        let skin = pen.skin;
        let middle = |i: usize, cell: f64| (i as f64 + 0.5) * cell;
        let step = self.rows.step(setting, self.cell.1, false);
        for (row, label) in self.rows.labels.iter().enumerate().step_by(step) {
            let at = (x0 - GAP, y0 + middle(row, self.cell.1));
            pen.text(at, &cut(label, setting), LABEL, Align::End, skin.ink);
        }
        let step = self.cols.step(setting, self.cell.0, true);
        let mut below = y0 + plot.1 + GAP;
        for (col, label) in self.cols.labels.iter().enumerate().step_by(step) {
            let (x, first) = (x0 + middle(col, self.cell.0), below + LABEL / 2.0 - 1.0);
            match (self.cols.turn, label.rsplit_once(' ')) {
                (Turn::Upward, _) => pen.upward((x, below), &cut(label, setting), LABEL, Align::End, skin.ink),
                (Turn::Stacked, Some((label, under))) => {
                    let label = setting.face.fit(label, self.cell.0 / LABEL);
                    pen.text((x, first), &label, LABEL, Align::Middle, skin.ink);
                    pen.text((x, first + 1.2 * LABEL), under, LABEL, Align::Middle, skin.dim);
                }
                _ => pen.text((x, first), &cut(label, setting), LABEL, Align::Middle, skin.ink),
            }
        }
        if !self.cols.labels.is_empty() {
            below += self.cols.height(setting);
        }
        for (row, text) in self.side.iter().enumerate().step_by(self.side_step()) {
            let at = (x0 + plot.0 + GAP, y0 + middle(row, self.cell.1));
            pen.text(at, text, LABEL, Align::Start, skin.ink);
        }
        let at = (x0 + plot.0 + GAP, y0 - GAP - LABEL / 2.0);
        pen.text(at, &self.side_name, LABEL, Align::Start, skin.dim);
        let at = (x0 + plot.0 / 2.0, below + NAME / 2.0);
        pen.text(at, &self.cols.name, LABEL, Align::Middle, skin.dim);
        let at = (x0 - self.inset(setting).0 + LABEL / 2.0, y0 + plot.1 / 2.0);
        pen.upward(at, &self.rows.name, LABEL, Align::Middle, skin.dim);
    }

    /// Every n-th text at the side is drawn, so that they don't touch.
    fn side_step(&self) -> usize {
        ((LABEL * 1.1 / self.cell.1).ceil() as usize).max(1)
    }
}

/// The colour of a value in 256 steps; `None` for NaN. A range around zero has colours of both signs.
pub fn ramp(value: f32, (low, high): (f32, f32)) -> Option<Rgb> {
    if value.is_nan() {
        return None;
    }
    if low < 0.0 && high > 0.0 {
        let size = if value < 0.0 { -low } else { high };
        return Some(diverging((value / size * 127.0).round() / 127.0));
    }
    let t = if high > low { (value - low) / (high - low) } else { 0.0 };
    Some(viridis((t.clamp(0.0, 1.0) * 255.0).round() / 255.0))
}

/// A value of 0..1 in three characters: `.42`, `1.0`.
pub fn short(value: f32) -> String {
    match format!("{value:.2}") {
        text if text.starts_with("0.") => text[1..].to_owned(),
        text if text.len() > 3 => text[..text.len() - 1].to_owned(),
        text => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_palette_colours_and_short_texts() {
        assert_eq!(ramp(0.0, (0.0, 1.0)), Some(viridis(0.0)));
        assert_eq!(ramp(2.0, (0.0, 1.0)), Some(viridis(1.0)));
        assert_eq!(ramp(f32::NAN, (0.0, 1.0)), None);
        assert_eq!(ramp(0.0, (-2.0, 2.0)), Some(diverging(0.0)));
        assert_eq!([-2.0, 9.0].map(|x| ramp(x, (-2.0, 2.0))), [Some(diverging(-1.0)), Some(diverging(1.0))]);
        assert_eq!([0.0, 0.424, 0.999, 1.0].map(short), [".00", ".42", "1.0", "1.0"]);
    }
}
