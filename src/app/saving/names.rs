//! Free names for the files that the explorer writes.

use crate::trace::{TempFolder, write_new_file};
use anyhow::{Context, Result, bail};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Gives a finished folder its name: `mixscope-run-1`, or the next number that is free.
pub fn keep_folder(temp: TempFolder, parent: &Path) -> Result<PathBuf> {
    for number in 1..10_000 {
        let folder = parent.join(format!("mixscope-run-{number}"));
        // An empty folder reserves the name: renaming over it is atomic, and renaming over other files is an error.
        match std::fs::create_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => {
                let failed = || format!("cannot name the finished folder in {}", parent.display());
                made.with_context(failed)?;
                temp.replace(&folder).with_context(failed).inspect_err(|_| {
                    // The first error is the one to report.
                    let _ = std::fs::remove_dir(&folder);
                })?;
                return Ok(folder);
            }
        }
    }
    bail!("ten thousand folders of this name exist already")
}

/// Writes files with this stem under free names: all of them, or none.
pub fn write_files(folder: &Path, stem: &str, files: &[(&str, Vec<u8>)]) -> Result<String> {
    let suffixes: Vec<&str> = files.iter().map(|(suffix, _)| *suffix).collect();
    loop {
        let paths = free_names(folder, stem, &suffixes)?;
        match write_all(&paths, files) {
            // Another program was quicker with one of the names.
            Err(error) if is_taken(&error) => {}
            written => return written.map(|()| wrote(&paths)),
        }
    }
}

fn write_all(paths: &[PathBuf], files: &[(&str, Vec<u8>)]) -> Result<()> {
    for (done, (path, (_, bytes))) in paths.iter().zip(files).enumerate() {
        write_new_file(path, |file| Ok(file.write_all(bytes)?)).inspect_err(|_| {
            for path in &paths[..done] {
                // The first error is the one to report.
                let _ = std::fs::remove_file(path);
            }
        })?;
    }
    Ok(())
}

fn is_taken(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(|error: &std::io::Error| error.kind() == ErrorKind::AlreadyExists)
}

/// `wrote a.png and a.csv to /home/…`
fn wrote(paths: &[PathBuf]) -> String {
    let names: Vec<String> =
        paths.iter().filter_map(|path| path.file_name()).map(|name| name.display().to_string()).collect();
    let names = match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    };
    let folder = paths.first().and_then(|path| path.parent()).and_then(|folder| folder.canonicalize().ok());
    format!("wrote {names} to {}", folder.unwrap_or_default().display())
}

/// Names that don't exist yet: `stem.png`, or else `stem-2.png`, …, with the same number for all suffixes.
fn free_names(folder: &Path, stem: &str, suffixes: &[&str]) -> Result<Vec<PathBuf>> {
    let numbered = |number: usize| -> Vec<PathBuf> {
        let number = if number > 1 { format!("-{number}") } else { String::new() };
        suffixes.iter().map(|suffix| folder.join(format!("{stem}{number}.{suffix}"))).collect()
    };
    let free = |paths: &Vec<PathBuf>| paths.iter().all(|path| path.symlink_metadata().is_err());
    (1..10_000).map(numbered).find(free).context("ten thousand files of this name exist already")
}
