//! The choices of the model picker.

/// The origin of a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The model in the program.
    Demo,
    /// Opened before.
    Recent,
    /// In the Hub's cache.
    Cached,
    /// A model or GGUF file under the typed path.
    Path,
    /// A folder under the typed path.
    Folder,
}

/// A model that can be opened, or a folder to go into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The name, as the MODEL argument; untrusted text.
    pub name: String,
    /// The origin.
    pub origin: Origin,
    /// A remark, such as the size.
    pub note: String,
}
