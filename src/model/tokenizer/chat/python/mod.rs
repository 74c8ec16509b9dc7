//! Python's texts of values, and its operators and methods, as templates use them.

pub mod add;
pub mod case;
pub mod filters;
pub mod json;
pub mod percent;
pub mod strings;
pub mod time;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

/// Values in values: Python gives up at about a thousand.
const MOST_DEPTH: usize = 300;
/// Bytes of a text.
const MOST_BYTES: usize = 4 << 20;
/// Values of a list.
const MOST_ITEMS: usize = 1 << 20;

/// An error of a template.
pub fn failed(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// `str(value)`.
///
/// # Errors
/// If values are nested too deeply.
pub fn str_of(value: &Value) -> Result<String, Error> {
    if let Some(text) = value.as_str() {
        return Ok(text.to_owned());
    }
    let mut out = String::new();
    if !value.is_undefined() {
        push_repr(&mut out, value, 0)?;
    }
    Ok(out)
}

/// `repr(value)`.
///
/// # Errors
/// If values are nested too deeply.
pub fn repr_of(value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    push_repr(&mut out, value, 0)?;
    Ok(out)
}

/// The values of a list, or the keys of a map. A list can be long without taking memory.
///
/// # Errors
/// If it is no list, or too long.
pub fn items_of(value: &Value) -> Result<Vec<Value>, Error> {
    let items: Vec<Value> = value.try_iter()?.checked().take(MOST_ITEMS).collect::<Result<_, _>>()?;
    if items.len() == MOST_ITEMS { Err(failed("a list is too long")) } else { Ok(items) }
}

/// Whether the value is a Python float.
pub fn as_float(value: &Value) -> Option<f64> {
    let is_float = value.is_number() && !value.is_integer();
    if is_float { f64::try_from(value.clone()).ok() } else { None }
}

/// The value as an integer, if it is one or a bool.
pub fn as_int(value: &Value) -> Option<i128> {
    match value.kind() {
        ValueKind::Bool => Some(i128::from(value.is_true())),
        ValueKind::Number if value.is_integer() => i128::try_from(value.clone()).ok(),
        _ => None,
    }
}

fn push_repr(out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
    if depth > MOST_DEPTH || out.len() > MOST_BYTES {
        return Err(failed("a value is too large, or nested too deeply, to be written"));
    }
    match value.kind() {
        ValueKind::Undefined => out.push_str("Undefined"),
        ValueKind::String => push_quoted(out, value.as_str().unwrap_or_default()),
        ValueKind::Number => match as_float(value) {
            Some(number) => out.push_str(&float(number)),
            None => out.push_str(&value.to_string()),
        },
        // Lists that were joined are of the second kind.
        ValueKind::Seq | ValueKind::Iterable => {
            let is_tuple = value.is_tuple();
            out.push(if is_tuple { '(' } else { '[' });
            let mut count = 0;
            for item in value.try_iter()?.checked() {
                if count > 0 {
                    out.push_str(", ");
                }
                push_repr(out, &item?, depth + 1)?;
                count += 1;
            }
            out.push_str(match (is_tuple, count) {
                (true, 1) => ",)",
                (true, _) => ")",
                (false, _) => "]",
            });
        }
        ValueKind::Map => {
            out.push('{');
            for (index, key) in value.try_iter()?.checked().enumerate() {
                let key = key?;
                if index > 0 {
                    out.push_str(", ");
                }
                push_repr(out, &key, depth + 1)?;
                out.push_str(": ");
                push_repr(out, &value.get_item(&key)?, depth + 1)?;
            }
            out.push('}');
        }
        _ => out.push_str(&value.to_string()),
    }
    Ok(())
}

/// `repr(text)`.
fn push_quoted(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if c == quote => out.extend(['\\', c]),
            _ if is_printable(c) => out.push(c),
            _ => push_code(out, c),
        }
    }
    out.push(quote);
}

/// `\x07`, `\u200b` or `\U0010ffff`.
pub fn push_code(out: &mut String, c: char) {
    let code = u32::from(c);
    out.push_str(&match code {
        0..=0xff => format!("\\x{code:02x}"),
        0x100..=0xffff => format!("\\u{code:04x}"),
        _ => format!("\\U{code:08x}"),
    });
}

/// Whether Python's `repr` writes a character as it is.
pub fn is_printable(c: char) -> bool {
    // After another character, a combining one is not escaped.
    let text: String = ['a', c].into_iter().collect();
    matches!(c, '\'' | '"' | '\\') || !text.escape_debug().skip(1).collect::<String>().starts_with('\\')
}

/// `repr` of a float: the fewest digits that give it back, with an exponent from 1e16 and below 1e-4.
pub fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>().unwrap_or_default() {
        -4..16 => {
            let plain = number.to_string();
            if plain.contains('.') { plain } else { plain + ".0" }
        }
        exponent => format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()),
    }
}
