//! Python's `datetime.now().strftime`.

use chrono::{Datelike, Timelike};

/// A moment on the clock of this machine's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// Year, month from 1, day from 1.
    pub date: (i32, u32, u32),
    /// Hour, minute, second.
    pub time: (u32, u32, u32),
    /// Millionths of the second.
    pub microsecond: u32,
}

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// The largest width of a field.
const MOST_WIDTH: usize = 1000;

impl LocalTime {
    /// This moment.
    pub fn now() -> Self {
        let now = chrono::Local::now();
        Self {
            date: (now.year(), now.month(), now.day()),
            time: (now.hour(), now.minute(), now.second()),
            microsecond: now.nanosecond() / 1000 % 1_000_000,
        }
    }

    /// The day of the year, from 0.
    fn year_day(&self) -> u32 {
        let (year, month, day) = self.date;
        let before = (1..month).map(|month| days_of(year, month)).sum::<u32>();
        before + day - 1
    }

    /// The day of the week; 0 is Sunday.
    fn week_day(&self) -> u32 {
        let year = i64::from(self.date.0) - 1;
        let days = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
        (days + 1 + i64::from(self.year_day())).rem_euclid(7) as u32
    }

    /// The year and the number of the week in ISO 8601.
    fn iso_week(&self) -> (i32, u32) {
        let year = self.date.0;
        let monday_first = (self.week_day() + 6) % 7;
        let week = (self.year_day() + 10 - monday_first) / 7;
        let last = |year: i32| {
            let first_day = Self { date: (year, 1, 1), ..*self }.week_day();
            if first_day == 4 || (first_day == 3 && is_leap(year)) { 53 } else { 52 }
        };
        match week {
            0 => (year - 1, last(year - 1)),
            53 if last(year) == 52 => (year + 1, 1),
            week => (year, week),
        }
    }

    /// The text that `strftime` makes of a format, in the locale C. Zones are empty, as those of `datetime.now()`.
    pub fn strftime(&self, format: &str) -> String {
        let mut out = String::with_capacity(format.len());
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            out.push_str(&rest[..at]);
            let spec = &rest[at..];
            let len = self.push_field(&mut out, spec);
            rest = &spec[len..];
        }
        out.push_str(rest);
        out
    }

    /// Writes the field at the start of `spec`. Returns its length.
    fn push_field(&self, out: &mut String, spec: &str) -> usize {
        let flags = spec[1..].find(|c| !"_-0^#".contains(c)).map_or(spec.len(), |len| len + 1);
        let digits = spec[flags..].find(|c: char| !c.is_ascii_digit()).map_or(spec.len(), |len| len + flags);
        let modified = digits + usize::from(spec[digits..].starts_with(['E', 'O']));
        let Some(code) = spec[modified..].chars().next() else {
            out.push_str(spec);
            return spec.len();
        };
        let len = modified + code.len_utf8();
        let flags = &spec[1..flags];
        let width: usize = spec[1 + flags.len()..digits].parse().unwrap_or(0).min(MOST_WIDTH);
        let pad = flags.chars().rfind(|c| "_-0".contains(*c));
        let Some((text, usual)) = self.field(code, flags) else {
            out.push_str(&spec[..len]);
            return len;
        };
        let text = match flags.contains('^') {
            true => text.to_uppercase(),
            false => text,
        };
        let is_number = usual.1 > 0;
        let fill = match pad {
            Some('_') => ' ',
            Some('0') => '0',
            _ if is_number => usual.0,
            _ => ' ',
        };
        let width = if pad == Some('-') { 0 } else { width.max(usual.1) };
        out.extend(std::iter::repeat_n(fill, width.saturating_sub(text.chars().count())));
        out.push_str(&text);
        len
    }

    /// The text of one code; and with what and to which width it is filled if nothing else is said.
    fn field(&self, code: char, flags: &str) -> Option<(String, (char, usize))> {
        let (year, month, day) = self.date;
        let (hour, minute, second) = self.time;
        let twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
        let (week_day, year_day) = (self.week_day(), self.year_day());
        let swaps = flags.contains('#');
        let number = |number: i64, fill: char, width: usize| Some((number.to_string(), (fill, width)));
        let name = |name: &str| {
            let name = if swaps { name.to_uppercase() } else { name.to_owned() };
            Some((name, (' ', 0)))
        };
        let day_name = DAYS[week_day as usize % 7];
        let month_name = MONTHS[(month as usize + 11) % 12];
        let half = if hour < 12 { "AM" } else { "PM" };
        match code {
            'a' => name(&day_name[..3]),
            'A' => name(day_name),
            'b' | 'h' => name(&month_name[..3]),
            'B' => name(month_name),
            'p' => Some((if swaps { half.to_lowercase() } else { half.to_owned() }, (' ', 0))),
            'P' => Some((half.to_lowercase(), (' ', 0))),
            'c' => Some((self.strftime("%a %b %e %H:%M:%S %Y"), (' ', 0))),
            'x' | 'D' => Some((self.strftime("%m/%d/%y"), (' ', 0))),
            'X' | 'T' => Some((self.strftime("%H:%M:%S"), (' ', 0))),
            'F' => Some((self.strftime("%Y-%m-%d"), (' ', 0))),
            'R' => Some((self.strftime("%H:%M"), (' ', 0))),
            'r' => Some((self.strftime("%I:%M:%S %p"), (' ', 0))),
            'Y' => number(i64::from(year), '0', 1),
            'C' => number(i64::from(year.div_euclid(100)), '0', 2),
            'y' => number(i64::from(year.rem_euclid(100)), '0', 2),
            'G' => number(i64::from(self.iso_week().0), '0', 1),
            'g' => number(i64::from(self.iso_week().0.rem_euclid(100)), '0', 2),
            'V' => number(i64::from(self.iso_week().1), '0', 2),
            'U' => number(i64::from((year_day + 7 - week_day) / 7), '0', 2),
            'W' => number(i64::from((year_day + 7 - (week_day + 6) % 7) / 7), '0', 2),
            'm' => number(i64::from(month), '0', 2),
            'd' => number(i64::from(day), '0', 2),
            'e' => number(i64::from(day), ' ', 2),
            'j' => number(i64::from(year_day) + 1, '0', 3),
            'H' => number(i64::from(hour), '0', 2),
            'I' => number(i64::from(twelve), '0', 2),
            'k' => number(i64::from(hour), ' ', 2),
            'l' => number(i64::from(twelve), ' ', 2),
            'M' => number(i64::from(minute), '0', 2),
            'S' => number(i64::from(second), '0', 2),
            'f' => number(i64::from(self.microsecond), '0', 6),
            'u' => number(i64::from((week_day + 6) % 7 + 1), '0', 1),
            'w' => number(i64::from(week_day), '0', 1),
            'z' | 'Z' => Some((String::new(), (' ', 0))),
            'n' => Some(("\n".to_owned(), (' ', 0))),
            't' => Some(("\t".to_owned(), (' ', 0))),
            '%' => Some(("%".to_owned(), (' ', 0))),
            _ => None,
        }
    }
}

fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(year: i32, month: u32) -> u32 {
    match month {
        2 => 28 + u32::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
