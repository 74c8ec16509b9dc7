//! Bars from zero, and bars around zero.

use crate::ui::canvas::Canvas;
use ratatui::layout::Rect;

/// Least length of a readable bar, cells.
pub const SHORTEST_BAR: usize = 7;

/// A bar of `cells` cells in eighths.
pub fn bar(share: f32, cells: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * (cells * 8) as f32).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// Draws a bar around zero: negative shares to the left, positive ones to the right.
pub fn put_bar(c: &mut Canvas, area: Rect, (x, y): (u16, u16), share: f64, cells: usize) {
    if cells < SHORTEST_BAR {
        return;
    }
    let half = (cells - 1) / 2;
    let [left, right] = diverging(share, half);
    let style = c.theme.signed(share);
    c.line(area, x, y, &[(&left, style), ("│", c.theme.dim()), (&right, style)]);
}

/// The text left and right of zero for a share of −1..1. The left side is in half cells, padded to `half` cells.
fn diverging(share: f64, half: usize) -> [String; 2] {
    if share > 0.0 {
        return [" ".repeat(half), bar(share as f32, half)];
    }
    let halves = (share.abs().min(1.0) * (half * 2) as f64).round() as usize;
    let drawn = format!("{}{}", if halves % 2 == 1 { "▐" } else { "" }, "█".repeat(halves / 2));
    [format!("{drawn:>half$}"), String::new()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_drawn_in_eighths() {
        assert_eq!(bar(0.5, 4), "██");
        assert_eq!(bar(0.55, 4), "██▎");
    }

    #[test]
    fn bars_lie_on_the_side_of_their_sign() {
        assert_eq!(diverging(1.0, 3), ["   ", "███"]);
        assert_eq!(diverging(0.5, 3), ["   ", "█▌"]);
        assert_eq!(diverging(-1.0, 3), ["███", ""]);
        assert_eq!(diverging(-0.5, 3), [" ▐█", ""]);
        assert_eq!(diverging(0.0, 3), ["   ", ""]);
    }
}
