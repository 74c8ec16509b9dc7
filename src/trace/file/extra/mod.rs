//! Extra tensors of a trace, for what views need and no hook holds. The `k` tokens of a table are the most probable ones,
//! best first. Entropy and KL are in nats, probabilities at temperature 1.
//!
//! | name | shape | meaning |
//! |---|---|---|
//! | `mixscope.source` | `[pos]` i64 | source of each token: 0 prompt, 1 generated, 2 forced |
//! | `mixscope.sinks` | `[layers, heads]` f32 | attention sinks of the model: without them, weights don't follow from queries and keys |
//! | `mixscope.score.nll`, `.entropy` | `[pos - 1]` f32 | of the token at p + 1, given those before it |
//! | `mixscope.score.rank` | `[pos - 1]` i64 | rank of that token, from 1 |
//! | `mixscope.next.ids` | `[pos, k]` i64 | the candidates for the token that follows each position |
//! | `mixscope.next.logits`, `.probs` | `[pos, k]` f32 | their logits and probabilities |
//! | `mixscope.next.entropy` | `[pos]` f32 | entropy of the whole distribution |
//! | `mixscope.lens.layers` | `[layers]` i64 | the decoder layers that the lens tables hold |
//! | `mixscope.lens.SITE.ids` | `[pos, layers, k]` i64 | SITE = `resid_mid` or `resid_post`; best tokens of the lens |
//! | `mixscope.lens.SITE.logits`, `.probs` | `[pos, layers, k]` f32 | their logits and probabilities |
//! | `mixscope.lens.SITE.final_rank` | `[pos, layers]` i64 | rank, from 1, of the model's own final first choice |
//! | `mixscope.lens.SITE.final_prob`, `.entropy`, `.kl` | `[pos, layers]` f32 | probability of that token; entropy of the lens; KL(final ‖ lens) |
//!
//! The metadata key `mixscope.spelling` is a JSON object from every id in these tensors to the tokenizer's spelling.

mod names;
mod read;
mod write;

pub use names::Spelling;
pub(super) use names::{SOURCE, SOURCES, SPELLING};
pub use read::{ExtraTables, LensTable};
pub(super) use write::ExtraWriter;
