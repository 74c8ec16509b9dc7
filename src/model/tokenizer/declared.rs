//! Tokens that other files than tokenizer.json declare, as transformers adds them.

use super::chat::{SpecialTokens, config_of_dir, content};
use crate::model::opening::read_json;
use crate::trace::{Level, Report};
use anyhow::{Result, anyhow};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::path::Path;
use tokenizers::AddedToken;

/// Tokens of tokenizer_config.json, or, if it has no `added_tokens_decoder`, also of special_tokens_map.json and
/// added_tokens.json.
#[derive(Default)]
pub struct Declared {
    /// By the ids that the files state, in their order.
    by_id: BTreeMap<u64, AddedToken>,
    /// Special tokens: those with a name first.
    special: Vec<AddedToken>,
    /// Entries that are no tokens.
    unreadable: Vec<String>,
}

impl Declared {
    /// The tokens that the files of a model directory declare.
    ///
    /// # Errors
    /// If a file is no JSON or can't be read.
    pub fn of_dir(dir: &Path) -> Result<Self> {
        let config = config_of_dir(dir)?;
        let mut found = Self::default();
        let named = SpecialTokens::of_config(&config);
        let listed = listed(&config);
        if let Some(Json::Object(tokens)) = config.get("added_tokens_decoder") {
            for (id, token) in tokens {
                match (id.parse(), token_of(token, false)) {
                    (Ok(id), Some(token)) => drop(found.by_id.insert(id, token)),
                    _ => found.unreadable.push(id.clone()),
                }
            }
        } else if let Some(Json::Object(tokens)) = read_json(&dir.join("added_tokens.json"))? {
            for (text, id) in tokens {
                let is_special =
                    named.texts().chain(listed.iter().filter_map(|token| content(token))).any(|one| one == text);
                match id.as_u64() {
                    Some(id) => drop(found.by_id.insert(id, AddedToken::from(text, is_special))),
                    None => found.unreadable.push(text),
                }
            }
        }
        let extra = config.get("extra_special_tokens").and_then(Json::as_object).into_iter().flatten();
        let keys = config.iter().filter(|(name, _)| name.ends_with("_token")).chain(extra);
        let full: BTreeMap<&str, &Json> = keys.filter_map(|(_, token)| Some((content(token)?, token))).collect();
        let of_name = named.texts().filter_map(|text| full.get(text).and_then(|token| token_of(token, true)));
        let of_list = listed.iter().filter_map(|token| token_of(token, true));
        found.special = of_name.chain(of_list).collect();
        Ok(found)
    }

    /// Adds a special token unless one of its text is declared.
    pub fn add_special(&mut self, text: &str) {
        if !self.special.iter().any(|token| token.content == text) {
            self.special.push(AddedToken::from(text.to_owned(), true).normalized(false));
        }
    }

    /// Finds the tokens in the text as it is, before it is normalized.
    pub fn match_raw_text(&mut self) {
        self.by_id.values_mut().for_each(|token| token.normalized = false);
    }

    /// The declared texts by their ids.
    pub fn by_id(&self) -> impl Iterator<Item = (u64, &str)> {
        self.by_id.iter().map(|(id, token)| (*id, token.content.as_str()))
    }

    /// Adds the tokens that a tokenizer lacks. The report gets those whose ids are not those that the files state: ids
    /// follow from the order, here as in transformers.
    ///
    /// # Errors
    /// If the library refuses a token.
    pub fn add_to(&self, tokenizer: &mut tokenizers::Tokenizer, report: &mut Report) -> Result<()> {
        let before = tokenizer.get_vocab_size(true);
        let known: Vec<String> =
            tokenizer.get_added_tokens_decoder().into_values().map(|token| token.content).collect();
        let is_new = |token: &&AddedToken| {
            !known.contains(&token.content) && !self.by_id.values().any(|one| one.content == token.content)
        };
        let special = self.special.iter().filter(is_new);
        let named = |token: &AddedToken| self.special.iter().any(|one| one.content == token.content);
        let by_id = self.by_id.values().cloned().map(|token| if named(&token) { token.special(true) } else { token });
        let all: Vec<AddedToken> = by_id.chain(special.cloned()).filter(|token| !token.content.is_empty()).collect();
        tokenizer.add_tokens(all).map_err(|error| anyhow!("{error}"))?;
        let added = tokenizer.get_vocab_size(true).saturating_sub(before);
        if added > 0 {
            let found = format!("{added} tokens that only its other files declare");
            report.add(Level::Ok, "added tokens", "those of tokenizer.json", found, "");
        }
        let moved = self.by_id.iter().filter_map(|(id, token)| {
            let found = tokenizer.token_to_id(&token.content)?;
            (u64::from(found) != *id).then(|| format!("`{}` is {found} (declared {id})", token.content))
        });
        let moved: Vec<String> = moved.collect();
        if !moved.is_empty() {
            let advice = "transformers gives them these ids, too: the tokenizer's files belong to different models";
            report.add(Level::Warn, "added tokens", "the ids of added_tokens_decoder", some(&moved), advice);
        }
        if !self.unreadable.is_empty() {
            let found = format!("no token in the entries {}", some(&self.unreadable));
            report.add(Level::Warn, "added tokens", "a text for each id", found, "these tokens are not known");
        }
        Ok(())
    }
}

/// The first few of many.
fn some(all: &[String]) -> String {
    let shown = all.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    if all.len() > 5 { format!("{shown} and {} more", all.len() - 5) } else { shown }
}

/// The special tokens without names.
fn listed(config: &Map<String, Json>) -> Vec<&Json> {
    let list = |key: &str| config.get(key).and_then(Json::as_array).filter(|list| !list.is_empty());
    let found = list("extra_special_tokens").or_else(|| list("additional_special_tokens"));
    found.into_iter().flatten().collect()
}

/// A token: its text, or an object with `content` and flags.
fn token_of(token: &Json, is_special: bool) -> Option<AddedToken> {
    let flag = |name: &str| token.get(name).and_then(Json::as_bool);
    let special = is_special || flag("special").unwrap_or(false);
    let made = AddedToken::from(content(token)?.to_owned(), special);
    let normalized = flag("normalized").unwrap_or(made.normalized);
    let made = made.normalized(normalized).lstrip(flag("lstrip").unwrap_or(false));
    Some(made.rstrip(flag("rstrip").unwrap_or(false)).single_word(flag("single_word").unwrap_or(false)))
}
