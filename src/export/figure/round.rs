//! Round numbers for the ends and ticks of scales, and numbers as texts.

/// The smallest round number that is at least `value`; 1 for 0 and below.
pub fn up(value: f64) -> f64 {
    const ROUND: [f64; 11] = [1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    if !value.is_finite() || value <= 0.0 {
        return 1.0;
    }
    let power = value.log10().floor() as i32;
    // Division by a power of ten gives the number nearest to the decimal one; multiplication with 0.001 does not.
    let times = |step: f64| if power < 0 { step / 10f64.powi(-power) } else { step * 10f64.powi(power) };
    let enough = |step: &f64| *step >= value * (1.0 - 1e-6);
    ROUND.into_iter().map(times).find(enough).unwrap_or(value)
}

/// The end of an axis from 0 that holds `value`, and the distance of its ticks, of which there are about `parts`.
pub fn axis(value: f64, parts: f64) -> (f64, f64) {
    let raw = if value.is_finite() && value > 0.0 { value } else { 1.0 } / parts;
    let power = raw.log10().floor() as i32;
    let times = |step: f64| if power < 0 { step / 10f64.powi(-power) } else { step * 10f64.powi(power) };
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(times).find(|step| *step >= raw * (1.0 - 1e-6));
    let step = step.unwrap_or(raw);
    let count = (raw * parts / step * (1.0 - 1e-6)).ceil().max(1.0);
    (count * step, step)
}

/// A number without trailing zeros, of about four digits.
pub fn trim(value: f64) -> String {
    if value != 0.0 && value.abs() < 0.001 {
        return format!("{value:.1e}").replace(".0e", "e").replace('-', "−");
    }
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.replace('-', "−") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_round_numbers() {
        assert_eq!([0.0, 0.03, 0.42, 1.3, 7.0, 2.0794, 10.4].map(up), [1.0, 0.03, 0.5, 1.5, 8.0, 2.5, 12.0]);
        assert_eq!([f64::NAN, -3.0, 1.0, 0.001].map(up), [1.0, 1.0, 1.0, 0.001]);
        assert_eq!(axis(0.93, 4.0), (1.0, 0.25));
        assert_eq!(axis(7.3, 4.0), (8.0, 2.0));
        assert_eq!(axis(0.0, 4.0), (1.0, 0.25));
        let (end, step) = axis(0.0013, 4.0);
        assert!((end - 0.0015).abs() < 1e-12 && (step - 0.0005).abs() < 1e-12);
        assert_eq!([0.5, 2.0, -1.25, 0.00002, -0.0].map(trim), ["0.5", "2", "−1.25", "2e−5", "0"]);
    }
}
