//! What the argument parser objects to, in the words of this program: which option, what was expected, what was found.

use super::harmless;
use crate::engine::Target;
use crate::trace::nearest;
use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;
use std::path::Path;

/// The same error in the words of this program, with the usage of the command in `words`.
pub fn reworded(error: clap::Error, root: &mut Command, words: &[OsString]) -> clap::Error {
    let Some(message) = message(&error) else { return error };
    let names = words.iter().skip(1).filter_map(|word| word.to_str());
    let used = names.take(1).find_map(|name| root.find_subcommand(name).cloned());
    used.as_ref().unwrap_or(root).clone().error(error.kind(), harmless(&message))
}

fn message(error: &clap::Error) -> Option<String> {
    let option =
        words(error, ContextKind::InvalidArg).map(|names| names.iter().map(|name| bare(name)).collect::<Vec<_>>());
    let first = || option.as_ref().and_then(|names| names.first().copied());
    Some(match error.kind() {
        ErrorKind::InvalidValue => {
            let known = words(error, ContextKind::ValidValue).unwrap_or_default();
            let expected = match known[..] {
                [] => "a value".to_owned(),
                _ => format!("one of {}", known.join(", ")),
            };
            let found = match words(error, ContextKind::InvalidValue).unwrap_or_default().first() {
                None | Some(&"") => "nothing".to_owned(),
                Some(value) => {
                    let near = nearest(value, known.iter().copied());
                    format!("`{value}`{}", near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())
                }
            };
            format!("{}: expected {expected}, found {found}", first()?)
        }
        ErrorKind::ValueValidation => format!("{}: {}", first()?, std::error::Error::source(error)?),
        ErrorKind::UnknownArgument => {
            let name = first()?;
            let near = words(error, ContextKind::SuggestedArg).and_then(|names| names.first().copied());
            let near = near.map(|near| format!("; did you mean {}?", bare(near))).unwrap_or_default();
            match name.starts_with('-') {
                true => format!("there is no option {name}{near}"),
                false => format!("`{name}` is one argument too many{near}; a text with blanks needs quotes"),
            }
        }
        ErrorKind::MissingRequiredArgument => {
            format!("a required argument is missing: {}", words(error, ContextKind::InvalidArg)?.join(", "))
        }
        ErrorKind::ArgumentConflict => {
            let (name, others) = (first()?, words(error, ContextKind::PriorArg)?);
            let others: Vec<&str> = others.iter().map(|other| bare(other)).collect();
            match others.contains(&name) {
                true => format!("{name} is given twice"),
                false => format!("{name} can't be used together with {}", others.join(", ")),
            }
        }
        _ => return None,
    })
}

fn words(error: &clap::Error, kind: ContextKind) -> Option<Vec<&str>> {
    match error.get(kind)? {
        ContextValue::String(word) => Some(vec![word]),
        ContextValue::Strings(words) => Some(words.iter().map(String::as_str).collect()),
        _ => None,
    }
}

/// `--steps` of `--steps <N>`.
fn bare(argument: &str) -> &str {
    argument.split([' ', '=']).next().unwrap_or(argument)
}

/// The command that the first word is most likely a misspelling of. Such a word would be taken for a model.
pub fn misspelt(root: &Command, words: &[OsString]) -> Option<String> {
    let word = words.get(1)?.to_str()?;
    let is_name = word.chars().all(|c| c.is_ascii_alphabetic());
    if !is_name || word == "demo" || root.find_subcommand(word).is_some() || Path::new(word).exists() {
        return None;
    }
    let near = nearest(word, root.get_subcommands().map(Command::get_name))?;
    // Something else on this machine may be meant.
    Target::parse(word).is_err().then(|| format!("there is no command and no model `{word}`; did you mean `{near}`?"))
}
