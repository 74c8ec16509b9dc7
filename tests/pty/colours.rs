//! Colours as escape sequences.

use crate::support::pty::{Pty, Setup, find};
use crate::{ESC, FRANCE, FRANCE_LEN};

const CTRL_C: &str = "\x03";

/// Parameters of all SGR sequences.
fn sgr(raw: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(raw);
    let parts = text.split("\x1b[").filter_map(|part| {
        let (parameters, _) = part.split_once('m')?;
        let is_sgr = parameters.chars().all(|c| c.is_ascii_digit() || c == ';' || c == ':');
        is_sgr.then(|| parameters.split([';', ':']).map(|n| n.parse().unwrap_or(0)).collect::<Vec<u16>>())
    });
    parts.flatten().collect()
}

fn is_colour(parameter: u16) -> bool {
    matches!(parameter, 30..=38 | 40..=48 | 58 | 90..=97 | 100..=107)
}

/// Shows every view, an error of a form and the help, and leaves.
fn tour(pty: &Pty) -> Vec<u8> {
    for (key, text) in [
        ("v", "[layer]"),
        ("v", "[map]"),
        ("2", "weights of this row"),
        ("3", "leads "),
        ("4", "next · after"),
        ("5", "fidelity: [validated]"),
        ("s", "▸temperature"),
        ("...\r", "temperature: "),
    ] {
        pty.press(key, text);
    }
    pty.send(ESC);
    pty.wait_gone("▸temperature");
    pty.press("?", "keys ·");
    pty.send(CTRL_C);
    let (code, raw) = pty.end_restored();
    assert_eq!(code, 0);
    raw
}

#[test]
fn no_color_means_no_colour_unless_it_is_empty() {
    let start = |value| {
        let pty = Setup::program(["--prompt", FRANCE]).env("NO_COLOR", value).start();
        pty.wait_tokens(FRANCE_LEN);
        pty
    };
    let pty = start("1");
    assert!(pty.screen().line("▸L5").contains("[."), "brackets say what colour does elsewhere");
    let used = sgr(&tour(&pty));
    assert!(!used.iter().any(|parameter| is_colour(*parameter)), "{used:?}");
    let raw = tour(&start(""));
    assert!(find(&raw, b"38;2;").is_some() && find(&raw, b"48;2;").is_some());
}

#[test]
fn the_command_line_chooses_colours() {
    let shown = |args: &[&str]| {
        let pty = Setup::program([&["--prompt", FRANCE], args].concat()).start();
        pty.wait_tokens(FRANCE_LEN);
        let raw = tour(&pty);
        let codes = [&b"8;2;"[..], b"38;5;"].map(|code| find(&raw, code).is_some());
        (codes, sgr(&raw).into_iter().any(is_colour))
    };
    assert_eq!(shown(&["--color", "never"]), ([false, false], false));
    assert_eq!(shown(&["--color", "true"]), ([true, false], true));
    assert_eq!(shown(&["--color", "256"]), ([false, true], true));
    let ([is_true, _], is_coloured) = shown(&["--color", "16"]);
    assert!(!is_true && is_coloured);
    assert_eq!(shown(&["--theme", "mono"]), ([false, false], false));
}

#[test]
fn gnu_screen_gets_256_colours_and_terminals_without_colours_get_none() {
    let colours = |set: &[(&str, &str)]| {
        let setup = Setup::program(["--prompt", FRANCE]);
        let pty = set.iter().fold(setup, |setup, (name, value)| setup.env(name, value)).start();
        pty.wait_tokens(FRANCE_LEN);
        pty.send(CTRL_C);
        let raw = pty.end_restored().1;
        ([&b"8;2;"[..], b"8;5;"].map(|code| find(&raw, code).is_some()), sgr(&raw).into_iter().any(is_colour))
    };
    assert_eq!(colours(&[("TERM", "screen"), ("STY", "1.pts-0.host")]), ([false, true], true));
    assert_eq!(colours(&[("TERM", "screen"), ("TMUX", "/tmp/tmux-0/default,1,0")]), ([true, false], true));
    for term in ["xterm-mono", "vt100", "dumb"] {
        assert_eq!(colours(&[("TERM", term)]), ([false, false], false), "{term}");
    }
}
