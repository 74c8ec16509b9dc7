//! Tokenizers in the metadata that are missing, hostile or unusable.

use super::*;

#[test]
fn a_tokenizer_that_cannot_be_used_leaves_prompts_as_ids() {
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    let shorter = |name: &str| sound().edited(&key(name), |elements| drop(elements.pop()));
    let replaced =
        |name: &str, id: usize, value: Value| sound().edited(&key(name), |elements| elements[id] = value.clone());
    let long = "a".repeat(1 << 20);
    let cases: [(Parts, &[&str]); 18] = [
        (sound().without(&key("model")), &["no tokenizer", "tokenizer.ggml.model"]),
        (sound().without(&key("tokens")), &["lacks tokenizer.ggml.tokens"]),
        (sound().without(&key("scores")), &["lacks tokenizer.ggml.scores"]),
        (sound().with(&key("model"), "t5"), &["t5", "llama", "gpt2"]),
        (sound().with(&key("model"), "gpt2"), &["lacks tokenizer.ggml.merges"]),
        (sound().with(&key("model"), ESCAPES), &["owned"]),
        (sound().with(&key("tokens"), Value::Array(8, Vec::new())), &["0 tokens"]),
        (sound().with(&key("tokens"), 5u32), &["tokenizer.ggml.tokens"]),
        (sound().with(&key("scores"), Value::Array(8, vec!["x".into(); 512])), &["0 scores"]),
        (shorter("scores"), &["512 tokens", "511 scores"]),
        (shorter("token_type"), &["512 tokens", "511 types"]),
        (replaced("scores", 40, f32::NAN.into()), &["scores", "NaN"]),
        (replaced("tokens", 300, "<s>".into()), &["1 tokens twice"]),
        (replaced("tokens", 300, Value::String(vec![0xff, 0xfe])), &["tokenizer.ggml.tokens", "UTF-8"]),
        (replaced("tokens", 300, long.as_str().into()), &["tokenizer.ggml.tokens", "1048576 bytes"]),
        (sound().with(&key("bos_token_id"), 512u32), &["bos_token_id is 512", "512 tokens"]),
        (sound().with(&key("eos_token_id"), u64::MAX), &["eos_token_id is 18446744073709551615"]),
        (sound().with(&key("unknown_token_id"), "x"), &["unknown_token_id"]),
    ];
    for (parts, what) in cases {
        let (_temp, path) = saved(&parts.bytes());
        let output = run(&path, &["--prompt", "hello", "--steps", "2"]);
        assert_refused(&output, what);
        assert_mentions(message(&output), &["--prompt-ids"]);
        let warning = assert_runs(&path, &["--prompt-ids", "1,3,300", "--steps", "2"]);
        assert_mentions(&warning, &["warning", "tokenizer"]);
        assert_mentions(&warning, what);
    }
}

#[test]
fn tokens_that_can_be_split_everywhere_are_refused_before_they_fill_the_memory() {
    let runs = ["a", "b", "c", "d", "e", "f"].into_iter().flat_map(|letter| (1..=512).map(move |n| letter.repeat(n)));
    let tokens: Vec<Value> = runs.map(|run| run.as_str().into()).collect();
    let (scores, kinds) = (vec![0.0f32; tokens.len()], vec![1u32; tokens.len()]);
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    let parts = sound().with(&key("tokens"), Value::array(tokens)).with(&key("scores"), Value::array(scores));
    let (_temp, path) = saved(&parts.with(&key("token_type"), Value::array(kinds)).bytes());
    assert_refused(&run(&path, &["--prompt", "hello"]), &["tokens", "ways"]);
}

#[test]
fn a_token_cannot_send_escape_sequences_to_the_terminal() {
    let hostile = |elements: &mut Vec<Value>| {
        for (id, element) in elements.iter_mut().enumerate().skip(259) {
            *element = format!("{ESCAPES}{id}").as_str().into();
        }
    };
    let parts = sound().edited("tokenizer.ggml.tokens", hostile).with("general.name", ESCAPES);
    let parts = parts.with(ESCAPES, ESCAPES).with("tokenizer.chat_template", format!("{{{{ {ESCAPES}").as_str());
    let (_temp, path) = saved(&parts.bytes());
    for args in [
        &["--prompt", "hello", "--steps", "8", "--verbose"][..],
        &["--prompt-ids", "1,300,301,511", "--steps", "8"],
        &["--prompt-ids", "300", "--steps", "3", "--format", "csv", "--temperature", "1.5"],
    ] {
        assert_runs(&path, args);
    }
    for args in [&["info"][..], &["info", "--json"]] {
        let output = mixscope(args.iter().map(OsStr::new).chain([path.as_os_str()]));
        assert_eq!(output.status.code(), Some(0), "{}", message(&output));
        shown(&output.stdout);
    }
    let mut twice = sound();
    for (info, _) in twice.tensors.iter_mut().take(2) {
        info.name = ESCAPES.to_owned();
    }
    assert_file_refused(&twice.bytes(), &["owned", "twice"]);
}

#[test]
fn scores_that_say_nothing_are_a_warning_wherever_the_file_is_opened() {
    let same = |elements: &mut Vec<Value>| elements.fill((-1000.0f32).into());
    let (_temp, path) = saved(&sound().edited("tokenizer.ggml.scores", same).bytes());
    let said = ["-1000 for all", "converted without tokenizer.model", "convert them again"];
    for args in [&["info"][..], &["info", "--json"], &["check", "--no-run"]] {
        let output = mixscope(args.iter().map(OsStr::new).chain([path.as_os_str()]));
        assert_eq!(output.status.code(), Some(0), "{}", message(&output));
        assert_mentions(shown(&output.stdout), &said);
    }
    let output = mixscope(["check".as_ref(), "--no-run".as_ref(), path.as_os_str()]);
    assert_mentions(shown(&output.stdout), &["runs, with 1 warning"]);
    assert_mentions(&assert_runs(&path, &["--prompt", "hello", "--steps", "2"]), &said);
    let mut report = Report::default();
    let bytes = std::fs::read(&path).unwrap();
    describe_gguf(&[(&bytes, bytes.len() as u64)], &mut report).unwrap();
    assert_eq!(report.of(Level::Warn).count(), 1, "before a download, too");
    // Byte tokens alone have one score in every file.
    let mut report = Report::default();
    describe_gguf(&[(&BYTES, BYTES.len() as u64)], &mut report).unwrap();
    assert_eq!(report.of(Level::Warn).count(), 0);
}
