//! `mixscope pull`: downloads a model from the Hub into the cache that Hugging Face's tools share.

use super::stderr::Stderr;
use super::{error, print};
use crate::control::Control;
use crate::engine::fetch;
use crate::hub::{RepoId, Settings};
use anyhow::Result;
use clap::Args;
use clap::error::ErrorKind;

#[derive(Args)]
pub struct Pull {
    /// owner/name, owner/name@revision, or owner/name:file.gguf.
    #[arg(value_name = "REPO[@REVISION]")]
    repo: String,
    /// Print only errors to stderr.
    #[arg(short, long)]
    quiet: bool,
}

impl Pull {
    pub fn main(self) -> Result<()> {
        let repo = RepoId::parse(&self.repo).map_err(|bad| error(ErrorKind::ValueValidation, format!("{bad:#}")))?;
        let stderr = Stderr::new(self.quiet);
        let path = fetch(&repo, &Settings::from_env()?, &Control::none(), &mut |state| stderr.download(state));
        stderr.clear();
        print(&format!("{}\n", path?.display()))
    }
}
