//! Overlays over the views: texts being typed, lists, pages.

mod accept;
mod branches;
pub mod choice;
mod closest_calls;
mod dropped;
mod edits;
pub mod examples;

pub mod page;
pub mod palette;
pub mod picker;
pub mod policies;
pub mod sampling;
pub mod text_input;

pub use branches::BranchList;
pub use choice::{Choice, Origin};
pub use closest_calls::ClosestCalls;
pub(in crate::state) use dropped::dropped;
pub use edits::{EditMenu, EditsInForce, ListAction, Reach, offers as edit_offers};
pub use page::{Page, Topic};
pub use palette::{Command, Palette};
pub use picker::Picker;
pub use policies::Policies;
pub use sampling::{FIELDS, Form};
pub use text_input::{Input, InputKind};

use super::input::Scope;

/// An overlay; the one on top takes the keys.
#[derive(Clone, Debug, PartialEq)]
pub enum Overlay {
    /// A text being typed.
    Input(Input),
    /// The sampling form.
    Form(Form),
    /// The model picker.
    Picker(Picker),
    /// The command palette.
    Palette(Palette),
    /// The list of the closest calls of the router.
    ClosestCalls(ClosestCalls),
    /// The menu of edits at the cursor.
    EditMenu(EditMenu),
    /// The list of edits.
    Edits(EditsInForce),
    /// The list of branches.
    Branches(BranchList),
    /// The list of precision policies.
    Policies(Policies),
    /// A page to read.
    Page(Page),
}

impl Overlay {
    /// The scope of its keys.
    pub fn scope(&self) -> Scope {
        match self {
            Self::Input(_) => Scope::Input,
            Self::Form(_) => Scope::Form,
            Self::Picker(_) => Scope::Picker,
            Self::Palette(_) => Scope::Palette,
            Self::EditMenu(_) | Self::Edits(_) => Scope::Edits,
            Self::Branches(_) => Scope::Branches,
            Self::ClosestCalls(_) | Self::Policies(_) => Scope::List,
            Self::Page(page) if page.is_typing => Scope::Filter,
            Self::Page(_) => Scope::Page,
        }
    }
}
