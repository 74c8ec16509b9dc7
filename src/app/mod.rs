//! stub until the explorer
use crate::model::Location;
use crate::trace::{Dtype, Policy, Sampling, protocol::Prompt};
use anyhow::Result;
/// c
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum ColorChoice {
    /// a
    Auto,
}
/// o
#[allow(missing_docs)]
pub struct Options {
    pub location: Location,
    pub precision: Policy,
    pub dtype: Option<Dtype>,
    pub prompt: Option<Prompt>,
    pub sampling: Sampling,
    pub color: ColorChoice,
}
/// r
pub fn run(_: Options) -> Result<()> {
    anyhow::bail!("not yet")
}
