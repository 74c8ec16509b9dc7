//! Numbers as text.

/// `12.340`, in about six cells.
pub fn plain(x: f64) -> String {
    let digits = match x.abs() {
        size if size < 99.9995 => 3,
        size if size < 9999.95 => 1,
        _ => return format!("{x:.1e}").replace('-', "−"),
    };
    format!("{x:.digits$}").replace('-', "−")
}

/// `+0.010`, `−1.830`, `+2.1e−6`
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

/// `.55`, `<.01`, `>.99`, `0`, `1`: a probability in at most four cells. Only exact values are shown as 0 or 1.
pub fn prob(p: f32) -> String {
    let rounded = format!("{p:.2}");
    match rounded.as_str() {
        _ if !p.is_finite() => "nan".to_owned(),
        "0.00" if p > 0.0 => "<.01".to_owned(),
        "0.00" => "0".to_owned(),
        "1.00" if p < 1.0 => ">.99".to_owned(),
        "1.00" => "1".to_owned(),
        _ => rounded.trim_start_matches('0').to_owned(),
    }
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
    fn short_numbers() {
        assert_eq!([0.0, 0.004, 0.55, 0.999, 1.0].map(prob), ["0", "<.01", ".55", ">.99", "1"]);
        // Values close to 0 and 1 are not rounded to them.
        assert_eq!([0.005, 0.00501, 0.995, 0.9949, f32::NAN].map(prob), ["<.01", ".01", ">.99", ".99", "nan"]);
    }
}
