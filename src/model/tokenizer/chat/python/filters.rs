//! Jinja's filters, tests and functions that the renderer lacks, or that differ there.

#![expect(clippy::needless_pass_by_value, reason = "the renderer gives arguments by value")]

use super::{as_float, as_int, case, failed, str_of, strings};
use minijinja::value::{Kwargs, Object, ObjectRepr, Rest, Tuple, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};
use std::sync::Arc;

/// The largest width that a filter fills or indents to.
const MOST: usize = 100_000;

/// Adds them to an environment.
pub fn add_to(env: &mut Environment) {
    env.add_filter("join", strings::join);
    env.add_filter("title", |text: &Value| Ok::<_, Error>(title(&str_of(text)?)));
    env.add_filter("capitalize", |text: &Value| Ok::<_, Error>(case::capitalize(&str_of(text)?)));
    env.add_filter("string", str_of);
    env.add_filter("safe", str_of);
    env.add_filter("list", |value: &Value| -> Result<Value, Error> {
        if value.is_undefined() {
            Ok(Value::from(Vec::<Value>::new()))
        } else {
            super::items_of(value).map(Value::from)
        }
    });
    env.add_filter("upper", |text: &Value| Ok::<_, Error>(str_of(text)?.to_uppercase()));
    env.add_filter("lower", |text: &Value| Ok::<_, Error>(str_of(text)?.to_lowercase()));
    for (name, method) in [("trim", "strip"), ("replace", "replace")] {
        env.add_filter(name, move |state: &mut State, text: &Value, given: Rest<Value>| {
            strings::method(state, &Value::from(str_of(text)?), method, &given)
        });
    }
    for name in ["escape", "e", "forceescape"] {
        env.add_filter(name, |text: &Value| Ok::<_, Error>(escaped(&str_of(text)?)));
    }
    env.add_filter("pprint", super::repr_of);
    env.add_filter("format", format);
    env.add_filter("center", |text: &Value, width: Option<usize>| -> Result<String, Error> {
        strings::centered(&str_of(text)?, width.unwrap_or(80).min(MOST), " ")
    });
    for name in ["default", "d"] {
        env.add_filter(name, default);
    }
    env.add_filter("int", int);
    env.add_filter("float", float);
    env.add_filter("indent", indent);
    env.add_filter("truncate", truncate);
    env.add_filter("wordcount", |text: &Value| -> Result<usize, Error> {
        Ok(str_of(text)?.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).count())
    });
    env.add_filter("striptags", |text: &Value| Ok::<_, Error>(striptags(&str_of(text)?)));
    env.add_filter("attr", attr);
    env.add_test("callable", |value: &Value| value.kind() == ValueKind::Plain);
    env.add_test("sequence", |value: &Value| {
        matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Map | ValueKind::Iterable)
    });
    env.add_test("iterable", |value: &Value| {
        value.as_str().is_some() || value.is_undefined() || (!value.is_none() && value.try_iter().is_ok())
    });
    env.add_global("dict", Value::from_object(Dict));
    env.add_function("namespace", namespace);
    env.add_function("cycler", |items: Rest<Value>| minijinja_contrib::globals::cycler(items.0));
    env.add_function("joiner", minijinja_contrib::globals::joiner);
}

/// Jinja's title case begins words only after white space and brackets; Python's, after everything that is no letter.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_inclusive(|c: char| strings::is_space(c) || "-({[<".contains(c)) {
        out.push_str(&case::capitalize(word));
    }
    out
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&#34;").replace('\'', "&#39;")
}

/// `text % items`.
fn format(state: &State, text: &Value, Rest(items): Rest<Value>, named: Kwargs) -> Result<Value, Error> {
    let names: Vec<String> = named.args().map(str::to_owned).collect();
    let text = Value::from(str_of(text)?);
    if names.is_empty() {
        return super::percent::percent(state, &text, &Value::from(Tuple::from(items)));
    }
    let mut pairs = Vec::new();
    for name in names {
        pairs.push((name.clone(), named.get::<Value>(&name)?));
    }
    super::percent::percent(state, &text, &Value::from_pairs(pairs))
}

fn default(value: Value, Rest(given): Rest<Value>, named: Kwargs) -> Result<Value, Error> {
    let other = given.first().cloned().or(named.get("default_value")?).unwrap_or_else(|| Value::from(""));
    let also_false = given.get(1).cloned().or(named.get("boolean")?).is_some_and(|value| value.is_true());
    named.assert_all_used()?;
    Ok(if value.is_undefined() || (also_false && !value.is_true()) { other } else { value })
}

fn int(value: &Value, Rest(given): Rest<Value>, named: Kwargs) -> Result<Value, Error> {
    let default = given.first().cloned().or(named.get("default")?).unwrap_or_else(|| Value::from(0));
    let base = given.get(1).cloned().or(named.get("base")?).and_then(|base| as_int(&base)).unwrap_or(10);
    named.assert_all_used()?;
    if let Some(number) = as_int(value) {
        return Ok(Value::from(number));
    }
    if let Some(number) = as_float(value) {
        return Ok(if number.is_finite() { Value::from(number.trunc() as i128) } else { default });
    }
    let Some(text) = value.as_str() else { return Ok(default) };
    let text = text.trim_matches(strings::is_space).replace('_', "");
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(&text)),
    };
    let prefix = match base {
        16 => "0x",
        8 => "0o",
        2 => "0b",
        _ => "",
    };
    let digits = digits.strip_prefix(prefix).unwrap_or(digits);
    let base = u32::try_from(base).ok().filter(|base| (2..=36).contains(base)).ok_or_else(|| failed("invalid base"))?;
    let parsed = i128::from_str_radix(digits, base).ok().map(|number| sign * number);
    let parsed = parsed.or_else(|| Some(parse(&text)?.trunc() as i128));
    Ok(parsed.map_or(default, Value::from))
}

fn float(value: &Value, Rest(given): Rest<Value>, named: Kwargs) -> Result<Value, Error> {
    let default = given.first().cloned().or(named.get("default")?).unwrap_or_else(|| Value::from(0.0));
    named.assert_all_used()?;
    let number = as_float(value).or_else(|| as_int(value).map(|int| int as f64));
    let number = number.or_else(|| value.as_str().and_then(|text| parse(text.trim_matches(strings::is_space))));
    Ok(number.map_or(default, Value::from))
}

fn parse(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

fn indent(value: &Value, Rest(given): Rest<Value>, named: Kwargs) -> Result<String, Error> {
    let width = given.first().cloned().or(named.get("width")?).unwrap_or_else(|| Value::from(4));
    let is = |value: Option<Value>| value.is_some_and(|value| value.is_true());
    let first = is(given.get(1).cloned().or(named.get("first")?));
    let blank = is(given.get(2).cloned().or(named.get("blank")?));
    named.assert_all_used()?;
    let by = match width.as_str() {
        Some(text) => text.to_owned(),
        None => " ".repeat(as_int(&width).and_then(|width| usize::try_from(width).ok()).unwrap_or(0).min(MOST)),
    };
    let text = str_of(value)?;
    let mut out = String::with_capacity(text.len());
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
        }
        if (index > 0 || first) && (blank || !line.is_empty()) {
            out.push_str(&by);
        }
        out.push_str(line);
        if out.len() > MOST * 100 {
            return Err(failed("a text is too long"));
        }
    }
    Ok(out)
}

fn truncate(value: &Value, Rest(given): Rest<Value>, named: Kwargs) -> Result<String, Error> {
    let argument = |index: usize, name: &str| -> Result<Option<Value>, Error> {
        let named: Option<Value> = named.get(name)?;
        Ok(given.get(index).cloned().or(named))
    };
    let number = |value: Option<Value>, default: usize| {
        value.and_then(|value| as_int(&value)).and_then(|number| usize::try_from(number).ok()).unwrap_or(default)
    };
    let length = number(argument(0, "length")?, 255);
    let inside_words = argument(1, "killwords")?.is_some_and(|value| value.is_true());
    let end = argument(2, "end")?.map_or_else(|| Ok("...".to_owned()), |end| str_of(&end))?;
    let leeway = number(argument(3, "leeway")?, 5);
    named.assert_all_used()?;
    let text = str_of(value)?;
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(text);
    }
    let kept: String = text.chars().take(length.saturating_sub(end.chars().count())).collect();
    let kept = if inside_words { kept.as_str() } else { kept.rsplit_once(' ').map_or(kept.as_str(), |(kept, _)| kept) };
    Ok(kept.to_owned() + &end)
}

fn striptags(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let Some(end) = rest[at..].find('>') else { break };
        out.push_str(&rest[..at]);
        rest = &rest[at + end + 1..];
    }
    out.push_str(rest);
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An attribute, which the keys of a map are not.
fn attr(value: &Value, name: &str) -> Result<Value, Error> {
    let is_namespace = value.as_object().is_some_and(|object| object.type_name().contains("Namespace"));
    if is_namespace { value.get_attr(name) } else { Ok(Value::UNDEFINED) }
}

/// `namespace(values, name=value)`.
fn namespace(Rest(given): Rest<Value>, named: Kwargs) -> Result<Value, Error> {
    let pairs = pairs(&given, &named)?;
    let hidden = |(key, _): &&(Value, Value)| key.as_str().is_some_and(|key| key.starts_with('_'));
    if let Some((key, _)) = pairs.iter().find(hidden) {
        return Err(failed(format!("a namespace takes no name with an underscore at its start, but got {key}")));
    }
    let (values,) = minijinja::value::from_args(&[Value::from_pairs(pairs)])?;
    minijinja::functions::namespace(Some(values))
}

/// The entries of `dict(values, name=value)`.
fn pairs(given: &[Value], named: &Kwargs) -> Result<Vec<(Value, Value)>, Error> {
    let mut pairs = Vec::new();
    if given.len() > 1 {
        return Err(Error::from(ErrorKind::TooManyArguments));
    }
    for values in given {
        for item in super::items_of(values)? {
            pairs.push(match values.kind() {
                ValueKind::Map => (item.clone(), values.get_item(&item)?),
                _ => (item.get_item_by_index(0)?, item.get_item_by_index(1)?),
            });
        }
    }
    for name in named.args().map(str::to_owned).collect::<Vec<_>>() {
        pairs.push((Value::from(name.clone()), named.get::<Value>(&name)?));
    }
    Ok(pairs)
}

/// The function `dict`.
#[derive(Debug)]
struct Dict;

impl Object for Dict {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _state: &mut State, args: &[Value]) -> Result<Value, Error> {
        let (Rest(given), named): (Rest<Value>, Kwargs) = minijinja::value::from_args(args)?;
        Ok(Value::from_pairs(pairs(&given, &named)?))
    }

    fn call_method(self: &Arc<Self>, _state: &mut State, name: &str, args: &[Value]) -> Result<Value, Error> {
        match (name, args) {
            ("fromkeys", [keys]) => Ok(Value::from_pairs(all_of(keys, &Value::from(()))?)),
            ("fromkeys", [keys, value]) => Ok(Value::from_pairs(all_of(keys, value)?)),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

fn all_of(keys: &Value, value: &Value) -> Result<Vec<(Value, Value)>, Error> {
    Ok(super::items_of(keys)?.into_iter().map(|key| (key, value.clone())).collect())
}
