//! The parts of the screen that have their own keys.

/// The part of the screen where a key applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everywhere.
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
    /// In a list of places to jump to.
    List,
    /// In the list of branches.
    Branches,
    /// In the menu and the list of edits.
    Edits,
    /// In the help and error pages.
    Page,
}

impl Scope {
    /// The heading in the help.
    pub fn title(self) -> &'static str {
        match self {
            Self::Anywhere => "anywhere",
            Self::Explore => "in the views",
            Self::Input => "while typing",
            Self::Form => "in the sampling form",
            Self::Picker => "choosing a model",
            Self::Palette => "in the command palette",
            Self::List => "in lists",
            Self::Branches => "in the list of branches",
            Self::Edits => "editing the pass",
            Self::Page => "in help and messages",
        }
    }

    /// Whether text is typed there.
    pub fn takes_text(self) -> bool {
        matches!(self, Self::Input | Self::Form | Self::Picker | Self::Palette)
    }

    /// All scopes, in the order of the help.
    pub const ALL: [Scope; 10] = [
        Self::Explore,
        Self::Input,
        Self::Form,
        Self::Picker,
        Self::Palette,
        Self::List,
        Self::Branches,
        Self::Edits,
        Self::Page,
        Self::Anywhere,
    ];
}
