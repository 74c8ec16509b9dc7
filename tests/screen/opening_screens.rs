//! What opening and choosing models looks like.

use crate::snapshot::{SIZES, lines_of, overlay, page, part};
use mixscope::app::Still;
use mixscope::protocol::{self, Download, FileShare, Memory, RequestId};
use mixscope::state::{Choice, Event, Opening, Origin, Overlay, Phase};
use mixscope::ui::Depth;
use ratatui::buffer::Cell;

const NAME: &str = "mistralai/Mixtral-8x7B-Instruct-v0.1";

fn demo(prompt: &str) -> Still {
    Still::new(crate::support::still::demo(), Some(prompt))
}

fn text(still: &mut Still, w: u16, h: u16) -> String {
    let screen = still.screen(w, h, Depth::Mono);
    screen.content().chunks(w.into()).map(|row| row.iter().map(Cell::symbol).collect::<String>() + "\n").collect()
}

/// Nineteen shards; four are under way.
fn download() -> Download {
    const GB: u64 = 1_000_000_000;
    let small = [("config.json", 720), ("tokenizer.json", 1_795_303), ("model.safetensors.index.json", 92_658)];
    let mut files: Vec<FileShare> = small
        .map(|(name, total)| FileShare { name: name.to_owned(), done: total, total, doing: "done" })
        .into_iter()
        .collect();
    files.extend((1..=19).map(|i| {
        let (done, doing) = match i {
            1..=6 => (49 * GB / 10, "done"),
            7 => (31 * GB / 10, "loading"),
            8 => (12 * GB / 10, "checking"),
            9 | 10 => (i * GB / 4, "loading"),
            _ => (0, "waiting"),
        };
        FileShare { name: format!("model-{i:05}-of-00019.safetensors"), done, total: 49 * GB / 10, doing }
    }));
    Download {
        done: files.iter().map(|file| file.done).sum(),
        total: files.iter().map(|file| file.total).sum(),
        files,
        per_second: 118e6,
        seconds_left: Some(486.0),
        note: String::new(),
    }
}

fn opening(download: Option<Download>) -> Option<Opening> {
    Some(Opening { id: RequestId(1000), name: NAME.to_owned(), download })
}

fn loading(download: Option<Download>) -> Still {
    let mut still = demo("x");
    still.state.phase = Phase::Loading;
    still.state.tokens.clear();
    still.state.shown.clear();
    still.state.opening = opening(download);
    still
}

fn choice(name: &str, origin: Origin, note: &str) -> Choice {
    Choice { name: name.to_owned(), origin, note: note.to_owned() }
}

/// The picker with known models and with what begins with the typed text.
fn picker(still: &mut Still, typed: &str) {
    still.press("o").unwrap();
    still.type_text(typed);
    still.take(Event::Models(vec![
        choice("demo", Origin::Demo, ""),
        choice("/home/user/models/mixtral-8x7b-v0.1.Q4_K_M.gguf", Origin::Recent, ""),
        choice("models/an\u{1b}[2Jodd\tname", Origin::Recent, ""),
        choice(NAME, Origin::Cached, "93.4 GB"),
        choice("models/Mixtral-8x7B-v0.1", Origin::Path, "model directory"),
        choice("models/mixtral-8x7b.Q8_0.gguf", Origin::Path, "49.6 GB"),
        choice("models/mixed/", Origin::Folder, ""),
    ]));
}

#[test]
fn loading_with_a_download() {
    page("loading", &mut loading(Some(download())));
}

#[test]
fn loading_before_anything_is_known_and_with_a_note() {
    let waiting = text(&mut loading(None), 80, 24);
    assert!(waiting.contains("opening mistralai/Mixtral-8x7B-Instruct-v0.1"), "{waiting}");
    let note = "connection cut\u{1b}; trying again (1 of 5)".to_owned();
    let mut noted = loading(Some(Download { note, ..download() }));
    let empty =
        Download { files: Vec::new(), done: 0, total: 0, per_second: 0.0, seconds_left: None, note: String::new() };
    let mut asking = loading(Some(empty));
    for (w, h) in SIZES {
        let shown = text(&mut noted, w, h);
        assert!(shown.contains("connection cut␛; trying again"), "{shown}");
        let shown = text(&mut asking, w, h);
        assert!(shown.contains("opening") && !shown.contains("NaN") && !shown.contains("inf"), "{shown}");
    }
    page("loading-note", &mut noted);
}

#[test]
fn picker_with_choices() {
    let mut still = demo("drum apple seven blue");
    picker(&mut still, "m");
    still.press("down down").unwrap();
    overlay("picker", &mut demo("drum apple seven blue"), &mut still);
    let mut still = demo("drum apple seven blue");
    picker(&mut still, "");
    let shown = text(&mut still, 80, 24);
    assert!(
        shown.contains("▸ demo") && shown.contains("in the program") && !shown.contains("model directory"),
        "{shown}"
    );
}

#[test]
fn picker_with_an_opening_under_way() {
    let mut still = demo("drum apple seven blue");
    still.state.opening = opening(Some(download()));
    let mut below = demo("drum apple seven blue");
    below.state.opening = opening(Some(download()));
    picker(&mut still, "");
    overlay("picker-opening", &mut below, &mut still);
}

#[test]
fn a_picker_with_more_choices_than_rows_keeps_the_mark_in_sight() {
    let mut still = demo("drum");
    still.press("o").unwrap();
    let many = (0..100).map(|i| choice(&format!("owner/model-{i:03}"), Origin::Cached, "1.00 GB"));
    still.take(Event::Models(many.collect()));
    for mark in 0..100 {
        for (w, h) in SIZES {
            let shown = text(&mut still, w, h);
            assert!(shown.contains(&format!("▸ owner/model-{mark:03}")), "{shown}");
        }
        still.press("down").unwrap();
    }
    let Some(Overlay::Picker(picker)) = still.state.overlays.last_mut() else { panic!("no picker") };
    picker.error = Some("type a path or a name on the Hub: owner/name".to_owned());
    let shown = text(&mut still, 80, 24);
    assert!(shown.contains("type a path or a name"), "{shown}");
}

#[test]
fn choices_and_files_differ_on_the_smallest_screen() {
    let mut still = demo("drum");
    still.press("o").unwrap();
    let names = ["Q4_K_M", "Q8_0"].map(|kind| format!("/home/somebody/models/mixtral/mixtral-8x7b-v0.1.{kind}.gguf"));
    still.take(Event::Models(names.iter().map(|name| choice(name, Origin::Recent, "")).collect()));
    let shown = text(&mut still, 40, 10);
    assert!(shown.contains("v0.1.Q4_K_M.gguf") && shown.contains("v0.1.Q8_0.gguf"), "{shown}");
    let shown = text(&mut loading(Some(download())), 40, 10);
    assert!(shown.contains("model-00007-of-00019") && shown.contains("118 MB/s"), "{shown}");
}

#[test]
fn a_long_name_is_typed_with_its_end_in_sight() {
    let mut still = demo("drum");
    still.press("o").unwrap();
    let name = (0..40).map(|i| format!("folder{i}/")).collect::<String>();
    still.type_text(&name);
    for (w, h) in SIZES {
        let shown = text(&mut still, w, h);
        assert!(shown.contains("folder39/"), "{shown}");
    }
}

#[test]
fn header_with_memory() {
    let mut still = demo("drum apple seven blue");
    still.state.memory = Some(Memory { resident: 0.719, hits: 37, misses: 11 });
    part("memory", &mut still, |buffer| lines_of(buffer, 0, 1));
    let shown = text(&mut still, 160, 45);
    assert!(shown.contains("weights 71 % in memory · experts 37 hit 11 read"), "{shown}");
    let shown = text(&mut still, 80, 24);
    assert!(shown.contains("71 % in memory · greedy"), "{shown}");
    still.state.opening = opening(Some(download()));
    for (w, h) in SIZES {
        let shown = text(&mut still, w, h);
        assert!(shown.lines().next().unwrap().contains("opening 41 %"), "{shown}");
    }
}

#[test]
fn an_opening_that_fails_leaves_the_run_and_one_line() {
    let mut still = demo("drum apple seven blue");
    let before = still.screen(80, 24, Depth::True);
    still.state.opening = opening(None);
    let failure = protocol::Failure {
        summary: format!("{NAME} is gated: accept its conditions at https://huggingface.co/{NAME}, then set HF_TOKEN"),
        causes: Vec::new(),
    };
    still.take(Event::Engine(protocol::Event::Failed { id: RequestId(1000), failure }));
    assert!(still.state.opening.is_none());
    let after = still.screen(80, 24, Depth::True);
    let rows = 80 * 23;
    assert_eq!(before.content()[..rows], after.content()[..rows], "only the last line changes");
    let shown = text(&mut still, 80, 24);
    assert!(shown.lines().last().unwrap().starts_with("✗ mistralai/Mixtral-8x7B-Instruct-v0.1 is gated"), "{shown}");
}
