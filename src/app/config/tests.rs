use super::settings::SETTINGS;
use super::wrong::place;
use super::*;
use crate::state::input::{Action, Chord, Found, Scope};
use crate::trace::nearest;

/// What is wrong with a file, and where: `line:column: what`.
fn wrong(text: &str) -> String {
    let wrong = Config::parse(text).expect_err(text);
    let (line, column) = place(text, wrong.at.start);
    format!("{line}:{column}: {}", wrong.what)
}

#[test]
fn errors_name_place_key_and_what_was_meant() {
    for (text, want) in [
        (
            "[ui]\nthemee = \"dark\"\n",
            "2:1: unknown key `themee` in [ui]; did you mean `theme`?; the keys are theme, color,",
        ),
        (
            "# é\n[ui]\n  reduced-motion = true",
            "3:3: unknown key `reduced-motion` in [ui]; did you mean `reduced_motion`?",
        ),
        (
            "[ui]\ntheme = \"drak\"",
            "2:9: `theme` in [ui]: expected one of \"dark\", \"light\", \"colour-vision-safe\", \"mono\" (did you mean \"dark\"?)",
        ),
        ("[ui]\ntheme = 3", "2:9: `theme` in [ui]: expected one of \"dark\","),
        ("[ui]\nmouse = \"yes\"", "2:9: `mouse` in [ui]: expected true or false"),
        ("[ui]\nseed = 1", "2:1: `seed` does not belong in [ui] but in [defaults]"),
        ("theme = \"dark\"", "1:1: `theme` belongs in [ui]"),
        ("colour = 1", "1:1: unknown key `colour`; did you mean `color`?; keys belong in"),
        ("ui = 1", "1:1: `ui` is a table: write [ui]"),
        (
            "\n[uii]\n",
            "2:2: unknown table [uii]; did you mean [ui]?; the tables are [ui], [defaults], [palettes], [keys]",
        ),
        ("[[ui]]\n", "1:3: `ui` is a table: write [ui]"),
        (
            "[defaults]\ndevice = \"gpu\"",
            "2:10: `device` in [defaults]: expected cpu, candle, cuda, cuda:N, metal or metal:N",
        ),
        ("[defaults]\nthreads = 0", "2:11: `threads` in [defaults]: expected a whole number of 1 to 1024"),
        ("[defaults]\ntemperature = -1", "2:15: `temperature` in [defaults]: expected a number of at least 0"),
        ("[defaults]\ntemperature = nan", "2:15: `temperature` in [defaults]: expected a number"),
        ("[defaults]\ntop_k = 0", "2:9: `top_k` in [defaults]: expected a whole number of at least 1"),
        ("[defaults]\ntop_p = 1.5", "2:9: `top_p` in [defaults]: expected a number above 0 and at most 1"),
        ("[defaults]\nseed = -1", "2:8: `seed` in [defaults]: expected a whole number of at least 0"),
        (
            "[palettes]\nvalues = \"jet\"",
            "2:10: `values` in [palettes]: expected one of \"viridis\", \"cividis\", \"magma\", \"grey\"",
        ),
        ("[palettes]\nexperts = []", "2:11: `experts` in [palettes]: expected a list of colours"),
        ("[palettes]\nexperts = [\"#e69f0\"]", "2:11: `experts` in [palettes]: expected a list of colours"),
        ("[palettes]\nexperts = [\"#+12345\"]", "2:11: `experts` in [palettes]: expected a list of colours"),
        ("[ui\n", "1:4: "),
        ("[ui]\ntheme = \"dark\"\ntheme = \"light\"", "3:1: duplicate key"),
        // Only the first of several errors.
        ("[keys]\nx = \"nothing\"\n[ui]\na = 1\n", "2:5: unknown action `nothing`"),
    ] {
        assert!(wrong(text).starts_with(want), "{text}\n got {}\nwant {want}", wrong(text));
    }
}

#[test]
fn errors_in_keys_name_the_line() {
    for (text, want) in [
        ("[keys]\n\"ctrl-ö-x\" = \"quit\"", "2:1: `ctrl-ö-x` is not a key"),
        ("[keys]\nx = \"gnerate\"", "2:5: unknown action `gnerate`; did you mean `generate`?; `mixscope --print-keys`"),
        ("[keys]\nx = 1", "2:5: `x`: expected the name of an action in quotes, or \"none\""),
        ("[keys]\nx = \"accept\"", "2:5: `accept` is not an action here; it belongs in [keys.input]"),
        ("[keys.input]\nx = \"accept\"", "2:1: `x` while typing: a character is typed there"),
        ("[keys]\nF = \"go\"\n\"ctrl-c\" = \"help\"", "3:1: `ctrl-c`"),
        ("[keys]\n\"h h\" = \"help\"", "2:1: `h` in the views has a meaning and is also the first key of `h h`"),
        ("[keys]\nup = \"help\"\n\"↑\" = \"quit\"", "3:1: `↑` is bound on line 2 already"),
        ("[keys]\n\"ctrl-y\" = \"none\"", "2:1: `ctrl-y` has no action in the views"),
        ("[keys.inputs]\n", "1:7: unknown table [keys.inputs]; did you mean [keys.input]?"),
        (
            "[keys]\nq = \"none\"\n[keys.anywhere]\n\"ctrl-c\" = \"none\"",
            "2:1: no key is left that leaves the program (quit)",
        ),
        ("[keys.anywhere]\nesc = \"none\"", "2:1: no key is left that closes what is open (escape)"),
    ] {
        assert!(wrong(text).starts_with(want), "{text}\n got {}\nwant {want}", wrong(text));
    }
}

#[test]
fn keys_are_bound_moved_and_set_free() {
    let text = "[keys]\nG = \"none\"\n\"G G\" = \"go\"\nJ = \"down\"\nh = \"help\"\n[keys.page]\nx = \"escape\"\n";
    let keymap = Config::parse(text).unwrap().keymap;
    let means = |scope, keys: &str| {
        let chord: Chord = keys.parse().unwrap();
        keymap.look_up(scope, chord.prefix, chord.key)
    };
    assert_eq!(means(Scope::Explore, "G"), Found::Prefix);
    assert_eq!(means(Scope::Explore, "G G"), Found::Action(Action::Go));
    assert_eq!(means(Scope::Explore, "h"), Found::Action(Action::Help), "taken from the token cursor");
    assert_eq!(means(Scope::Page, "x"), Found::Action(Action::Escape));
    let shown = |action| keymap.key_of(Scope::Explore, action).unwrap().to_string();
    assert_eq!([shown(Action::Down), shown(Action::Go)], ["J", "G G"], "the user's own key is shown");
}

/// Every setting with a value that is not the default.
const EVERYTHING: &str = r##"
[ui]
theme = "light"
color = "256"
mouse = false
reduced_motion = true
strip = "loss"
details = "reversed"
arrangement = "two"
[defaults]
model = "C:\\weird \"name\"\u001b.gguf"
precision = "f32-router"
device = "candle"
threads = 3
temperature = 0.1
top_k = 40
top_p = 0.95
seed = 0xff
[palettes]
values = "magma"
experts = ["#000000", "#ABCDEF"]
[keys]
h = "none"
"h h" = "go"
"\\" = "help"
'"' = "none"
K = "help"
k = "down"
[keys.input]
"ctrl-g" = "accept"
"ctrl-x" = "accept"
[keys.anywhere]
"ctrl-q" = "quit"
"ctrl-c" = "none"
"##;

#[test]
fn what_is_printed_gives_the_same_back() {
    let all = Config::parse(EVERYTHING).unwrap();
    assert_eq!(all.sampling.seed, 255);
    let default = Config::default();
    for setting in SETTINGS {
        let (mine, theirs) = ((setting.show)(&all), (setting.show)(&default));
        assert_ne!(mine, theirs, "{} is not tried", setting.key);
        assert!(mine.is_ok());
        assert!(setting.section == "palettes" || !setting.help.is_empty());
    }
    for config in [all, default.clone()] {
        let printed = config.to_string();
        assert_eq!(Config::parse(&printed).unwrap(), config, "{printed}");
        for setting in SETTINGS {
            assert!(printed.contains(&format!("{} = ", setting.key)), "{} is missing", setting.key);
        }
    }
    // Settings in comments are valid without the comment signs.
    let open = default.to_string().replace("\n# top_k = ", "\ntop_k = ").replace("\n# top_p = ", "\ntop_p = ");
    let open = open.replace("\n# threads = ", "\nthreads = ").replace("\n# values = ", "\nvalues = ");
    let open = open.replace("\n# experts = ", "\nexperts = ");
    let config = Config::parse(&open).unwrap();
    assert!(config.threads.is_some() && config.sampling.top_k.is_some() && config.sampling.top_p.is_some());
    assert!(config.values.is_some() && config.experts.is_some());
}

#[test]
fn palettes_of_ones_own_come_before_the_themes() {
    let colours = Config::parse("[ui]\ntheme = \"colour-vision-safe\"").unwrap().colours();
    assert_eq!((colours.values, colours.experts.len()), (Ramp::Cividis, 8));
    let colours = Config::parse(EVERYTHING).unwrap().colours();
    assert_eq!((colours.values, colours.experts), (Ramp::Magma, vec![(0, 0, 0), (0xab, 0xcd, 0xef)]));
}

#[test]
fn the_key_table_has_every_action_with_its_keys() {
    let keymap = Config::parse("[keys]\n\"g o\" = \"none\"\n\"ctrl-g\" = \"none\"").unwrap().keymap;
    let table = key_table(&keymap);
    assert_eq!(table.lines().count(), keymap.entries.len() + 1);
    let line = |action: &str| table.lines().find(|line| line.split_whitespace().nth(1) == Some(action)).unwrap();
    assert!(line("go").contains("(none)"), "{}", line("go"));
    assert_eq!(line("back").split("  ").map(str::trim).filter(|cell| !cell.is_empty()).nth(2), Some("u"));
    assert!(line("quit").starts_with("keys ") && line("accept").starts_with("keys.input "));
}

#[test]
fn slips_are_recognised_and_strangers_are_not() {
    let words = ["theme", "color", "reduced_motion"];
    for (given, near) in [
        ("themes", Some("theme")),
        ("THEME", Some("theme")),
        ("colour", Some("color")),
        ("reduced-motoin", Some("reduced_motion")),
        ("zebra", None),
        ("", None),
    ] {
        assert_eq!(nearest(given, words), near, "{given}");
    }
    assert_eq!(place("a\nbé\u{1f600}x", 9), (2, 4));
}
