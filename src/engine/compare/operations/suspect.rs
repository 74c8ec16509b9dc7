//! What a program may compute otherwise: the suspects when an operation's output does not follow from its input.

use crate::trace::{Dtype, HookKind as K, Policy};
use std::fmt;

/// One thing computed otherwise. A suspect is tested: with it, the recorded input has to give the recorded output.
#[derive(Clone, Debug, PartialEq)]
pub enum Suspect {
    /// Rounded at the places of another policy, for weights of this dtype.
    Policy(Policy, Dtype),
    /// What is multiplied with weights is rounded to a 16-bit dtype first.
    InputsIn(Dtype),
    /// The same, to TF32: 10 bits of mantissa, as GPUs do by default.
    InputsInTf32,
    /// What is multiplied with weights is rounded first as llama.cpp does: to the dtype of 16-bit weights, and to blocks of
    /// 8-bit integers for quantised weights.
    InputsAsGgml,
    /// The same, to blocks of this many 8-bit integers, whatever the weights are.
    InputsInBlocks(usize),
    /// The router's product reads and gives 16-bit values.
    RouterIn(Dtype),
    /// The router's weights are quantised to Q8_0 and multiplied as they are, not rounded to the model's dtype.
    RouterInQ8,
    /// The router's softmax reads and gives 16-bit values.
    RouterSoftmaxIn(Dtype),
    /// RoPE's angles, cosines and sines are 16-bit values.
    RopeIn(Dtype),
    /// Nothing but zeros.
    Zeroed,
    /// Nothing is rounded while it is computed, and everything to this dtype when it is saved.
    SavedIn(Dtype),
    /// Products are added up in f16.
    SumsInF16,
    /// RMSNorm rounds once, after the gain.
    NormRoundedOnce,
    /// Scores and probabilities of attention are not rounded (fused attention).
    AttentionInF32,
    /// Keys and values are kept in f16, as in llama.cpp's cache, and what is multiplied with them is rounded to f16.
    CacheInF16,
    /// The pattern is rounded to the model's dtype before it weighs the values.
    PatternRounded,
    /// Keys and values alone are kept in f16.
    KeysValuesInF16,
    /// Fused attention with keys, values and queries in f16, whose weighted values are added up in f16 (llama.cpp's flash
    /// attention on a CPU).
    FlashInF16,
    /// Embeddings times √d_model.
    EmbedScaled,
    /// Another epsilon in RMSNorm.
    NormEps(f64),
    /// RMSNorm without its gain.
    NormWithoutGain,
    /// RMSNorm with one added to its gain.
    NormOnePlusGain,
    /// LayerNorm: the mean is subtracted.
    NormSubtractsMean,
    /// No norm at all.
    NormSkipped,
    /// The product reads the residual stream, not its norm.
    InputNotNormed,
    /// `x W` in place of `x Wᵀ`.
    Transposed,
    /// Each head's rows of q and k in the order of pairs (GGUF), where B has halves.
    RowsAsPairs,
    /// The other way round.
    RowsAsHalves,
    /// Key and value projections swapped.
    KeysForValues,
    /// Another RoPE base.
    RopeBase(f64),
    /// Every token is at position 0.
    PositionsZero,
    /// Positions are this much higher.
    PositionsShifted(i32),
    /// Positions begin again at 0 at this token.
    PositionsRestart(usize),
    /// Every token from this one on is at position 0.
    PositionsZeroFrom(usize),
    /// RoPE pairs neighbouring components.
    RopeInterleaved,
    /// RoPE turns the other way.
    RopeReversed,
    /// Positions divided by this (linear scaling).
    RopeScaled(f64),
    /// Another sliding window, or none.
    Window(Option<usize>),
    /// Scores are scaled by this in place of 1/√d_head.
    ScoresScaled(f64, &'static str),
    /// Queries see later keys.
    NotCausal,
    /// Each token from this one on sees itself alone.
    SeesItselfFrom(usize),
    /// Query head i reads kv head i mod kv_heads.
    KvHeadsInTurn,
    /// The router's scores are sigmoids of its logits.
    RouterSigmoid,
    /// Weights of the chosen experts are not divided by their sum.
    NoRenormalisation,
    /// The chosen experts' weights are in the wrong order.
    WeightsReversed,
    /// w1 and w3 of the experts swapped.
    SwappedGateUp,
    /// The experts' activation.
    Activation(Activation),
    /// The experts' gate is not multiplied by w3 x.
    ExpertsWithoutUp,
    /// One expert computes with the weights of another: (of, with).
    OtherExpert(Vec<(usize, usize)>),
    /// Every expert that a token chose reads the whole sequence.
    WholeSequence,
    /// The experts' outputs are added without weights.
    Unweighted,
    /// Only the first expert counts.
    FirstExpertOnly,
    /// The output is not added to the residual stream.
    NoResidual,
    /// The attention output is missing in the residual stream.
    AttentionLost,
    /// The unembedding is the embedding, or is not although the config ties them.
    OtherHead,
    /// No attention sinks.
    NoSinks,
    /// Frequencies of RoPE without YaRN.
    NoYarn,
    /// Queries, keys and values that are not clamped.
    NotClipped,
    /// Products without their biases.
    NoBias,
    /// No shared expert.
    NoSharedExpert,
    /// The shared expert without its gate.
    SharedNotGated,
    /// Embedding, additions to the stream and logits without the model's constant factors.
    NoMultipliers,
}

/// Activations that an expert may have in place of SiLU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// With the error function.
    Gelu,
    /// Its approximation with tanh.
    GeluTanh,
    /// The positive part.
    Relu,
}

impl Activation {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Gelu, Self::GeluTanh, Self::Relu];

    fn name(self) -> &'static str {
        match self {
            Self::Gelu => "GELU",
            Self::GeluTanh => "GELU (tanh)",
            Self::Relu => "ReLU",
        }
    }

    /// Its value. The error function is that of Abramowitz and Stegun 7.1.26, within 1.5e-7.
    pub fn of(self, x: f64) -> f64 {
        match self {
            Self::Gelu => {
                let z = x.abs() / std::f64::consts::SQRT_2;
                let t = 1.0 / (1.0 + 0.327_591_1 * z);
                let coefficients = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592];
                let sum = coefficients.into_iter().fold(0.0, |sum, c| sum * t + c) * t;
                0.5 * x * (1.0 + (1.0 - sum * (-z * z).exp()).copysign(x))
            }
            Self::GeluTanh => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
                0.5 * x * (1.0 + inner.tanh())
            }
            Self::Relu => x.max(0.0),
        }
    }
}

use Suspect as S;

impl Suspect {
    /// Whether it is a matter of rounding, which a right program may do otherwise.
    pub fn is_rounding(&self) -> bool {
        match self {
            S::Policy(policy, _) => matches!(
                policy,
                Policy::Hf
                    | Policy::F32
                    | Policy::Ggml
                    | Policy::F32Router
                    | Policy::Bf16
                    | Policy::EagerExperts
                    | Policy::Hf4
            ),
            S::InputsIn(_) | S::InputsInTf32 | S::InputsAsGgml | S::InputsInBlocks(_) | S::SumsInF16 => true,
            S::SavedIn(_) => true,
            S::RouterIn(_)
            | S::NormRoundedOnce
            | S::AttentionInF32
            | S::CacheInF16
            | S::KeysValuesInF16
            | S::FlashInF16
            | S::PatternRounded => true,
            _ => false,
        }
    }

    /// Whether it is known only how much it moves values, not where to: the recorded values can't follow from it.
    pub fn is_by_size(&self) -> bool {
        matches!(self, S::SavedIn(_) | S::SumsInF16)
    }

    /// The key of the config that says which is right.
    pub fn config_key(&self) -> Option<&'static str> {
        match self {
            S::NormEps(_) => Some("rms_norm_eps"),
            S::RopeBase(_) => Some("rope_theta"),
            S::Window(_) => Some("sliding_window"),
            S::OtherHead => Some("tie_word_embeddings"),
            _ => None,
        }
    }

    /// Whether it changes how `kind` follows from its inputs.
    pub fn acts_on(&self, kind: K) -> bool {
        let norm = matches!(kind, K::Ln1 | K::Ln2 | K::LnFinal | K::QNorm | K::KNorm);
        let mlp = matches!(kind, K::ExpertOut | K::SharedOut);
        let product =
            matches!(kind, K::Q | K::K | K::V | K::AttnOut | K::RouterLogits | K::SharedGate | K::Logits) || mlp;
        match self {
            S::Policy(Policy::EagerExperts | Policy::Hf4, _) => matches!(kind, K::MixingWeights | K::MlpOut),
            S::Policy(Policy::F32Router | Policy::RouterQ8 | Policy::RouterQ4, _) => kind == K::RouterLogits,
            S::Policy(Policy::RouterSoftmaxBf16, _) => matches!(kind, K::ExpertWeights | K::MixingWeights | K::MlpOut),
            S::Policy(Policy::RopeBf16, _) => matches!(kind, K::RotQ | K::RotK),
            S::Policy(..) => true,
            S::InputsIn(_) | S::InputsInTf32 | S::InputsAsGgml | S::SumsInF16 => product,
            S::Transposed => matches!(kind, K::Q | K::K | K::V | K::AttnOut | K::Logits),
            S::InputNotNormed => matches!(kind, K::Q | K::K | K::V | K::RouterLogits | K::Logits) || mlp,
            S::NormEps(_) => norm || kind.is_scale(),
            S::NormRoundedOnce | S::NormWithoutGain | S::NormOnePlusGain => norm,
            S::NormSubtractsMean | S::NormSkipped => norm,
            S::EmbedScaled => kind == K::Embed,
            S::RowsAsPairs | S::RowsAsHalves => matches!(kind, K::Q | K::K),
            // An embedding is looked up: saving rounds it once, as the model does.
            S::SavedIn(_) => kind != K::Embed,
            S::Zeroed => true,
            S::RopeIn(_) => matches!(kind, K::RotQ | K::RotK),
            S::RouterIn(_) | S::RouterInQ8 => kind == K::RouterLogits,
            S::RouterSoftmaxIn(_) => matches!(kind, K::ExpertWeights),
            S::InputsInBlocks(_) => product,
            S::KeysForValues => matches!(kind, K::K | K::V),
            S::RopeBase(_) | S::PositionsZero | S::PositionsShifted(_) | S::PositionsRestart(_) => {
                matches!(kind, K::RotQ | K::RotK)
            }
            S::PositionsZeroFrom(_) | S::RopeInterleaved | S::RopeReversed | S::RopeScaled(_) => {
                matches!(kind, K::RotQ | K::RotK)
            }
            S::AttentionInF32 | S::Window(_) | S::ScoresScaled(..) => matches!(kind, K::Pattern | K::Z),
            S::NotCausal | S::SeesItselfFrom(_) => kind == K::Pattern,
            S::CacheInF16 | S::KeysValuesInF16 | S::KvHeadsInTurn => matches!(kind, K::Pattern | K::Z),
            S::FlashInF16 | S::PatternRounded => kind == K::Z,
            S::RouterSigmoid => kind == K::ExpertWeights,
            S::NoRenormalisation => matches!(kind, K::MixingWeights | K::MlpOut),
            S::WeightsReversed => matches!(kind, K::MixingWeights | K::MlpOut),
            S::SwappedGateUp | S::Activation(_) | S::ExpertsWithoutUp => mlp,
            S::OtherExpert(_) => kind == K::ExpertOut,
            S::WholeSequence | S::Unweighted | S::FirstExpertOnly => kind == K::MlpOut,
            S::NoResidual => matches!(kind, K::ResidMid | K::ResidPost),
            S::AttentionLost => kind == K::ResidPost,
            S::OtherHead => kind == K::Logits,
            S::NoSinks => matches!(kind, K::Pattern | K::Z),
            S::NoYarn => matches!(kind, K::RotQ | K::RotK),
            S::NotClipped => matches!(kind, K::RotQ | K::RotK | K::Z),
            S::NoBias => product,
            S::NoSharedExpert | S::SharedNotGated => kind == K::MlpOut,
            S::NoMultipliers => matches!(kind, K::ResidPre | K::ResidMid | K::ResidPost | K::Logits),
        }
    }
}

impl fmt::Display for Suspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            S::Policy(Policy::F32, _) => f.write_str("values that are rounded nowhere in between (f32)"),
            S::Policy(Policy::Ggml, _) => f.write_str("what products read rounded as llama.cpp does on a CPU"),
            S::Policy(Policy::F32Router, _) => f.write_str("the router's product in f32"),
            S::Policy(Policy::EagerExperts, _) => {
                f.write_str("experts' outputs added one by one, each sum rounded (transformers 5, eager)")
            }
            S::Policy(Policy::Hf4, _) => {
                f.write_str("mixing weights rounded, and experts' outputs added one by one (transformers 4)")
            }
            S::Policy(Policy::RouterSoftmaxBf16, _) => f.write_str("the router's softmax in bf16, not in f32"),
            S::Policy(Policy::RopeBf16, _) => f.write_str("RoPE's angles in bf16, not in f32"),
            S::Policy(Policy::RouterQ8, _) => f.write_str("the router's weights quantised to Q8_0"),
            S::Policy(Policy::RouterQ4, _) => f.write_str("the router's weights quantised to Q4_0"),
            S::Policy(Policy::Hf | Policy::Bf16, dtype) => write!(f, "every operation rounded to {dtype}"),
            S::InputsIn(dtype) => write!(f, "activations in {dtype} before each product"),
            S::InputsInTf32 => f.write_str("activations and weights in TF32 in each product"),
            S::InputsAsGgml => {
                f.write_str("activations as llama.cpp multiplies them: 8-bit blocks for quantised weights, the dtype of 16-bit ones")
            }
            S::SavedIn(dtype) => write!(f, "values that were computed in f32 and rounded to {dtype} when they were saved"),
            S::SumsInF16 => f.write_str("products added up in f16"),
            S::NormRoundedOnce => f.write_str("RMSNorm rounded once, after the gain"),
            S::AttentionInF32 => f.write_str("attention that does not round scores and probabilities (fused)"),
            S::CacheInF16 => f.write_str("keys and values kept in f16, and queries and patterns rounded to it (llama.cpp)"),
            S::FlashInF16 => {
                f.write_str("flash attention in f16: queries, keys and values rounded to it, and values added up in it (llama.cpp)")
            }
            S::PatternRounded => f.write_str("the pattern rounded before it weighs the values"),
            S::KeysValuesInF16 => f.write_str("keys and values kept in f16"),
            S::NoSinks => f.write_str("attention without sinks"),
            S::NoYarn => f.write_str("RoPE without YaRN"),
            S::NotClipped => f.write_str("queries, keys and values that are not clamped (clip_qkv)"),
            S::NoBias => f.write_str("products without their biases"),
            S::NoSharedExpert => f.write_str("experts without the shared one"),
            S::SharedNotGated => f.write_str("the shared expert without its gate"),
            S::NoMultipliers => f.write_str("no constant factors (embedding_multiplier, residual_multiplier, logits_scaling)"),
            S::EmbedScaled => f.write_str("embeddings times √d_model"),
            S::NormEps(eps) => write!(f, "the epsilon of RMSNorm: {eps:e} in A"),
            S::NormWithoutGain => f.write_str("RMSNorm without its gain"),
            S::NormOnePlusGain => f.write_str("RMSNorm with 1 added to its gain"),
            S::NormSubtractsMean => f.write_str("a norm that subtracts the mean (LayerNorm)"),
            S::NormSkipped => f.write_str("a norm that is left out"),
            S::InputNotNormed => f.write_str("a product that reads the residual stream, not its norm"),
            S::Transposed => f.write_str("a transposed matrix"),
            S::RowsAsPairs => f.write_str(
                "the rows of q_proj and k_proj in another order: adjacent pairs, as GGUF stores them, not halves",
            ),
            S::RowsAsHalves => f.write_str(
                "the rows of q_proj and k_proj in another order: halves, as transformers has them, not adjacent pairs",
            ),
            S::RopeIn(dtype) => write!(f, "RoPE's angles in {dtype}, not in f32"),
            S::Zeroed => f.write_str("values that are all 0 in A"),
            S::RouterInQ8 => f.write_str("the router's weights quantised to Q8_0"),
            S::RouterIn(dtype) => write!(f, "the router's product in {dtype}"),
            S::RouterSoftmaxIn(dtype) => write!(f, "the router's softmax in {dtype}, not in f32"),
            S::InputsInBlocks(width) => {
                write!(f, "activations in 8 bits, in blocks of {width}, before each product (as llama.cpp multiplies quantised weights)")
            }
            S::KeysForValues => f.write_str("k_proj and v_proj swapped"),
            S::RopeBase(base) => write!(f, "the RoPE base: {base} in A"),
            S::PositionsZero => f.write_str("RoPE: every token at position 0"),
            S::PositionsShifted(by @ 2..) => {
                write!(f, "RoPE: positions shifted by {by:+}, as if {by} tokens came before A's first")
            }
            S::PositionsShifted(by) => write!(f, "RoPE: positions shifted by {by:+}"),
            S::PositionsRestart(at) => write!(f, "RoPE: positions that begin again at 0 at token {at}"),
            S::PositionsZeroFrom(at) => write!(f, "RoPE: every token from {at} on at position 0 (a cache that is not read)"),
            S::RopeInterleaved => f.write_str("RoPE that pairs neighbouring components, not halves"),
            S::RopeReversed => f.write_str("RoPE that turns the other way"),
            S::RopeScaled(by) => write!(f, "RoPE: positions divided by {by}"),
            S::Window(Some(1)) => f.write_str("a sliding window of 1 token in A"),
            S::Window(Some(window)) => write!(f, "a sliding window of {window} tokens in A"),
            S::Window(None) => f.write_str("a sliding window: none in A"),
            S::ScoresScaled(_, text) => write!(f, "the scale of attention's scores: {text}, not 1/√d_head"),
            S::NotCausal => f.write_str("attention without a causal mask"),
            S::SeesItselfFrom(at) => {
                write!(f, "attention in which each token from {at} on sees itself alone (a cache that is not read)")
            }
            S::KvHeadsInTurn => f.write_str("which kv head a query head reads: i mod kv_heads, not i / (heads / kv_heads)"),
            S::RouterSigmoid => f.write_str("a sigmoid of the router's logits, not their softmax"),
            S::NoRenormalisation => {
                f.write_str("A does not renormalise the weights of the chosen experts to sum 1")
            }
            S::WeightsReversed => f.write_str("mixing weights that are given to the wrong ones of the chosen experts"),
            S::SwappedGateUp => f.write_str("w1 and w3 swapped"),
            S::Activation(other) => write!(f, "{} as the experts' activation, not SiLU", other.name()),
            S::ExpertsWithoutUp => f.write_str("experts without the product with w3 x"),
            S::OtherExpert(map) => {
                let pairs: Vec<String> = map.iter().map(|(of, with)| format!("{of} by {with}")).collect();
                write!(f, "experts computed with the weights of others: {}", pairs.join(", "))
            }
            S::WholeSequence => {
                f.write_str("whole-sequence dispatch: each chosen expert is added to all tokens with the weight of its last one")
            }
            S::Unweighted => f.write_str("experts' outputs added without their weights"),
            S::FirstExpertOnly => f.write_str("only the first expert of each token counts"),
            S::NoResidual => f.write_str("an output that replaces the residual stream and is not added to it"),
            S::AttentionLost => f.write_str("a residual stream without the attention output"),
            S::OtherHead => f.write_str("the unembedding: the embedding in place of lm_head, or the other way round"),
        }
    }
}
