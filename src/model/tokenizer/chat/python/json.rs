//! `json.dumps`, which is what transformers' `tojson` is. Jinja's own escapes `<`, `>`, `&` and `'`.

#![expect(clippy::needless_pass_by_value, reason = "the renderer gives arguments by value")]

use super::{as_float, failed, float};
use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Error, State, Value};

/// Values in values: Python gives up at about a thousand.
const MOST_DEPTH: usize = 300;
/// Bytes of the result.
const MOST_BYTES: usize = 4 << 20;
/// Spaces of one level.
const MOST_INDENT: usize = 1000;

/// How JSON is written.
struct Writer {
    out: String,
    ascii: bool,
    indent: Option<String>,
    between: String,
    colon: String,
    sorted: bool,
}

/// The filter `tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False)`.
///
/// # Errors
/// If a value has no form in JSON, or it is too large.
pub fn tojson(state: &State, value: &Value, args: Rest<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let argument = |index: usize, name: &str| -> Result<Option<Value>, Error> {
        let named: Option<Value> = kwargs.get(name)?;
        let given = args.get(index).cloned().or(named);
        Ok(given.filter(|value| !value.is_none() && !value.is_undefined()))
    };
    let is = |value: Option<Value>| value.is_some_and(|value| value.is_true());
    let indent = match argument(1, "indent")? {
        None => None,
        Some(text) if text.as_str().is_some() => text.as_str().map(str::to_owned),
        Some(number) => Some(" ".repeat(width(&number)?)),
    };
    let separators = match argument(2, "separators")? {
        Some(pair) => Some(super::items_of(&pair)?.iter().map(super::str_of).collect::<Result<Vec<_>, _>>()?),
        None => None,
    };
    let (between, colon) = match separators.as_deref() {
        Some([between, colon]) => (between.clone(), colon.clone()),
        Some(_) => return Err(failed("separators of tojson are two texts")),
        None => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
    };
    let ascii = is(argument(0, "ensure_ascii")?);
    let mut writer =
        Writer { out: String::new(), ascii, indent, between, colon, sorted: is(argument(3, "sort_keys")?) };
    kwargs.assert_all_used()?;
    if args.len() > 4 {
        return Err(failed("tojson takes at most 4 arguments"));
    }
    writer.value(value, 0)?;
    state.consume_fuel(writer.out.len() as u64 / 64)?;
    Ok(writer.out)
}

/// The spaces of an indentation; none if it is negative.
fn width(number: &Value) -> Result<usize, Error> {
    let width = super::as_int(number).ok_or_else(|| failed("the indent of tojson is a number or a text"))?;
    match usize::try_from(width.max(0)) {
        Ok(width) if width <= MOST_INDENT => Ok(width),
        _ => Err(failed("the indent of tojson is too large")),
    }
}

impl Writer {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > MOST_DEPTH || self.out.len() > MOST_BYTES {
            return Err(failed("a value is too large, or nested too deeply, for JSON"));
        }
        match value.kind() {
            ValueKind::None => self.out.push_str("null"),
            ValueKind::Bool => self.out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.out.push_str(&number(value)),
            ValueKind::String => self.text(value.as_str().unwrap_or_default()),
            // Lists that were joined are of the second kind.
            ValueKind::Seq | ValueKind::Iterable => {
                let items = super::items_of(value)?;
                self.container('[', ']', depth, items, |writer, item| writer.value(&item, depth + 1))?;
            }
            ValueKind::Map if value.as_object().is_some_and(|object| object.type_name().contains("Namespace")) => {
                return Err(failed("a namespace is not JSON serializable"));
            }
            ValueKind::Map => {
                let keys = super::items_of(value)?;
                let mut entries = Vec::with_capacity(keys.len());
                for key in keys {
                    let item = value.get_item(&key)?;
                    entries.push((key, item));
                }
                if self.sorted {
                    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
                }
                self.container('{', '}', depth, entries, |writer, (key, item)| {
                    match key.kind() {
                        ValueKind::String => writer.text(key.as_str().unwrap_or_default()),
                        ValueKind::None | ValueKind::Bool | ValueKind::Number => {
                            writer.out.push('"');
                            writer.value(&key, depth + 1)?;
                            writer.out.push('"');
                        }
                        kind => return Err(failed(format!("JSON has no keys of the kind {kind}"))),
                    }
                    writer.out.push_str(&writer.colon.clone());
                    writer.value(&item, depth + 1)
                })?;
            }
            kind => return Err(failed(format!("a value of the kind {kind} is not JSON serializable"))),
        }
        Ok(())
    }

    /// A list or a map.
    fn container<T>(
        &mut self,
        open: char,
        close: char,
        depth: usize,
        items: Vec<T>,
        mut write: impl FnMut(&mut Self, T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.out.push(open);
        let is_empty = items.is_empty();
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.out.push_str(&self.between.clone());
            }
            self.line(depth + 1);
            write(self, item)?;
        }
        if !is_empty {
            self.line(depth);
        }
        self.out.push(close);
        Ok(())
    }

    /// A new line, if lines are indented.
    fn line(&mut self, depth: usize) {
        if let Some(indent) = &self.indent {
            self.out.push('\n');
            self.out.push_str(&indent.repeat(depth));
        }
    }

    fn text(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\x08' => self.out.push_str("\\b"),
                '\x0c' => self.out.push_str("\\f"),
                _ if c < ' ' || (self.ascii && !c.is_ascii()) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        self.out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                _ => self.out.push(c),
            }
        }
        self.out.push('"');
    }
}

fn number(value: &Value) -> String {
    match as_float(value) {
        Some(number) if number.is_nan() => "NaN".to_owned(),
        Some(number) if number.is_infinite() => if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
        Some(number) => float(number),
        None => value.to_string(),
    }
}
