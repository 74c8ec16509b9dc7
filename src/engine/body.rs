//! Where the engine's run comes from.

use super::capture::Capture;
use super::run::{Run, need_model, no_model};
use super::saved::Saved;
use super::session::Session;
use super::target::Opened;
use anyhow::Result;

/// Next-token candidates kept for the screen at every position.
const CANDIDATES: usize = 64;

/// A run that a model reads, or a saved one.
pub(super) enum Body {
    Live(Box<Session>),
    Saved(Box<Saved>),
}

impl Body {
    /// An empty run of a model, or a saved run as it is.
    pub fn of(opened: Opened) -> Self {
        match opened {
            Opened::Model(loaded) => {
                let capture = Capture::for_views(loaded.meta.dims.layers);
                Self::Live(Box::new(Session::new(loaded, capture, CANDIDATES)))
            }
            Opened::Run(saved) => Self::Saved(saved),
        }
    }

    pub fn run(&self) -> &dyn Run {
        match self {
            Self::Live(session) => &**session,
            Self::Saved(saved) => &**saved,
        }
    }

    /// Records and pages are shared with it until one of the two goes on.
    pub fn branch(&self) -> Box<dyn Run + Send> {
        match self {
            Self::Live(session) => session.clone(),
            Self::Saved(saved) => saved.clone(),
        }
    }

    /// The session; a saved run has none.
    pub fn live(&self) -> Result<&Session> {
        need_model(self.run())
    }

    /// As [`Body::live`].
    pub fn live_mut(&mut self) -> Result<&mut Session> {
        match self {
            Self::Live(session) => Ok(session),
            Self::Saved(_) => Err(no_model()),
        }
    }
}
