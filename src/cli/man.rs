//! `mixscope man`: the manual pages, made from the help texts.

use super::folder::Folder;
use super::{command, print};
use crate::trace::replace_file;
use anyhow::Result;
use clap::{Args, Command};
use clap_mangen::Man as Page;
use std::io::Write;
use std::path::PathBuf;

#[derive(Args)]
pub struct Man {
    /// Write mixscope.1 and a page for every command into this folder instead. It is created if it does not exist.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Overwrite existing pages.
    #[arg(long, requires = "out")]
    force: bool,
}

impl Man {
    pub fn main(self) -> Result<()> {
        let pages = pages(command())?;
        let Some(out) = self.out else {
            return print(pages.first().map_or("", |(_, page)| page));
        };
        let names: Vec<String> = pages.iter().map(|(name, _)| name.clone()).collect();
        let _folder = Folder::prepare(&out, &names, |_| Ok(Vec::new()), self.force)?;
        for (name, page) in &pages {
            replace_file(&out.join(name), |file| Ok(file.write_all(page.as_bytes())?))?;
        }
        Ok(())
    }
}

/// File name and roff of the main page, then of every command's.
fn pages(root: Command) -> Result<Vec<(String, String)>> {
    let commands: Vec<Command> = root.get_subcommands().cloned().collect();
    let page = |command: Command, name: String| {
        let mut roff = Vec::new();
        Page::new(command).title(name.to_uppercase()).render(&mut roff)?;
        Ok((format!("{name}.1"), String::from_utf8(roff)?))
    };
    let main = page(root, "mixscope".to_owned());
    let others = commands.into_iter().map(|command| {
        let name = format!("mixscope-{}", command.get_name());
        page(command.display_name(&name).version(env!("CARGO_PKG_VERSION")), name)
    });
    [main].into_iter().chain(others).collect()
}
