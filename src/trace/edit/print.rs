//! The text of an edit.

use super::{Change, Edit, Part, Patched, Picks, Scope, Source, Span};
use std::fmt;

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { layers, change, scope } = self;
        let layers = Listed("L", layers);
        match change {
            Change::Ban(experts) => write!(f, "ban {layers}.{}{scope}", Listed("E", experts)),
            Change::Force(experts) => write!(f, "force {layers}.{}{scope}", Listed("E", experts)),
            Change::Bias(experts, by) => write!(f, "bias {layers}.{}{scope} {by:+}", Listed("E", experts)),
            Change::TopK(count) => write!(f, "topk {layers}{scope} {count}"),
            Change::Zero(part) => write!(f, "zero {layers}.{part}{scope}"),
            Change::Scale(part, by) => write!(f, "scale {layers}.{part}{scope} {by}"),
            Change::Mean(part) => write!(f, "mean {layers}.{part}{scope}"),
            Change::Cut { heads, query, key } => {
                write!(f, "cut {layers}.{}{scope} {query}->{key}", Listed("H", heads))
            }
            Change::Add { hook, source, factor } => {
                write!(f, "add {layers}.{}{scope} {source} {factor}", hook.short_name())
            }
            Change::Patch { what, source, from } => {
                write!(f, "patch {layers}.{what}{scope} {source}")?;
                from.map_or(Ok(()), |from| write!(f, "@{from}"))
            }
            Change::Replay { source, weights } => {
                write!(f, "replay{} {layers}{scope} {source}", if *weights { "!" } else { "" })
            }
        }
    }
}

/// Indices with their letter: `L3`, `L3..5`, `L*`, `E1,E4`.
struct Listed<'a>(&'static str, &'a Picks);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(letter, picks) = self;
        let Picks::These(these) = picks else { return write!(f, "{letter}*") };
        for (i, run) in these.chunk_by(|a, b| a + 1 == *b).enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            match run {
                [] => {}
                [one] => write!(f, "{letter}{one}")?,
                [one, two] => write!(f, "{letter}{one},{letter}{two}")?,
                [first, .., last] => write!(f, "{letter}{first}..{last}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Experts(experts) => Listed("E", experts).fmt(f),
            Self::Shared => f.write_str("shared"),
            Self::Heads(heads) => Listed("H", heads).fmt(f),
            Self::Attn => f.write_str("attn"),
            Self::Mlp => f.write_str("mlp"),
        }
    }
}

impl fmt::Display for Patched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hook(hook) => f.write_str(hook.short_name()),
            Self::Heads(heads) => Listed("H", heads).fmt(f),
            Self::Experts(experts) => Listed("E", experts).fmt(f),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everywhere => Ok(()),
            Self::Positions(first, last) if first == last => write!(f, "@{first}"),
            Self::Positions(first, last) => write!(f, "@{first}..{last}"),
            Self::From(first) => write!(f, "@{first}.."),
            Self::Last => f.write_str("@last"),
            Self::Prompt => f.write_str("@prompt"),
            Self::Generated => f.write_str("@generated"),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::These(first, last) if first == last => write!(f, "{first}"),
            Self::These(first, last) => write!(f, "{first}..{last}"),
        }
    }
}

/// Quoted if it would not be read back otherwise.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, tensor } = self;
        let is_plain = !path.is_empty()
            && !path.contains(['"', '@', ':', '#', '\\'])
            && !path.contains(char::is_whitespace)
            && path != "from";
        match is_plain {
            true => f.write_str(path)?,
            false => write!(f, "\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""))?,
        }
        tensor.as_ref().map_or(Ok(()), |tensor| write!(f, ":{tensor}"))
    }
}
