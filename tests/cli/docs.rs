//! The command lines in README, docs and help: all of them pass the argument parser.

use crate::support::cli::{mixscope, stdout};
use std::fs;
use std::path::{Path, PathBuf};

/// README, CONTRIBUTING and the pages of `docs`.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> = docs.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    pages.sort();
    pages.extend(["README.md", "CONTRIBUTING.md"].map(|name| root.join(name)));
    pages
}

/// The lines of `sh` blocks; a line that ends with a backslash goes on in the next.
fn shell_lines(page: &str) -> Vec<String> {
    let (mut lines, mut is_inside, mut line) = (Vec::new(), false, String::new());
    for text in page.lines() {
        if text.trim_start().starts_with("```") {
            is_inside = !is_inside && text.trim_start() == "```sh";
        } else if is_inside {
            match text.strip_suffix('\\') {
                Some(start) => line += start,
                None => lines.push(std::mem::take(&mut line) + text.trim_start()),
            }
        }
    }
    lines
}

/// Words as a shell splits them, up to a comment, a pipe, a redirection or the next command.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.chars().peekable();
    while let Some(first) = rest.peek().copied() {
        match first {
            ' ' => drop(rest.next()),
            '#' | '|' | '>' | ';' | '&' => break,
            _ => {
                let (mut word, mut quote) = (String::new(), None);
                while let Some(c) = rest.next_if(|c| quote.is_some() || *c != ' ') {
                    match (c, quote) {
                        ('\'' | '"', None) => quote = Some(c),
                        (c, Some(open)) if c == open => quote = None,
                        (c, _) => word.push(c),
                    }
                }
                words.push(word);
            }
        }
    }
    words
}

/// The arguments of `mixscope`, its name first, if the line runs it: by name, or as `cargo run … -- …`.
fn command(line: &str) -> Option<Vec<String>> {
    let words = words(line);
    let is_variable = |word: &&String| {
        word.split_once('=').is_some_and(|(name, _)| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
    };
    let words = &words[words.iter().take_while(is_variable).count()..];
    match words.first()?.as_str() {
        "mixscope" => Some(words.to_vec()),
        "cargo" if words.get(1).is_some_and(|word| word == "run") && !words.contains(&"--example".to_owned()) => {
            let arguments = words.iter().skip_while(|word| *word != "--").skip(1).cloned();
            Some(["mixscope".to_owned()].into_iter().chain(arguments).collect())
        }
        _ => None,
    }
}

#[test]
fn every_command_line_of_the_pages_passes_the_parser() {
    let (mut count, mut wrong) = (0, Vec::new());
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for line in shell_lines(&text) {
            let Some(words) = command(&line) else { continue };
            count += 1;
            if let Err(message) = mixscope::cli::parse(&words) {
                wrong.push(format!("{}: {line}\n{message}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 20, "only {count} command lines were found");
}

#[test]
fn every_example_of_the_help_passes_the_parser() {
    let output = mixscope(["--help"]);
    let help = stdout(&output);
    let examples = help.split_once("Examples:").unwrap().1.lines().filter(|line| line.starts_with("  mixscope"));
    // The explanation is two spaces away.
    let lines: Vec<&str> = examples.map(|line| line.trim_start().split("  ").next().unwrap()).collect();
    assert!(lines.len() >= 10, "{help}");
    for line in lines {
        mixscope::cli::parse(&command(line).unwrap()).unwrap_or_else(|message| panic!("{line}\n{message}"));
    }
}

#[test]
fn lines_are_split_as_a_shell_splits_them() {
    assert_eq!(
        command("mixscope run --prompt 'a b' --out x # not this").unwrap().join("|"),
        "mixscope|run|--prompt|a b|--out|x"
    );
    assert_eq!(command("cargo run --release -- bench --json | jq .").unwrap().join("|"), "mixscope|bench|--json");
    assert_eq!(command("HF_TOKEN=x mixscope pull a/b > log").unwrap().join("|"), "mixscope|pull|a/b");
    assert_eq!(command("cargo run --release").unwrap(), ["mixscope"]);
    assert_eq!(command("cargo test"), None);
    assert_eq!(shell_lines("```sh\nmixscope \\\n  info\n```\n```\nnot this\n```"), ["mixscope info"]);
    let wrong = mixscope::cli::parse(&command("mixscope run --no-such-option").unwrap()).unwrap_err();
    assert!(wrong.contains("--no-such-option"), "{wrong}");
}
