//! `mixscope completions`: what a shell needs to complete the command line.

use super::{command, print};
use anyhow::Result;
use clap::Args;
use clap_complete::Shell;

#[derive(Args)]
pub struct Completions {
    /// The shell; where its completions go is in its own manual.
    shell: Shell,
}

impl Completions {
    pub fn main(self) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command(), "mixscope", &mut script);
        print(&String::from_utf8(script)?)
    }
}
