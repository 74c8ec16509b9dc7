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
    /// While words to search for in the help are typed.
    Filter,
}

/// What a key of the views is for: a section of the help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Prompts and generation.
    Generate,
    /// Moving the cursor.
    Moving,
    /// Views, layouts and measures.
    Views,
    /// Experiments.
    Experiments,
    /// Runs and models.
    Runs,
    /// Files and the clipboard.
    Clipboard,
    /// The arrangement of the screen.
    Screen,
    /// The program.
    Program,
}

impl Task {
    /// All tasks, in the order of the help.
    pub const ALL: [Task; 8] = [
        Self::Generate,
        Self::Moving,
        Self::Views,
        Self::Experiments,
        Self::Runs,
        Self::Clipboard,
        Self::Screen,
        Self::Program,
    ];

    /// The heading in the help.
    pub fn title(self) -> &'static str {
        match self {
            Self::Generate => "prompt and generation",
            Self::Moving => "moving, searching, selecting",
            Self::Views => "views, layouts, measures",
            Self::Experiments => "experiments",
            Self::Runs => "runs, precision, models",
            Self::Clipboard => "files and clipboard",
            Self::Screen => "arrangement of the screen",
            Self::Program => "program",
        }
    }
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
            Self::Filter => "searching in the help",
        }
    }

    /// Whether text is typed there.
    pub fn takes_text(self) -> bool {
        matches!(self, Self::Input | Self::Form | Self::Picker | Self::Palette | Self::Filter)
    }

    /// All scopes, in the order of the help.
    pub const ALL: [Scope; 11] = [
        Self::Explore,
        Self::Input,
        Self::Form,
        Self::Picker,
        Self::Palette,
        Self::List,
        Self::Branches,
        Self::Edits,
        Self::Page,
        Self::Filter,
        Self::Anywhere,
    ];
}
