//! What templates can use: Jinja as transformers sets it up, with Python's texts, operators and methods.

use super::python::time::LocalTime;
use super::python::{add, failed, filters, json, percent, str_of, strings};
use super::source::{ADD, CONCAT, PERCENT};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value, escape_formatter};

/// Steps a template may take before it is stopped: some ten times what real ones need for a long conversation.
const FUEL: u64 = 300_000;

/// An environment whose clock stands at `now`.
///
/// # Errors
/// If the renderer refuses the syntax.
pub fn environment(now: LocalTime) -> Result<Environment<'static>, Error> {
    let mut env = Environment::new();
    env.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    env.set_fuel(Some(FUEL));
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_unknown_method_callback(strings::method);
    env.set_formatter(|out, state, value| match state.auto_escape() {
        AutoEscape::None => out.write_str(&str_of(value)?).map_err(|_| failed("the text is too long")),
        _ => escape_formatter(out, state, value),
    });
    env.add_function("raise_exception", |text: Value| -> Result<Value, Error> { Err(failed(str_of(&text)?)) });
    env.add_function("strftime_now", move |format: Option<Value>, named: Kwargs| -> Result<String, Error> {
        let named = if format.is_none() { named.get("format")? } else { None };
        let format: Value = format.or(named).ok_or_else(|| Error::from(ErrorKind::MissingArgument))?;
        Ok(now.strftime(format.as_str().ok_or_else(|| failed("strftime_now takes a text"))?))
    });
    env.add_filter("tojson", json::tojson);
    env.add_filter(PERCENT, percent::percent);
    env.add_filter(CONCAT, strings::concat);
    env.add_filter(ADD, add::add);
    filters::add_to(&mut env);
    Ok(env)
}

/// Text up to a length.
pub struct Limited {
    /// What was written.
    pub text: Vec<u8>,
    /// The most bytes.
    pub most: usize,
}

impl std::io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.text.len() + bytes.len() > self.most {
            return Err(std::io::Error::other(format!("the text is longer than {} bytes", self.most)));
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
