//! `mixscope open`: the explorer over a saved run.

use super::explore::{ScreenArgs, options, recorded};
use super::sweep::{LEAST, open_sweep, sweep_at};
use super::{apply_threads, need_terminal};
use crate::analysis::diff::CommonPrefix;
use crate::app;
use crate::app::config::Config;
use crate::engine::{OpenOptions, trace_path};
use crate::trace::TraceReader;
use anyhow::{Context, Result, ensure};
use clap::{ArgMatches, Args};
use std::path::Path;

#[derive(Args)]
pub struct Open {
    /// A saved run: trace.safetensors of `mixscope run`, or a recording of another program. Or the folder of a sweep.
    #[arg(value_name = "TRACE|SWEEP")]
    trace: String,
    /// Another saved run A; Fidelity compares it with B = TRACE, as far as both texts are the same.
    /// Or another sweep, which the view `compare` subtracts.
    #[arg(long, value_name = "TRACE|SWEEP")]
    against: Option<String>,
    #[command(flatten)]
    screen: ScreenArgs,
}

impl Open {
    pub fn main(self, matches: &ArgMatches) -> Result<()> {
        let mut config = self.screen.config(matches)?;
        if sweep_at(&self.trace).is_some() {
            return self.sweep(&config);
        }
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
    /// The explorer of a sweep.
    fn sweep(&self, config: &Config) -> Result<()> {
        let sweep = open_sweep(&self.trace)?;
        let other = self.against.as_deref().map(open_sweep).transpose().context("--against")?;
        if let Some(other) = &other {
            let [a, b] = [&sweep, other].map(|sweep| (sweep.about.model.shape.layers, sweep.about.model.shape.experts));
            ensure!(
                a == b,
                "--against: it is of a model of {} × {} experts, {} is of one of {} × {}",
                b.0,
                b.1,
                self.trace,
                a.0,
                a.1
            );
        }
        need_terminal()?;
        let name =
            Path::new(&self.trace).file_name().map_or(self.trace.clone(), |name| name.to_string_lossy().into_owned());
        app::explore_corpus(app::Corpus::new(sweep, name, other, LEAST), config.color, &config.colours())
    }
}
