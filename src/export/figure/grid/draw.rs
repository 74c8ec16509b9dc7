use super::{Cells, GAP, Grid, LABEL, LABEL_MAX, NAME, Turn};
use crate::analysis::colour_map::{EXPERTS, diverging, luma, viridis};
use crate::export::figure::font::{self, fit};
use crate::export::figure::pen::{Align, Pen, Rgb};
use anyhow::Result;
use plotters::backend::DrawingBackend;

impl Grid {
    /// Draws the grid with its top left corner at `at`.
    ///
    /// # Errors
    /// If the backend fails.
    pub fn draw<B: DrawingBackend>(&self, pen: &mut Pen<B>, at: (f64, f64)) -> Result<()> {
        let skin = pen.skin;
        let (inset, plot) = (self.inset(), self.plot());
        let (x0, y0) = (at.0 + inset.0, at.1 + inset.1);
        if !self.caption.is_empty() {
            pen.text((x0, at.1 + LABEL / 2.0), &self.caption, LABEL, Align::Start, skin.ink)?;
        }
        let corner = |row: usize, col: usize| (x0 + col as f64 * self.cell.0, y0 + row as f64 * self.cell.1);
        pen.frame((x0 - 1.0, y0 - 1.0), (x0 + plot.0 + 1.0, y0 + plot.1 + 1.0), 1.0, skin.rule)?;
        match &self.cells {
            Cells::Heat { values, range, texts } => self.heat(pen, &corner, values, *range, texts)?,
            Cells::Stack(lists) => self.stacks(pen, &corner, lists)?,
        }
        self.frames(pen, &corner)?;
        self.labels(pen, (x0, y0), plot)
    }

    fn heat<B: DrawingBackend>(
        &self,
        pen: &mut Pen<B>,
        corner: &dyn Fn(usize, usize) -> (f64, f64),
        values: &[f32],
        range: (f32, f32),
        texts: &[String],
    ) -> Result<()> {
        let (rows, cols) = self.size;
        for row in 0..rows {
            let line = &values[row * cols..(row + 1) * cols];
            let mut start = 0;
            while start < cols {
                // Neighbours of one colour are one rectangle, which makes files far smaller where most weights are near
                // zero.
                let colour = ramp(line[start], range);
                let run = line[start..].iter().take_while(|value| ramp(**value, range) == colour).count();
                if let Some(colour) = colour {
                    let to = corner(row + 1, start + run);
                    pen.rect(corner(row, start), to, colour)?;
                }
                start += run;
            }
        }
        let room = ((self.cell.0 - 2.0) / (LABEL * font::ADVANCE)) as usize;
        if texts.is_empty() || self.cell.1 < LABEL + 2.0 || room == 0 {
            return Ok(());
        }
        for (i, (text, value)) in texts.iter().zip(values).enumerate() {
            let Some(paper) = ramp(*value, range) else { continue };
            let ink = if luma(paper) > 110.0 { (0, 0, 0) } else { (0xff, 0xff, 0xff) };
            let (x, y) = corner(i / cols, i % cols);
            let middle = (x + self.cell.0 / 2.0, y + self.cell.1 / 2.0);
            pen.text(middle, &fit(text, room), LABEL, Align::Middle, ink)?;
        }
        Ok(())
    }

    fn stacks<B: DrawingBackend>(
        &self,
        pen: &mut Pen<B>,
        corner: &dyn Fn(usize, usize) -> (f64, f64),
        lists: &[Vec<u32>],
    ) -> Result<()> {
        for (i, list) in lists.iter().enumerate() {
            let (x, y) = corner(i / self.size.1, i % self.size.1);
            let each = self.cell.1 / list.len().max(1) as f64;
            for (k, category) in list.iter().enumerate() {
                let colour = EXPERTS[*category as usize % EXPERTS.len()];
                let top = y + k as f64 * each;
                pen.rect((x, top), (x + self.cell.0, top + each), colour)?;
                let digit = category.to_string();
                let em = (each * 0.95).min(LABEL);
                if em >= 7.0 && font::width(&digit) * em <= self.cell.0 {
                    let middle = (x + self.cell.0 / 2.0, top + each / 2.0);
                    pen.text(middle, &digit, em, Align::Middle, (0, 0, 0))?;
                }
            }
        }
        // Rules between rows, or the second choices of one row would touch the first choices of the next.
        let rule = pen.skin.paper;
        for row in 1..self.size.0 {
            let (x, y) = corner(row, 0);
            pen.rect((x, y - 1.0), (x + self.plot().0, y), rule)?;
        }
        Ok(())
    }

    fn frames<B: DrawingBackend>(&self, pen: &mut Pen<B>, corner: &dyn Fn(usize, usize) -> (f64, f64)) -> Result<()> {
        let (paper, ink) = ((0xff, 0xff, 0xff), (0, 0, 0));
        for (row, col) in &self.framed {
            let (from, to) = (corner(*row, *col), corner(row + 1, col + 1));
            // Black within white is visible on every colour.
            pen.frame(from, to, 2.0, paper)?;
            pen.frame(from, to, 1.0, ink)?;
        }
        for (row, col) in &self.marked {
            let (x, y) = corner(*row, col + 1);
            let side = (self.cell.0.min(self.cell.1) * 0.45).clamp(3.0, 9.0);
            pen.polygon(&[(x - side - 1.0, y), (x, y), (x, y + side + 1.0)], paper)?;
            pen.polygon(&[(x - side, y), (x, y), (x, y + side)], (0xd0, 0, 0))?;
        }
        Ok(())
    }

    fn labels<B: DrawingBackend>(&self, pen: &mut Pen<B>, (x0, y0): (f64, f64), plot: (f64, f64)) -> Result<()> {
        let skin = pen.skin;
        let middle = |i: usize, cell: f64| (i as f64 + 0.5) * cell;
        let step = self.rows.step(self.cell.1, false);
        for (row, label) in self.rows.labels.iter().enumerate().step_by(step) {
            let at = (x0 - GAP, y0 + middle(row, self.cell.1));
            pen.text(at, &fit(label, LABEL_MAX), LABEL, Align::End, skin.ink)?;
        }
        let step = self.cols.step(self.cell.0, true);
        let mut below = y0 + plot.1 + GAP;
        for (col, label) in self.cols.labels.iter().enumerate().step_by(step) {
            let (x, first) = (x0 + middle(col, self.cell.0), below + LABEL / 2.0 - 1.0);
            match (self.cols.turn, label.rsplit_once(' ')) {
                (Turn::Upward, _) => pen.upward((x, below), &fit(label, LABEL_MAX), LABEL, Align::End, skin.ink)?,
                (Turn::Stacked, Some((label, under))) => {
                    let label = fit(label, (self.cell.0 / (LABEL * font::ADVANCE)) as usize);
                    pen.text((x, first), &label, LABEL, Align::Middle, skin.ink)?;
                    pen.text((x, first + 1.2 * LABEL), under, LABEL, Align::Middle, skin.dim)?;
                }
                _ => pen.text((x, first), &fit(label, LABEL_MAX), LABEL, Align::Middle, skin.ink)?,
            }
        }
        if !self.cols.labels.is_empty() {
            below += self.cols.height();
        }
        for (row, text) in self.side.iter().enumerate() {
            let at = (x0 + plot.0 + GAP, y0 + middle(row, self.cell.1));
            pen.text(at, text, LABEL, Align::Start, skin.ink)?;
        }
        if !self.cols.name.is_empty() {
            let at = (x0 + plot.0 / 2.0, below + NAME / 2.0);
            pen.text(at, &self.cols.name, LABEL, Align::Middle, skin.dim)?;
        }
        if !self.rows.name.is_empty() {
            let at = (x0 - self.inset().0 + LABEL / 2.0, y0 + plot.1 / 2.0);
            pen.upward(at, &self.rows.name, LABEL, Align::Middle, skin.dim)?;
        }
        Ok(())
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
