//! Edits in the explorer: their files, and the session that comes back with them.

use crate::support::cli::read_json;
use crate::support::explorer::Setup;
use mixscope::app::Saved;
use mixscope::trace::Edit;
use std::fs;
use std::path::Path;

const PROMPT: &str = "The capital of France is";
const LEN: usize = 6;
/// A path from the folder that tests run in.
const CLEAN: &str = "tests/fixtures/edits/demo.clean.safetensors";

fn parsed(text: &str) -> Edit {
    text.parse().unwrap()
}

#[test]
fn edits_are_written_to_a_new_file_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("edits.txt");
    let edits = vec![parsed("ban L3.E5"), parsed("zero L4.attn@2..")];
    let mut explorer = Setup::of("demo").prompt(PROMPT).with(|options| options.edits = edits).start_with(LEN);
    let mut write = |path: &Path, said: &str| {
        explorer.press("M", "ban L3.E5");
        explorer.press("s", "write the edits to a file");
        explorer.send("ctrl-u");
        explorer.type_text(path.to_str().unwrap());
        let text = explorer.press("enter", said).text();
        explorer.send("esc esc");
        text
    };
    write(&path, "wrote ");
    assert_eq!(fs::read_to_string(&path).unwrap(), "ban L3.E5\nzero L4.attn@2..\n");
    fs::write(&path, "mine").unwrap();
    let text = write(&path, "exists already");
    assert!(!text.contains("os error"), "{text}");
    write(folder.path(), "exists already");
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
}

#[test]
fn a_session_finds_the_files_of_its_edits_from_every_folder() {
    let state = tempfile::tempdir().unwrap();
    let typed = format!("patch L5.resid_post@5 {CLEAN}@3");
    let edits = vec![parsed(&typed)];
    let setup = Setup::of("demo").prompt(PROMPT).state(state.path());
    let mut explorer = setup.with(|options| options.edits = edits).start_with(LEN);
    explorer.press("M", &typed);
    explorer.send("esc q");
    assert!(explorer.is_over);
    explorer.end();
    let json = read_json(&state.path().join("session.json"));
    let whole = std::env::current_dir().unwrap().join(CLEAN);
    let written = parsed(json["edits"][0].as_str().unwrap());
    assert_eq!(written.source().unwrap().path, whole.to_str().unwrap());
    assert_eq!(written.to_string().replace(whole.to_str().unwrap(), CLEAN), typed);
    let saved: Saved = serde_json::from_value(json).unwrap();
    let setup = Setup::of("demo").with(|options| options.resume = Some(saved));
    let mut explorer = setup.start_with(LEN);
    let shot = explorer.press("M", "patch L5.resid_post@5");
    assert!(!shot.has("left out"), "{}", shot.text());
}
