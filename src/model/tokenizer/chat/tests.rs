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
const DIFFERENT: [&str; 23] = [
    // Texts of ranges and of a map's views, characters by name, floats from 1e16 next to `~`.
    "% range(3)",
    "{{ range(3) }}",
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
    "forceescape",
    "groupby(0)",
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
