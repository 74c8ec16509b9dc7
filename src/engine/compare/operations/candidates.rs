//! The suspects without a number of their own, in the order in which they are tested.

use super::suspect::{Activation, Suspect};
use crate::model::weights::Part;
use crate::model::{GateBlock, Loaded, Multipliers};
use crate::trace::{Dtype, Policy};

/// All of them, for a recording that is stored in `stored` and judged in `dtype`; `saved_in` is the dtype to which
/// its values were rounded when they were saved, and not before.
pub fn fixed(loaded: &Loaded, dtype: Dtype, stored: Dtype, saved_in: Option<Dtype>) -> Vec<Suspect> {
    use Suspect as S;
    let d = loaded.meta.dims;
    // Under `f32` the model rounds nothing: what A rounds to shows in how it is stored.
    let compute = if loaded.meta.policy.keeps_f32() { dtype } else { loaded.meta.compute_dtype };
    let half = if dtype == Dtype::F32 { Dtype::Bf16 } else { dtype };
    let mut all = vec![
        S::Policy(Policy::EagerExperts, compute),
        S::Policy(Policy::Hf4, compute),
        S::Policy(Policy::F32Router, compute),
        S::Policy(Policy::F32, compute),
        S::Policy(Policy::Hf, half),
        S::Policy(Policy::Hf, stored),
        S::Policy(Policy::RouterSoftmaxBf16, compute),
        S::Policy(Policy::RopeBf16, compute),
        S::RopeIn(Dtype::Bf16),
        S::RopeIn(Dtype::F16),
        S::RouterInQ8,
        S::RouterIn(Dtype::Bf16),
        S::RouterIn(Dtype::F16),
        S::RouterSoftmaxIn(Dtype::Bf16),
        S::RouterSoftmaxIn(Dtype::F16),
        S::Zeroed,
        S::InputsIn(Dtype::Bf16),
        S::InputsIn(Dtype::F16),
        S::InputsInTf32,
        S::InputsAsGgml,
        S::InputsInBlocks(32),
        S::InputsInBlocks(256),
        S::NormRoundedOnce,
        S::AttentionInF32,
        S::PatternRounded,
        S::CacheInF16,
        S::KeysValuesInF16,
        S::FlashInF16,
        S::EmbedScaled,
        S::NormWithoutGain,
        S::NormOnePlusGain,
        S::NormSubtractsMean,
        S::NormSkipped,
        S::InputNotNormed,
        S::Transposed,
        S::RowsAsPairs,
        S::RowsAsHalves,
        S::KeysForValues,
        S::PositionsZero,
        S::PositionsShifted(1),
        S::PositionsShifted(-1),
        S::RopeInterleaved,
        S::RopeReversed,
        S::RopeScaled(2.0),
        S::RopeScaled(4.0),
        S::RopeScaled(8.0),
        S::Window(None),
        S::ScoresScaled(1.0, "none"),
        S::ScoresScaled(1.0 / d.d_head as f64, "1/d_head"),
        S::ScoresScaled(1.0 / (d.d_model as f64).sqrt(), "1/√d_model"),
        S::NotCausal,
        S::KvHeadsInTurn,
        S::RouterSigmoid,
        S::NoRenormalisation,
        S::WeightsReversed,
        S::SwappedGateUp,
        S::ExpertsWithoutUp,
        S::WholeSequence,
        S::Unweighted,
        S::FirstExpertOnly,
        S::NoResidual,
        S::AttentionLost,
        S::OtherHead,
    ];
    all.extend(saved_in.map(S::SavedIn));
    all.push(S::SumsInF16);
    let turned = |by: usize| (0..d.experts).map(|of| (of, (of + by) % d.experts)).collect();
    all.extend([S::OtherExpert(turned(1)), S::OtherExpert(turned(d.experts - 1))]);
    if d.d_model.is_multiple_of(GateBlock::VALUES) {
        all.extend([Policy::RouterQ8, Policy::RouterQ4].map(|policy| S::Policy(policy, compute)));
    } else {
        all.retain(|suspect| *suspect != S::RouterInQ8);
    }
    all.extend(Activation::ALL.map(S::Activation));
    let has_head = loaded.store.matrix(Part::Unembed, &loaded.config.arch).is_ok();
    all.retain(|suspect| *suspect != S::OtherHead || has_head);
    all.retain(|suspect| *suspect != S::Window(None) || d.window.is_some());
    let arch = &loaded.config.arch;
    let has_bias = arch.attn.qkv_bias || arch.attn.o_bias || arch.moe.bias;
    let own = [
        (arch.attn.sinks, S::NoSinks),
        (arch.rope.yarn.is_some(), S::NoYarn),
        (arch.attn.clip.is_some(), S::NotClipped),
        (has_bias, S::NoBias),
        (d.d_shared > 0, S::NoSharedExpert),
        (d.d_shared > 0, S::SharedNotGated),
        (arch.multipliers != Multipliers::default(), S::NoMultipliers),
    ];
    all.extend(own.into_iter().filter(|(has, _)| *has).map(|(_, suspect)| suspect));
    all
}
