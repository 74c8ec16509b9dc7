//! Legends: the meaning of colours and marks.

use super::Setting;
use super::grid::ramp;
use super::marks::{MARK, corner};
use super::pen::{Align, At, Pen, Rgb};
use super::round::trim;
use crate::analysis::colour_map::EXPERTS;

const HEIGHT: f64 = 20.0;
/// Height of a bar with its ticks, on paper.
const WITH_TICKS: f64 = 28.0;
const TEXT: f64 = 11.0;
const BAR: f64 = 128.0;
const SWATCH: f64 = 14.0;
const STEPS: usize = 128;
/// Categories whose colours repeat are named by the first ones.
const MOST_NAMED: usize = 16;

/// A cell in a legend of marks: no colour of the data.
const GREY: Rgb = (0xb8, 0xb8, 0xb8);

/// One entry of the row of legends.
#[derive(Clone, PartialEq)]
pub enum Legend {
    /// Colours of values: name, lowest, highest.
    Ramp(String, f32, f32),
    /// Colours of this many categories: name, number.
    Categories(String, usize),
    /// Values of the colour map from 0 to 1 that have a meaning each: name, meanings and values.
    Key(String, Vec<(&'static str, f32)>),
    /// The meaning of a frame around a cell.
    Frame(String),
    /// The meaning of a mark in the corner of a cell.
    Corner(String),
    /// A sentence.
    Text(String),
}

impl Legend {
    fn ends(low: f32, high: f32) -> (String, String) {
        (decimal(low), decimal(high))
    }

    /// The number of categories that are named, and what is said about the others.
    fn named(count: usize) -> (usize, &'static str) {
        if count > MOST_NAMED { (EXPERTS.len(), "… colours repeat every 8") } else { (count, "") }
    }

    /// Width in points.
    pub fn width(&self, setting: Setting) -> f64 {
        let text = |text: &str| setting.face.width(text) * TEXT;
        match self {
            Self::Ramp(name, low, high) => {
                let (low, high) = Self::ends(*low, *high);
                let ends = text(&low) + text(&high);
                text(name) + BAR + if setting.paper { 10.0 + ends / 2.0 } else { ends + 22.0 }
            }
            Self::Categories(name, count) => {
                let (count, more) = Self::named(*count);
                text(name) + 8.0 + count as f64 * (SWATCH + 3.0) + text(more)
            }
            Self::Key(name, meanings) => {
                text(name) + meanings.iter().map(|(meaning, _)| text(meaning) + SWATCH + 18.0).sum::<f64>()
            }
            Self::Frame(name) | Self::Corner(name) => text(name) + SWATCH + 8.0,
            Self::Text(name) => text(name),
        }
    }

    /// Height in points.
    pub fn height(&self, setting: Setting) -> f64 {
        match self {
            Self::Ramp(..) if setting.paper => WITH_TICKS,
            _ => HEIGHT,
        }
    }

    /// Draws the legend with its top left corner at `at`.
    pub fn draw(&self, pen: &mut Pen, setting: Setting, at: At) {
        let (skin, y) = (pen.skin, at.1 + HEIGHT / 2.0);
        let (top, bottom) = (y - SWATCH / 2.0, y + SWATCH / 2.0);
        let mut x = at.0;
        let say = |pen: &mut Pen, x: &mut f64, text: &str| {
            pen.text((*x, y), text, TEXT, Align::Start, skin.ink);
            *x += setting.face.width(text) * TEXT;
        };
        match self {
            Self::Ramp(name, low, high) => {
                let (from, to) = (*low, *high);
                let (low, high) = Self::ends(*low, *high);
                say(pen, &mut x, name);
                x += 10.0;
                if setting.paper {
                    bar(pen, (x, at.1 + 2.0), 10.0, (from, to));
                    pen.frame((x, at.1 + 2.0), (x + BAR, at.1 + 12.0), 0.5, skin.ink);
                    // A logarithmic scale has no middle that could be named.
                    let middle = decimal((from + to) / 2.0);
                    let ticks = [(0.0, &low), (0.5, &middle), (1.0, &high)];
                    for (share, label) in ticks.into_iter().filter(|(share, _)| from < to || *share != 0.5) {
                        let at_x = x + share * BAR;
                        pen.rect((at_x - 0.4, at.1 + 12.0), (at_x + 0.4, at.1 + 15.0), skin.ink);
                        pen.text((at_x, at.1 + 21.5), label, TEXT, Align::Middle, skin.ink);
                    }
                    return;
                }
                say(pen, &mut x, &low);
                x += 6.0;
                bar(pen, (x, top), SWATCH, (from, to));
                x += BAR + 6.0;
                say(pen, &mut x, &high);
            }
            Self::Categories(name, count) => {
                let (count, more) = Self::named(*count);
                say(pen, &mut x, name);
                x += 8.0;
                for i in 0..count {
                    pen.rect((x, top), (x + SWATCH, bottom), EXPERTS[i % EXPERTS.len()]);
                    let em = if i > 9 { TEXT - 1.0 } else { TEXT };
                    pen.text((x + SWATCH / 2.0, y), &i.to_string(), em, Align::Middle, (0, 0, 0));
                    x += SWATCH + 3.0;
                }
                say(pen, &mut x, more);
            }
            Self::Key(name, meanings) => {
                say(pen, &mut x, name);
                for (meaning, value) in meanings {
                    let colour = ramp(*value, (0.0, 1.0)).unwrap_or(skin.paper);
                    pen.rect((x + 10.0, top), (x + 10.0 + SWATCH, bottom), colour);
                    x += SWATCH + 18.0;
                    say(pen, &mut x, meaning);
                }
            }
            Self::Frame(name) => {
                pen.rect((x, top), (x + SWATCH, bottom), GREY);
                pen.frame((x, top), (x + SWATCH, bottom), 2.0, MARK[0]);
                pen.frame((x, top), (x + SWATCH, bottom), 1.0, MARK[1]);
                x += SWATCH + 8.0;
                say(pen, &mut x, name);
            }
            Self::Corner(name) => {
                pen.rect((x, top), (x + SWATCH, bottom), GREY);
                corner(pen, (x + SWATCH, top), 8.0);
                x += SWATCH + 8.0;
                say(pen, &mut x, name);
            }
            Self::Text(name) => say(pen, &mut x, name),
        }
    }
}

fn decimal(value: f32) -> String {
    trim(value.to_string().parse().unwrap_or_else(|_| f64::from(value)))
}

/// The colours from one end to the other.
fn bar(pen: &mut Pen, (x, y): At, height: f64, (from, to): (f32, f32)) {
    let colour = |i: usize| {
        let share = i as f32 / (STEPS - 1) as f32;
        // A scale whose lowest value is the best has its colours the other way round already.
        let is_signed = from < 0.0 && to > 0.0;
        let (value, range) = if is_signed { (from + share * (to - from), (from, to)) } else { (share, (0.0, 1.0)) };
        ramp(value, range).unwrap_or(pen.skin.paper)
    };
    let cells = (0..STEPS).map(colour).collect();
    pen.pixels((x, y), (x + BAR, y + height), STEPS, cells);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::colour_map::contrast;

    #[test]
    fn marks_are_no_colour_of_the_data_and_visible_on_each() {
        let [edge, mark] = MARK;
        assert!(EXPERTS.iter().all(|colour| *colour != edge && *colour != mark && *colour != GREY));
        let values = (0..=255).filter_map(|i| ramp(i as f32, (0.0, 255.0)));
        for colour in EXPERTS.into_iter().chain(values).chain([GREY]) {
            assert!(contrast(colour, edge).max(contrast(colour, mark)) >= 4.5, "{colour:?}");
        }
    }
}
