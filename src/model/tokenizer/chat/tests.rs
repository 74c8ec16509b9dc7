//! Templates next to what transformers makes of them, and templates that are faulty or hostile.

use super::*;
use serde::Deserialize;

/// As in tools/record_chat.py, which recorded the fixtures.
const MESSAGE: &str = "<b>\"x\" & y</b> é\n  'q' 100% {{ no }} ";
const TOKENS: [(&str, &str); 5] = [
    ("bos_token", "<s>"),
    ("eos_token", "</s>"),
    ("unk_token", "<unk>"),
    ("pad_token", "<pad>"),
    ("image_token", "<img>"),
];
const NOW: LocalTime = LocalTime { date: (2024, 7, 5), time: (9, 3, 7), microsecond: 42 };

#[derive(Deserialize)]
struct Recorded {
    #[serde(default)]
    template: String,
    #[serde(default)]
    file: String,
    #[serde(default)]
    before: String,
    #[serde(default)]
    name: String,
    rendered: Option<String>,
    error: Option<String>,
}

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/chat").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn template(source: &str) -> ChatTemplate {
    let tokens = TOKENS.map(|(name, text)| (name.to_owned(), text.to_owned()));
    ChatTemplate::new(source, "x.jinja", tokens.into_iter().collect())
}

/// Compares a rendering with what transformers recorded; says what differs.
fn difference(recorded: &Recorded, source: &str) -> Option<String> {
    let found = template(source).render_at(MESSAGE, NOW);
    match (&recorded.rendered, found) {
        (Some(expected), Ok(found)) if *expected == found => None,
        (None, Err(_)) => None,
        (expected, found) => {
            let what = format!("{} {} {}", recorded.file, recorded.name, recorded.template);
            let expected = expected.as_ref().or(recorded.error.as_ref());
            Some(format!(
                "{what}\n  expected {expected:?}\n  found    {:?}",
                found.map_err(|error| format!("{error:#}"))
            ))
        }
    }
}

/// Parts of the snippets that are known to differ: the renderer lacks them, and no template that is known uses them.
const DIFFERENT: &[&str] = &[
    // Texts of ranges and of a map's views, characters by name.
    "% range(3)",
    "{{ range(3) }}",
    "range(3) | tojson",
    ".keys() }}",
    "N{BULLET}",
    "~ 1e16",
    // What a macro was given beyond its parameters; tuples without brackets; the text of the template itself.
    "varargs",
    "{{ 1, 2 }}",
    "in 1, 2",
    "self is defined",
    // Comparisons that Python refuses; a loop over none.
    "missing > 1",
    "1 < 'a'",
    "in none",
    // Filters and functions about layout and chance.
    "wordwrap",
    "groupby(0)",
    "urlencode",
    "xmlattr",
    "lipsum",
    "random",
    // Methods of numbers; rare parts of str.format; resetting a cycler.
    "bit_length",
    "{!r}",
    "{:%}",
    "{:>{}}",
    "c.reset",
];

#[test]
fn snippets_are_rendered_as_by_transformers() {
    let all: Vec<Recorded> = serde_json::from_str(&fixture("snippets.json")).unwrap();
    assert!(all.len() > 1000);
    let is_known = |one: &&Recorded| !DIFFERENT.iter().any(|known| one.template.contains(known));
    let known = all.iter().filter(is_known);
    let different: Vec<String> = known.filter_map(|one| difference(one, &one.template)).collect();
    assert!(different.is_empty(), "{} of {}:\n{}", different.len(), all.len(), different.join("\n"));
}

#[test]
fn public_templates_are_rendered_as_by_transformers() {
    let all: Vec<Recorded> = serde_json::from_str(&fixture("rendered.json")).unwrap();
    assert!(all.iter().filter(|one| one.rendered.is_some()).count() > 60);
    let source = |one: &Recorded| one.before.clone() + &fixture(&format!("templates/{}", one.file));
    let different: Vec<String> = all.iter().filter_map(|one| difference(one, &source(one))).collect();
    assert!(different.is_empty(), "{} of {}:\n{}", different.len(), all.len(), different.join("\n"));
}

#[test]
fn dates_are_written_as_by_python() {
    #[derive(Deserialize)]
    struct Clock {
        now: [u32; 7],
        codes: Vec<String>,
        texts: Vec<String>,
    }
    let all: Vec<Clock> = serde_json::from_str(&fixture("clocks.json")).unwrap();
    for Clock { now: [year, month, day, hour, minute, second, microsecond], codes, texts } in all {
        let now = LocalTime { date: (year as i32, month, day), time: (hour, minute, second), microsecond };
        for (code, text) in codes.iter().zip(&texts) {
            assert_eq!(now.strftime(code), *text, "{code} at {now:?}");
        }
    }
}

/// Templates that would take all memory, all of the stack, or for ever.
fn hostile() -> Vec<String> {
    let block = |open: &str, close: &str, count: usize| open.repeat(count) + &close.repeat(count);
    let print = |inner: &str| format!("{{{{ {inner} }}}}");
    let grown = |start: &str, step: &str, rounds: usize, end: &str| {
        let step = format!("{{% set n.s = {step} %}}");
        format!("{{% set n = namespace(s={start}) %}}{{% for i in range({rounds}) %}}{step}{{% endfor %}}{end}")
    };
    let x = "x".repeat(100_000);
    let mut all = vec![
        block("{% if true %}", "{% endif %}", 20_000),
        block("{% for i in [1] %}", "{% endfor %}", 20_000),
        block("{% generation %}", "{% endgeneration %}", 20_000),
        print(&block("(", ")", 50_000)),
        print(&block("[", "]", 50_000)),
        print(&("not ".repeat(9_000) + "1 + none")),
        print(&("-".repeat(9_000) + "none")),
        print(&("x if y else ".repeat(2_000) + "1 + none")),
        print(&("1 + ".repeat(4_900) + "none")),
        print(&("messages".to_owned() + &".a".repeat(4_900))),
        print(&("messages".to_owned() + &"[0]".repeat(3_000) + ".a.a.a")),
        print(&("messages".to_owned() + &"|list".repeat(3_000) + "|nofilter")),
        print(&("1 ** ".repeat(4_900) + "none")),
        print(&("1 % ".repeat(90) + "none")),
        print(&("1 % ".repeat(4_900) + "none")),
        print(&("1 <= ".repeat(3_300) + "none + 1")),
        "{% if x %}".to_owned() + &"{% elif x %}".repeat(20_000) + "{% endif %}",
        "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}".to_owned(),
        format!("{{% for a in range(99999) %}}{x}{{% endfor %}}"),
        format!("{{% set y %}}{{% for a in range(99999) %}}{x}{{% endfor %}}{{% endset %}}{{{{ y }}}}"),
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}".to_owned(),
        "{% macro m() %}{% call m() %}{{ m() }}{% endcall %}{{ caller() }}{% endmacro %}{{ m() }}".to_owned(),
        "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}".to_owned(),
    ];
    for step in [
        "n.s ~ n.s",
        "n.s + n.s",
        "n.s.replace('a', n.s)",
        "'%s%s' % (n.s, n.s)",
        "[n.s, n.s] | join(n.s)",
        "n.s.join([n.s, n.s])",
        "[n.s, n.s] | tojson",
        "'{}{}'.format(n.s, n.s)",
        "n.s | replace('a', n.s)",
        "n.s | indent(n.s, true)",
        "(n.s, n.s) | string",
    ] {
        all.push(grown("'ab'", step, 90, "{{ n.s }}"));
    }
    for end in [
        "{{ n.s }}",
        "{{ n.s ~ 1 }}",
        "{{ n.s | tojson }}",
        "{{ '%s' % (n.s,) }}",
        "{{ '{}'.format(n.s) }}",
        "{{ n.s | upper }}",
        "{{ n.s | list }}",
        "{{ n.s | join }}",
    ] {
        all.push(grown("[1]", "n.s + n.s", 90, end));
        all.push(grown("[1]", "[n.s, n.s]", 90, end));
        all.push(grown("(1,)", "n.s + n.s", 90, end));
        all.push(grown("[1]", "n.s * 2", 90, end));
    }
    for end in [
        "{{ n.s }}",
        "{{ n.s | tojson }}",
        "{{ n.s == [n.s] }}{{ x.y }}",
        "{{ n.s ~ 1 }}",
        "{{ n.s | pprint }}",
        "{{ '%r' % (n.s,) }}",
        "{{ x.y }}",
        "{{ [n.s, n.s] | sort }}{{ x.y }}",
    ] {
        all.push(grown("[]", "[n.s]", 20_000, end));
        all.push(grown("[]", "{'a': n.s}", 20_000, end));
    }
    let calls = [
        "'a' * N",
        "[1] * N",
        "'%Ns' % 1",
        "'%.Nf' % 1",
        "'%*d' % (N, 1)",
        "'a'.center(N)",
        "'a'.zfill(N)",
        "'a'.ljust(N)",
        "'a\nb' | indent(N) | nofilter",
        "[1] | tojson(indent=N)",
        "range(N) | list",
        "2 ** N ** N",
        "'{:Nd}'.format(1)",
        "('ab' * 1000).replace('', 'ab' * 10000000)",
        "('a' | truncate(N)) * N",
    ];
    all.extend(calls.iter().map(|call| print(&call.replace('N', "100000000000"))));
    all
}

#[test]
fn hostile_templates_are_errors_in_time() {
    for source in hostile() {
        let started = std::time::Instant::now();
        let shown: String = source.chars().take(150).collect();
        let found = template(&source).render("x");
        assert!(started.elapsed() < LIMIT + Duration::from_secs(2), "{shown}: {:?}", started.elapsed());
        match found {
            // `[n.s, n.s]` 90 times is a list of two, whose parts are the same.
            Ok(text) if source.contains("| list }}") && text.len() < 1000 => {}
            Ok(text) => panic!("{shown}: {} bytes", text.len()),
            Err(error) => {
                let message = format!("{error:#}");
                if started.elapsed() > Duration::from_secs(1) {
                    eprintln!("{:?}: {shown}", started.elapsed());
                }
                assert!(message.contains("x.jinja") && message.len() < 1000, "{shown}: {message}");
            }
        }
    }
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
    write("tokenizer_config.json", r#"{"chat_template": {"default": "o", "tool": "t"}}"#);
    assert_eq!(render(), "o");
    // Transformers refuses to choose, too.
    write("tokenizer_config.json", r#"{"chat_template": [{"name": "tool", "template": "t"}]}"#);
    assert!(ChatTemplate::of_dir(dir.path()).unwrap_err().to_string().contains("tool"));
    write("chat_template.jinja", "j");
    assert_eq!(render(), "j");
}

#[test]
fn templates_with_names_come_before_others() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let found = || ChatTemplate::of_dir(dir.path()).map(|found| found.map(|found| found.source.to_string()));
    write("tokenizer_config.json", "{\"chat_template\": \"config\"}");
    assert_eq!(found().unwrap().as_deref(), Some("config"));
    std::fs::create_dir(dir.path().join(FOLDER)).unwrap();
    write("additional_chat_templates/README.md", "no template");
    assert_eq!(found().unwrap().as_deref(), Some("config"));
    write("additional_chat_templates/tool_use.jinja", "tools");
    write("additional_chat_templates/rag.jinja", "rag");
    let error = found().unwrap_err().to_string();
    assert!(error.contains("has the chat templates rag, tool_use, but none named default"), "{error}");
    write("chat_template.jinja", "single");
    assert_eq!(found().unwrap().as_deref(), Some("single"));
    write("additional_chat_templates/default.jinja", "named");
    assert_eq!(found().unwrap().as_deref(), Some("named"));
}
