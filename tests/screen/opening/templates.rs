//! Prompts in the chat template of a model.

use super::*;

/// The gist of Mixtral-Instruct's.
const INSTRUCT: &str = "{{ bos_token }}{% for message in messages %}{{ '[INST] ' + message['content'] + ' [/INST]' }}\
    {% endfor %}";

/// A small model with a chat template.
fn with_template(template: &str) -> TempDir {
    let temp = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture("tiny-f32/model")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), temp.path().join(entry.file_name())).unwrap();
    }
    let config = json!({"bos_token": "<s>", "eos_token": "</s>", "chat_template": template});
    fs::write(temp.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    temp
}

#[test]
fn ctrl_t_puts_the_prompt_into_the_chat_template() {
    let model = with_template(INSTRUCT);
    let mut explorer = Setup::of(text(model.path())).start();
    let shot = explorer.wait_for(EDITOR);
    assert!(!shot.has("in the chat template"), "a prompt is taken as it is unless requested otherwise");
    explorer.press("ctrl-t", "prompt · in the chat template (ctrl-t: as it is)");
    explorer.type_text("Which one?");
    explorer.send("enter");
    let title = model.path().file_name().unwrap().to_str().unwrap();
    let shot = wait_model(&mut explorer, &title[..4]);
    assert_eq!(shot.strip_with_bytes(), "<s>·[INST]·Which·one?·[/INST]");
    let inside = shot.tokens();
    // It stays so until changed; the editor has the message, not what the template made of it.
    explorer.press("i", "in the chat template");
    explorer.wait_until("the message", |shot| shot.is_typed("Which one?"));
    explorer.send("ctrl-t");
    explorer.wait_gone("in the chat template");
    explorer.send("enter");
    let shot =
        explorer.wait_until("it as it is", |shot| shot.is_idle() && shot.tokens().is_some() && shot.tokens() != inside);
    assert_eq!(shot.strip_with_bytes(), "<s>·Which·one?");
    // A model without a template gets it as it is.
    explorer.press("i", EDITOR);
    explorer.press("ctrl-t", "in the chat template");
    explorer.send("enter");
    explorer.wait_until("it in the template", |shot| shot.is_idle() && shot.strip_with_bytes().contains("[INST]"));
    open(&mut explorer, "demo");
    let shot = wait_model(&mut explorer, "demo");
    assert_eq!(shot.strip_with_bytes(), "<s>·Which·one?");
    let shot = explorer.press("i", EDITOR);
    assert!(!shot.has("in the chat template"));
    explorer.press("ctrl-t", "this model has no chat template");
    close(&mut explorer, "this model has no chat template");
    // And the next one with a template uses it again.
    open(&mut explorer, text(model.path()));
    let shot = wait_model(&mut explorer, &title[..4]);
    assert_eq!(shot.strip_with_bytes(), "<s>·[INST]·Which·one?·[/INST]");
}

#[test]
fn the_template_can_be_requested_at_the_start() {
    let model = with_template(INSTRUCT);
    let mut explorer = Setup::of(text(model.path())).chat("hi").start();
    explorer.wait_until("the prompt", |shot| shot.is_idle() && shot.strip_with_bytes() == "<s>·[INST]·hi·[/INST]");
    let refuses = with_template("{{ raise_exception('Conversation roles must alternate') }}");
    let mut explorer = Setup::of(text(refuses.path())).chat("hi").start();
    let shot = wait_failure(&mut explorer);
    assert!(shot.footer().contains("could not be applied"), "{}", shot.footer());
    explorer.press("!", "Conversation roles must alternate");
    close(&mut explorer, "message · esc closes");
    explorer.press("i", "in the chat template");
    explorer.send("ctrl-t enter");
    explorer.wait_until("it as it is", |shot| shot.is_idle() && shot.strip_with_bytes() == "<s>·hi");
    let mut explorer = Setup::of("demo").chat("hi").start();
    let shot = wait_failure(&mut explorer);
    assert!(shot.footer().contains("no chat template"), "{}", shot.footer());
}
