//! The faults: where each acts, what it gives, and what the program has to say of it.

use super::numbers::{gelu, noise, q8_0, to_bf16};
use super::port::{ATTENTION, Attention, EXPERT, Expert, Port, ROPE, Rope};
use mixscope::trace::HookKind as K;

/// One thing computed otherwise.
pub struct Fault {
    pub name: &'static str,
    /// The operation that is wrong.
    pub kind: K,
    pub parts: Parts,
    pub expected: Expected,
    /// Whether the values of a model in bf16 can't show it.
    pub f32_only: bool,
    /// The operation's output.
    pub wrong: fn(&Port<'_>) -> Vec<f64>,
}

/// The heads or experts that are wrong.
pub enum Parts {
    All,
    /// One head, not the same in each layer. The other heads keep the recorded values.
    OneHead,
    /// The expert that most tokens chose. The other experts keep the recorded values.
    OneExpert,
    /// These heads, by the nature of the fault.
    These(&'static [usize]),
}

/// What the program has to say.
pub enum Expected {
    /// A cause that holds these words.
    Cause(&'static str),
    /// This cause. `{expert}` stands for the wrong expert, `{next}` for the one after it.
    Exactly(&'static str),
    /// That it knows no cause.
    NoCause,
    /// Agreement, up to rounding of a kind that holds these words.
    Rounding(&'static str),
}

use Expected::{Cause, Exactly, NoCause, Rounding};
use Parts::{All, OneExpert, OneHead, These};

const HALVES: &str = "adjacent pairs, as GGUF stores them, not halves";
const GATE: &str = "block_sparse_moe.gate";
const LN1: (K, &str) = (K::ResidPre, "input_layernorm");
const LN2: (K, &str) = (K::ResidMid, "post_attention_layernorm");
const NO_GAIN: &str = "RMSNorm without its gain";
const EPS: &str = "the epsilon of RMSNorm: 1e-3 in A";
const OTHERS: &str = "experts computed with the weights of others: {expert} by {next}";
const Q8_ROUTER: &str = "the router's weights quantised to Q8_0";
const BF16_INPUTS: &str = "activations in bf16 before each product";
const Q8_INPUTS: &str = "activations in 8 bits, in blocks of 32";

/// Every fault.
pub fn faults() -> Vec<Fault> {
    let mut all = attention();
    all.extend(norms_and_products());
    all.extend(experts());
    all.extend(roundings());
    all.extend(unknown());
    all
}

fn fault(name: &'static str, kind: K, parts: Parts, expected: Expected, wrong: fn(&Port<'_>) -> Vec<f64>) -> Fault {
    Fault { name, kind, parts, expected, f32_only: false, wrong }
}

fn attention() -> Vec<Fault> {
    let rope = |name, parts, cause, wrong| fault(name, K::RotQ, parts, Cause(cause), wrong);
    let pattern = |name, parts, cause, wrong| fault(name, K::Pattern, parts, Cause(cause), wrong);
    let base = "the RoPE base: 10000 in A";
    vec![
        rope("RoPE base 1e4", All, base, |p| p.rope(&Rope { base: 1e4, ..ROPE })),
        rope("RoPE base of one head", OneHead, base, |p| p.rope(&Rope { base: 1e4, ..ROPE })),
        rope("RoPE base off by 1 %", All, "the RoPE base: 1010000 in A", |p| p.rope(&Rope { base: 1.01e6, ..ROPE })),
        rope("positions 0", All, "RoPE: every token at position 0", |p| p.rope(&Rope { position: |_| 0.0, ..ROPE })),
        rope("positions shifted", All, "RoPE: positions shifted by +1", |p| {
            p.rope(&Rope { position: |pos| pos as f64 + 1.0, ..ROPE })
        }),
        rope("RoPE of neighbours", All, "RoPE that pairs neighbouring components, not halves", |p| {
            p.rope(&Rope { pair: |i, _| (2 * i, 2 * i + 1), ..ROPE })
        }),
        rope("RoPE in bf16", All, "RoPE's angles in bf16", |p| p.rope(&Rope { angle: to_bf16, ..ROPE })),
        pattern("window of 8", All, "a sliding window of 8 tokens in A", |p| {
            p.pattern(&Attention { window: 8, ..ATTENTION })
        }),
        pattern("no scale", All, "the scale of attention's scores: none", |p| {
            p.pattern(&Attention { scale: |_| 1.0, ..ATTENTION })
        }),
        pattern("scale 1/d_head", All, "the scale of attention's scores: 1/d_head", |p| {
            p.pattern(&Attention { scale: |d_head| 1.0 / d_head, ..ATTENTION })
        }),
        pattern("kv head i % K", These(&[1, 2]), "i mod kv_heads, not i / (heads / kv_heads)", |p| {
            p.pattern(&Attention { kv_head: |head, d| head % d.kv_heads, ..ATTENTION })
        }),
        pattern("no causal mask", All, "attention without a causal mask", |p| {
            p.pattern(&Attention { is_causal: false, ..ATTENTION })
        }),
        fault("z of one head 0", K::Z, OneHead, Cause("values that are all 0 in A"), |p| vec![0.0; p.read(K::Z).len()]),
    ]
}

fn norms_and_products() -> Vec<Fault> {
    let named = |name, kind, cause, wrong| fault(name, kind, All, Cause(cause), wrong);
    let transposed = "a transposed matrix";
    let lost = "an output that replaces the residual stream";
    let pairs = |p: &Port<'_>| p.product(&p.read(K::Ln1), &p.matrix("self_attn.q_proj").in_pair_order(p.dims.d_head));
    vec![
        named("ln1 epsilon", K::Ln1, EPS, |p| p.norm(LN1.0, &p.matrix(LN1.1).values, 1e-3)),
        named("ln2 epsilon", K::Ln2, EPS, |p| p.norm(LN2.0, &p.matrix(LN2.1).values, 1e-3)),
        named("ln1 gain missing", K::Ln1, NO_GAIN, |p| p.norm(LN1.0, &vec![1.0; p.dims.d_model], 1e-5)),
        named("ln2 gain missing", K::Ln2, NO_GAIN, |p| p.norm(LN2.0, &vec![1.0; p.dims.d_model], 1e-5)),
        named("final gain missing", K::LnFinal, NO_GAIN, |p| p.norm(K::ResidPost, &vec![1.0; p.dims.d_model], 1e-5)),
        named("final norm skipped", K::LnFinal, "a norm that is left out", |p| p.read(K::ResidPost)),
        named("q rows as GGUF", K::Q, HALVES, pairs),
        fault("q rows of one head as GGUF", K::Q, OneHead, Cause(HALVES), pairs),
        named("q_proj transposed", K::Q, transposed, |p| {
            p.product(&p.read(K::Ln1), &p.matrix("self_attn.q_proj").transposed())
        }),
        named("o_proj transposed", K::AttnOut, transposed, |p| {
            p.product(&p.read(K::Z), &p.matrix("self_attn.o_proj").transposed())
        }),
        named("resid_mid without residual", K::ResidMid, lost, |p| p.read(K::AttnOut)),
        named("resid_post without residual", K::ResidPost, lost, |p| p.read(K::MlpOut)),
        named("embeddings scaled", K::Embed, "embeddings times √d_model", |p| {
            p.read(K::Embed).into_iter().map(|x| x * (p.dims.d_model as f64).sqrt()).collect()
        }),
        named("lm_head tied", K::Logits, "the embedding in place of lm_head", |p| {
            p.product(&p.read(K::LnFinal), p.global("model.embed_tokens"))
        }),
    ]
}

fn experts() -> Vec<Fault> {
    let named = |name, kind, cause, wrong| fault(name, kind, All, Cause(cause), wrong);
    let swapped = |p: &Port<'_>| p.experts(&Expert { gate: "w3", up: "w1", ..EXPERT });
    let next = |p: &Port<'_>| p.experts(&Expert { weights_of: |expert| (expert + 1) % 4, ..EXPERT });
    vec![
        named("router in Q8_0", K::RouterLogits, Q8_ROUTER, |p| {
            let w = p.matrix(GATE).map_rows(|row| q8_0(row).into_iter().map(|w| p.round(w)).collect());
            p.product(&p.read(K::Ln2), &w)
        }),
        named("router in Q8_0 that gives f32", K::RouterLogits, Q8_ROUTER, |p| {
            p.product(&p.read(K::Ln2), &p.matrix(GATE).map_rows(q8_0))
        }),
        named("router softmax in bf16", K::ExpertWeights, "the router's softmax in bf16", |p| p.probabilities(to_bf16)),
        named("no renormalisation", K::MixingWeights, "A does not renormalise", |p| p.mixing_weights(false)),
        named("w1 and w3 swapped", K::ExpertOut, "w1 and w3 swapped", swapped),
        fault("w1 and w3 of one expert", K::ExpertOut, OneExpert, Cause("w1 and w3 swapped"), swapped),
        named("GELU", K::ExpertOut, "GELU as the experts' activation, not SiLU", |p| {
            p.experts(&Expert { activation: gelu, ..EXPERT })
        }),
        named("experts with the next one's weights", K::ExpertOut, "weights of others: 0 by 1, 1 by 2, 2 by 3", next),
        fault("one expert with the next one's weights", K::ExpertOut, OneExpert, Exactly(OTHERS), next),
        named("whole-sequence dispatch", K::MlpOut, "whole-sequence dispatch", |p| p.whole_sequence()),
        named("outputs unweighted", K::MlpOut, "experts' outputs added without their weights", |p| {
            p.mixture(|_, _| 1.0)
        }),
        named("only the first expert", K::MlpOut, "only the first expert of each token counts", |p| {
            p.mixture(|weights, slot| if slot == 0 { weights[0] } else { 0.0 })
        }),
        named("weights swapped", K::MlpOut, "mixing weights that are given to the wrong ones", |p| {
            p.mixture(|weights, slot| weights[1 - slot])
        }),
    ]
}

fn roundings() -> Vec<Fault> {
    let rounding =
        |name, kind, words, f32_only, wrong| Fault { f32_only, ..fault(name, kind, All, Rounding(words), wrong) };
    vec![
        rounding("q reads bf16", K::Q, BF16_INPUTS, true, |p| {
            let x: Vec<f64> = p.read(K::Ln1).into_iter().map(to_bf16).collect();
            p.product(&x, p.matrix("self_attn.q_proj"))
        }),
        rounding("experts read bf16", K::ExpertOut, BF16_INPUTS, true, |p| {
            let input = |x: &[f64]| x.iter().map(|x| to_bf16(*x)).collect();
            p.experts(&Expert { input, ..EXPERT })
        }),
        rounding("q reads 8-bit blocks", K::Q, Q8_INPUTS, false, |p| {
            p.product(&q8_0(&p.read(K::Ln1)), p.matrix("self_attn.q_proj"))
        }),
        rounding("experts read 8-bit blocks", K::ExpertOut, Q8_INPUTS, false, |p| {
            p.experts(&Expert { input: q8_0, ..EXPERT })
        }),
    ]
}

fn unknown() -> Vec<Fault> {
    let unknown = |name, kind, parts, wrong| fault(name, kind, parts, NoCause, wrong);
    vec![
        unknown("router logits times 1.1", K::RouterLogits, All, |p| {
            p.read(K::RouterLogits).into_iter().map(|x| 1.1 * x).collect()
        }),
        unknown("tanh of z", K::Z, All, |p| p.read(K::Z).into_iter().map(f64::tanh).collect()),
        unknown("noise of 1 % in mlp_out", K::MlpOut, All, |p| {
            let right = p.read(K::MlpOut);
            let rms = (right.iter().map(|x| x * x).sum::<f64>() / right.len() as f64).sqrt();
            right.iter().enumerate().map(|(i, x)| x + 0.01 * rms * noise(i)).collect()
        }),
        unknown("row 3 of v_proj 0", K::V, These(&[0]), |p| {
            let mut v = p.read(K::V);
            v.iter_mut().skip(3).step_by(p.dims.kv_heads * p.dims.d_head).for_each(|x| *x = 0.0);
            v
        }),
        unknown("values of one head reversed", K::Z, OneHead, |p| {
            p.read(K::Z)
                .chunks_exact(p.dims.d_head)
                .flat_map(|z| z.iter().rev().copied().collect::<Vec<f64>>())
                .collect()
        }),
    ]
}
