//! The parts of the program that have keys of their own.

/// Where a key means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everywhere, whatever is open.
    Anywhere,
    /// In the views.
    Explore,
    /// In the prompt editor and the one-line inputs.
    Input,
    /// In the sampling form.
    Form,
    /// In the model picker.
    Picker,
    /// In the command palette.
    Palette,
    /// In a list to jump from.
    List,
    /// In the help and error pages.
    Page,
}

impl Scope {
    /// Its heading in the help.
    pub fn title(self) -> &'static str {
        match self {
            Self::Anywhere => "anywhere",
            Self::Explore => "in the views",
            Self::Input => "while typing",
            Self::Form => "in the sampling form",
            Self::Picker => "choosing a model",
            Self::Palette => "in the command palette",
            Self::List => "in lists",
            Self::Page => "in help and messages",
        }
    }

    /// Whether characters are typed there.
    pub fn takes_text(self) -> bool {
        matches!(self, Self::Input | Self::Form | Self::Picker | Self::Palette)
    }

    /// All scopes, in the order of the help.
    pub const ALL: [Scope; 8] =
        [Self::Explore, Self::Input, Self::Form, Self::Picker, Self::Palette, Self::List, Self::Page, Self::Anywhere];
}
