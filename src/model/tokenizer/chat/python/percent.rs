//! Python's operator `%`: the remainder of numbers, and the formatting of texts.

use super::{as_float, as_int, failed, push_code, repr_of, str_of};
use minijinja::value::ValueKind;
use minijinja::{Error, State, Value};

/// The largest width and precision.
const MOST: usize = 100_000;

/// `left % right`.
///
/// # Errors
/// As Python's operator, and if a width is too large.
pub fn percent(state: &State, left: &Value, right: &Value) -> Result<Value, Error> {
    if let Some(format) = left.as_str() {
        let text = formatted(format, right)?;
        state.consume_fuel(text.len() as u64 / 64)?;
        return Ok(Value::from(text));
    }
    if let (Some(left), Some(right)) = (as_int(left), as_int(right)) {
        let rest = left.checked_rem(right).ok_or_else(|| failed("integer modulo by zero"))?;
        return Ok(Value::from(if rest != 0 && (rest < 0) != (right < 0) { rest + right } else { rest }));
    }
    let number = |value: &Value| as_float(value).or_else(|| as_int(value).map(|int| int as f64));
    let (Some(left), Some(right)) = (number(left), number(right)) else {
        return Err(failed(format!("unsupported operands of %: {} and {}", left.kind(), right.kind())));
    };
    if right == 0.0 {
        return Err(failed("float modulo by zero"));
    }
    let rest = left % right;
    Ok(Value::from(if rest != 0.0 && (rest < 0.0) != (right < 0.0) { rest + right } else { rest }))
}

/// The values that a format takes.
struct Values {
    /// The items of a tuple, or the one value.
    items: Vec<Value>,
    used: usize,
}

impl Values {
    fn next(&mut self) -> Result<Value, Error> {
        let item = self.items.get(self.used).cloned();
        self.used += 1;
        item.ok_or_else(|| failed("not enough arguments for format string"))
    }

    /// A width or precision that is a `*`.
    fn size(&mut self) -> Result<i128, Error> {
        let value = self.next()?;
        as_int(&value).ok_or_else(|| failed("* wants int"))
    }
}

/// One conversion: `%-5.2f`.
#[derive(Default)]
struct Spec {
    left: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

/// `format % right`, for a text.
///
/// # Errors
/// As Python's operator.
pub fn formatted(format: &str, right: &Value) -> Result<String, Error> {
    let items = if right.is_tuple() { super::items_of(right)? } else { vec![right.clone()] };
    let mut values = Values { items, used: 0 };
    let mut out = String::with_capacity(format.len());
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let value = if chars.next_if_eq(&'(').is_some() { Some(named(&mut chars, right)?) } else { None };
        let spec = spec(&mut chars, &mut values)?;
        let Some(kind) = chars.next() else { return Err(failed("incomplete format")) };
        if kind == '%' {
            out.push('%');
            continue;
        }
        let value = match value {
            Some(value) => value,
            None => values.next()?,
        };
        spec.push(&mut out, kind, &value)?;
        if out.len() > MOST * 10 {
            return Err(failed("a formatted text is too long"));
        }
    }
    // A list or a map may be left unused, as in Python.
    let may_be_unused =
        !right.is_tuple() && matches!(right.kind(), ValueKind::Map | ValueKind::Seq | ValueKind::Iterable);
    if values.used < values.items.len() && !may_be_unused {
        return Err(failed("not all arguments converted during string formatting"));
    }
    Ok(out)
}

/// The value of `(name)`.
fn named(chars: &mut std::iter::Peekable<std::str::Chars>, right: &Value) -> Result<Value, Error> {
    let (mut name, mut depth) = (String::new(), 1);
    loop {
        match chars.next() {
            None => return Err(failed("incomplete format key")),
            Some(')') if depth == 1 => break,
            Some(c) => {
                depth += i32::from(c == '(') - i32::from(c == ')');
                name.push(c);
            }
        }
    }
    if right.kind() != ValueKind::Map {
        return Err(failed("format requires a mapping"));
    }
    let value = right.get_item(&Value::from(name.clone()))?;
    if value.is_undefined() { Err(failed(format!("the mapping has no key {name}"))) } else { Ok(value) }
}

fn spec(chars: &mut std::iter::Peekable<std::str::Chars>, values: &mut Values) -> Result<Spec, Error> {
    let mut spec = Spec::default();
    while let Some(flag) = chars.next_if(|c| "-+ #0".contains(*c)) {
        match flag {
            '-' => spec.left = true,
            '+' => spec.plus = true,
            ' ' => spec.space = true,
            '#' => spec.alternate = true,
            _ => spec.zero = true,
        }
    }
    let mut size = |chars: &mut std::iter::Peekable<std::str::Chars>| -> Result<i128, Error> {
        if chars.next_if_eq(&'*').is_some() {
            return values.size();
        }
        let mut size = 0;
        while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
            size = (size * 10 + i128::from(digit)).min(i128::from(u32::MAX));
            chars.next();
        }
        Ok(size)
    };
    let width = size(chars)?;
    spec.left |= width < 0;
    let within = |size: u128| usize::try_from(size).ok().filter(|size| *size <= MOST);
    spec.width = within(width.unsigned_abs()).ok_or_else(|| failed("width too big"))?;
    if chars.next_if_eq(&'.').is_some() {
        let precision = size(chars)?.max(0);
        spec.precision = Some(within(precision.unsigned_abs()).ok_or_else(|| failed("precision too big"))?);
    }
    chars.next_if(|c| "hlL".contains(*c));
    Ok(spec)
}

impl Spec {
    fn push(&self, out: &mut String, kind: char, value: &Value) -> Result<(), Error> {
        match kind {
            's' => self.push_text(out, &str_of(value)?),
            'r' => self.push_text(out, &repr_of(value)?),
            'a' => {
                let mut text = String::new();
                for c in repr_of(value)?.chars() {
                    if c.is_ascii() { text.push(c) } else { push_code(&mut text, c) }
                }
                self.push_text(out, &text);
            }
            'c' => {
                let text = match (value.as_str(), as_int(value)) {
                    (Some(text), _) if text.chars().count() == 1 => Some(text.to_owned()),
                    (_, Some(code)) => u32::try_from(code).ok().and_then(char::from_u32).map(String::from),
                    _ => None,
                };
                let text = text.ok_or_else(|| failed("%c requires int or char"))?;
                Spec { precision: None, ..*self }.push_text(out, &text);
            }
            'd' | 'i' | 'u' => {
                let truncated = as_float(value).filter(|float| float.abs() < 1e38).map(|float| float.trunc() as i128);
                let number = as_int(value).or(truncated);
                let number = number.ok_or_else(|| failed(format!("%{kind} format: a real number is required")))?;
                self.push_int(out, number, "", &number.unsigned_abs().to_string());
            }
            'x' | 'X' | 'o' => {
                let number = as_int(value);
                let number = number.ok_or_else(|| failed(format!("%{kind} format: an integer is required")))?;
                let (digits, prefix) = match kind {
                    'x' => (format!("{:x}", number.unsigned_abs()), "0x"),
                    'X' => (format!("{:X}", number.unsigned_abs()), "0X"),
                    _ => (format!("{:o}", number.unsigned_abs()), "0o"),
                };
                self.push_int(out, number, if self.alternate { prefix } else { "" }, &digits);
            }
            'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
                let number = as_float(value).or_else(|| as_int(value).map(|int| int as f64));
                let number = number.ok_or_else(|| failed("must be a real number"))?;
                let digits = self.float(number.abs(), kind.to_ascii_lowercase());
                let digits = if kind.is_ascii_uppercase() { digits.to_uppercase() } else { digits };
                let zero = self.zero && number.is_finite();
                Spec { zero, ..*self }.push_signed(out, number.is_sign_negative() && !number.is_nan(), "", &digits);
            }
            _ => return Err(failed(format!("unsupported format character '{kind}'"))),
        }
        Ok(())
    }

    fn push_text(&self, out: &mut String, text: &str) {
        let text: String = text.chars().take(self.precision.unwrap_or(usize::MAX)).collect();
        let room = " ".repeat(self.width.saturating_sub(text.chars().count()));
        if self.left {
            out.extend([text.as_str(), &room]);
        } else {
            out.extend([room.as_str(), &text]);
        }
    }

    fn push_int(&self, out: &mut String, number: i128, prefix: &str, digits: &str) {
        let zeros = "0".repeat(self.precision.unwrap_or(0).saturating_sub(digits.len()));
        self.push_signed(out, number < 0, prefix, &(zeros + digits));
    }

    fn push_signed(&self, out: &mut String, is_negative: bool, prefix: &str, digits: &str) {
        let sign = match (is_negative, self.plus, self.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        };
        let room = self.width.saturating_sub(sign.len() + prefix.len() + digits.len());
        let (before, zeros, after) = match (self.left, self.zero) {
            (true, _) => (0, 0, room),
            (_, true) => (0, room, 0),
            _ => (room, 0, 0),
        };
        out.push_str(&" ".repeat(before));
        out.push_str(sign);
        out.push_str(prefix);
        out.push_str(&"0".repeat(zeros));
        out.push_str(digits);
        out.push_str(&" ".repeat(after));
    }

    /// A number that is not negative as `e`, `f` or `g`.
    fn float(&self, number: f64, kind: char) -> String {
        if !number.is_finite() {
            return if number.is_nan() { "nan" } else { "inf" }.to_owned();
        }
        let precision = self.precision.unwrap_or(6);
        let dot = |text: String| if self.alternate && precision == 0 { text + "." } else { text };
        match kind {
            'f' => dot(format!("{number:.precision$}")),
            'e' => scientific(number, precision),
            _ => general(number, precision.max(1), self.alternate),
        }
    }
}

/// `1.5e+03`.
fn scientific(number: f64, precision: usize) -> String {
    let text = format!("{number:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// Fixed or scientific, whichever is shorter for this many digits.
fn general(number: f64, digits: usize, keep_zeros: bool) -> String {
    let text = scientific(number, digits - 1);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let parsed: i64 = exponent.parse().unwrap_or_default();
    let trimmed = |text: &str| match text.contains('.') && !keep_zeros {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if parsed < -4 || parsed >= digits as i64 {
        return format!("{}e{exponent}", trimmed(mantissa));
    }
    let decimals = usize::try_from(digits as i64 - 1 - parsed).unwrap_or(0);
    trimmed(&format!("{number:.decimals$}"))
}
