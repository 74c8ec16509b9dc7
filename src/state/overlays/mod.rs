//! What lies over the views: texts being typed, lists, pages.

mod accept;
pub mod close_calls;
pub mod examples;
mod fuzzy;
pub mod page;
pub mod palette;
pub mod picker;
pub mod policies;
pub mod sampling;
pub mod text_input;

pub use close_calls::CloseCalls;
pub use page::Page;
pub use palette::{Command, Palette};
pub use picker::{Choice, Origin, Picker};
pub use policies::Policies;
pub use sampling::{FIELDS, Form};
pub use text_input::{Input, InputKind};

use super::input::Scope;

/// Something that takes the keys before the views do.
#[derive(Clone, Debug, PartialEq)]
pub enum Overlay {
    /// A text being typed.
    Input(Input),
    /// Sampling values.
    Form(Form),
    /// Choosing a model.
    Picker(Picker),
    /// Finding an action.
    Palette(Palette),
    /// The closest calls of the router, to jump to.
    CloseCalls(CloseCalls),
    /// Precision policies to choose from.
    Policies(Policies),
    /// Text to read.
    Page(Page),
}

impl Overlay {
    /// Which keys it understands.
    pub fn scope(&self) -> Scope {
        match self {
            Self::Input(_) => Scope::Input,
            Self::Form(_) => Scope::Form,
            Self::Picker(_) => Scope::Picker,
            Self::Palette(_) => Scope::Palette,
            Self::CloseCalls(_) | Self::Policies(_) => Scope::List,
            Self::Page(_) => Scope::Page,
        }
    }
}
