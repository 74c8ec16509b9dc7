//! The arrows of the house: which room may name which. Reads the `use` lines and paths of the source.
//! Every room may name the leaf `control`.

mod circles;
mod source;

use source::{rust_files, without_comments};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Room → rooms it may name. Nothing points back.
const ARROWS: [(&str, &[&str]); 11] = [
    ("trace", &[]),
    ("analysis", &["trace"]),
    ("protocol", &["analysis", "trace"]),
    ("model", &["analysis", "trace"]),
    ("hub", &[]),
    ("engine", &["hub", "model", "protocol", "analysis", "trace"]),
    ("state", &["protocol", "analysis", "trace"]),
    ("ui", &["state", "protocol", "analysis", "trace"]),
    ("export", &["analysis", "trace"]),
    ("app", &["ui", "state", "engine", "export", "hub", "model", "protocol", "analysis", "trace"]),
    ("cli", &["app", "export", "engine", "hub", "model", "protocol", "analysis", "trace"]),
];

/// Crates that only some rooms may know.
const CRATES: [(&str, &[&str]); 19] = [
    ("candle_core", &["model"]),
    ("ratatui", &["ui", "app"]),
    ("crossterm", &["ui", "app"]),
    ("tokio", &["app", "engine"]),
    ("clap", &["cli", "app"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("toml", &["app"]),
    ("tokenizers", &["model"]),
    ("minijinja", &["model"]),
    ("ureq", &["hub"]),
    ("hf_hub", &["hub"]),
    ("ab_glyph_rasterizer", &["export"]),
    ("flate2", &["export"]),
    ("parquet", &["analysis"]),
    ("pdf_writer", &["export"]),
    ("subsetter", &["export"]),
    ("ab_glyph", &["export"]),
    ("png", &["export"]),
];

/// (room, file, source without comments) of every file in a room.
fn sources() -> Vec<(String, String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |path: PathBuf| {
        let inside = path.strip_prefix(&src).unwrap();
        let room = inside.components().next().unwrap().as_os_str().to_str().unwrap().to_owned();
        let code = without_comments(&fs::read_to_string(&path).unwrap());
        (room, inside.display().to_string(), code)
    };
    rust_files(&src).into_iter().map(read).filter(|(room, ..)| !room.ends_with(".rs")).collect()
}

/// Rooms named as `crate::room` or in `use crate::{room…, …}`.
fn named(code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        match rest.strip_prefix('{') {
            None => rooms.extend([word(rest)]),
            Some(group) => {
                let mut depth = 0;
                let mut start = true;
                for (i, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        _ if start && !c.is_whitespace() => {
                            rooms.insert(word(&group[i..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    rooms
}

#[test]
fn every_arrow_is_one_of_the_plan() {
    let all: Vec<&str> = ARROWS.iter().map(|(room, _)| *room).collect();
    let mut wrong = Vec::new();
    for (room, file, code) in sources() {
        let allowed = ARROWS.iter().find(|(name, _)| *name == room).map(|(_, to)| *to);
        let Some(allowed) = allowed else { panic!("{file}: `{room}` is not a room of the plan") };
        for other in named(&code) {
            if all.contains(&other.as_str()) && other != room && !allowed.contains(&other.as_str()) {
                wrong.push(format!("{file} names {other}"));
            }
        }
        for (name, rooms) in CRATES {
            let uses = code.contains(&format!("{name}::")) || code.contains(&format!("use {name}"));
            if uses && !rooms.contains(&room.as_str()) {
                wrong.push(format!("{file} names the crate {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that point back:\n{}", wrong.join("\n"));
}

#[test]
fn control_is_a_leaf_that_every_room_may_name() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/control.rs")).unwrap();
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    assert_eq!(named(&code.join("\n")), BTreeSet::new());
}

#[test]
fn the_reader_of_arrows_sees_groups_and_paths() {
    let seen = named("use crate::{ui::a, state::{b, c}, trace};\nlet x = crate::model::f(crate::engine::g);");
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["engine", "model", "state", "trace", "ui"]);
}

#[test]
fn unsafe_code_lives_in_the_kernels_and_the_map_only() {
    for (_, file, code) in sources() {
        let allowed = file.starts_with("model/kernels/") || file == "model/weights/map.rs";
        assert!(allowed || !code.contains("unsafe"), "{file} holds unsafe code");
        if code.contains("unsafe {") {
            let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(&file)).unwrap();
            assert!(
                text.matches("// SAFETY:").count() >= text.matches("unsafe {").count(),
                "{file}: a SAFETY line is missing"
            );
        }
    }
}

#[test]
fn only_the_loop_reads_clocks_files_and_the_environment_of_the_screen() {
    for (room, file, code) in sources() {
        if ["state", "analysis", "protocol"].contains(&room.as_str())
            || room == "trace" && !file.starts_with("trace/file/")
        {
            for word in ["std::fs", "std::time", "std::env", "std::thread", "Instant", "SystemTime"] {
                assert!(!code.contains(word), "{file} uses {word}");
            }
        }
    }
}
