//! `cargo bench`: what a token and a frame cost. Ratios within one run mean something; absolute times are the machine's.

use candle_core::{DType, Device, Tensor};
use candle_transformers::models::mixtral;
use divan::Bencher;
use mixscope::analysis::Pick;
use mixscope::analysis::view::{View, ViewSpec};
use mixscope::app::Still;
use mixscope::control::Control;
use mixscope::engine::{Capture, Live, Run, collect};
use mixscope::export::{Look, drawing, picture};
use mixscope::model::kernels::{Block, linear};
use mixscope::model::weights::{Matrix, Stored};
use mixscope::model::{Loaded, Location, NoHooks, Precision, Rounding, demo, open};
use mixscope::trace::{HookKind, Policy, Sampling, Source};
use mixscope::ui::{Depth, Theme, draw};
use ratatui::layout::Rect;
use std::sync::{Arc, OnceLock};

/// Tokens already read when decoding is timed, and tokens decoded a sample.
const CONTEXT: usize = 64;
const DECODED: usize = 32;

fn main() {
    divan::main();
}

fn loaded(policy: Policy) -> Arc<Loaded> {
    static ALL: OnceLock<[Arc<Loaded>; 2]> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        [Policy::Hf, Policy::F32]
            .map(|policy| Arc::new(open(&Location::Demo, policy, None, false).expect("the demo opens")))
    });
    all[usize::from(policy == Policy::F32)].clone()
}

fn prompt() -> Vec<u32> {
    (0..CONTEXT as u32).map(|i| 300 + i * 7 % 2500).collect()
}

/// What is kept of each token.
#[derive(Clone, Copy, Debug)]
enum Kept {
    Nothing,
    ForViews,
    EveryHook,
}

fn live(policy: Policy, kept: Kept) -> Live {
    let loaded = loaded(policy);
    let layers = loaded.meta.dims.layers;
    let capture = match kept {
        Kept::Nothing => Capture::of([], 0..layers, layers),
        Kept::ForViews => Capture::for_views(layers),
        Kept::EveryHook => Capture::of(HookKind::all(), 0..layers, layers),
    };
    let mut live = Live::new(loaded, capture, 64);
    live.extend(&prompt(), Source::Prompt, &Control::none()).expect("the prompt can be read");
    live
}

/// The forward pass alone: greedy decoding without hooks.
#[divan::bench(args = [Policy::Hf, Policy::F32])]
fn decode_forward_only(bencher: Bencher, policy: Policy) {
    let loaded = loaded(policy);
    let precision = Precision::new(policy, loaded.meta.compute_dtype);
    let mut prefilled = loaded.model.new_cache();
    loaded.model.forward(&prompt(), &mut prefilled, precision, &mut NoHooks, &Control::none()).expect("forward");
    bencher.counter(divan::counter::ItemsCount::new(DECODED)).with_inputs(|| prefilled.clone()).bench_local_values(
        |mut cache| {
            let mut id = 5u32;
            for _ in 0..DECODED {
                let control = Control::none();
                let logits =
                    loaded.model.forward(&[id], &mut cache, precision, &mut NoHooks, &control).expect("forward");
                id = (0..).zip(&logits).max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(id, _)| id);
            }
            id
        },
    );
}

/// Reading a prompt, with what the views need kept.
#[divan::bench(args = [16, 64, 448])]
fn prefill(bencher: Bencher, tokens: usize) {
    let loaded = loaded(Policy::Hf);
    let ids: Vec<u32> = (0..tokens as u32).map(|i| 300 + i * 7 % 2500).collect();
    let layers = loaded.meta.dims.layers;
    bencher
        .counter(divan::counter::ItemsCount::new(tokens))
        .with_inputs(|| Live::new(loaded.clone(), Capture::for_views(layers), 64))
        .bench_local_values(|mut live| {
            live.extend(&ids, Source::Prompt, &Control::none()).expect("the prompt can be read");
            live
        });
}

/// The logit lens of some residuals.
#[divan::bench(args = [1, 8, 64])]
fn lens(bencher: Bencher, rows: usize) {
    let loaded = loaded(Policy::Hf);
    let precision = Precision::new(Policy::Hf, loaded.meta.compute_dtype);
    let resid: Vec<f32> = (0..rows * loaded.meta.dims.d_model).map(|i| (i % 17) as f32 / 8.0 - 1.0).collect();
    bencher
        .counter(divan::counter::ItemsCount::new(rows))
        .bench_local(|| loaded.model.lens(&resid, precision).expect("lens"));
}

/// A product with 1,024 rows of 4,096 weights as they are stored, and so many rows of activations.
#[divan::bench(consts = [1, 16, 128], args = ["bf16", "f16", "q8_0", "q4_k", "q6_k"])]
fn product<const ROWS: usize>(bencher: Bencher, format: &str) {
    const N: usize = 1024;
    const K: usize = 4096;
    let stored = match format {
        "bf16" => Stored::Bf16,
        "f16" => Stored::F16,
        "q8_0" => Stored::Blocks(Block::Q8_0),
        "q4_k" => Stored::Blocks(Block::Q4K),
        _ => Stored::Blocks(Block::Q6K),
    };
    let bytes = match stored {
        Stored::Blocks(block) => K / block.width() * block.bytes(),
        _ => 2 * K,
    };
    // Bytes of which any two are a small number.
    let weights = Matrix::stored_as(stored, (0..N * bytes).map(|i| 0x11 + (i % 5) as u8).collect(), N, K);
    let x: Vec<f32> = (0..ROWS * K).map(|i| (i % 17) as f32 / 8.0 - 1.0).collect();
    bencher
        .counter(divan::counter::BytesCount::new(weights.len()))
        .bench_local(|| linear(&x, &weights, Rounding::None));
}

/// Sampling, records and captures included.
#[divan::bench(args = [Kept::Nothing, Kept::ForViews, Kept::EveryHook])]
fn decode_session_hf(bencher: Bencher, kept: Kept) {
    let live = live(Policy::Hf, kept);
    bencher.counter(divan::counter::ItemsCount::new(DECODED)).with_inputs(|| live.clone()).bench_local_values(
        |mut live| {
            for _ in 0..DECODED {
                live.step(&Sampling::default(), &Control::none()).expect("step");
            }
            live
        },
    );
}

/// candle-transformers' Mixtral in f32 on the same tokens.
#[divan::bench]
fn decode_candle_f32(bencher: Bencher) {
    let mut json: serde_json::Value = serde_json::from_slice(demo::CONFIG).expect("config");
    json["sliding_window"] = 4096.into();
    json["use_flash_attn"] = false.into();
    let config: mixtral::Config = serde_json::from_value(json).expect("config");
    let weights = demo::WEIGHTS.to_vec();
    let vb = candle_nn::VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu).expect("weights");
    let mut prefilled = mixtral::Model::new(&config, vb).expect("model");
    let input = |ids: &[u32]| Tensor::new(ids, &Device::Cpu).and_then(|t| t.unsqueeze(0)).expect("input");
    prefilled.forward(&input(&prompt()), 0).expect("forward");
    bencher.counter(divan::counter::ItemsCount::new(DECODED)).with_inputs(|| prefilled.clone()).bench_local_values(
        |mut model| {
            let mut id = 5u32;
            for i in 0..DECODED {
                let logits = model.forward(&input(&[id]), CONTEXT + i).expect("forward");
                id = logits.flatten_all().and_then(|t| t.argmax(0)?.to_scalar()).expect("argmax");
            }
            id
        },
    );
}

/// A frame of 160×45 in 24-bit colour over a run of 200 tokens.
#[divan::bench(args = ["routing.token", "routing.layer", "routing.map", "routing.load", "routing.pairs", "attention.grid", "attention.head", "lens", "next", "fidelity"])]
fn draw_160x45(bencher: Bencher, view: &str) {
    let prompt = "Once upon a time, there was a curious girl named Lily. ".repeat(16);
    let mut still = Still::new(loaded(Policy::Hf), Some(&prompt));
    still.state.pane_mut().show(view.parse().expect("the name of a view"));
    still.screen(160, 45, Depth::True);
    let (theme, area) = (Theme::new(Depth::True), Rect::new(0, 0, 160, 45));
    bencher.bench_local(|| draw(&still.state, &theme, area));
}

/// One head over 512 tokens, drawn in scale 1 and packed.
#[divan::bench(args = ["png", "svg"])]
fn attention_512(bencher: Bencher, format: &str) {
    let run = {
        let mut live = live(Policy::Hf, Kept::ForViews);
        let more: Vec<u32> = (0..448).map(|i| 300 + i * 11 % 2500).collect();
        live.extend(&more, Source::Prompt, &Control::none()).expect("the prompt can be read");
        Run::from(live)
    };
    let kind = View::AttentionHead;
    let spec = ViewSpec { layer: 5, head: Pick::One(2), ..ViewSpec::new(kind) };
    let data = collect(&run, &spec, &Control::none()).expect("the pattern is there");
    assert_eq!(data.trace.tokens.len(), 512);
    let draw = if format == "png" { picture } else { drawing };
    bencher.bench_local(|| draw(&data, &spec, &Look::default()).expect("it can be drawn"));
}
