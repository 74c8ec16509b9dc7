//! Saved runs: what is written is read again, what follows is derived to the last bit, what is wrong is named.

mod foreign;
mod malformed;

use crate::support::cli::{Run as Command, join};
use crate::support::{self, CASES, Reference, fixture, model_dir};
use mixscope::analysis::view::{THUMB, View, ViewSpec};
use mixscope::analysis::{HeadMap, HeadStats, LensMeasure, Pick};
use mixscope::app::Still;
use mixscope::control::Control;
use mixscope::engine::{
    Capture, Core, Kept, Live, Opened, Part, Replay, Run, Target, collect, derive, lens_cells, pattern,
};
use mixscope::model::{Location, open};
use mixscope::protocol::{Ask, Derive, Derived, Event, RequestId};
use mixscope::trace::Prompt;
use mixscope::trace::{
    Hook, HookKind, LensKey, LensSite, Policy, Sampling, Source, TokenRecord, TraceFile, TraceTensor, Values,
};
use mixscope::ui::Depth;
use std::path::Path;
use std::sync::Arc;

const SITES: [LensSite; 2] = [LensSite::ResidMid, LensSite::ResidPost];

/// The reference of a case; `tied-window-modern` shares that of `-legacy`.
fn recorded(case: &str, stem: &str) -> Reference {
    Reference::read(if case == "tied-window-modern" { "tied-window-legacy" } else { case }, stem)
}

/// A live run of `location` under `policy`, with everything captured, and `k` candidates a position.
fn live(location: &Location, policy: Policy, ids: &[u32], steps: usize, k: usize) -> Run {
    let loaded = Arc::new(open(location, policy, None, false).unwrap());
    let layers = loaded.meta.dims.layers;
    let mut live = Live::new(loaded, Capture::of(HookKind::recorded(), 0..layers, layers), k);
    live.extend(ids, Source::Prompt, &Control::none()).unwrap();
    for _ in 0..steps {
        live.step(&Sampling::default(), &Control::none()).unwrap();
    }
    live.into()
}

fn replay(bytes: &[u8]) -> Replay {
    Replay::of(TraceFile::parse(bytes).unwrap(), "here.safetensors").unwrap()
}

fn saved(bytes: &[u8]) -> Run {
    replay(bytes).into()
}

fn keys(run: &Run) -> Vec<LensKey> {
    let (n, layers) = (run.tokens().len(), run.meta().dims.layers);
    let of = |pos| (0..layers).flat_map(move |layer| SITES.map(|site| LensKey { pos, layer, site }));
    (0..n).flat_map(of).collect()
}

fn same_records(a: &[Arc<TokenRecord>], b: &[Arc<TokenRecord>]) {
    assert_eq!(a.len(), b.len());
    for (pos, (a, b)) in a.iter().zip(b).enumerate() {
        assert_eq!((a.id, &a.piece, a.source, a.score), (b.id, &b.piece, b.source, b.score), "{pos}");
        assert_eq!(a.next, b.next, "{pos}");
        assert!(a.values == b.values, "the values at position {pos}");
    }
}

/// Records, patterns and lens of a run equal those of another to the last bit.
fn same_runs(a: &Run, b: &Run) {
    same_records(a.tokens(), b.tokens());
    let dims = a.meta().dims;
    assert_eq!(dims, b.meta().dims);
    for (layer, head) in (0..dims.layers).flat_map(|layer| (0..dims.heads).map(move |head| (layer, head))) {
        assert_eq!(pattern(a, layer, head).unwrap(), pattern(b, layer, head).unwrap(), "{layer}.{head}");
    }
    let cells = |run: &Run| lens_cells(run, &keys(run), 10, &Control::none()).unwrap();
    assert_eq!(cells(a), cells(b));
}

#[test]
fn a_run_of_every_model_is_the_same_when_its_trace_is_opened() {
    let mut runs = vec![(Location::Demo, "demo".to_owned(), vec![1, 357, 702, 410, 357, 702], Policy::Hf, None)];
    for (case, stem, policy) in CASES {
        let (dir, temp) = model_dir(case);
        let name = dir.to_str().unwrap().to_owned();
        runs.push((Location::Dir(dir), name, recorded(case, stem).ids(), policy.parse().unwrap(), temp));
    }
    let bf16 = fixture("tiny-bf16/model");
    let (name, ids) = (bf16.to_str().unwrap().to_owned(), Reference::read("tiny-bf16", "reference").ids());
    for policy in [Policy::Hf, Policy::F32Router] {
        runs.push((Location::Dir(bf16.clone()), name.clone(), ids.clone(), policy, None));
    }
    for (location, name, ids, policy, _temp) in runs {
        let policy_name = policy.to_string();
        let args =
            [&name, "--prompt-ids", &join(&ids), "--steps", "3", "--precision", &policy_name, "--format", "trace"];
        let bytes = Command::ok(&args).files.remove("trace.safetensors").unwrap();
        let (live, saved) = (live(&location, policy, &ids, 3, 10), saved(&bytes));
        same_runs(&live, &saved);
        let (was, is) = (live.meta(), saved.meta());
        assert_eq!((&is.title, is.policy, is.compute_dtype), (&was.title, was.policy, was.compute_dtype), "{name}");
        assert_eq!((&is.weights_dtype, &is.report.findings[..1]), (&was.weights_dtype, &was.report.findings[..1]));
        assert_eq!(is.name, "here.safetensors");
        let recording = is.recording.as_ref().unwrap();
        assert_eq!(recording.made_by, format!("mixscope {}", env!("CARGO_PKG_VERSION")), "{name}");
        assert_eq!((&recording.model, recording.sampling), (&was.name, Some(Sampling::default())));
        assert_eq!(recording.prompt, None, "it was given as ids");
        assert!(
            (0..is.dims.layers).all(|layer| is.has_attention(layer) && SITES.iter().all(|s| is.has_lens(layer, *s)))
        );
    }
}

#[test]
fn patterns_follow_from_queries_and_keys_and_routing_from_its_logits_alone() {
    let ids = [1, 357, 702, 410, 357, 702];
    let live = live(&Location::Demo, Policy::Hf, &ids, 0, 64);
    let fields = "mlp.hook_router_logits,rot_q,rot_k,logits";
    let run = Command::ok(&["--prompt-ids", &join(&ids), "--format", "trace", "--capture", fields]);
    let saved = saved(&run.files["trace.safetensors"]);
    for head in 0..8 {
        assert_eq!(pattern(&saved, 5, head).unwrap(), pattern(&live, 5, head).unwrap());
    }
    use HookKind as K;
    for (saved, live) in saved.tokens().iter().zip(live.tokens()) {
        for layer in 0..6 {
            for kind in [K::RouterLogits, K::ExpertWeights, K::ExpertIndices, K::MixingWeights] {
                assert_eq!(saved.values.get(kind.at(layer)), live.values.get(kind.at(layer)), "{kind:?}");
            }
        }
        // Without tables, scores and candidates follow from the logits; only the run's own tokens are spelt.
        assert_eq!((saved.score, saved.next.entropy), (live.score, live.next.entropy));
        let numbers = |t: &TokenRecord| t.next.top.iter().map(|c| (c.id, c.logit, c.prob)).collect::<Vec<_>>();
        assert_eq!(numbers(saved), numbers(live));
    }
    let candidate = saved.tokens()[2].next.top.iter().find(|c| !ids.contains(&c.id)).unwrap();
    assert_eq!(&*candidate.piece, format!("<id {}>", candidate.id));
    // The lens after the last layer is what the model says.
    let (last, before) = (key(3, 5, LensSite::ResidPost), key(3, 5, LensSite::ResidMid));
    let cells = lens_cells(&saved, &[last, before], 10, &Control::none()).unwrap();
    assert_eq!(cells.len(), 1, "the lens of the rest is not in the trace");
    let of_live = lens_cells(&live, &[last], 10, &Control::none()).unwrap();
    assert_eq!((cells[0].1.final_rank, cells[0].1.final_prob), (of_live[0].1.final_rank, of_live[0].1.final_prob));
    assert_eq!((cells[0].1.entropy, cells[0].1.kl), (of_live[0].1.entropy, of_live[0].1.kl));
    assert!(saved.meta().has_lens(5, LensSite::ResidPost) && !saved.meta().has_lens(5, LensSite::ResidMid));
    assert!(!saved.meta().has_lens(4, LensSite::ResidPost));
}

fn key(pos: usize, layer: usize, site: LensSite) -> LensKey {
    LensKey { pos, layer, site }
}

#[test]
fn traces_of_other_programs_open_and_say_what_they_lack() {
    let all = CASES.into_iter().filter(|(case, ..)| *case != "tied-window-modern");
    for (case, stem, _) in all.chain([("tiny-bf16", "reference", "hf"), ("tiny-bf16", "reference_eager_experts", "hf")])
    {
        let reference = Reference::read(case, stem);
        let saved = Run::from(Replay::open(&fixture(case).join(format!("{stem}.safetensors"))).unwrap());
        let meta = saved.meta();
        let policy = &reference.trace.metadata["precision"];
        assert_eq!((saved.tokens().len(), &meta.policy.to_string()), (reference.ids().len(), policy), "{case}");
        assert!(meta.recording.as_ref().unwrap().made_by.starts_with("huggingface transformers 5."), "{case}");
        let nll = reference.extras.get("nll").unwrap().f32().unwrap();
        for (pos, token) in saved.tokens().iter().enumerate() {
            let entropy = reference.extras.get("entropy").unwrap().f32().unwrap()[pos];
            assert!((token.next.entropy - entropy).abs() < 1e-3, "{case} {pos}");
            let score = token.score.map(|score| score.nll);
            assert_eq!(score.is_some(), pos > 0);
            assert!(score.is_none_or(|score| (score - nll[pos - 1]).abs() < 1e-3), "{case} {pos}");
        }
        let recorded = reference.trace.get("blocks.0.attn.hook_pattern").unwrap();
        let (n, values) = (recorded.shape[1], recorded.f32().unwrap());
        let derived = pattern(&saved, 0, 1).unwrap();
        (0..n).for_each(|query| assert_eq!(derived.row(query), &values[(n + query) * n..][..=query], "{case}"));
        let last = meta.dims.layers - 1;
        let cells = lens_cells(&saved, &keys(&saved), 10, &Control::none()).unwrap();
        assert_eq!(cells.len(), n, "{case}: only the last layer's");
        assert!(meta.has_lens(last, LensSite::ResidPost) && !meta.has_lens(0, LensSite::ResidMid));
        assert!(meta.has_attention(last), "{case}");
    }
    let gguf = std::fs::read_dir(fixture("gguf")).unwrap().map(|entry| entry.unwrap().path());
    let lab = ["reference_f32", "reference_bf16"].map(|stem| fixture(&format!("precision-lab/{stem}.safetensors")));
    let few: Vec<_> =
        gguf.filter(|path| path.to_string_lossy().ends_with("reference.safetensors")).chain(lab).collect();
    assert!(few.len() >= 9);
    for path in few {
        let saved = Replay::open(&path).unwrap_or_else(|error| panic!("{}: {error:#}", path.display()));
        let saved = Run::from(saved);
        let (meta, first) = (saved.meta(), &saved.tokens()[0]);
        assert_eq!(&*first.piece, "<id 1>");
        assert!(!meta.has_attention(0) && !meta.has_lens(0, LensSite::ResidPost));
        assert!(pattern(&saved, 0, 0).is_err());
        let has_logits = !path.to_string_lossy().contains("precision-lab");
        assert_eq!(!first.next.is_absent(), has_logits);
        assert_eq!(saved.tokens()[1].score.is_some(), has_logits);
        assert_eq!(meta.has_lens(meta.dims.layers - 1, LensSite::ResidPost), has_logits);
        let probs = first.row(HookKind::ExpertWeights, 0).unwrap();
        assert!((probs.iter().sum::<f32>() - 1.0).abs() < 1e-5, "softmax over all experts");
    }
}

/// A trace of three tokens of the demo, everything in it.
fn small() -> TraceFile {
    let run = Command::ok(&["--prompt-ids", "1,357,702", "--format", "trace"]);
    TraceFile::parse(&run.files["trace.safetensors"]).unwrap()
}

#[test]
fn the_engine_derives_from_a_saved_run_and_says_that_the_rest_needs_a_model() {
    let mut core = Core::of(Opened::Replay(Replay::of(small(), "small").unwrap()));
    let introduced = core.introduce(RequestId(1));
    assert!(
        matches!(&introduced[..], [Event::Ready { .. }, Event::Tokens { keep: 0, tokens, .. }] if tokens.len() == 3)
    );
    let cells = keys(core.run());
    let events = core.answer(RequestId(2), Ask::Derive(Derive::Lens { cells: cells.clone() }));
    let found: usize = events
        .iter()
        .map(|e| if let Event::Derived { result: Derived::Lens(cells), .. } = e { cells.len() } else { 0 })
        .sum();
    assert_eq!(found, cells.len());
    let ask = Derive::HeadRows { layer: 5, query: 2 };
    let rows = derive(core.run(), &mut Kept::default(), &ask, &Control::none()).unwrap();
    let Part::Whole(Derived::HeadRows(rows)) = rows else { unreachable!() };
    let heads: Vec<usize> = (0..8).filter(|head| rows.iter().any(|row| row.pick == Pick::One(*head))).collect();
    assert_eq!(heads, Vec::from_iter(0..8));
    for row in rows {
        if let Pick::One(head) = row.pick {
            assert_eq!(row.weights, pattern(core.run(), 5, head).unwrap().row(2));
        }
    }
    let sampling = Sampling::default();
    let asks = [
        Ask::Prompt(Prompt::Text("x".to_owned())),
        Ask::Step { count: Some(1), sampling },
        Ask::ForceToken(1),
        Ask::ForceText("x".to_owned()),
        Ask::Back,
        Ask::Truncate { len: 1 },
        Ask::Policy(Policy::F32),
    ];
    for ask in asks {
        let events = core.answer(RequestId(3), ask.clone());
        let [Event::Failed { failure, .. }] = &events[..] else { panic!("{ask:?}: {events:?}") };
        assert_eq!(failure.summary, "this is a saved run without a model: o opens a model", "{ask:?}");
    }
    assert_eq!(core.run().tokens().len(), 3, "the run is as it was");
}

#[test]
fn the_numbers_of_every_view_are_the_same_live_and_saved() {
    let live = live(&Location::Demo, Policy::Hf, &[1, 357, 702], 0, 10);
    let saved = saved_run();
    let spec =
        |kind| ViewSpec { pos: 2, layer: 5, head: Pick::One(2), site: Some(LensSite::ResidMid), ..ViewSpec::new(kind) };
    for kind in View::ALL {
        let collected = |run: &Run| collect(run, &spec(kind), &Control::none()).unwrap();
        let (live, saved) = (collected(&live), collected(&saved));
        assert_eq!((&live.pattern, &live.lens), (&saved.pattern, &saved.lens), "{kind}");
        assert_eq!(live.trajectories, saved.trajectories, "{kind}");
        assert_eq!(format!("{:?}", live.heads), format!("{:?}", saved.heads), "{kind}");
        let (heads, cells, ways) = match kind {
            View::AttentionGrid | View::AttentionScores => (48, 0, 0),
            View::AttentionHead => (0, 0, 0),
            View::LensGrid => (0, 18, 0),
            View::LensTargets => (0, 0, 1),
            _ => (0, 0, 0),
        };
        assert_eq!((live.heads.len(), live.lens.len(), live.trajectories.len()), (heads, cells, ways), "{kind}");
        assert_eq!(live.pattern.is_some(), kind == View::AttentionHead);
        let outside =
            collect(&saved_run(), &ViewSpec { pos: 9, layer: 9, head: Pick::One(9), ..spec(kind) }, &Control::none());
        let is_whole_run = matches!(
            kind,
            View::RoutingMap
                | View::RoutingUsage
                | View::AttentionGrid
                | View::AttentionScores
                | View::LensGrid
                | View::FidelityValidated
                | View::FidelityFlips
                | View::FidelityLoss
                | View::FidelityLab
                | View::Compare
                | View::EffectsMap
                | View::EffectsRouting
                | View::EffectsPatching
                | View::EffectsContributions
        );
        assert_eq!(outside.is_ok(), is_whole_run, "{kind}");
    }
    // Heads are pooled from their patterns and measured on them; heads together are put together weight by weight.
    let grid = collect(&live, &spec(View::AttentionGrid), &Control::none()).unwrap();
    let ids: Vec<u32> = live.tokens().iter().map(|token| token.id).collect();
    for (map, stats) in &grid.heads {
        let Pick::One(head) = map.pick else { panic!("one head") };
        let whole = pattern(&live, map.layer, head).unwrap();
        assert_eq!((stats, map.n), (&HeadStats::of(&whole, &ids), 3), "{} {head}", map.layer);
        // Not a number equals nothing, itself included.
        let shown = |map: &HeadMap| format!("{map:?}");
        assert_eq!(shown(map), shown(&HeadMap::pool(map.layer, map.pick, &whole, THUMB)));
    }
    for (pick, fold) in [(Pick::Mean, (|a, b| a + b / 8.0) as fn(f32, f32) -> f32), (Pick::Max, f32::max)] {
        let both = [&live, &saved].map(|run| {
            let spec = ViewSpec { head: pick, ..spec(View::AttentionHead) };
            collect(run, &spec, &Control::none()).unwrap().pattern.unwrap()
        });
        assert_eq!(both[0], both[1]);
        for at in 0..both[0].weights.len() {
            let weights = (0..8).map(|head| pattern(&live, 5, head).unwrap().weights[at]);
            let want = weights.fold(0.0, fold);
            assert!((both[0].weights[at] - want).abs() < 1e-6, "{pick} {at}");
        }
    }
    let both = ViewSpec { site: None, lens: LensMeasure::Kl, ..spec(View::LensGrid) };
    assert_eq!(
        collect(&saved, &both, &Control::none()).unwrap().lens,
        lens_cells(&saved, &keys(&saved), 10, &Control::none()).unwrap()
    );
    let curve = ViewSpec { lens: LensMeasure::Kl, ..spec(View::LensTargets) };
    let curve = collect(&live, &curve, &Control::none()).unwrap();
    assert!(curve.trajectories.is_empty() && curve.lens.len() == 12 && curve.lens.iter().all(|(key, _)| key.pos == 2));
    // The way of any token on a live run; on a saved one that of the final answer alone.
    let answer = live.tokens()[2].next.top[0].id;
    let targets = ViewSpec { targets: vec![300, answer], ..spec(View::LensTargets) };
    let ways = collect(&live, &targets, &Control::none()).unwrap().trajectories;
    assert_eq!(ways.iter().map(|way| (way.id, way.points.len())).collect::<Vec<_>>(), [(300, 12), (answer, 12)]);
    let (_, _, rank, prob) = ways[0].points[11];
    let last = live.tokens()[2].row(HookKind::Logits, 0).unwrap();
    assert_eq!(rank as usize, 1 + last.iter().filter(|logit| **logit > last[300]).count());
    assert!(prob < ways[1].points[11].3);
    let error = collect(&saved, &targets, &Control::none()).unwrap_err().to_string();
    assert!(error.contains("token 300") && error.contains(&format!("token {answer}")), "{error}");
    assert!(collect(&live, &ViewSpec { targets: vec![5000], ..targets }, &Control::none()).is_err());
}

fn saved_run() -> Run {
    Replay::of(small(), "small").unwrap().into()
}

#[test]
fn the_prompt_and_the_sampling_of_a_run_come_back() {
    let run = Command::ok(&["--prompt", "The capital of", "--steps", "2", "--temperature", "0.5", "--seed", "7"]);
    let saved = saved(&run.files["trace.safetensors"]);
    let recording = saved.meta().recording.clone().unwrap();
    assert_eq!(recording.prompt, Some(Prompt::Text("The capital of".to_owned())));
    assert_eq!(recording.sampling, Some(Sampling { temperature: 0.5, top_k: None, top_p: None, seed: 7 }));
    let sources: Vec<Source> = saved.tokens().iter().map(|token| token.source).collect();
    let generated = sources.iter().filter(|source| **source == Source::Generated).count();
    assert_eq!((generated, sources.last()), (2, Some(&Source::Generated)));
}

#[test]
fn commands_that_need_a_model_refuse_a_saved_run() {
    let path = fixture("tiny-f32/reference.safetensors");
    for command in ["check", "info"] {
        let output = support::cli::mixscope([command.as_ref(), path.as_os_str()]);
        assert_eq!(output.status.code(), Some(1));
        let said = support::cli::stderr(&output);
        assert!(said.contains("is not a model") && said.contains("mixscope open"), "{said}");
    }
    let run = Command::of(&[path.to_str().unwrap(), "--prompt", "x"]);
    assert_eq!(run.output.status.code(), Some(1));
    assert!(support::cli::stderr(&run.output).contains("saved run") && run.files.is_empty());
    for (given, said) in
        [(Path::new("no/such.safetensors"), "no file"), (&fixture("tiny-f32/model"), "not a saved run")]
    {
        let output = support::cli::mixscope(["open".as_ref(), given.as_os_str()]);
        assert_eq!(output.status.code(), Some(1));
        assert!(support::cli::stderr(&output).contains(said), "{}", support::cli::stderr(&output));
    }
}

fn screen(still: &mut Still, size: (u16, u16)) -> String {
    let buf = still.screen(size.0, size.1, Depth::Mono);
    let row = |y| (0..size.0).map(|x| buf[(x, y)].symbol()).collect::<String>();
    (0..size.1).map(row).collect::<Vec<_>>().join("\n")
}

#[test]
fn screens_say_what_a_trace_lacks_instead_of_showing_zeros() {
    let lab = Replay::open(&fixture("precision-lab/reference_bf16.safetensors")).unwrap();
    let mut still = Still::of_saved(lab);
    assert!(still.state.overlays.is_empty() && still.state.tokens.len() == 256, "no prompt is requested");
    for size in [(160, 45), (80, 24), (40, 10)] {
        for (view, absent) in [("1", false), ("2", true), ("3", true), ("4", true)] {
            still.press(view).unwrap();
            let text = screen(&mut still, size);
            assert!(still.state.message.is_none(), "nothing is requested that is not there: {:?}", still.state.message);
            assert!(!text.contains("0.00 nats") && !text.contains("NaN"), "{text}");
            assert!(text.contains("not in this trace") || !absent, "{view}\n{text}");
        }
    }
    still.press("5").unwrap();
    let text = screen(&mut still, (160, 45));
    assert!(text.contains("mean loss of this run: not in this trace"), "{text}");
    assert!(text.contains("attention: not in this trace: patterns"), "{text}");
    // What needs a model says so, and the run stays.
    for key in ["space", "u", "p", "g o"] {
        still.press(key).unwrap();
        let message = still.state.message.take().unwrap();
        assert_eq!(message.failure.summary, "this is a saved run without a model: o opens a model", "{key}");
        assert_eq!(still.state.tokens.len(), 256);
    }
    // A run of some layers has their lens and no other.
    let run = Command::ok(&["--prompt-ids", "1,357", "--layers", "2..4", "--format", "trace"]);
    let mut still = Still::of_saved(replay(&run.files["trace.safetensors"]));
    for view in ["1", "2", "3"] {
        still.press(view).unwrap();
        let text = screen(&mut still, (160, 45));
        assert!(text.matches("not in this trace").count() >= 3, "{text}");
    }
    for down in 0..3 {
        still.press("down").unwrap();
        let text = screen(&mut still, (160, 45));
        assert!(text.contains("final answer") && text.contains("top of L"), "{down}\n{text}");
    }
    assert!(still.state.message.is_none());
}
