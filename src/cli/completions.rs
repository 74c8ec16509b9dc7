//! `mixscope completions`: completion scripts for shells.

use super::{command, print};
use anyhow::Result;
use clap::Args;
use clap_complete::Shell;

#[derive(Args)]
pub struct Completions {
    /// The shell. Its manual says where completions go.
    shell: Shell,
}

impl Completions {
    pub fn main(self) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command(), "mixscope", &mut script);
        print(&String::from_utf8(script)?)
    }
}
