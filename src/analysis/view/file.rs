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
                    (Some(found), _) => format = Some(found),
                    (None, Some(found)) => view = Some(found),
                    (None, None) => return Err(format!("`{word}` is no view, format or option")),
                },
                Some(("style", style)) => options.style = Some(style),
                Some(("width", width)) => options.width = Some(width),
                Some(("dpi", dpi)) => {
                    options.dpi =
                        Some(dpi.parse().map_err(|_| format!("dpi: expected a whole number, found `{dpi}`"))?);
                }
                Some(("scale", scale)) => {
                    options.scale =
                        Some(scale.parse().map_err(|_| format!("scale: expected a number, found `{scale}`"))?);
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

/// The view of this name, with its tab or, if no other view has it, without.
fn view_named(name: &str) -> Option<View> {
    let short = |view: &View| view.name().split_once('.').is_some_and(|(_, short)| short == name);
    let mut of_that_name = View::ALL.into_iter().filter(short);
    let one = of_that_name.next().filter(|_| of_that_name.next().is_none());
    // The name of a tab is its first view.
    let tab = || Tab::ALL.into_iter().find(|tab| tab.name().to_lowercase() == name).and_then(|tab| tab.views().next());
    name.parse().ok().or(one).or_else(tab)
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
            ("csv scale=2", "a table has no look: scale, style, width, dpi and dark are for pictures"),
        ] {
            assert_eq!(FileOrder::parse(words), Err(sentence.to_owned()), "{words}");
        }
    }
}
