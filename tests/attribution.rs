//! What a logit is made of: shares of embedding, layers, heads and experts against transformers' own activations, and the
//! engine that derives them.

mod common;

use common::cli::{Run, assert_fails};
use common::{CASES, Reference, fixture, model_dir, record};
use mixscope::app::Still;
use mixscope::engine::{Capture, Control, Core, Engine, OpenOptions, Session, Stopped, attribution, open_target};
use mixscope::model::{Loaded, Location, derive_z, open};
use mixscope::state::{Effect, Event as UiEvent, State, Wanted, update};
use mixscope::trace::protocol::{Ask, Derive, Derived, Event, Failure, Outcome, Prompt, RequestId};
use mixscope::trace::{
    Attribution, AttributionKey, HookKind, HookValues, Policy, Sampling, Source, TraceFile, TraceTensor,
};
use mixscope::ui::{Depth, Theme, draw};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc::{Receiver, channel};

/// Largest difference between shares of f32 passes, relative to the sum of all products' sizes.
const CLOSE: f64 = 2e-5;
/// Half a step of bf16 and f16, relative.
const BF16: f64 = 1.0 / 256.0;
const F16: f64 = 1.0 / 2048.0;

fn session(loaded: Loaded, ids: &[u32]) -> Session {
    let loaded = Arc::new(loaded);
    let capture = Capture::for_views(loaded.meta.dims.layers);
    let mut session = Session::new(loaded, capture, 5);
    let mut control = Control { cancelled: &|| false, progress: &mut |_, _| {}, arrived: &mut |_, _| {} };
    session.extend(ids, Source::Prompt, &mut control).unwrap();
    session
}

fn whole(session: &Session, pos: usize, target: u32) -> Attribution {
    attribution(session, pos, target, 0..session.meta().dims.layers, &|| false).unwrap()
}

/// The tensors of all shards of a fixture's model.
fn weights(case: &str) -> BTreeMap<String, TraceTensor> {
    let (dir, _temp) = model_dir(case);
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|e| e == "safetensors"));
    files.flat_map(|path| TraceFile::read(&path).unwrap().tensors).collect()
}

/// A direction in the residual stream, computed from the reference's last residual and the fixture's own weights.
struct Expected {
    u: Vec<f64>,
    /// `Σ |u x|`: what differences are measured against.
    size: f64,
}

impl Expected {
    fn of(weights: &BTreeMap<String, TraceTensor>, last: &[f32], target: u32, eps: f64) -> Self {
        let unembed = weights.get("lm_head.weight").unwrap_or_else(|| &weights["model.embed_tokens.weight"]);
        let (d, gain) = (last.len(), weights["model.norm.weight"].f32().unwrap());
        let row = &unembed.f32().unwrap()[target as usize * d..][..d];
        let mean = last.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / d as f64;
        let scale = 1.0 / (mean + eps).sqrt();
        let u: Vec<f64> = row.iter().zip(gain).map(|(w, g)| scale * f64::from(*w) * f64::from(*g)).collect();
        let size = 1.0 + u.iter().zip(last).map(|(u, x)| (u * f64::from(*x)).abs()).sum::<f64>();
        Self { u, size }
    }

    fn share(&self, part: &[f32]) -> f64 {
        self.u.iter().zip(part).map(|(u, x)| u * f64::from(*x)).sum()
    }

    fn check(&self, what: &str, got: f64, want: f64) {
        assert!((got - want).abs() <= CLOSE * self.size, "{what}: {got} against {want}, of {}", self.size);
    }
}

/// `W_O` of one head `[d_model, d_head]` times its `z`.
fn through(o: &[f32], z: &[f32], head: usize, heads: usize) -> Vec<f32> {
    let (d_head, width) = (z.len(), z.len() * heads);
    let row = |row: &[f32]| row[head * d_head..][..d_head].iter().zip(z).map(|(w, z)| w * z).sum();
    o.chunks_exact(width).map(row).collect()
}

#[test]
fn shares_are_those_of_the_references_activations_and_weights() {
    for (case, stem, policy) in CASES {
        let expected = if case == "tied-window-modern" { "tied-window-legacy" } else { case };
        let (reference, weights) = (Reference::read(expected, stem), weights(case));
        let ids = reference.ids();
        let session = session(common::load(case, policy.parse().unwrap()), &ids);
        let (d, eps) = (session.meta().dims, session.loaded().model.config().rms_norm_eps);
        let hook = |name: &str| reference.trace.get(name).unwrap();
        let at = |name: &str, pos: usize, width: usize| &hook(name).f32().unwrap()[pos * width..][..width];
        for pos in [0, 1, ids.len() / 2, ids.len() - 1] {
            let logits = at("unembed.hook_out", pos, d.vocab);
            let last = at(&format!("blocks.{}.hook_resid_post", d.layers - 1), pos, d.d_model);
            let best = (0..d.vocab).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
            for target in [best as u32, ids[pos], 7] {
                let want = Expected::of(&weights, last, target, eps);
                let got = whole(&session, pos, target);
                let what = |part: &str| format!("{case} {pos} {target} {part}");
                want.check(&what("logit"), f64::from(got.logit), f64::from(logits[target as usize]));
                want.check(&what("sum"), got.sum(), f64::from(logits[target as usize]));
                assert!(got.remainder.abs() <= 1e-4 * want.size, "{}: {}", what("remainder"), got.remainder);
                assert!((got.sum() + got.remainder - f64::from(got.logit)).abs() < 1e-9, "{}", what("identity"));
                want.check(&what("embed"), got.embed, want.share(at("hook_embed", pos, d.d_model)));
                assert_eq!((got.attn.len(), got.mlp.len(), got.details.len()), (d.layers, d.layers, d.layers));
                for (layer, shares) in got.details.iter().enumerate() {
                    let block = |name: &str| format!("blocks.{layer}.{name}");
                    let attn = want.share(at(&block("hook_attn_out"), pos, d.d_model));
                    let mlp = want.share(at(&block("hook_mlp_out"), pos, d.d_model));
                    want.check(&what(&block("attn")), got.attn[layer], attn);
                    want.check(&what(&block("mlp")), got.mlp[layer], mlp);
                    let o = weights[&format!("model.layers.{layer}.self_attn.o_proj.weight")].f32().unwrap();
                    let z = at(&block("attn.hook_z"), pos, d.heads * d.d_head);
                    assert_eq!(shares.heads.len(), d.heads);
                    for (head, (z, share)) in z.chunks_exact(d.d_head).zip(&shares.heads).enumerate() {
                        let share_of_head = want.share(&through(o, z, head, d.heads));
                        want.check(&what(&block(&format!("head {head}"))), *share, share_of_head);
                    }
                    want.check(&what(&block("heads remainder")), shares.heads_remainder, 0.0);
                    want.check(&what(&block("experts remainder")), shares.experts_remainder, 0.0);
                    let chosen = &hook(&block("mlp.hook_expert_indices")).u32().unwrap()[pos * d.top_k..][..d.top_k];
                    assert_eq!(shares.experts.iter().map(|e| e.expert).collect::<Vec<_>>(), chosen);
                    let weights = at(&block("mlp.hook_mixing_weights"), pos, d.top_k);
                    let outputs = at(&block("mlp.hook_expert_out"), pos, d.top_k * d.d_model);
                    let whole = at(&block("hook_mlp_out"), pos, d.d_model);
                    let norm = |x: &[f32]| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
                    for ((expert, weight), out) in shares.experts.iter().zip(weights).zip(outputs.chunks(d.d_model)) {
                        let weighted: Vec<f32> = out.iter().map(|x| x * weight).collect();
                        let dot: f64 = weighted.iter().zip(whole).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                        let what = |part: &str| what(&block(&format!("expert {} {part}", expert.expert)));
                        want.check(&what("share"), expert.share, want.share(&weighted));
                        assert!(
                            (expert.norm - norm(&weighted)).abs() <= 1e-4 * (1.0 + norm(&weighted)),
                            "{}",
                            what("norm")
                        );
                        let cosine = dot / (norm(&weighted) * norm(whole));
                        assert!((expert.cosine.unwrap() - cosine).abs() <= 1e-4, "{}: {cosine}", what("cosine"));
                        assert!((expert.weight - weight).abs() <= 2e-5, "{}", what("weight"));
                    }
                }
            }
        }
    }
}

#[test]
fn the_only_expert_of_a_top1_model_is_its_whole_mixture() {
    let ids = Reference::read("top1", "reference").ids();
    let session = session(common::load("top1", Policy::Hf), &ids);
    let got = whole(&session, ids.len() - 1, ids[0]);
    for shares in &got.details {
        let [only] = &shares.experts[..] else { panic!("{:?}", shares.experts) };
        assert_eq!(only.weight, 1.0);
        assert!((only.cosine.unwrap() - 1.0).abs() < 1e-9);
    }
}

#[test]
fn the_logit_outputs_of_experts_and_heads_are_those_of_the_pass_bit_for_bit() {
    for (case, policy) in [
        ("tiny-bf16", Policy::Hf),
        ("tiny-bf16", Policy::F32Router),
        ("tiny-f16", Policy::Hf),
        ("tied-window-legacy", Policy::Hf),
        ("gqa-headdim", Policy::Hf),
        ("top1", Policy::Hf),
        ("top3", Policy::Hf),
    ] {
        let ids = Reference::read(case, "reference").ids();
        let recorded = record(&common::load(case, policy), &ids);
        let session = session(common::load(case, policy), &ids);
        let (d, model, precision) = (session.meta().dims, &session.loaded().model, session.precision());
        for (pos, token) in session.tokens().iter().enumerate() {
            let logits = &recorded.seen["unembed.hook_out"][pos * d.vocab..][..d.vocab];
            let last = token.row(HookKind::ResidPost, d.layers - 1).unwrap();
            for target in [0, d.vocab / 3, d.vocab - 1] {
                let direction = model.direction(last, target as u32, precision).unwrap();
                assert_eq!(direction.logit.to_bits(), logits[target].to_bits(), "{case} {policy} logit {pos} {target}");
            }
            for layer in 0..d.layers {
                let of = |hook: &str, width: usize| {
                    &recorded.seen[&format!("blocks.{layer}.{hook}")][pos * width..][..width]
                };
                let outputs = model.derive_expert_out(token, layer, precision).unwrap();
                assert_eq!(outputs, of("mlp.hook_expert_out", d.top_k * d.d_model), "{case} {policy} L{layer} {pos}");
                for (head, want) in of("attn.hook_z", d.heads * d.d_head).chunks_exact(d.d_head).enumerate() {
                    let at = (layer, head);
                    let z = derive_z(session.tokens(), session.cache(), at, pos, d, precision.module).unwrap();
                    assert_eq!(z, want, "{case} {policy} L{layer}H{head} {pos}");
                }
            }
        }
    }
}

#[test]
fn under_a_rounding_policy_the_remainders_are_what_rounding_can_do() {
    for (case, step) in [("tiny-bf16", BF16), ("tiny-f16", F16)] {
        let ids = Reference::read(case, "reference").ids();
        let recorded = record(&common::load(case, Policy::Hf), &ids);
        let session = session(common::load(case, Policy::Hf), &ids);
        let d = session.meta().dims;
        let mut rounded = 0;
        for (pos, token) in session.tokens().iter().enumerate() {
            let target = token.next.top[0].id;
            let last = token.row(HookKind::ResidPost, d.layers - 1).unwrap();
            let u = session.loaded().model.direction(last, target, session.precision()).unwrap().u;
            let size = |x: &[f32]| u.iter().zip(x).map(|(u, x)| (u * f64::from(*x)).abs()).sum::<f64>();
            let got = whole(&session, pos, target);
            assert_eq!(got.logit, token.next.top[0].logit);
            // The norm is rounded twice, the logit once; the rest is for sums in f32.
            let most = step * (2.0 * size(last) + f64::from(got.logit).abs()) * 1.02;
            assert!(got.remainder.abs() <= most, "{case} {pos}: {} of {most}", got.remainder);
            rounded += usize::from(got.remainder.abs() > 1e-7);
            for (layer, shares) in got.details.iter().enumerate() {
                let of = |hook: HookKind| &recorded.seen[&hook.at(layer).to_string()][pos * d.d_model..][..d.d_model];
                let (mid, post) = (of(HookKind::ResidMid), of(HookKind::ResidPost));
                let experts = step * (size(of(HookKind::MlpOut)) + size(post)) * 1.02;
                assert!(shares.experts_remainder.abs() <= experts, "{case} {pos} L{layer}: {shares:?} of {experts}");
                let heads = step * (size(of(HookKind::AttnOut)) + size(mid)) * 1.02;
                assert!(shares.heads_remainder.abs() <= heads, "{case} {pos} L{layer}: {shares:?} of {heads}");
                rounded += usize::from(shares.experts_remainder.abs() > 1e-7);
            }
        }
        assert!(rounded > ids.len(), "{case}: nothing was rounded, so nothing was tested");
    }
}

#[test]
fn quantised_weights_are_read_in_place() {
    for name in ["tiny-Q8_0", "tiny-Q4_0", "kq-Q4_K_M", "tiny-legacy-split-F16"] {
        let open =
            || open(&Location::Gguf(fixture("gguf").join(format!("{name}.gguf"))), Policy::Hf, None, false).unwrap();
        let vocab = open().meta.dims.vocab as u32;
        let ids: Vec<u32> = (3..30).map(|id| id % vocab).collect();
        let recorded = record(&open(), &ids);
        let session = session(open(), &ids);
        let (d, model, precision) = (session.meta().dims, &session.loaded().model, session.precision());
        let (pos, target) = (ids.len() - 1, session.tokens()[ids.len() - 1].next.top[0].id);
        let token = &session.tokens()[pos];
        let u = model.direction(token.row(HookKind::ResidPost, d.layers - 1).unwrap(), target, precision).unwrap().u;
        let got = whole(&session, pos, target);
        assert_eq!(got.logit, token.next.top[0].logit, "{name}");
        for (layer, shares) in got.details.iter().enumerate() {
            for (hook, sum) in [
                (HookKind::AttnOut, shares.heads.iter().sum::<f64>()),
                (HookKind::MlpOut, shares.experts.iter().map(|expert| expert.share).sum()),
            ] {
                let out = &recorded.seen[&hook.at(layer).to_string()][pos * d.d_model..][..d.d_model];
                let parts = || u.iter().zip(out).map(|(u, x)| u * f64::from(*x));
                let (want, size) = (parts().sum::<f64>(), parts().map(f64::abs).sum::<f64>());
                // What `hf` rounds is a step of f16 at most.
                assert!((sum - want).abs() <= 1.02 * F16 * size, "{name} {layer} {hook:?}: {sum} against {want}");
                assert!(want.abs() > 1e-6, "{name} {layer} {hook:?}: nothing to compare");
            }
        }
    }
}

const PROMPT: &str = "drum apple seven blue owl key | drum apple seven";
const KEY: AttributionKey = AttributionKey { pos: 3, target: 300, layer: 2 };

fn demo_core() -> Core {
    let mut core = Core::new(Arc::new(open(&Location::Demo, Policy::Hf, None, false).unwrap()));
    answer(&mut core, 1, Ask::Prompt(Prompt::Text(PROMPT.to_owned())));
    core
}

fn answer(core: &mut Core, id: u64, ask: Ask) -> Vec<Event> {
    let events = RefCell::new(Vec::new());
    core.answer(RequestId(id), ask, &|event| events.borrow_mut().push(event));
    events.into_inner()
}

#[test]
fn the_engine_looks_into_the_layer_asked_for_only() {
    let mut core = demo_core();
    let events = answer(&mut core, 2, Ask::Derive(Derive::Attribution(KEY)));
    let [Event::Derived { result: Derived::Attribution(found), .. }, Event::Finished { .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(found.keys().collect::<Vec<_>>(), [KEY]);
    let all = whole(core.session(), 3, 300);
    assert_eq!(found.details, all.details[2..=2]);
    assert_eq!((&found.attn, &found.mlp, found.logit), (&all.attn, &all.mlp, all.logit));
}

#[test]
fn what_is_gone_is_cancelled_and_what_does_not_exist_is_refused() {
    let mut core = demo_core();
    answer(&mut core, 2, Ask::Truncate { len: 3 });
    let events = answer(&mut core, 3, Ask::Derive(Derive::Attribution(KEY)));
    assert!(matches!(&events[..], [Event::Finished { outcome: Outcome::Cancelled, .. }]), "{events:?}");
    for wrong in [AttributionKey { pos: 1, layer: 99, ..KEY }, AttributionKey { pos: 1, target: 1 << 20, ..KEY }] {
        let events = answer(&mut core, 4, Ask::Derive(Derive::Attribution(wrong)));
        let [Event::Failed { failure, .. }] = &events[..] else { panic!("{events:?}") };
        assert!(failure.summary.contains("outside"), "{failure:?}");
    }
    let loaded = Arc::new(open(&Location::Demo, Policy::Hf, None, false).unwrap());
    let mut bare = Session::new(loaded, Capture::of([HookKind::ResidPost], 0..6, 6), 5);
    let mut control = Control { cancelled: &|| false, progress: &mut |_, _| {}, arrived: &mut |_, _| {} };
    bare.extend(&[1, 300], Source::Prompt, &mut control).unwrap();
    let error = attribution(&bare, 1, 300, 0..1, &|| false).unwrap_err();
    assert!(error.to_string().contains("not captured"), "{error}");
}

#[test]
fn cancelling_is_seen_between_layers() {
    let core = demo_core();
    let asked = Cell::new(0);
    let cancelled = || {
        asked.set(asked.get() + 1);
        asked.get() > 5
    };
    let error = attribution(core.session(), 3, 300, 0..6, &cancelled).unwrap_err();
    assert!(error.is::<Stopped>());
    assert_eq!(asked.get(), 6, "two looks a layer, stopped in the third");
}

/// An engine with the demo and the prompt, whose events wait in a channel of this capacity.
fn engine(capacity: usize) -> (Engine, Receiver<Event>) {
    let (sender, mut events) = channel(capacity);
    let options = OpenOptions { policy: Policy::Hf, dtype: None, ids_only: false };
    let engine = Engine::start(Arc::new(open_target), options, sender).unwrap();
    engine.ask(RequestId(1), Ask::Open("demo".to_owned())).unwrap();
    until(&mut events, 1);
    engine.ask(RequestId(2), Ask::Prompt(Prompt::Text(PROMPT.to_owned()))).unwrap();
    until(&mut events, 2);
    (engine, events)
}

/// Reads events until `id` is over.
fn until(events: &mut Receiver<Event>, id: u64) -> Vec<Event> {
    let mut seen = Vec::new();
    loop {
        let event = events.blocking_recv().expect("the engine is there");
        let done = match &event {
            Event::Finished { id, .. } | Event::Failed { id, .. } => Some(id.0),
            _ => None,
        };
        seen.push(event);
        if done == Some(id) {
            return seen;
        }
    }
}

fn found(events: &[Event]) -> Vec<Arc<Attribution>> {
    let found = |event: &Event| match event {
        Event::Derived { result: Derived::Attribution(found), .. } => Some(found.clone()),
        _ => None,
    };
    events.iter().filter_map(found).collect()
}

#[test]
fn the_latest_request_wins() {
    // A prompt is one piece of work with three events, and the channel holds one: after the first the engine waits in it
    // for the reader, and all three requests are there when it goes on.
    let (engine, mut events) = engine(1);
    engine.ask(RequestId(3), Ask::Prompt(Prompt::Text("The capital of France is".to_owned()))).unwrap();
    assert!(matches!(events.blocking_recv(), Some(Event::Tokens { id: RequestId(3), .. })));
    for (id, pos) in [(4, 1), (5, 2), (6, 3)] {
        engine.ask(RequestId(id), Ask::Derive(Derive::Attribution(AttributionKey { pos, ..KEY }))).unwrap();
    }
    let seen = until(&mut events, 6);
    assert_eq!(found(&seen).iter().map(|found| found.pos).collect::<Vec<_>>(), [3]);
    let ends = seen.iter().filter_map(|event| match event {
        Event::Finished { id, outcome } => Some((id.0, outcome.clone())),
        _ => None,
    });
    let want = [(3, Outcome::Done), (4, Outcome::Cancelled), (5, Outcome::Cancelled), (6, Outcome::Done)];
    assert_eq!(ends.collect::<Vec<_>>(), want);
}

#[test]
fn it_is_derived_between_the_tokens_of_a_generation() {
    let (engine, mut events) = engine(64);
    let hot = Sampling { temperature: 3.0, ..Default::default() };
    engine.ask(RequestId(3), Ask::Step { count: Some(300), sampling: hot }).unwrap();
    while !matches!(events.blocking_recv(), Some(Event::Tokens { id: RequestId(3), .. })) {}
    engine.ask(RequestId(4), Ask::Derive(Derive::Attribution(KEY))).unwrap();
    let seen = until(&mut events, 4);
    let got = found(&seen);
    assert_eq!(got.len(), 1);
    let after = until(&mut events, 3);
    assert!(after.iter().any(|e| matches!(e, Event::Tokens { .. })), "the generation went on");
    let mut alone = demo_core();
    let want = found(&answer(&mut alone, 9, Ask::Derive(Derive::Attribution(KEY))));
    assert_eq!(got, want, "what comes after a position has no part in it");
}

/// position, target_id, target, component, layer, index, share, norm, cosine
type AttributionRow = (usize, u32, String, String, Option<usize>, Option<usize>, f64, Option<f64>, Option<f64>);

fn table(run: &Run) -> Vec<AttributionRow> {
    let bytes = run.files["attribution.csv"].as_slice();
    assert!(bytes.starts_with(b"position,target_id,target,component,layer,index,share,norm,cosine\r\n"));
    csv::Reader::from_reader(bytes).deserialize().map(Result::unwrap).collect()
}

#[test]
fn a_run_writes_every_share_of_every_position_when_asked_to() {
    const ARGS: [&str; 6] = ["--prompt", PROMPT, "--steps", "2", "--format", "csv"];
    let run = Run::ok(&[&ARGS[..], &["--attribution"]].concat());
    let plain = Run::ok(&ARGS);
    assert!(!plain.files.contains_key("attribution.csv"));
    assert_eq!(run.files.len(), plain.files.len() + 1);
    run.same_tables(&plain);
    let rows = table(&run);
    let ids = run.ids();
    let mut core = demo_core();
    answer(&mut core, 2, Ask::Step { count: Some(2), sampling: Sampling::default() });
    let tokens = core.session().tokens();
    assert_eq!(tokens.iter().map(|token| token.id).collect::<Vec<_>>(), ids);
    let per_position = rows.len() / ids.len();
    assert_eq!(rows.len() % ids.len(), 0);
    for (pos, rows) in rows.chunks_exact(per_position).enumerate() {
        let target = ids.get(pos + 1).copied().unwrap_or(tokens[pos].next.top[0].id);
        let want = whole(core.session(), pos, target);
        assert!(rows.iter().all(|row| (row.0, row.1, &*row.2) == (pos, target, &*want.piece)));
        let of = |what: &str| rows.iter().filter(|row| row.3 == what).collect::<Vec<_>>();
        let shares = |what: &str| of(what).iter().map(|row| row.6).collect::<Vec<f64>>();
        assert_eq!((shares("attn"), shares("mlp")), (want.attn.clone(), want.mlp.clone()));
        assert_eq!((shares("embed"), shares("remainder")), (vec![want.embed], vec![want.remainder]));
        let logit: f64 = ["embed", "attn", "mlp", "remainder"].iter().flat_map(|what| shares(what)).sum();
        assert!((logit - f64::from(want.logit)).abs() < 1e-9);
        let heads = want.details.iter().flat_map(|d| d.heads.iter().enumerate().map(|(h, x)| (d.layer, h, *x)));
        assert!(of("head").iter().map(|row| (row.4.unwrap(), row.5.unwrap(), row.6)).eq(heads));
        let experts = want.details.iter().flat_map(|d| d.experts.iter().map(|e| (d.layer, e)));
        let experts = experts.map(|(l, e)| (Some(l), Some(e.expert as usize), e.share, Some(e.norm), e.cosine));
        assert!(of("expert").iter().map(|row| (row.4, row.5, row.6, row.7, row.8)).eq(experts));
        assert!(rows.iter().all(|row| row.3 == "expert" || (row.7, row.8) == (None, None)));
    }
    let some = table(&Run::ok(&[&ARGS[..], &["--attribution", "--layers", "2..4"]].concat()));
    let keep = |row: &&AttributionRow| !matches!(&*row.3, "head" | "expert") || (2..4).contains(&row.4.unwrap());
    assert!(some.iter().eq(rows.iter().filter(keep)), "--layers keeps the sums whole");
}

#[test]
fn attribution_without_csv_is_wrong_usage() {
    let run = Run::of(&["--prompt", "hi", "--format", "json", "--attribution"]);
    assert_fails(&run.output, 2, "--attribution");
    assert!(run.files.is_empty());
}

fn still(keys: &str) -> Still {
    let mut still = Still::new(Arc::new(open(&Location::Demo, Policy::Hf, None, false).unwrap()), Some(PROMPT));
    still.press(keys).unwrap();
    still
}

/// What a frame of this size lacks.
fn wanted(state: &State, width: u16, height: u16) -> Wanted {
    let area = Rect::new(0, 0, width, height);
    draw(state, &Theme::new(Depth::Mono), area, &mut Buffer::empty(area)).wanted
}

fn lines(still: &mut Still, width: u16, height: u16, depth: Depth) -> Vec<String> {
    let screen = still.screen(width, height, depth);
    let symbol = |y: u16| (0..width).map(move |x| (x, y));
    (0..height).map(|y| symbol(y).map(|at| screen[at].symbol()).collect::<String>()).collect()
}

#[test]
fn contributions_are_asked_for_only_while_they_are_seen() {
    let mut still = still("");
    assert_eq!(wanted(&still.state, 160, 45).attribution, None);
    still.press("D").unwrap();
    for (w, h) in [(160, 45), (80, 24), (40, 10)] {
        let key = still.state.contribution_key();
        assert_eq!(wanted(&still.state, w, h).attribution, key);
        assert!(key.is_some());
    }
    for view in ["2", "3", "4"] {
        still.press(view).unwrap();
        assert!(wanted(&still.state, 160, 45).attribution.is_some(), "view {view}");
    }
    still.press("5").unwrap();
    assert_eq!(wanted(&still.state, 160, 45).attribution, None);
    still.press("D").unwrap();
    assert!(still.state.message.is_some(), "a key that does nothing says so");
    still.press("1 d").unwrap();
    assert_eq!(wanted(&still.state, 160, 45).attribution, None);
}

#[test]
fn the_panel_shows_the_shares_and_the_check() {
    let mut still = still("D");
    let found =
        whole(Core::session(&demo_core()), still.state.cursor.token, still.state.contribution_target().unwrap().id);
    let sign = |x: f64| format!("{x:+.3}").replace('-', "−");
    for (w, h) in [(160, 45), (80, 45), (80, 24), (40, 10)] {
        let text = lines(&mut still, w, h, Depth::Mono).join("\n");
        for expert in &found.layer(5).unwrap().experts {
            let (name, share) = (format!("E{} ", expert.expert), sign(expert.share));
            assert!(text.contains(&name) && text.contains(&share), "{w}×{h} {name} {share}:\n{text}");
        }
        for number in [format!("{:.3}", found.logit), format!("{:.3}", found.sum()), sign(found.remainder)] {
            assert!(text.contains(&number), "{w}×{h}: {number} in\n{text}");
        }
        assert!(!text.contains("deriving"), "{text}");
    }
    let text = lines(&mut still, 160, 45, Depth::Mono).join("\n");
    for share in found.attn.iter().chain(&found.mlp).chain(&found.layer(5).unwrap().heads).chain([&found.embed]) {
        assert!(text.contains(&sign(*share)), "{share} in\n{text}");
    }
    assert!(lines(&mut still, 160, 45, Depth::True).iter().any(|line| line.contains("contributions to")));
}

#[test]
fn the_candidate_marked_in_next_is_the_target() {
    let mut still = still("4 down down D");
    let marked = still.state.token().unwrap().next.top[2].clone();
    assert_eq!(still.state.contribution_target(), Some(&marked));
    let logit = format!("logit {:.3}", marked.logit);
    for keys in ["", "1", "2", "3"] {
        still.press(keys).unwrap();
        let text = lines(&mut still, 160, 45, Depth::Mono).join("\n").replace('−', "-");
        assert!(text.contains(&logit), "{logit} in\n{text}");
    }
}

#[test]
fn what_tokens_that_are_gone_had_a_part_in_is_forgotten() {
    let mut still = still("D");
    lines(&mut still, 160, 45, Depth::Mono);
    let last = still.state.contribution_key().unwrap();
    still.press("left left").unwrap();
    lines(&mut still, 160, 45, Depth::Mono);
    let earlier = still.state.contribution_key().unwrap();
    assert!(still.state.derived.attribution(last).is_some());
    still.press("u").unwrap();
    assert!(still.state.derived.attribution(last).is_none(), "its token is gone");
    assert!(still.state.derived.attribution(earlier).is_some(), "what came before stands");
    still.press("p").unwrap();
    assert!(still.state.derived.attribution(earlier).is_none(), "another policy gives other numbers");
}

#[test]
fn what_cannot_be_derived_is_said_and_not_asked_again() {
    let mut state = still("D").state;
    let lacking = wanted(&state, 160, 45);
    let asked = update(&mut state, UiEvent::Drawn(lacking.clone()));
    let [Effect::Ask(id, Ask::Derive(Derive::Attribution(key)))] = &asked[..] else { panic!("{asked:?}") };
    assert!(update(&mut state, UiEvent::Drawn(lacking)).is_empty(), "it is under way");
    let failure = Failure { summary: "it needs the model\u{1b}[2J".into(), causes: Vec::new() };
    update(&mut state, UiEvent::Engine(Event::Failed { id: *id, failure }));
    assert_eq!(state.derived.attribution(*key), Some(Err("it needs the model\u{1b}[2J")));
    let lacking = wanted(&state, 160, 45);
    assert!(update(&mut state, UiEvent::Drawn(lacking)).is_empty(), "it is not asked again");

    let mut state = still("D").state;
    let token = Arc::make_mut(&mut state.tokens[state.cursor.token]);
    token.values = Arc::new(HookValues::new(6));
    assert_eq!(wanted(&state, 160, 45).attribution, None, "a record without residuals is not asked about");
}
