//! Python's methods of texts, lists and maps.

use super::case::{capitalize, is_decimal, is_other_digit, is_title, is_titled, swapcase, title};
use super::{as_int, failed, items_of, str_of};
use minijinja::value::{Kwargs, Rest, Tuple, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};

/// Bytes of a text that a method makes.
const MOST_BYTES: usize = 16 << 20;

/// Digits of a width or precision in `str.format`.
const MOST_DIGITS: usize = 5;

/// The arguments of a call, by place or by name.
struct Args {
    given: Vec<Value>,
    named: Kwargs,
}

impl Args {
    fn get(&self, index: usize, name: &str) -> Option<Value> {
        let named = || self.named.get::<Option<Value>>(name).ok().flatten();
        self.given.get(index).cloned().or_else(named).filter(|value| !value.is_none())
    }

    fn text(&self, index: usize, name: &str) -> Result<Option<String>, Error> {
        match self.get(index, name) {
            None => Ok(None),
            Some(value) => match value.as_str() {
                Some(text) => Ok(Some(text.to_owned())),
                None => Err(failed(format!("expected a text, found a {}", value.kind()))),
            },
        }
    }

    fn needs_text(&self, index: usize) -> Result<String, Error> {
        self.text(index, "")?.ok_or_else(|| Error::from(ErrorKind::MissingArgument))
    }

    fn number(&self, index: usize, name: &str) -> Result<Option<i128>, Error> {
        match self.get(index, name) {
            None => Ok(None),
            Some(value) => as_int(&value).map(Some).ok_or_else(|| failed("expected an integer")),
        }
    }

    /// At most `count` arguments, all of the names known.
    fn at_most(&self, count: usize) -> Result<(), Error> {
        if self.given.len() > count {
            return Err(Error::from(ErrorKind::TooManyArguments));
        }
        self.named.assert_all_used()
    }
}

/// A method that the renderer lacks.
///
/// # Errors
/// If Python has no such method either, or refuses the arguments.
pub fn method(state: &mut State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let (Rest(given), named): (Rest<Value>, Kwargs) = from_args(args)?;
    let parsed = Args { given, named };
    match value.kind() {
        ValueKind::String if name == "format" => {
            // Widths, and the texts of large values, would be written without a limit.
            let format = value.as_str().unwrap_or_default();
            if format.split(|c: char| !c.is_ascii_digit()).any(|number| number.len() > MOST_DIGITS) {
                return Err(failed("a number in a format is too large"));
            }
            for value in &parsed.given {
                str_of(value)?;
            }
            for name in parsed.named.args().map(str::to_owned).collect::<Vec<_>>() {
                str_of(&parsed.named.get::<Value>(&name)?)?;
            }
            minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args)
        }
        ValueKind::String => {
            let made = text_method(value.as_str().unwrap_or_default(), name, &parsed)?;
            if let Some(text) = made.as_str() {
                state.consume_fuel(text.len() as u64 / 64)?;
            }
            Ok(made)
        }
        ValueKind::Seq | ValueKind::Iterable => list_method(value, name, &parsed),
        ValueKind::Map if name == "copy" => {
            parsed.at_most(0)?;
            Ok(value.clone())
        }
        ValueKind::Map => minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn list_method(value: &Value, name: &str, args: &Args) -> Result<Value, Error> {
    let items = || items_of(value);
    match name {
        "count" | "index" => {
            args.at_most(1)?;
            let wanted = args.given.first().ok_or_else(|| Error::from(ErrorKind::MissingArgument))?;
            let items = items()?;
            if name == "count" {
                return Ok(Value::from(items.iter().filter(|item| *item == wanted).count()));
            }
            let found = items.iter().position(|item| item == wanted);
            found.map(Value::from).ok_or_else(|| failed("the list has no such value"))
        }
        "copy" if !value.is_tuple() => {
            args.at_most(0)?;
            Ok(value.clone())
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn text_method(text: &str, name: &str, args: &Args) -> Result<Value, Error> {
    let plain = |made: String| {
        args.at_most(0)?;
        Ok(Value::from(made))
    };
    let all = |is: &dyn Fn(char) -> bool| {
        args.at_most(0)?;
        Ok(Value::from(!text.is_empty() && text.chars().all(is)))
    };
    match name {
        "upper" => plain(text.to_uppercase()),
        "lower" => plain(text.to_lowercase()),
        "casefold" => plain(
            text.to_lowercase()
                .replace('ß', "ss")
                .replace('ς', "σ")
                .replace('ſ', "s")
                .replace('ﬁ', "fi")
                .replace('ŉ', "ʼn"),
        ),
        "title" => plain(title(text)),
        "capitalize" => plain(capitalize(text)),
        "swapcase" => plain(swapcase(text)),
        "strip" | "lstrip" | "rstrip" => {
            let chars = args.text(0, "")?;
            args.at_most(1)?;
            let strips = |c: char| chars.as_ref().map_or_else(|| is_space(c), |chars| chars.contains(c));
            Ok(Value::from(match name {
                "strip" => text.trim_matches(strips),
                "lstrip" => text.trim_start_matches(strips),
                _ => text.trim_end_matches(strips),
            }))
        }
        "split" | "rsplit" => split(text, name == "rsplit", args),
        "splitlines" => {
            let keeps = args.get(0, "keepends").is_some_and(|value| value.is_true());
            args.at_most(1)?;
            Ok(lines(text, keeps).into_iter().map(Value::from).collect())
        }
        "partition" | "rpartition" => {
            let between = separator(args.needs_text(0)?)?;
            args.at_most(1)?;
            let is_last = name == "rpartition";
            let found = if is_last { text.rsplit_once(&between) } else { text.split_once(&between) };
            let parts = match found {
                Some((left, right)) => [left, &between, right],
                None if is_last => ["", "", text],
                None => [text, "", ""],
            };
            Ok(Value::from(Tuple::from(parts.map(Value::from))))
        }
        "startswith" | "endswith" => {
            let wanted = args.given.first().ok_or_else(|| Error::from(ErrorKind::MissingArgument))?;
            let Some((_, part)) = part(text, args)? else { return Ok(Value::from(false)) };
            args.at_most(3)?;
            let is = |value: &Value| match value.as_str() {
                Some(one) if name == "startswith" => Ok(part.starts_with(one)),
                Some(one) => Ok(part.ends_with(one)),
                None => Err(failed(format!("{name} takes a text or a tuple of texts"))),
            };
            if !wanted.is_tuple() {
                return is(wanted).map(Value::from);
            }
            for one in wanted.try_iter()?.checked() {
                if is(&one?)? {
                    return Ok(Value::from(true));
                }
            }
            Ok(Value::from(false))
        }
        "find" | "rfind" | "index" | "rindex" => {
            let wanted = args.needs_text(0)?;
            let part = part(text, args)?;
            args.at_most(3)?;
            let at = part.as_ref().and_then(|(start, part)| {
                let at = if name.starts_with('r') { part.rfind(&wanted) } else { part.find(&wanted) };
                Some(start + part[..at?].chars().count())
            });
            match at {
                Some(at) => Ok(Value::from(at)),
                None if name.ends_with("find") => Ok(Value::from(-1)),
                None => Err(failed("substring not found")),
            }
        }
        "count" => {
            let wanted = args.needs_text(0)?;
            let part = part(text, args)?;
            args.at_most(3)?;
            Ok(Value::from(part.map_or(0, |(_, part)| part.matches(&wanted).count())))
        }
        "replace" => {
            let (old, new) = (args.needs_text(0)?, args.needs_text(1)?);
            let count = args.number(2, "count")?.unwrap_or(-1);
            args.at_most(3)?;
            let found = usize::try_from(count).unwrap_or(usize::MAX).min(text.matches(&old).count());
            bounded(text.len().saturating_add(found.saturating_mul(new.len())))?;
            Ok(Value::from(text.replacen(&old, &new, found)))
        }
        "removeprefix" | "removesuffix" => {
            let one = args.needs_text(0)?;
            args.at_most(1)?;
            let rest = if name == "removeprefix" { text.strip_prefix(&one) } else { text.strip_suffix(&one) };
            Ok(Value::from(rest.unwrap_or(text)))
        }
        "zfill" | "center" | "ljust" | "rjust" => filled(text, name, args),
        "expandtabs" => {
            let size = args.number(0, "tabsize")?.unwrap_or(8).clamp(0, 1000) as usize;
            args.at_most(1)?;
            bounded(text.len().saturating_add(text.matches('\t').count().saturating_mul(size)))?;
            Ok(Value::from(expanded(text, size)))
        }
        "join" => {
            let items = args.given.first().ok_or_else(|| Error::from(ErrorKind::MissingArgument))?;
            args.at_most(1)?;
            let mut made = String::new();
            for (index, item) in items.try_iter()?.checked().enumerate() {
                let item = item?;
                let item = item.as_str().ok_or_else(|| failed(format!("join: item {index} is not a text")))?;
                bounded(made.len() + text.len() + item.len())?;
                if index > 0 {
                    made.push_str(text);
                }
                made.push_str(item);
            }
            Ok(Value::from(made))
        }
        "isalpha" => all(&char::is_alphabetic),
        "isalnum" => all(&|c| c.is_alphanumeric()),
        "isnumeric" => all(&char::is_numeric),
        "isdecimal" => all(&is_decimal),
        "isdigit" => all(&|c| is_decimal(c) || is_other_digit(c)),
        "isspace" => all(&is_space),
        "isascii" => {
            args.at_most(0)?;
            Ok(Value::from(text.is_ascii()))
        }
        "isprintable" => {
            args.at_most(0)?;
            Ok(Value::from(text.chars().all(super::is_printable)))
        }
        "isidentifier" => {
            args.at_most(0)?;
            let mut chars = text.chars();
            let starts = chars.next().is_some_and(|c| c == '_' || c.is_alphabetic());
            Ok(Value::from(starts && chars.all(|c| c == '_' || c.is_alphanumeric())))
        }
        "isupper" => {
            args.at_most(0)?;
            let cased = text.chars().any(char::is_uppercase);
            Ok(Value::from(cased && !text.chars().any(|c| c.is_lowercase() || is_title(c))))
        }
        "islower" => {
            args.at_most(0)?;
            let cased = text.chars().any(char::is_lowercase);
            Ok(Value::from(cased && !text.chars().any(|c| c.is_uppercase() || is_title(c))))
        }
        "istitle" => {
            args.at_most(0)?;
            Ok(Value::from(is_titled(text)))
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn bounded(bytes: usize) -> Result<(), Error> {
    if bytes > MOST_BYTES { Err(failed("a text is too long")) } else { Ok(()) }
}

fn separator(text: String) -> Result<String, Error> {
    if text.is_empty() { Err(failed("empty separator")) } else { Ok(text) }
}

/// Whether Python counts a character as white space.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// Where the part from the second to the third argument begins, and the part; `None` if it begins behind the text.
fn part<'a>(text: &'a str, args: &Args) -> Result<Option<(usize, &'a str)>, Error> {
    let len = text.chars().count() as i128;
    let at = |index: Option<i128>, default: i128| match index {
        None => default,
        Some(index) if index < 0 => (index + len).max(0),
        Some(index) => index,
    };
    let (start, end) = (at(args.number(1, "")?, 0), at(args.number(2, "")?, len).min(len));
    if start > len || start > end {
        return Ok(None);
    }
    let byte = |index: i128| text.char_indices().nth(index as usize).map_or(text.len(), |(at, _)| at);
    Ok(Some((start as usize, &text[byte(start)..byte(end)])))
}

fn split(text: &str, from_right: bool, args: &Args) -> Result<Value, Error> {
    let between = args.text(0, "sep")?;
    let most = args.number(1, "maxsplit")?.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    args.at_most(2)?;
    let pieces = most.saturating_add(1);
    let mut parts: Vec<&str> = match &between {
        Some(between) if between.is_empty() => return Err(failed("empty separator")),
        Some(between) if from_right => text.rsplitn(pieces, between.as_str()).collect(),
        Some(between) => text.splitn(pieces, between.as_str()).collect(),
        None => words(text, from_right, most),
    };
    if from_right {
        parts.reverse();
    }
    Ok(parts.into_iter().map(Value::from).collect())
}

/// Words between white space; the last piece, after `most` splits, is the rest.
fn words(text: &str, from_right: bool, most: usize) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), text);
    loop {
        rest = if from_right { rest.trim_end_matches(is_space) } else { rest.trim_start_matches(is_space) };
        if rest.is_empty() {
            return parts;
        }
        if parts.len() == most {
            parts.push(rest);
            return parts;
        }
        if from_right {
            let start = rest.char_indices().rfind(|(_, c)| is_space(*c)).map_or(0, |(at, c)| at + c.len_utf8());
            parts.push(&rest[start..]);
            rest = &rest[..start];
        } else {
            let end = rest.find(is_space).unwrap_or(rest.len());
            parts.push(&rest[..end]);
            rest = &rest[end..];
        }
    }
}

fn lines(text: &str, keeps: bool) -> Vec<&str> {
    let ends =
        |c: char| matches!(c, '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let (mut found, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let end = rest.find(ends).unwrap_or(rest.len());
        let after = &rest[end..];
        let len = if after.starts_with("\r\n") { 2 } else { after.chars().next().map_or(0, char::len_utf8) };
        found.push(&rest[..if keeps { end + len } else { end }]);
        rest = &rest[end + len..];
    }
    found
}

fn filled(text: &str, name: &str, args: &Args) -> Result<Value, Error> {
    let width = args.number(0, "")?.ok_or_else(|| Error::from(ErrorKind::MissingArgument))?;
    let fill = args.text(1, "")?.unwrap_or_else(|| " ".to_owned());
    args.at_most(if name == "zfill" { 1 } else { 2 })?;
    if fill.chars().count() != 1 {
        return Err(failed("the fill character must be exactly one character long"));
    }
    let len = text.chars().count();
    let width = usize::try_from(width.max(0)).unwrap_or(usize::MAX);
    bounded(width.max(text.len()))?;
    let room = width.saturating_sub(len);
    let made = match name {
        "ljust" => text.to_owned() + &fill.repeat(room),
        "rjust" => fill.repeat(room) + text,
        "center" => centered(text, width, &fill)?,
        _ => {
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['+', '-'])));
            format!("{sign}{}{digits}", "0".repeat(room))
        }
    };
    Ok(Value::from(made))
}

/// The text in the middle of `width` characters.
///
/// # Errors
/// If that is too long.
pub fn centered(text: &str, width: usize, fill: &str) -> Result<String, Error> {
    bounded(width.max(text.len()))?;
    let room = width.saturating_sub(text.chars().count());
    // As CPython rounds.
    let left = room / 2 + (room & width & 1);
    Ok(fill.repeat(left) + text + &fill.repeat(room - left))
}

fn expanded(text: &str, size: usize) -> String {
    let (mut out, mut column) = (String::new(), 0);
    for c in text.chars() {
        match c {
            '\t' if size > 0 => {
                let spaces = size - column % size;
                out.extend(std::iter::repeat_n(' ', spaces));
                column += spaces;
            }
            '\t' => {}
            '\n' | '\r' => {
                out.push(c);
                column = 0;
            }
            _ => {
                out.push(c);
                column += 1;
            }
        }
    }
    out
}

/// The operator `~`.
///
/// # Errors
/// If the text is too long.
pub fn concat(state: &State, first: &Value, Rest(others): Rest<Value>) -> Result<String, Error> {
    let mut made = str_of(first)?;
    for value in &others {
        made.push_str(&str_of(value)?);
        bounded(made.len())?;
    }
    state.consume_fuel(made.len() as u64 / 64)?;
    Ok(made)
}

/// The filter `join`, with Python's texts of the items.
///
/// # Errors
/// If the value has no items, or the text is too long.
#[expect(clippy::needless_pass_by_value, reason = "the renderer gives arguments by value")]
pub fn join(state: &State, value: &Value, between: Option<&Value>, kwargs: Kwargs) -> Result<String, Error> {
    let named: Option<Value> = kwargs.get("d")?;
    let attribute: Option<Value> = kwargs.get("attribute")?;
    kwargs.assert_all_used()?;
    let between = between.or(named.as_ref()).map(str_of).transpose()?.unwrap_or_default();
    let mut made = String::new();
    if value.is_undefined() {
        return Ok(made);
    }
    for (index, item) in value.try_iter()?.checked().enumerate() {
        let mut item = item?;
        for name in attribute.as_ref().map(str_of).transpose()?.iter().flat_map(|path| path.split('.')) {
            item = name.parse::<usize>().map_or_else(|_| item.get_attr(name), |index| item.get_item_by_index(index))?;
        }
        let item = str_of(&item)?;
        bounded(made.len() + between.len() + item.len())?;
        if index > 0 {
            made.push_str(&between);
        }
        made.push_str(&item);
    }
    state.consume_fuel(made.len() as u64 / 64)?;
    Ok(made)
}
