use crate::trace::{LensSite, Piece, Source};
use std::collections::HashMap;

/// The metadata key of the spellings.
pub const SPELLING: &str = "mixscope.spelling";

pub const SOURCE: &str = "mixscope.source";
pub const SINKS: &str = "mixscope.sinks";
pub const LENS_LAYERS: &str = "mixscope.lens.layers";
pub const SITES: [LensSite; 2] = [LensSite::ResidMid, LensSite::ResidPost];
pub const SOURCES: [Source; 3] = [Source::Prompt, Source::Generated, Source::Forced];

/// The spellings of tokens, by id.
pub type Spelling = HashMap<u32, Piece>;
