use crate::analysis::{
    Attribution, AttributionKey, Distance, Found, HeadColumn, HeadMap, HeadRow, HeadScores, HeadStats, MapKey,
    ModelShares, Pick, Tempered, Trajectory, Watch, WhatIf,
};
use crate::trace::{LensCell, LensKey, Meta, Piece, Prompt, Sampling, TokenRecord, Variant};
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;

/// A request for values that are derived from stored activations.
#[derive(Clone, Debug, PartialEq)]
pub enum Derive {
    /// Logit lens cells.
    Lens {
        /// The requested cells.
        cells: Vec<LensKey>,
    },
    /// Rank and probability of tokens after every layer, at one position.
    Trajectories {
        /// Position in the run.
        pos: usize,
        /// Token ids.
        targets: Vec<u32>,
    },
    /// The distribution after one position, as it is sampled from.
    Tempered {
        /// Position in the run.
        pos: usize,
        /// Temperature, top-k, top-p.
        sampling: Sampling,
    },
    /// The distributions that would follow each of these tokens if the model read it after one position. Done only while
    /// the engine has nothing else to do.
    WhatIf {
        /// Position in the run.
        pos: usize,
        /// Token ids.
        ids: Vec<u32>,
    },
    /// How many tokens a prompt has.
    Count {
        /// The prompt.
        prompt: Prompt,
    },
    /// The tokens of texts that would continue the run.
    Spell {
        /// The texts.
        texts: Vec<String>,
    },
    /// Pooled maps of several heads.
    HeadMaps {
        /// Layer, head or heads, and the largest number of cells per side; most urgent first.
        maps: Vec<(usize, Pick, usize)>,
    },
    /// Attention weights of one query, for each head of a layer, their mean and their maximum.
    HeadRows {
        /// Decoder layer.
        layer: usize,
        /// Position of the query.
        query: usize,
    },
    /// The contributions to a logit, in detail for one layer.
    Attribution(AttributionKey),
    /// Attention weights on one key.
    HeadColumns {
        /// Decoder layer.
        layer: usize,
        /// The head, or the heads combined.
        pick: Pick,
        /// Position of the key.
        key: usize,
    },
    /// Scores of heads on this text.
    HeadStats {
        /// (layer, head) pairs, most urgent first.
        heads: Vec<(usize, usize)>,
    },
    /// Scores of every head on random tokens that occur twice.
    HeadScores,
    /// The run's tokens read as another variant. Done only while the engine has nothing else to do.
    Variant {
        /// The variant.
        variant: Variant,
        /// Records that the screen has already.
        have: usize,
        /// Tokens of the run.
        len: usize,
    },
    /// Lens cells of another variant of the run.
    VariantLens {
        /// The variant.
        variant: Variant,
        /// The requested cells.
        cells: Vec<LensKey>,
    },
    /// The places of an effect map after the first `done`. Done only while the engine has nothing else to do.
    Effects {
        /// The map.
        request: Box<MapRequest>,
        /// Places that are computed already.
        done: usize,
    },
    /// The records of a second prompt, read as the run is. Done only while the engine has nothing else to do.
    Second {
        /// The prompt.
        prompt: Prompt,
    },
    /// Lens cells of the second prompt.
    SecondLens {
        /// The prompt.
        prompt: Prompt,
        /// The requested cells.
        cells: Vec<LensKey>,
    },
    /// The contributions of all layers to a logit, or to the difference of two. Done only while the engine has nothing else
    /// to do.
    Shares(Watch),
    /// How far the run is from another one that the engine has read. Done only while the engine has nothing else to do.
    Distance(OtherRun),
}

/// A map that is requested.
#[derive(Clone, Debug, PartialEq)]
pub struct MapRequest {
    /// The map.
    pub key: MapKey,
    /// The tokens of the run that it is about: the first ones.
    pub tokens: usize,
    /// The prompt of the corrupted run, for a map of patches.
    pub second: Option<Prompt>,
}

/// Places of a map.
#[derive(Clone, Debug)]
pub struct MapPart {
    /// The map.
    pub request: MapRequest,
    /// Its layers and columns.
    pub shape: (usize, usize),
    /// The measure of the clean and the corrupted run.
    pub baselines: Option<[f64; 2]>,
    /// Places that were computed before these, in the engine's order.
    pub from: usize,
    /// Places that are computed now.
    pub done: usize,
    /// Why a place could not be changed, if one could not.
    pub refused: Option<String>,
    /// Layer, column and what was found there.
    pub found: Vec<(usize, usize, Found)>,
}

/// A run that the run on the screen is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum OtherRun {
    /// The same tokens under another policy or other edits.
    Variant(Variant),
    /// Another prompt.
    Second(Prompt),
}

/// The kind of a [`Derive`] request. A newer request replaces an older one of the same kind.
pub type DeriveKind = Discriminant<Derive>;

impl Derive {
    /// The kind of this request.
    pub fn kind(&self) -> DeriveKind {
        discriminant(self)
    }

    /// Whether all other requests are served first.
    pub fn is_background(&self) -> bool {
        matches!(
            self,
            Self::WhatIf { .. }
                | Self::Variant { .. }
                | Self::Effects { .. }
                | Self::Second { .. }
                | Self::Shares(_)
                | Self::Distance(_)
        )
    }
}

/// A text and its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelled {
    /// The text.
    pub text: String,
    /// Id and the tokenizer's spelling of each token.
    pub tokens: Vec<(u32, Piece)>,
}

/// The answer to a [`Derive`] request.
#[derive(Clone, Debug)]
pub enum Derived {
    /// Lens cells.
    Lens(Vec<(LensKey, Arc<LensCell>)>),
    /// The position, and one trajectory per target.
    Trajectories(usize, Vec<Arc<Trajectory>>),
    /// A distribution as it is sampled from; `None` if its position no longer exists.
    Tempered(Option<Arc<Tempered>>),
    /// Distributions after candidates.
    WhatIf(Vec<Arc<WhatIf>>),
    /// A prompt, and how many tokens it has.
    Counted(Prompt, usize),
    /// The texts and their tokens.
    Spelled(Vec<Spelled>),
    /// Head maps.
    HeadMaps(Vec<Arc<HeadMap>>),
    /// Head rows.
    HeadRows(Vec<Arc<HeadRow>>),
    /// Contributions to a logit.
    Attribution(Arc<Attribution>),
    /// Head columns.
    HeadColumns(Vec<Arc<HeadColumn>>),
    /// (layer, head, scores).
    HeadStats(Vec<(usize, usize, HeadStats)>),
    /// Scores of every head.
    HeadScores(Arc<HeadScores>),
    /// Records of another variant of the run.
    Variant {
        /// The model and how the variant is computed.
        meta: Arc<Meta>,
        /// Records sent earlier that are still valid.
        keep: usize,
        /// The records after those.
        tokens: Vec<Arc<TokenRecord>>,
    },
    /// Lens cells of another variant of the run.
    VariantLens(Variant, Vec<(LensKey, Arc<LensCell>)>),
    /// Places of an effect map.
    Effects(Box<MapPart>),
    /// Records of the second prompt.
    Second {
        /// The prompt.
        prompt: Prompt,
        /// The model and how the run is computed.
        meta: Arc<Meta>,
        /// Its records.
        tokens: Vec<Arc<TokenRecord>>,
    },
    /// Lens cells of the second prompt.
    SecondLens(Prompt, Vec<(LensKey, Arc<LensCell>)>),
    /// Contributions of all layers.
    Shares(Arc<ModelShares>),
    /// How far the run is from another one.
    Distance(OtherRun, Arc<Distance>),
}
