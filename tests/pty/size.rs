//! Changes of the window's size.

use crate::support::pty::Setup;
use crate::{EDITOR, FRANCE, france};

#[test]
fn the_screen_is_right_after_every_resize() {
    let pty = france();
    let before = pty.screen();
    for (columns, rows) in [(40, 10), (20, 5), (80, 24), (139, 60), (120, 40)] {
        pty.resize(columns, rows);
        if (columns, rows) == (20, 5) {
            let shot = pty.wait_until("the size that is needed", |shot| shot.text().contains("40×10"));
            assert!(!shot.has("routing"));
            continue;
        }
        // As a program draws that was started at this size.
        let fresh = Setup::program(["--prompt", FRANCE]).size(columns, rows).start();
        let wanted = fresh.wait_until("a prompt read", |shot| shot.is_idle() && shot.has("·France·is"));
        pty.wait_until(&format!("the screen of {columns}×{rows}\n{}\n", wanted.text()), |shot| {
            shot.lines[1..] == wanted.lines[1..] && shot.is_idle()
        });
    }
    assert_eq!(pty.screen().text(), before.text());
    // While something lies over it, too.
    pty.press("i", EDITOR);
    let before = pty.wait_until("the tokens counted", |shot| !shot.has("… tokens"));
    pty.resize(50, 12);
    let shot = pty.wait_until("the editor", |shot| shot.has("prompt ─") && shot.has(FRANCE));
    assert!(shot.lines.iter().all(|line| line.chars().count() <= 50));
    pty.resize(20, 5);
    pty.wait_gone(FRANCE);
    pty.resize(120, 40);
    pty.wait_until("the screen as it was", |shot| shot.text() == before.text());
}

#[test]
fn a_storm_of_resizes_ends_with_the_last_size_and_keys_in_between_are_answered() {
    let pty = france();
    let before = pty.screen();
    for i in 0..40u16 {
        pty.resize(20 + 7 * (i % 23), 5 + 3 * (i % 17));
    }
    pty.resize(120, 40);
    pty.wait_until("the screen as it was", |shot| shot.text() == before.text());
    for i in 0..40 {
        let (key, text) = if i % 2 == 0 { ("5", "fidelity: [validated]") } else { ("1", "routing: [token]") };
        pty.resize(100 + i, 30 + i % 7);
        pty.press(key, text);
    }
}

#[test]
fn a_terminal_of_size_0_has_80_columns_and_24_lines() {
    let script = format!("stty rows 0 cols 0; exec \"$BIN\" --prompt '{FRANCE}'");
    let setup = Setup::command("sh", ["-c", &script]).env("BIN", env!("CARGO_BIN_EXE_mixscope")).size(80, 24);
    let pty = setup.start();
    let shot = pty.wait_until("a prompt read", |shot| shot.is_idle() && shot.has("·France·is"));
    let wanted = Setup::program(["--prompt", FRANCE]).size(80, 24).start();
    let wanted = wanted.wait_until("a prompt read", |shot| shot.is_idle() && shot.has("·France·is"));
    assert_eq!(shot.lines[1..], wanted.lines[1..]);
    // Until the terminal knows better.
    pty.resize(100, 30);
    pty.wait_until("a larger screen", |shot| shot.lines.len() == 30 && shot.lines[29].contains("help"));
    pty.send("q");
    assert_eq!(pty.end_restored().0, 0);
}
