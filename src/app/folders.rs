//! Where files of this program are: the XDG folders, on every system.

use etcetera::BaseStrategy;
use etcetera::base_strategy::Xdg;
use std::path::PathBuf;

/// The folder of what the program remembers; `None` where there is no home.
pub fn state_folder() -> Option<PathBuf> {
    Some(Xdg::new().ok()?.state_dir()?.join("mixscope"))
}

/// The configuration file; `None` where there is no home.
pub fn config_file() -> Option<PathBuf> {
    Some(Xdg::new().ok()?.config_dir().join("mixscope").join("config.toml"))
}
