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
        let read = |name| std::env::var(name).unwrap_or_default();
        match self {
            Self::Auto => detect(&read("NO_COLOR"), &read("COLORTERM"), &read("TERM")),
            Self::Never => Depth::Mono,
            Self::Ansi => Depth::Ansi,
            Self::Indexed => Depth::Indexed,
            Self::True => Depth::True,
        }
    }
}

fn detect(no_color: &str, colorterm: &str, term: &str) -> Depth {
    if !no_color.is_empty() || term.is_empty() || term == "dumb" || term.ends_with("-m") || term.starts_with("vt") {
        Depth::Mono
    } else if matches!(colorterm, "truecolor" | "24bit") || term.ends_with("-direct") {
        Depth::True
    } else if term.contains("256color") {
        Depth::Indexed
    } else {
        Depth::Ansi
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides() {
        assert_eq!(detect("1", "truecolor", "xterm-256color"), Depth::Mono);
        assert_eq!(detect("", "truecolor", "xterm-256color"), Depth::True);
        assert_eq!(detect("", "", "tmux-256color"), Depth::Indexed);
        assert_eq!(detect("", "", "linux"), Depth::Ansi);
        assert_eq!(detect("", "", "dumb"), Depth::Mono);
    }
}
