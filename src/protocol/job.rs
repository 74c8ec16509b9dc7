use super::ask::Ask;

/// Work on the run that a request starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// Reads a prompt.
    Prompt,
    /// Generates one token.
    Step,
    /// Generates tokens until something ends it.
    Generation,
    /// Reads tokens that the user chose.
    Force,
    /// Forgets tokens.
    StepBack,
    /// Reads the run again under another policy.
    Policy,
    /// Reads the run again under other edits.
    Edits,
    /// Goes to a branch.
    Branch,
    /// Reads the run under every policy.
    Lab,
    /// Reads the tokens of a session.
    Session,
    /// Goes back to a former run.
    Undo,
    /// Goes forward to a run that was undone.
    Redo,
}

impl Ask {
    /// The work on the run that this request starts; `None` if it leaves the run alone.
    pub fn job(&self) -> Option<JobKind> {
        Some(match self {
            Self::Prompt(_) => JobKind::Prompt,
            Self::Step { count: Some(1), .. } => JobKind::Step,
            Self::Step { .. } => JobKind::Generation,
            Self::ForceToken(_) | Self::Branch { .. } | Self::ForceText(_) => JobKind::Force,
            Self::Back | Self::Truncate { .. } => JobKind::StepBack,
            Self::Policy(_) => JobKind::Policy,
            Self::Edits { .. } => JobKind::Edits,
            Self::GoTo { .. } => JobKind::Branch,
            Self::Lab { .. } => JobKind::Lab,
            Self::Restore { .. } => JobKind::Session,
            Self::Undo => JobKind::Undo,
            Self::Redo => JobKind::Redo,
            Self::Open(_) | Self::Derive(_) => return None,
        })
    }
}
