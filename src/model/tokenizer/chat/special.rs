//! The special tokens that templates can write, by their names.

use crate::model::opening::read_json;
use anyhow::Result;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::path::Path;

/// The names that every tokenizer of transformers knows.
const STANDARD: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// Special tokens by name: `bos_token` is `<s>`. A template finds those that are missing undefined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens(BTreeMap<String, String>);

impl SpecialTokens {
    /// The tokens of a model directory, from where transformers takes them: tokenizer_config.json, and
    /// special_tokens_map.json if the former has no `added_tokens_decoder`.
    ///
    /// # Errors
    /// If a file is no JSON or can't be read.
    pub fn of_dir(dir: &Path) -> Result<Self> {
        Ok(Self::of_config(&config_of_dir(dir)?))
    }

    /// The tokens of a tokenizer_config.json that other files were merged into.
    pub fn of_config(config: &Map<String, Json>) -> Self {
        let named = config.iter().filter(|(name, _)| name.ends_with("_token"));
        let extra = config.get("extra_special_tokens").and_then(Json::as_object).into_iter().flatten();
        named.chain(extra).filter_map(|(name, token)| Some((name.clone(), content(token)?.to_owned()))).collect()
    }

    /// The tokens' texts: those with a standard name first.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let standard = STANDARD.iter().filter_map(|name| self.0.get(*name));
        let others = self.0.iter().filter(|(name, _)| !STANDARD.contains(&name.as_str())).map(|(_, text)| text);
        standard.chain(others).map(String::as_str)
    }

    /// The tokens with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// The token of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Adds a token unless its name has one.
    pub fn add_default(&mut self, name: &str, text: &str) {
        self.0.entry(name.to_owned()).or_insert_with(|| text.to_owned());
    }
}

impl FromIterator<(String, String)> for SpecialTokens {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(tokens: I) -> Self {
        Self(tokens.into_iter().collect())
    }
}

/// The text of a token: a text, or an object with `content`.
pub fn content(token: &Json) -> Option<&str> {
    token.get("content").unwrap_or(token).as_str()
}

/// tokenizer_config.json with what special_tokens_map.json says in addition; empty if there is neither.
///
/// # Errors
/// If a file is no JSON or can't be read.
pub fn config_of_dir(dir: &Path) -> Result<Map<String, Json>> {
    let object = |name: &str| -> Result<Option<Map<String, Json>>> {
        Ok(match read_json(&dir.join(name))? {
            Some(Json::Object(object)) => Some(object),
            _ => None,
        })
    };
    let mut config = object("tokenizer_config.json")?.unwrap_or_default();
    if !config.contains_key("added_tokens_decoder") {
        config.extend(object("special_tokens_map.json")?.unwrap_or_default());
    }
    Ok(config)
}
