//! The folders of this program: XDG folders, on every system.

use etcetera::BaseStrategy;
use etcetera::base_strategy::Xdg;
use std::path::PathBuf;

/// The folder of history and session; `None` without a home folder.
pub fn state_folder() -> Option<PathBuf> {
    Some(Xdg::new().ok()?.state_dir()?.join("mixscope"))
}

/// The configuration file; `None` without a home folder.
pub fn config_file() -> Option<PathBuf> {
    Some(Xdg::new().ok()?.config_dir().join("mixscope").join("config.toml"))
}
