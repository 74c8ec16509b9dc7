/// Whether a terminal would act on `c` instead of drawing it: control characters, bidirectional and zero-width
/// formatting, line separators, tags.
pub fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Bytes as text for people: 93.4 GB, 11.5 MB, 512 B.
pub fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    let units = ["B", "kB", "MB", "GB", "TB"];
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = if unit == 0 || value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {}", units[unit])
}

/// Seconds as text for people: 7 s, 2 min 09 s, 1 h 20 min.
pub fn duration(seconds: f64) -> String {
    let s = seconds.clamp(0.0, 1e9).ceil() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {:02} s", s / 60, s % 60),
        _ => format!("{} h {:02} min", s / 3600, s / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_read_well() {
        let sizes = [0, 512, 999, 1000, 5_758_592, 93_400_000_000, 999_999].map(size);
        assert_eq!(sizes, ["0 B", "512 B", "999 B", "1.00 kB", "5.76 MB", "93.4 GB", "1.00 MB"]);
        assert_eq!([0.2, 59.0, 129.0, 4800.0].map(duration), ["1 s", "59 s", "2 min 09 s", "1 h 20 min"]);
    }
}
