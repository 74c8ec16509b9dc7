//! A view as a file: its format, and a file as the palette requests it.

use super::{Look, LookOptions, Tab, View};
use std::path::Path;

/// A format of files that a view has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// A picture of pixels.
    Png,
    /// A picture of lines; the viewer draws text in one of its own fonts.
    Svg,
    /// A picture of lines on one page, with its fonts.
    Pdf,
    /// The table.
    Csv,
}

impl FileFormat {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::Png, Self::Svg, Self::Pdf, Self::Csv];

    /// The ending of its files, which is its name.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Svg => "svg",
            Self::Pdf => "pdf",
            Self::Csv => "csv",
        }
    }

    /// The format of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.suffix() == name)
    }

    /// The format that the ending of a file says.
    pub fn of(path: &Path) -> Option<Self> {
        Self::named(&path.extension()?.to_str()?.to_ascii_lowercase())
    }
}

/// A file of a view, as in `routing.map png scale=3`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FileOrder {
    /// The view; `None` = the one with the focus.
    pub view: Option<View>,
    /// The format; `None` = a picture and the table.
    pub format: Option<FileFormat>,
    /// The look of the picture.
    pub look: Look,
}

// Sizes of a look that was read are finite, so equality is reflexive.
impl Eq for FileOrder {}

impl FileOrder {
    /// What can be written after `export`.
    pub const USAGE: &str = "export [view] [png|svg|pdf|csv] [scale=3] [style=paper width=column dpi=300] [dark]";

    /// Reads the words after `export`.
    ///
    /// # Errors
    /// A sentence about the first word that cannot be read.
    pub fn parse(words: &str) -> Result<Self, String> {
        let (mut view, mut format) = (None, None);
        let mut options = LookOptions::default();
        for word in words.split_whitespace() {
            match word.split_once('=') {
                None if word == "dark" => options.dark = true,
                None => match (FileFormat::named(word), view_named(word)) {
                    (Some(found), _) => once("format", word, &mut format, found)?,
                    (None, Some(found)) => once("view", word, &mut view, found)?,
                    (None, None) => return Err(format!("`{word}` is no view, format or option")),
                },
                Some(("style", style)) => once("style", word, &mut options.style, style)?,
                Some(("width", width)) => once("width", word, &mut options.width, width)?,
                Some(("dpi", dpi)) => {
                    let number = dpi.parse().map_err(|_| format!("dpi: expected a whole number, found `{dpi}`"))?;
                    once("dpi", word, &mut options.dpi, number)?;
                }
                Some(("scale", scale)) => {
                    let number = scale.parse().map_err(|_| format!("scale: expected a number, found `{scale}`"))?;
                    once("scale", word, &mut options.scale, number)?;
                }
                Some((name, _)) => return Err(format!("`{name}` is no option of pictures")),
            }
        }
        let look = options.look().map_err(|error| format!("{error:#}"))?;
        if format == Some(FileFormat::Csv) && options != LookOptions::default() {
            return Err("a table has no look: scale, style, width, dpi and dark are for pictures".to_owned());
        }
        Ok(Self { view, format, look })
    }

    /// The formats of its files.
    pub fn formats(&self) -> Vec<FileFormat> {
        self.format.map_or_else(|| vec![FileFormat::Png, FileFormat::Csv], |format| vec![format])
    }
}

/// Sets what may be given once.
fn once<T>(what: &str, word: &str, place: &mut Option<T>, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("`{word}` is a second {what}; one file at a time is written")),
    }
}

/// The view of this name: with its tab, a tab (its first view), or without its tab if no other view has the name.
fn view_named(name: &str) -> Option<View> {
    let short = |view: &View| view.name().split_once('.').is_some_and(|(_, short)| short == name);
    let mut of_that_name = View::ALL.into_iter().filter(short);
    let one = of_that_name.next().filter(|_| of_that_name.next().is_none());
    let tab = Tab::ALL.into_iter().find(|tab| tab.name().to_lowercase() == name);
    name.parse().ok().or(tab.map(Tab::first)).or(one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::view::{Style, Width};

    #[test]
    fn an_order_names_view_format_and_look_in_any_order() {
        let order = FileOrder::parse("routing.map png scale=3").unwrap();
        assert_eq!((order.view, order.format, order.look.scale), (Some(View::RoutingMap), Some(FileFormat::Png), 3.0));
        let order = FileOrder::parse("pdf style=paper width=page pairs").unwrap();
        assert_eq!((order.view, order.format), (Some(View::RoutingPairs), Some(FileFormat::Pdf)));
        assert_eq!(order.look.style, Style::Paper { width: Width::PAGE, dpi: 300 });
        assert_eq!(FileOrder::parse("routing").unwrap().view, Some(View::RoutingToken), "the first view of the tab");
        assert_eq!(FileOrder::parse("").unwrap().formats(), [FileFormat::Png, FileFormat::Csv]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (words, sentence) in [
            ("maps", "`maps` is no view, format or option"),
            ("png scale=big", "scale: expected a number, found `big`"),
            ("png scale=0", "scale: expected a number above 0, found 0"),
            ("png dpi=300", "dpi: it applies to the style paper; screen has scale"),
            ("png size=3", "`size` is no option of pictures"),
            ("png svg", "`svg` is a second format; one file at a time is written"),
            ("lens next", "`next` is a second view; one file at a time is written"),
            ("csv scale=2", "a table has no look: scale, style, width, dpi and dark are for pictures"),
        ] {
            assert_eq!(FileOrder::parse(words), Err(sentence.to_owned()), "{words}");
        }
    }
}
