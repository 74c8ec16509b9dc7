//! `mixscope open`: the explorer over a saved run.

use super::need_terminal;
use crate::app;
use crate::engine::{OpenOptions, trace_path};
use crate::trace::{Policy, Sampling};
use anyhow::Result;
use clap::Args;

#[derive(Args)]
pub struct Open {
    /// A saved run: trace.safetensors of `mixscope run`, or a trace that another program recorded.
    #[arg(value_name = "TRACE")]
    trace: String,
    /// Colours: auto looks at NO_COLOR, COLORTERM and TERM.
    #[arg(long, value_enum, default_value_t = app::ColorChoice::Auto, value_name = "WHEN")]
    color: app::ColorChoice,
}

impl Open {
    pub fn main(self) -> Result<()> {
        trace_path(&self.trace)?;
        need_terminal()?;
        // How the next model is opened, if one is chosen.
        let open = OpenOptions { policy: Policy::Hf, dtype: None, ids_only: false };
        let (model, sampling) = (self.trace, Sampling::default());
        app::run(app::Options { model, open, prompt: None, sampling, color: self.color })
    }
}
