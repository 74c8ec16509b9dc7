/// Progress of one file of a download.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileShare {
    /// Its name; untrusted text.
    pub name: String,
    /// Bytes done.
    pub done: u64,
    /// Bytes in all; 0 if not known yet.
    pub total: u64,
    /// The current activity, one word.
    pub doing: &'static str,
}

/// Progress of a download.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Download {
    /// Its files.
    pub files: Vec<FileShare>,
    /// Bytes done.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
    /// Recent bytes per second.
    pub per_second: f64,
    /// Seconds left at that rate, if known.
    pub seconds_left: Option<f64>,
    /// One sentence about anything unusual, or empty.
    pub note: String,
}

/// Where the weights of the open model are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    /// Share of the mapped weights that is in memory, estimated from samples.
    pub resident: f32,
    /// Experts that were in memory when the router chose them, in the last pass.
    pub hits: u64,
    /// Experts that had to be read from disk, in the last pass.
    pub misses: u64,
}
