//! The chat template of an instruct model (HF `apply_chat_template`).

mod environment;
mod python;
mod source;
mod special;

pub use python::time::LocalTime;
pub use special::SpecialTokens;
pub(super) use special::{config_of_dir, content};

use super::bounded::bounded;
use crate::model::opening::read_json;
use anyhow::{Context, Result, anyhow, bail};
use environment::{Limited, environment};
use minijinja::{Value, context};
use serde_json::Value as Json;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A template that takes longer is stopped. Real ones take milliseconds.
const LIMIT: Duration = Duration::from_secs(5);
/// The folder of templates with names.
const FOLDER: &str = "additional_chat_templates";
/// Bytes that a template may add to the message.
const MOST_BYTES: usize = 8 << 20;

/// A template and the special tokens it may write.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    source: Arc<str>,
    /// Where it stands, for messages.
    place: String,
    tokens: SpecialTokens,
}

impl ChatTemplate {
    /// A template in Jinja. `place` names its file in messages.
    pub fn new(source: &str, place: &str, tokens: SpecialTokens) -> Self {
        Self { source: source.into(), place: place.to_owned(), tokens }
    }

    /// The template of a model directory, in transformers' order: `additional_chat_templates/default.jinja`,
    /// `chat_template.jinja`, or `chat_template` in tokenizer_config.json (text, or named templates, of which the one named
    /// `default` is used).
    ///
    /// # Errors
    /// If a file can't be read, or there are only templates of other names.
    pub fn of_dir(dir: &Path) -> Result<Option<Self>> {
        let Some((source, place)) = source_of_dir(dir)? else { return Ok(None) };
        Ok(Some(Self { source: source.into(), place, tokens: SpecialTokens::of_dir(dir)? }))
    }

    /// The same template with other special tokens.
    pub fn with_tokens(self, tokens: SpecialTokens) -> Self {
        Self { tokens, ..self }
    }

    /// The special tokens it may write.
    pub fn tokens(&self) -> &SpecialTokens {
        &self.tokens
    }

    /// One message of the user, written as the template says, ready for the model's answer. Special tokens are part of
    /// the text, so it is tokenised without adding any.
    ///
    /// # Errors
    /// If the template is faulty, refuses the message, or does not end.
    pub fn render(&self, message: &str) -> Result<String> {
        self.render_at(message, LocalTime::now())
    }

    /// As [`ChatTemplate::render`], at a given moment.
    ///
    /// # Errors
    /// As [`ChatTemplate::render`].
    pub fn render_at(&self, message: &str, now: LocalTime) -> Result<String> {
        let (source, tokens, message) = (self.source.clone(), self.tokens.clone(), message.to_owned());
        let rendered = bounded("the template", LIMIT, move || rendered(&source, &tokens, &message, now));
        rendered.with_context(|| format!("the model's chat template ({}) could not be applied", self.place))
    }
}

fn rendered(source: &str, tokens: &SpecialTokens, message: &str, now: LocalTime) -> Result<String> {
    let source = source::adapted(source)?;
    let failed = |error: minijinja::Error| {
        let line = error.line().map(|line| format!(" (line {line})")).unwrap_or_default();
        let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
        anyhow!("{detail}{line}")
    };
    let env = environment(now).map_err(failed)?;
    let template = env.template_from_named_str("chat template", &source).map_err(failed)?;
    let conversation = context! {
        messages => vec![Value::from_pairs([("role", "user"), ("content", message)])],
        tools => (),
        documents => (),
        add_generation_prompt => true,
    };
    let tokens = Value::from_pairs(tokens.iter());
    let mut out = Limited { text: Vec::new(), most: MOST_BYTES.saturating_add(message.len().saturating_mul(4)) };
    template.render_captured_to(context! { ..conversation, ..tokens }, &mut out).map_err(failed)?;
    String::from_utf8(out.text).context("it wrote no UTF-8")
}

/// A directory's template, and where it stands.
fn source_of_dir(dir: &Path) -> Result<Option<(String, String)>> {
    let folder = dir.join(FOLDER);
    for path in [folder.join("default.jinja"), dir.join("chat_template.jinja")] {
        match std::fs::read_to_string(&path) {
            Ok(text) => return Ok(Some((text, path.display().to_string()))),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }
    // Any other template in the folder hides those of tokenizer_config.json, as in transformers.
    let entries = std::fs::read_dir(&folder).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut others: Vec<(String, Option<String>)> =
        names.filter_map(|name| Some((name.strip_suffix(".jinja")?.to_owned(), None))).collect();
    if !others.is_empty() {
        others.sort();
        return default_of(&others, folder.display().to_string());
    }
    let path = dir.join("tokenizer_config.json");
    let config = read_json(&path)?.unwrap_or_default();
    let place = path.display().to_string();
    let named: Vec<(&str, Option<&str>)> = match config.get("chat_template") {
        Some(Json::String(text)) => return Ok(Some((text.clone(), place))),
        Some(Json::Array(named)) => {
            let text = |one: &Json, key: &str| one.get(key).and_then(Json::as_str).map(str::to_owned);
            let of = |one| Some((text(one, "name")?, text(one, "template")));
            return default_of(&named.iter().filter_map(of).collect::<Vec<_>>(), place);
        }
        Some(Json::Object(named)) => named.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect(),
        _ => return Ok(None),
    };
    let owned = |(name, text): (&str, Option<&str>)| (name.to_owned(), text.map(str::to_owned));
    default_of(&named.into_iter().map(owned).collect::<Vec<_>>(), place)
}

/// The template named `default`.
fn default_of(named: &[(String, Option<String>)], place: String) -> Result<Option<(String, String)>> {
    match named.iter().find(|(name, _)| name == "default") {
        Some((_, Some(text))) => Ok(Some((text.clone(), place))),
        _ if named.is_empty() => Ok(None),
        _ => {
            let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
            bail!("{place} has the chat templates {}, but none named default", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests;
