//! The engine's thread and its run: ids, cancellation, reuse, derived views that equal the forward pass.

use crate::events::{finished, until};
use crate::support::{self, Recorder, Reference, fixture, forward};
use mixscope::control::{Control, Stopped};
use mixscope::engine::{Capture, Core, Engine, Live, OpenOptions, Opener, Run, lens_cells, open_target, pattern};
use mixscope::model::{Distribution, Loaded, Location, NoHooks, open};
use mixscope::protocol::{Ask, Derive, Derived, Download, Event, Outcome, RequestId};
use mixscope::trace::Prompt;
use mixscope::trace::{Device, HookKind, LensKey, LensSite, Policy, Sampling, Source, TokenRecord};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc::{Receiver, channel};

fn demo() -> Arc<Loaded> {
    Arc::new(open(&Location::Demo, Policy::Hf, None, false).unwrap())
}

const OPTIONS: OpenOptions = OpenOptions { policy: Policy::Hf, dtype: None, ids_only: false, device: Device::Cpu };
/// The request that opens the first model.
const OPEN: RequestId = RequestId(1000);

/// An engine with the demo open.
fn engine_of_demo(capacity: usize) -> (Engine, Receiver<Event>) {
    let (sender, mut events) = channel(capacity);
    let engine = Engine::start(Arc::new(open_target), OPTIONS, sender).unwrap();
    engine.ask(OPEN, Ask::Open("demo".to_owned())).unwrap();
    until(&mut events, finished(OPEN.0));
    (engine, events)
}

fn text(prompt: &str) -> Ask {
    Ask::Prompt(Prompt::Text(prompt.to_owned()))
}

fn steps(count: usize) -> Ask {
    Ask::Step { count: Some(count), sampling: Sampling::default() }
}

/// Does one request and returns its events.
fn answer(core: &mut Core, id: u64, ask: Ask) -> Vec<Event> {
    core.answer(RequestId(id), ask)
}

fn outcome(events: &[Event]) -> Option<Outcome> {
    events.iter().find_map(|e| if let Event::Finished { outcome, .. } = e { Some(outcome.clone()) } else { None })
}

fn ids(core: &Core) -> Vec<u32> {
    core.run().tokens().iter().map(|token| token.id).collect()
}

#[test]
fn an_edited_prompt_recomputes_only_what_changed() {
    let mut core = Core::new(demo());
    answer(&mut core, 1, text("The capital of France is"));
    answer(&mut core, 2, steps(4));
    let before = core.run().tokens().to_vec();
    let events = answer(&mut core, 3, text("The capital of Spain is"));
    let reported: Vec<(usize, usize)> = events
        .iter()
        .filter_map(|e| if let Event::Tokens { keep, tokens, .. } = e { Some((*keep, tokens.len())) } else { None })
        .collect();
    let (keep, new) = (reported[0].0, reported.iter().map(|(_, new)| new).sum::<usize>());
    assert_eq!(keep, 4, "<s> The capital of");
    let after = core.run().tokens();
    assert_eq!(after.len(), keep + new);
    assert!((0..keep).all(|i| Arc::ptr_eq(&before[i], &after[i])), "shared records are the same");

    let mut fresh = Core::new(demo());
    answer(&mut fresh, 1, text("The capital of Spain is"));
    for (a, b) in after.iter().zip(fresh.run().tokens()) {
        assert_eq!((a.id, a.score, &a.next), (b.id, b.score, &b.next));
        assert_eq!(a.row(HookKind::ResidPost, 5), b.row(HookKind::ResidPost, 5));
    }
}

#[test]
fn a_longer_prompt_over_generated_tokens_makes_them_prompt() {
    let mut core = Core::new(demo());
    answer(&mut core, 1, text("The capital of France is"));
    let prompt = ids(&core).len();
    answer(&mut core, 2, steps(3));
    assert_eq!(core.run().tokens()[prompt + 1].source, Source::Generated);
    let events = answer(&mut core, 3, text("The capital of France is Paris."));
    assert!(core.run().tokens().iter().all(|token| token.source == Source::Prompt));
    let keep = events.iter().find_map(|e| if let Event::Tokens { keep, .. } = e { Some(*keep) } else { None });
    assert_eq!(keep, Some(prompt), "the tokens whose source changed are reported");
}

#[test]
fn stepping_back_and_again_gives_the_same_tokens() {
    for sampling in [Sampling::default(), Sampling { temperature: 1.2, seed: 3, ..Default::default() }] {
        let mut core = Core::new(demo());
        answer(&mut core, 1, text("Once upon a time"));
        answer(&mut core, 2, Ask::Step { count: Some(12), sampling });
        let first = ids(&core);
        answer(&mut core, 3, Ask::Truncate { len: first.len() - 7 });
        assert_eq!(ids(&core), first[..first.len() - 7]);
        answer(&mut core, 4, Ask::Step { count: Some(7), sampling });
        assert_eq!(ids(&core), first);
    }
}

#[test]
fn a_forced_token_is_marked_scored_and_followed() {
    let mut core = Core::new(demo());
    answer(&mut core, 1, text("The capital of France is"));
    let second = core.run().tokens().last().unwrap().next.top[1].clone();
    answer(&mut core, 2, Ask::ForceToken(second.id));
    let token = core.run().tokens().last().unwrap().clone();
    assert_eq!((token.id, token.source), (second.id, Source::Forced));
    let score = token.score.unwrap();
    assert_eq!(score.rank, 2);
    assert!((score.nll + second.prob.ln()).abs() < 1e-4);
    let events = answer(&mut core, 3, Ask::ForceToken(1_000_000));
    assert!(matches!(&events[..], [.., Event::Failed { failure, .. }] if failure.summary.contains("1000000")));
    answer(&mut core, 4, Ask::ForceText(" Madrid.".into()));
    assert_eq!(core.run().tokens().last().unwrap().source, Source::Forced);
}

#[test]
fn the_end_of_the_text_and_of_the_context_stop_a_generation() {
    let mut core = Core::new(demo());
    answer(&mut core, 1, text("drum apple seven blue owl key | drum apple seven"));
    let events = answer(&mut core, 2, Ask::Step { count: None, sampling: Sampling::default() });
    assert_eq!(outcome(&events), Some(Outcome::EndOfText));
    assert_eq!(*ids(&core).last().unwrap(), 2);

    let mut core = Core::new(demo());
    let context = demo().meta.dims.context;
    let long: Vec<u32> = (0..context as u32).map(|i| 300 + i % 1000).collect();
    answer(&mut core, 1, Ask::Prompt(Prompt::Ids(long)));
    let events = answer(&mut core, 2, Ask::Step { count: None, sampling: Sampling::default() });
    assert_eq!((outcome(&events), ids(&core).len()), (Some(Outcome::ContextFull), context));
    let events = answer(&mut core, 3, steps(1));
    assert_eq!((outcome(&events), ids(&core).len()), (Some(Outcome::ContextFull), context));
}

#[test]
fn switching_the_policy_reads_the_same_tokens_again() {
    let mut core = Core::new(demo());
    answer(&mut core, 1, text("The capital of France is"));
    answer(&mut core, 2, steps(3));
    let (before, logits) = (ids(&core), core.run().tokens()[5].row(HookKind::RouterLogits, 3).unwrap().to_vec());
    let events = answer(&mut core, 3, Ask::Policy(Policy::F32));
    assert!(events.iter().any(|e| matches!(e, Event::Switched(meta) if meta.policy == Policy::F32)));
    assert_eq!(ids(&core), before);
    let f32_logits = core.run().tokens()[5].row(HookKind::RouterLogits, 3).unwrap();
    assert_ne!(f32_logits, logits);
    let sources: Vec<Source> = core.run().tokens().iter().map(|token| token.source).collect();
    assert_eq!(sources.iter().filter(|s| **s == Source::Generated).count(), 3);
    answer(&mut core, 4, Ask::Policy(Policy::Hf));
    assert_eq!(core.run().tokens()[5].row(HookKind::RouterLogits, 3).unwrap(), logits);
}

#[test]
fn derived_patterns_are_bit_for_bit_those_of_the_pass() {
    for (case, policy) in [("tiny-bf16", Policy::Hf), ("tied-window-legacy", Policy::Hf), ("gqa-headdim", Policy::Hf)] {
        let loaded = Arc::new(support::load(case, policy));
        let d = loaded.meta.dims;
        let tokens = Reference::read(case, "reference").ids();
        let mut live = Live::new(loaded.clone(), Capture::for_views(d.layers), 5);
        live.extend(&tokens, Source::Prompt, &Control::none()).unwrap();
        let run = Run::from(live);
        let mut recorder = Recorder::default();
        forward(&loaded, &tokens, &mut loaded.model.new_cache(), &mut recorder);
        let n = tokens.len();
        for layer in 0..d.layers {
            let whole = &recorder.seen[&format!("blocks.{layer}.attn.hook_pattern")];
            for head in 0..d.heads {
                let derived = pattern(&run, layer, head).unwrap();
                for query in 0..n {
                    let want = &whole[(head * n + query) * n..][..=query];
                    assert_eq!(derived.row(query), want, "{case} L{layer}H{head} {query}");
                }
            }
        }
    }
}

#[test]
fn the_lens_of_the_last_layer_is_the_models_own_distribution() {
    let loaded = demo();
    let mut live = Live::new(loaded.clone(), Capture::for_views(6), 10);
    let tokens = live.tokenize("Había una vez una niña valiente", true).unwrap();
    live.extend(&tokens, Source::Prompt, &Control::none()).unwrap();
    let key = |pos, layer| LensKey { pos, layer, site: LensSite::ResidPost };
    let keys: Vec<LensKey> = (0..tokens.len()).map(|pos| key(pos, 5)).collect();
    let run = Run::from(live);
    let cells = lens_cells(&run, &keys, 10, &Control::none()).unwrap();
    for ((key, cell), token) in cells.iter().zip(run.tokens()) {
        assert_eq!((cell.final_rank, cell.kl), (1, 0.0), "{key:?}");
        assert_eq!(cell.top, token.next.top);
    }
    let logits = forward(&loaded, &tokens, &mut loaded.model.new_cache(), &mut NoHooks);
    let last = Distribution::of(&logits[logits.len() - loaded.meta.dims.vocab..]);
    assert_eq!(run.tokens().last().unwrap().next.top[0].id as usize, last.top(1)[0]);
    assert_eq!(run.tokens().last().unwrap().next.entropy, last.entropy());
}

#[test]
fn work_stops_between_layers_and_keeps_whole_chunks() {
    let loaded = demo();
    let mut live = Live::new(loaded, Capture::for_views(6), 5);
    let tokens: Vec<u32> = (0..200).map(|i| 300 + i).collect();
    let (reported, checks) = (AtomicUsize::new(0), AtomicUsize::new(0));
    // Two chunks of 64 tokens are read; the third stops among the experts of its first layer.
    let cancelled = || reported.load(Ordering::Relaxed) == 128 && checks.fetch_add(1, Ordering::Relaxed) >= 3;
    let mut arrived = |_: usize, tokens: &[Arc<TokenRecord>]| {
        reported.fetch_add(tokens.len(), Ordering::Relaxed);
    };
    let seen = Mutex::new(Vec::new());
    let progress = |done, all| seen.lock().unwrap().push((done, all));
    let control = Control::new(&cancelled, &progress);
    let error = live.extend_reporting(&tokens, Source::Prompt, &control, &mut arrived).unwrap_err();
    assert!(error.is::<Stopped>());
    let seen = seen.into_inner().unwrap();
    assert!(seen.is_sorted() && seen.iter().all(|(done, all)| done < all), "{seen:?}");
    assert!(seen.iter().any(|(done, _)| done % 64 != 0), "progress within a layer");
    assert_eq!(live.tokens().len(), 128);
    live.extend(&tokens[128..], Source::Prompt, &Control::none()).unwrap();
    let mut whole = Live::new(demo(), Capture::for_views(6), 5);
    whole.extend(&tokens, Source::Prompt, &Control::none()).unwrap();
    assert_eq!(live.tokens()[199].next, whole.tokens()[199].next, "going on gives what one run gives");
}

#[test]
fn chunks_of_any_length_give_the_same_run() {
    let tokens: Vec<u32> = (0..200).map(|i| 300 + i).collect();
    let read = |chunk: usize| {
        let mut live = Live::new(demo(), Capture::for_views(6), 5).in_chunks_of(chunk);
        live.extend(&tokens, Source::Prompt, &Control::none()).unwrap();
        live
    };
    let whole = read(64);
    for chunk in [1, 7, 130, 512] {
        let other = read(chunk);
        assert_eq!(other.tokens().len(), 200);
        for (a, b) in other.tokens().iter().zip(whole.tokens()) {
            assert_eq!((&a.next, &a.score, &a.values), (&b.next, &b.score, &b.values), "{chunk}");
        }
    }
}

#[test]
fn a_stop_while_a_chunk_is_reported_keeps_what_was_reported() {
    let tokens: Vec<u32> = (0..200).map(|i| 300 + i).collect();
    let mut live = Live::new(demo(), Capture::for_views(6), 5).in_chunks_of(512);
    let reported = AtomicUsize::new(0);
    let cancelled = || reported.load(Ordering::Relaxed) >= 128;
    let mut starts = Vec::new();
    let mut arrived = |start: usize, tokens: &[Arc<TokenRecord>]| {
        starts.push(start);
        reported.fetch_add(tokens.len(), Ordering::Relaxed);
    };
    let control = Control::cancelled_by(&cancelled);
    let error = live.extend_reporting(&tokens, Source::Prompt, &control, &mut arrived).unwrap_err();
    assert!(error.is::<Stopped>());
    assert_eq!((live.tokens().len(), starts), (128, vec![0, 64]));
    live.extend(&tokens[128..], Source::Prompt, &Control::none()).unwrap();
    let mut whole = Live::new(demo(), Capture::for_views(6), 5);
    whole.extend(&tokens, Source::Prompt, &Control::none()).unwrap();
    assert_eq!(live.tokens()[199].next, whole.tokens()[199].next);
}

#[test]
fn a_nan_is_named_by_hook_and_position_and_the_run_before_it_stays() {
    let dir = fixture("malformed/nan-weight");
    let loaded = Arc::new(open(&Location::Dir(dir), Policy::Hf, None, false).unwrap());
    let d = loaded.meta.dims;
    let mut live = Live::new(loaded, Capture::for_views(d.layers), 5);
    let result = live.extend(&(3..20).collect::<Vec<u32>>(), Source::Prompt, &Control::none());
    let error = format!("{:#}", result.unwrap_err());
    assert!(error.contains("NaN") && error.contains("blocks.0.") && error.contains("position"), "{error}");
    assert_eq!(live.tokens().len(), 0);
}

/// Reads events until `done` says so.
#[test]
fn the_thread_answers_cancels_and_derives_while_it_runs() {
    let (engine, mut events) = engine_of_demo(64);
    engine.ask(RequestId(1), text("Once upon a time")).unwrap();
    until(&mut events, finished(1));
    engine
        .ask(RequestId(2), Ask::Step { count: None, sampling: Sampling { temperature: 3.0, ..Default::default() } })
        .unwrap();
    until(&mut events, |e| matches!(e, Event::Tokens { id: RequestId(2), .. }));
    let cells = vec![LensKey { pos: 1, layer: 0, site: LensSite::ResidMid }];
    engine.ask(RequestId(3), Ask::Derive(Derive::Lens { cells })).unwrap();
    let seen = until(&mut events, finished(3));
    assert!(seen.iter().any(|e| matches!(e, Event::Derived { result: Derived::Lens(cells), .. } if cells.len() == 1)));
    engine.cancel(RequestId(2));
    let seen = until(&mut events, finished(2));
    let last = seen.last().unwrap();
    assert!(
        matches!(last, Event::Finished { outcome: Outcome::Cancelled | Outcome::EndOfText | Outcome::ContextFull, .. }),
        "{last:?}"
    );
    engine.ask(RequestId(4), Ask::Truncate { len: 2 }).unwrap();
    let seen = until(&mut events, finished(4));
    assert!(seen.iter().any(|e| matches!(e, Event::Tokens { keep: 2, .. })));
}

#[test]
fn a_run_that_was_cancelled_before_it_began_never_begins() {
    let (engine, mut events) = engine_of_demo(64);
    engine.cancel(RequestId(5));
    engine.ask(RequestId(5), text("Once upon a time")).unwrap();
    let seen = until(&mut events, finished(5));
    assert!(!seen.iter().any(|e| matches!(e, Event::Tokens { .. })));
}

#[test]
fn a_model_that_cannot_be_opened_and_a_panic_while_opening_are_events() {
    let (engine, mut events) = engine_of_demo(64);
    engine.ask(RequestId(1), text("The capital of France is")).unwrap();
    let seen = until(&mut events, finished(1));
    let prompt: usize =
        seen.iter().map(|event| if let Event::Tokens { tokens, .. } = event { tokens.len() } else { 0 }).sum();
    let dir = fixture("malformed/missing-tensor").display().to_string();
    engine.ask(RequestId(2), Ask::Open(dir)).unwrap();
    let seen = until(&mut events, |e| matches!(e, Event::Failed { .. }));
    let Some(Event::Failed { id, failure }) = seen.last() else { unreachable!() };
    assert_eq!(*id, RequestId(2));
    assert!(format!("{failure:?}").contains("experts.1.w2.weight"));
    engine.ask(RequestId(3), steps(1)).unwrap();
    let seen = until(&mut events, finished(3));
    let goes_on = |e: &Event| matches!(e, Event::Tokens { keep, .. } if *keep == prompt);
    assert!(prompt > 0 && seen.iter().any(goes_on), "the model before is still there");

    let (sender, mut events) = channel(64);
    let opener: Arc<Opener> = Arc::new(|_, _, _, _| panic!("made to fail"));
    let engine = Engine::start(opener, OPTIONS, sender).unwrap();
    engine.ask(OPEN, Ask::Open("demo".to_owned())).unwrap();
    let seen = until(&mut events, |e| matches!(e, Event::Failed { .. }));
    assert!(format!("{:?}", seen.last()).contains("made to fail"));
}

#[test]
fn a_model_is_opened_next_to_the_one_in_use_and_can_be_cancelled() {
    let (sender, mut events) = channel(64);
    let opener: Arc<Opener> = Arc::new(|name, options, control, progress| {
        while name == "slow" && !control.is_cancelled() {
            progress(&Download { done: 1, total: 2, ..Default::default() });
            std::thread::yield_now();
        }
        open_target("demo", options, &Control::none(), &mut |_| {})
    });
    let engine = Engine::start(opener, OPTIONS, sender).unwrap();
    engine.ask(OPEN, Ask::Open("demo".to_owned())).unwrap();
    until(&mut events, finished(OPEN.0));
    engine.ask(RequestId(1001), Ask::Open("slow".to_owned())).unwrap();
    until(&mut events, |e| matches!(e, Event::Opening { id: RequestId(1001), download } if download.total == 2));
    engine.ask(RequestId(1002), text("The capital of France is")).unwrap();
    until(&mut events, finished(1002));
    engine.ask(RequestId(1003), Ask::Policy(Policy::F32)).unwrap();
    until(&mut events, finished(1003));
    engine.cancel_opening(RequestId(1001));
    let seen = until(&mut events, finished(1001));
    assert!(matches!(seen.last(), Some(Event::Finished { outcome: Outcome::Cancelled, .. })));
    assert!(!seen.iter().any(|e| matches!(e, Event::Ready { .. })));
    engine.ask(RequestId(1004), steps(1)).unwrap();
    let seen = until(&mut events, finished(1004));
    assert!(seen.iter().any(|e| matches!(e, Event::Tokens { .. })), "the run goes on");
    engine.ask(RequestId(1005), Ask::Open("demo".to_owned())).unwrap();
    let seen = until(&mut events, finished(1005));
    let Some(Event::Ready { meta, .. }) = seen.iter().find(|e| matches!(e, Event::Ready { .. })) else {
        unreachable!()
    };
    assert_eq!(meta.policy, Policy::F32, "the next model is opened under the policy in use");
}

#[test]
fn a_long_prompt_arrives_chunk_by_chunk_and_one_beyond_the_context_is_refused_before_work() {
    let mut core = Core::new(demo());
    let context = demo().meta.dims.context;
    let long: Vec<u32> = (0..200).map(|i| 300 + i).collect();
    let events = answer(&mut core, 1, Ask::Prompt(Prompt::Ids(long)));
    let sizes: Vec<usize> = events
        .iter()
        .filter_map(|e| if let Event::Tokens { tokens, .. } = e { Some(tokens.len()) } else { None })
        .collect();
    assert_eq!(sizes, [0, 64, 64, 64, 8]);
    let events = answer(&mut core, 2, Ask::Prompt(Prompt::Ids(vec![300; context + 1])));
    let [Event::Failed { failure, .. }] = &events[..] else { panic!("{events:?}") };
    assert!([context, context + 1].iter().all(|count| failure.summary.contains(&count.to_string())));
    assert_eq!(core.run().tokens().len(), 200, "the run before stands");
    answer(&mut core, 3, Ask::Prompt(Prompt::Ids(vec![300; context - 1])));
    answer(&mut core, 4, Ask::ForceToken(301));
    let events = answer(&mut core, 4, steps(5));
    assert_eq!((core.run().tokens().len(), outcome(&events)), (context, Some(Outcome::ContextFull)));
    let events = answer(&mut core, 5, Ask::ForceToken(300));
    assert!(matches!(&events[..], [Event::Failed { .. }]));
}

#[test]
fn a_policy_switch_that_is_stopped_leaves_the_run_whole() {
    let (engine, mut events) = engine_of_demo(64);
    let long: Vec<u32> = (0..400).map(|i| 300 + i % 1000).collect();
    engine.ask(RequestId(1), Ask::Prompt(Prompt::Ids(long))).unwrap();
    until(&mut events, finished(1));
    engine.ask(RequestId(2), Ask::Policy(Policy::F32)).unwrap();
    engine.cancel(RequestId(2));
    let seen = until(&mut events, finished(2));
    let stopped = matches!(seen.last(), Some(Event::Finished { outcome: Outcome::Cancelled, .. }));
    let switched = seen.iter().any(|e| matches!(e, Event::Switched(_)));
    assert_ne!(stopped, switched, "either the switch is reported or nothing changed");
    engine.ask(RequestId(3), Ask::Truncate { len: usize::MAX }).unwrap();
    let seen = until(&mut events, finished(3));
    assert!(seen.iter().any(|e| matches!(e, Event::Tokens { keep: 400, .. })), "no token is lost");
}

/// A copy of a fixture's model that a test can change.
fn copy_of(case: &str) -> tempfile::TempDir {
    let temp = tempfile::tempdir().unwrap();
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        std::fs::copy(fixture(case).join("model").join(name), temp.path().join(name)).unwrap();
    }
    temp
}

#[test]
fn truncation_and_padding_left_in_a_tokenizer_are_not_obeyed() {
    let temp = copy_of("tiny-f32");
    let path = temp.path().join("tokenizer.json");
    let text = "the router reads the token and picks two experts of eight";
    let encode = || {
        let loaded = open(&Location::Dir(temp.path().to_path_buf()), Policy::Hf, None, false).unwrap();
        loaded.tokenizer.unwrap().encode(text, true).unwrap()
    };
    let plain = encode();
    let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    json["truncation"] = serde_json::json!({
        "direction": "Right", "max_length": 6, "strategy": "LongestFirst", "stride": 0
    });
    json["padding"] = serde_json::json!({
        "strategy": {"Fixed": 40}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
        "pad_type_id": 0, "pad_token": "<unk>"
    });
    std::fs::write(&path, json.to_string()).unwrap();
    assert_eq!(encode(), plain);
    assert!(plain.len() > 6 && plain.len() < 40);
}

#[test]
fn the_f32_policy_rounds_no_weight_of_a_file_with_mixed_dtypes() {
    use safetensors::tensor::{Dtype, SafeTensors, TensorView};
    const GATE: &str = "model.layers.0.block_sparse_moe.gate.weight";
    let temp = copy_of("tiny-bf16");
    let path = temp.path().join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let gate = file.tensor(GATE).unwrap();
    // The same numbers as f32, moved by less than bf16 can hold.
    let moved = gate.data().as_chunks::<2>().0.iter().map(|b| half::bf16::from_le_bytes(*b).to_f32() * 1.0005);
    let wide: Vec<u8> = moved.flat_map(f32::to_le_bytes).collect();
    let wide = TensorView::new(Dtype::F32, gate.shape().to_vec(), &wide).unwrap();
    let all = file.iter().map(|(name, view)| (name.to_owned(), if name == GATE { wide.clone() } else { view }));
    std::fs::write(&path, safetensors::serialize(all, None).unwrap()).unwrap();
    let router = |dir: std::path::PathBuf, policy| {
        let loaded = open(&Location::Dir(dir), policy, None, false).unwrap();
        support::record(&loaded, &[1, 283, 351, 293]).seen["blocks.0.mlp.hook_router_logits"].clone()
    };
    let (mixed, plain) = (temp.path().to_path_buf(), fixture("tiny-bf16/model"));
    assert_ne!(router(mixed.clone(), Policy::F32), router(plain.clone(), Policy::F32));
    assert_eq!(router(mixed, Policy::Hf), router(plain, Policy::Hf), "cast to bf16 as from_pretrained does");
}
