use crate::trace::Piece;
use std::borrow::Cow;

/// How token texts are written in tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenText {
    /// As the tokenizer spells them.
    #[default]
    Exact,
    /// With a byte order mark before the table, and `'` before a text that a spreadsheet would run as a formula: one that begins with `=`, `+`, `-`, `@`, their
    /// full-width forms, a tab or a line end (OWASP, CSV injection). Programs such as pandas see the `'` too.
    SpreadsheetSafe,
}

impl TokenText {
    /// The first bytes of a file. Without the byte order mark, Excel reads UTF-8 as an older encoding.
    pub fn start(self) -> &'static [u8] {
        match self {
            Self::Exact => b"",
            Self::SpreadsheetSafe => b"\xef\xbb\xbf",
        }
    }

    /// The text that a token stands for, on one line, as it is written.
    pub fn text(self, piece: &Piece) -> String {
        let text = piece.text();
        let one_line = text.chars().fold(String::with_capacity(text.len()), |mut line, c| {
            match c {
                '\n' => line.push_str("\\n"),
                '\r' => line.push_str("\\r"),
                '\t' => line.push_str("\\t"),
                c if c.is_control() => line.extend(c.escape_unicode()),
                c => line.push(c),
            }
            line
        });
        self.cell(&one_line).into_owned()
    }

    /// A token's spelling as it is written.
    pub fn cell(self, piece: &str) -> Cow<'_, str> {
        let runs = |c: char| matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠' | '\t' | '\r' | '\n');
        if self == Self::SpreadsheetSafe && piece.starts_with(runs) {
            return format!("'{piece}").into();
        }
        piece.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_disarmed_only_on_request() {
        for text in ["=1+1", "+cmd", "-2", "@x", "＝1", "\tx"] {
            assert_eq!(TokenText::Exact.cell(text), text);
            assert_eq!(TokenText::SpreadsheetSafe.cell(text), format!("'{text}"));
        }
        for text in ["▁=1", "a=b", "", "'x"] {
            assert_eq!(TokenText::SpreadsheetSafe.cell(text), text);
        }
    }
}
