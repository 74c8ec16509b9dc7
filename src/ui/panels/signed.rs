//! Numbers with a sign, and bars around zero.

use crate::ui::canvas::{Canvas, bar};
use ratatui::layout::Rect;

/// Fewest cells of a bar that says something.
pub const SHORTEST_BAR: usize = 7;

/// A bar around zero: to the left for what speaks against the token, to the right for what speaks for it.
pub fn put_bar(c: &mut Canvas, area: Rect, (x, y): (u16, u16), share: f64, cells: usize) {
    if cells < SHORTEST_BAR {
        return;
    }
    let half = (cells - 1) / 2;
    let [left, right] = diverging(share, half);
    let style = c.theme.signed(share);
    c.line(area, x, y, &[(&left, style), ("│", c.theme.dim()), (&right, style)]);
}

/// What stands left and right of zero for a share of −1..1; the left in half cells, filled up to `half` cells.
fn diverging(share: f64, half: usize) -> [String; 2] {
    if share > 0.0 {
        return [" ".repeat(half), bar(share as f32, half)];
    }
    let halves = (share.abs().min(1.0) * (half * 2) as f64).round() as usize;
    let drawn = format!("{}{}", if halves % 2 == 1 { "▐" } else { "" }, "█".repeat(halves / 2));
    [format!("{drawn:>half$}"), String::new()]
}

/// `12.340`, in about six cells.
pub fn plain(x: f64) -> String {
    let digits = match x.abs() {
        size if size < 99.9995 => 3,
        size if size < 9999.95 => 1,
        _ => return format!("{x:.1e}").replace('-', "−"),
    };
    format!("{x:.digits$}").replace('-', "−")
}

/// `+0.010`, `−1.830`, `+2.1e−6`: a share with its sign.
pub fn signed(x: f64) -> String {
    match x.abs() {
        0.0 => "0".to_owned(),
        size if size < 0.000_95 => format!("{x:+.1e}").replace('-', "−"),
        _ if x > 0.0 => format!("+{}", plain(x)),
        _ => plain(x),
    }
}

/// `.92`, `−.31`, `1.0`
pub fn cosine(x: f64) -> String {
    let text = format!("{:.2}", x.abs());
    let text = if text == "1.00" { "1.0" } else { text.trim_start_matches('0') };
    if x < 0.0 { format!("−{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_sign_and_small_ones_their_size() {
        assert_eq!([1.83, -0.2, 0.0, 123.4, -2.1e-6].map(signed), ["+1.830", "−0.200", "0", "+123.4", "−2.1e−6"]);
        assert_eq!([12.34, -0.5, 4.0e7].map(plain), ["12.340", "−0.500", "4.0e7"]);
        assert_eq!([0.92, -0.314, 1.0].map(cosine), [".92", "−.31", "1.0"]);
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
