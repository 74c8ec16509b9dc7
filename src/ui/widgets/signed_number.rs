//! Signed numbers in a few cells.

/// A number with its sign in at most `cells` cells (3 or more): `+1.234`, `−.12`, `+12`; those too small for a digit are `+0` and `−0`.
/// A number that does not fit is `!`.
pub fn compact(x: f64, cells: usize) -> String {
    if !x.is_finite() {
        return "!".to_owned();
    }
    for digits in (0..=cells.saturating_sub(2).min(4)).rev() {
        let text = format!("{x:+.digits$}");
        let text = text.replacen("0.", ".", usize::from(x.abs() < 1.0 && text.len() > cells));
        if text.len() <= cells {
            let is_zero = text.chars().all(|c| !c.is_ascii_digit() || c == '0');
            // Only an exact 0 has no sign.
            return match is_zero {
                true if x == 0.0 => "0",
                true if x > 0.0 => "+0",
                true => "−0",
                false => return text.replace('-', "−"),
            }
            .to_owned();
        }
    }
    "!".to_owned()
}

#[cfg(test)]
mod tests {
    use super::compact;

    #[test]
    fn numbers_keep_their_sign_and_as_many_digits_as_fit() {
        assert_eq!([1.2345, -0.1234, 123.4].map(|x| compact(x, 6)), ["+1.234", "−.1234", "+123.4"]);
        assert_eq!([1.2345, -0.1234, 0.0, 12.5].map(|x| compact(x, 4)), ["+1.2", "−.12", "0", "+12"]);
        assert_eq!([-0.05, 0.004, 1234.0].map(|x| compact(x, 4)), ["−.05", "+0", "!"]);
        assert_eq!(compact(f64::NAN, 4), "!");
    }
}
