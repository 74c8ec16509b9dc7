#![no_main]
//! Chat templates: a text or an error, in bounded time, memory and depth.

use libfuzzer_sys::fuzz_target;
use mixscope::model::{ChatTemplate, SpecialTokens};

fuzz_target!(|source: &str| {
    let tokens = [("bos_token", "<s>"), ("eos_token", "</s>")].map(|(name, text)| (name.to_owned(), text.to_owned()));
    let template = ChatTemplate::new(source, "chat_template.jinja", tokens.into_iter().collect::<SpecialTokens>());
    if let Ok(text) = template.render("Hello <b> 100 %") {
        assert!(text.len() <= 9 << 20);
    }
});
