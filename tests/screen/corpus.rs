//! The explorer of a sweep: its views at three sizes, its keys, and its files.

use crate::snapshot::SIZES;
use crate::support::cells::rows;
use crate::support::cli::{mixscope, stderr};
use mixscope::analysis::sweep::Sweep;
use mixscope::app::{Corpus, export_corpus};
use mixscope::state::corpus::CorpusEffect;
use mixscope::ui::{Depth, Theme, draw_corpus};
use ratatui::layout::Rect;
use std::fs;
use std::sync::{Arc, LazyLock};
use unicode_width::UnicodeWidthStr;

/// Two languages, on the demo model.
static SWEEP: LazyLock<Arc<Sweep>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let text = |name: &str, text: &str| fs::write(folder.path().join(name), text.repeat(3)).unwrap();
    text("english.txt", "The capital of France is Paris. The cat sat on the mat, and the dog saw the cat.\n");
    text("spanish.txt", "La capital de Francia es París. El gato duerme en la casa.\n");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (english, spanish, out) = (at("english.txt"), at("spanish.txt"), at("out"));
    let output = mixscope(["sweep", &english, &spanish, "--decode", "4", "--min-count", "1", "--quiet", "--out", &out]);
    assert!(output.status.success(), "{}", stderr(&output));
    Arc::new(Sweep::parse(&fs::read(folder.path().join("out/sweep.safetensors")).unwrap()).unwrap())
});

fn corpus(keys: &str) -> Corpus {
    let mut corpus = Corpus::new(SWEEP.clone(), "out".to_owned(), None, 2);
    press(&mut corpus, keys);
    corpus
}

fn press(corpus: &mut Corpus, keys: &str) -> Option<CorpusEffect> {
    keys.split_whitespace().fold(None, |_, key| corpus.press(key.parse().unwrap()))
}

fn screen(corpus: &Corpus, (width, height): (u16, u16), depth: Depth) -> String {
    let area = Rect::new(0, 0, width, height);
    let cells = draw_corpus(corpus, &Theme::new(depth), area);
    rows(&cells, area).join("\n")
}

#[test]
fn every_view_says_what_it_shows_at_three_sizes() {
    let situations: [(&str, &str, &[&str]); 9] = [
        ("+ + l l", "usage · all groups: share of tokens", &["▸L2", "E7", "at random 0.250"]),
        ("] m m m m", "usage · `english.txt`: mean norm", &["▸L0", "colours 0 … "]),
        ("2 + ] l", "groups · layer 1: share of tokens", &["▸english.txt", " spanish.txt", "at random 0.250"]),
        ("3 + j", "pairs · all groups, layer 1: share", &["▸E1", "–", "at random 0.143"]),
        ("4 j j", "transitions · all groups, layer 0 to 1", &["▸E2", "at random 0.125"]),
        ("5 ] } }", "compare · `english.txt` minus `spanish.txt`", &["colours −", "+0."]),
        ("6 + l", "vocabulary · L1.E1 · input tokens", &["token  ", "share", "▸"]),
        ("7 + l j", "contexts · L1.E1 · drawn at random", &["▸ ", "part ", "window 0", "rank "]),
        ("?", "keys", &["expert", "leave"]),
    ];
    for (keys, title, parts) in situations {
        for size in SIZES {
            let shown = screen(&corpus(keys), size, Depth::Mono);
            let lines: Vec<&str> = shown.lines().collect();
            assert!(lines[0].starts_with("mixscope out · demo"), "{shown}");
            assert!(lines[2].contains(&title[..4]), "{keys} {size:?}:\n{shown}");
            assert!(lines.iter().all(|line| line.width() <= usize::from(size.0)), "{shown}");
            if size == SIZES[2] {
                assert!(lines[2].contains(title), "{keys}: no `{title}`\n{shown}");
                for part in parts {
                    assert!(shown.contains(part), "{keys}: no `{part}`\n{shown}");
                }
            }
        }
    }
}

#[test]
fn the_cursor_is_the_same_in_all_views() {
    let mut corpus = corpus("+ + l l l");
    for view in 1..=7 {
        press(&mut corpus, &view.to_string());
        let shown = screen(&corpus, (160, 45), Depth::True);
        assert!(shown.contains("L2.E3 in all groups: chosen by "), "{shown}");
    }
    press(&mut corpus, "1 ]");
    assert!(screen(&corpus, (160, 45), Depth::True).contains("L2.E3 in english.txt: chosen by "));
    assert_eq!(press(&mut corpus, "q"), Some(CorpusEffect::Quit));
    assert_eq!(press(&mut corpus, "ctrl-c"), Some(CorpusEffect::Quit));
}

#[test]
fn no_key_leaves_the_sweep() {
    let mut corpus = corpus("");
    let keys = ["h", "l", "j", "k", "+", "-", "[", "]", "{", "}", "m", "M", "t", "c", "p", "tab", "pgdn", "pgup", "?"];
    for (n, key) in keys.into_iter().cycle().take(600).enumerate() {
        for _ in 0..n % 13 {
            press(&mut corpus, key);
        }
        for size in [(1, 1), (40, 10), (47, 13), (120, 30)] {
            screen(&corpus, size, Depth::Indexed);
        }
    }
}

#[test]
fn every_view_is_written_as_picture_and_table() {
    let folder = tempfile::tempdir().unwrap();
    for view in 1..=7 {
        let mut corpus = corpus("+ l");
        press(&mut corpus, &view.to_string());
        for name in ["", "-2"] {
            let said = export_corpus(&corpus, folder.path());
            assert!(said.starts_with("wrote "), "{view}: {said}");
            let stem = format!("sweep-{}{name}", corpus.spec.view.name());
            let file = |suffix: &str| fs::read(folder.path().join(format!("{stem}.{suffix}"))).unwrap();
            assert!(file("png").starts_with(b"\x89PNG") && file("csv").ends_with(b"\r\n"), "{stem}");
        }
    }
}
