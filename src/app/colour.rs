use crate::ui::Depth;
use clap::ValueEnum;

/// How many colours to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// As NO_COLOR, COLORTERM and TERM say.
    Auto,
    /// None: brackets, digits and glyphs.
    Never,
    /// The terminal's own 16.
    #[value(name = "16")]
    Ansi,
    /// The 256-colour table.
    #[value(name = "256")]
    Indexed,
    /// 24-bit.
    True,
}

impl ColorChoice {
    /// The colour depth of this choice.
    pub fn depth(self) -> Depth {
        match self {
            Self::Auto => detect(|name| std::env::var(name).unwrap_or_default()),
            Self::Never => Depth::Mono,
            Self::Ansi => Depth::Ansi,
            Self::Indexed => Depth::Indexed,
            Self::True => Depth::True,
        }
    }
}

/// The colours of the terminal that these variables describe.
fn detect(variable: impl Fn(&str) -> String) -> Depth {
    let term = variable("TERM");
    if !variable("NO_COLOR").is_empty() || !has_colours(&term) {
        return Depth::Mono;
    }
    // GNU screen garbles 24-bit colours before version 5, and COLORTERM is that of the terminal around it. tmux, which
    // may call itself screen, translates them.
    let is_screen = term.starts_with("screen") || !variable("STY").is_empty();
    let is_screen = is_screen && variable("TMUX").is_empty();
    let claims_more = matches!(variable("COLORTERM").as_str(), "truecolor" | "24bit");
    if term.ends_with("-direct") || claims_more && !is_screen {
        Depth::True
    } else if term.contains("256color") || claims_more {
        Depth::Indexed
    } else {
        Depth::Ansi
    }
}

/// Whether a terminal of this name has colours.
fn has_colours(term: &str) -> bool {
    let is_vt = term.strip_prefix("vt").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let is_plain = matches!(term, "" | "dumb" | "unknown") || is_vt;
    !is_plain && !["-m", "-mono"].iter().any(|end| term.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides() {
        let detect = |set: &[(&str, &str)]| {
            super::detect(|name| {
                set.iter().find(|(key, _)| *key == name).map_or_else(String::new, |(_, value)| (*value).to_owned())
            })
        };
        let term = |term| detect(&[("TERM", term)]);
        let with = |term, name, value| detect(&[("TERM", term), ("COLORTERM", "truecolor"), (name, value)]);
        assert_eq!(with("xterm-256color", "NO_COLOR", "1"), Depth::Mono);
        assert_eq!(with("xterm-256color", "NO_COLOR", ""), Depth::True);
        assert_eq!(term("tmux-256color"), Depth::Indexed);
        assert_eq!([term("linux"), term("vte"), term("screen")], [Depth::Ansi; 3]);
        for plain in ["", "dumb", "unknown", "vt100", "vt220", "xterm-mono", "xterm-m", "cons25-m"] {
            assert_eq!(with(plain, "TMUX", ""), Depth::Mono, "{plain}");
        }
        for screen in ["screen", "screen-256color", "screen.xterm-256color"] {
            assert_eq!(with(screen, "STY", "1.pts-0.host"), Depth::Indexed, "{screen}");
            assert_eq!(with(screen, "TMUX", "/tmp/tmux-0/default,1,0"), Depth::True, "{screen} is tmux");
        }
        assert_eq!(with("xterm-256color", "STY", "1.pts-0.host"), Depth::Indexed, "screen under another name");
        assert_eq!(with("screen.xterm-direct", "STY", "1.pts-0.host"), Depth::True);
    }
}
