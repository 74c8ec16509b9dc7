//! `mixscope open`: the explorer over a saved run.

use super::explore::{ScreenArgs, options, recorded};
use super::{apply_threads, need_terminal};
use crate::analysis::diff::CommonPrefix;
use crate::app;
use crate::engine::{OpenOptions, trace_path};
use crate::trace::TraceReader;
use anyhow::{Context, Result};
use clap::{ArgMatches, Args};
use std::path::Path;

#[derive(Args)]
pub struct Open {
    /// A saved run: trace.safetensors of `mixscope run`, or a recording of another program.
    #[arg(value_name = "TRACE")]
    trace: String,
    /// Another saved run A; Fidelity compares it with B = TRACE, as far as both texts are the same.
    #[arg(long, value_name = "TRACE")]
    against: Option<String>,
    #[command(flatten)]
    screen: ScreenArgs,
}

impl Open {
    pub fn main(self, matches: &ArgMatches) -> Result<()> {
        let mut config = self.screen.config(matches)?;
        let path = trace_path(&self.trace)?;
        if let Some(against) = &self.against {
            let tokens = |path: &Path| TraceReader::open(path)?.tokens();
            let of_a = tokens(&trace_path(against)?)?;
            CommonPrefix::of(&of_a, &tokens(&path)?).with_context(|| format!("--against {against}"))?;
        }
        let against = self.against.as_deref().map(recorded).transpose()?;
        need_terminal()?;
        // Needed for derived values, and for the next model.
        apply_threads(config.threads)?;
        // Used if a model is opened later.
        let open = OpenOptions { policy: config.precision, dtype: None, ids_only: false, device: config.device };
        config.model = self.trace;
        app::run(app::Options { against, ..options(config, open, None, None) })
    }
}
