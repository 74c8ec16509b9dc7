//! The chat template of an instruct model (HF `apply_chat_template`).

use crate::model::opening::read_json;
use anyhow::{Context, Result, anyhow};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, Value, context};
use serde_json::Value as Json;
use std::path::Path;

/// Steps a template may take before it is stopped: some hundred times what real ones need.
const FUEL: u64 = 1_000_000;

/// A template and the special tokens it may write.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    source: String,
    bos: String,
    eos: String,
}

impl ChatTemplate {
    /// A template in Jinja.
    pub fn new(source: &str, bos: &str, eos: &str) -> Self {
        Self { source: source.to_owned(), bos: bos.to_owned(), eos: eos.to_owned() }
    }

    /// The template of a model directory: `chat_template.jinja`, or `chat_template` in tokenizer_config.json (text, or a
    /// list of named templates: the one named `default`).
    ///
    /// # Errors
    /// If a file can't be read.
    pub fn of_dir(dir: &Path) -> Result<Option<Self>> {
        let config = read_json(&dir.join("tokenizer_config.json"))?.unwrap_or_default();
        let token = |key: &str| {
            let value = config.get(key).map(|value| value.get("content").unwrap_or(value));
            value.and_then(Json::as_str).unwrap_or_default().to_owned()
        };
        let path = dir.join("chat_template.jinja");
        let alone = match std::fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let inside = match config.get("chat_template") {
            Some(Json::String(text)) => Some(text.clone()),
            Some(Json::Array(named)) => {
                let default = named.iter().find(|one| one.get("name").and_then(Json::as_str) == Some("default"));
                default.or(named.first()).and_then(|one| one.get("template")?.as_str()).map(str::to_owned)
            }
            _ => None,
        };
        let source = alone.or(inside);
        Ok(source.map(|source| Self { source, bos: token("bos_token"), eos: token("eos_token") }))
    }

    /// One message of the user, written as the template says, ready for the model's answer. Special tokens are part of
    /// the text, so it is tokenised without adding any.
    ///
    /// # Errors
    /// If the template is faulty, refuses the message, or does not end.
    pub fn render(&self, message: &str) -> Result<String> {
        let mut env = Environment::new();
        // As transformers compiles them.
        env.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        env.set_fuel(Some(FUEL));
        env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        env.add_function("raise_exception", |text: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, text))
        });
        let context = context! {
            messages => vec![context! { role => "user", content => message }],
            add_generation_prompt => true,
            bos_token => &self.bos,
            eos_token => &self.eos,
            tools => (),
        };
        let template = env.template_from_named_str("chat template", &self.source);
        let rendered = template.and_then(|template| template.render(context));
        rendered.map_err(|error| anyhow!("{error}")).context("the model's chat template could not be applied")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The essential part of Mixtral-Instruct's template.
    const INSTRUCT: &str = "{{ bos_token }}{% for message in messages %}\n\
        {% if message['role'] == 'user' %}\n{{ ' [INST] ' + message['content'].strip() + ' [/INST]' }}\
        {% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}\n\
        {% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}";

    #[test]
    fn a_message_is_written_between_the_templates_tokens() {
        let template = ChatTemplate::new(INSTRUCT, "<s>", "</s>");
        assert_eq!(template.render(" Hello ").unwrap(), "<s> [INST] Hello [/INST]");
    }

    #[test]
    fn templates_that_refuse_or_never_end_are_errors() {
        let refuses = ChatTemplate::new("{{ raise_exception('no system prompt') }}", "", "");
        assert!(format!("{:#}", refuses.render("x").unwrap_err()).contains("no system prompt"));
        let endless = "{% for i in range(9999) %}{% for i in range(9999) %}x{% endfor %}{% endfor %}";
        assert!(format!("{:#}", ChatTemplate::new(endless, "", "").render("x").unwrap_err()).contains("fuel"));
        assert!(ChatTemplate::new("{% if", "", "").render("x").is_err());
    }

    #[test]
    fn every_place_of_a_template_is_found() {
        let dir = tempfile::tempdir().unwrap();
        assert!(ChatTemplate::of_dir(dir.path()).unwrap().is_none());
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        let render = || ChatTemplate::of_dir(dir.path()).unwrap().unwrap().render("x").unwrap();
        write("tokenizer_config.json", r#"{"chat_template": "a{{ bos_token }}", "bos_token": {"content": "<s>"}}"#);
        assert_eq!(render(), "a<s>");
        let named = r#"{"chat_template": [{"name": "tool", "template": "t"}, {"name": "default", "template": "d"}]}"#;
        write("tokenizer_config.json", named);
        assert_eq!(render(), "d");
        write("chat_template.jinja", "j");
        assert_eq!(render(), "j");
    }
}
