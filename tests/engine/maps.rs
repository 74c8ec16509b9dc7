//! Effect maps, patching maps, contributions of all layers, second prompts: the same numbers as the runs that they stand for.

use crate::support::load;
use mixscope::analysis::{
    EffectMap, Found, How, MapKey, MapMeasure, MapOf, MapOver, PatchOver, Watch, align, mean_loss,
};
use mixscope::control::Control;
use mixscope::engine::{
    Ablation, Capture, Core, Kept, Live, Over, Part, PatchPlan, Run, ablate, derive, distance, effect_map, measure,
    model_shares, patch,
};
use mixscope::model::{Edits, Loaded, Location, open};
use mixscope::protocol::{Ask, Derive, Derived, Event, MapPart, MapRequest, OtherRun, RequestId};
use mixscope::trace::{Edit, HookKind, Policy, Prompt};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const PROMPT: &str = "The capital of France is";
const SECOND: &str = "The capital of Spain is";

fn demo() -> Arc<Loaded> {
    Arc::new(open(&Location::Demo, Policy::Hf, None, false).unwrap())
}

fn read(loaded: &Arc<Loaded>, ids: &[u32], more: Option<HookKind>) -> Live {
    let layers = loaded.meta.dims.layers;
    let capture = Capture::of(HookKind::FOR_VIEWS.into_iter().chain(more), 0..layers, layers);
    let mut live = Live::new(loaded.clone(), capture, 8);
    live.set_prompt(ids, &Control::none(), &mut |_, _| {}).unwrap();
    live
}

fn text(loaded: &Arc<Loaded>, prompt: &str) -> Live {
    let ids = loaded.tokens(Prompt::Text(prompt.to_owned())).unwrap();
    read(loaded, &ids, None)
}

fn edits(live: &Live, texts: &[&str]) -> Edits {
    let list = texts.iter().map(|text| text.parse::<Edit>().unwrap()).collect();
    Edits::new(list, live.meta().dims).unwrap()
}

fn last(live: &Live) -> Watch {
    let position = live.tokens().len() - 1;
    Watch {
        position,
        token: live.tokens()[position].next.top[0].id,
        foil: Some(live.tokens()[position].next.top[1].id),
    }
}

fn request(live: &Live, of: MapOf) -> MapRequest {
    let watch = (of != MapOf::Routing).then(|| last(live));
    MapRequest { key: MapKey { of, watch }, tokens: live.tokens().len(), second: None }
}

fn map(live: &Live, of: MapOf) -> EffectMap {
    effect_map(&Run::Live(live.clone()), &request(live, of), &Control::none()).unwrap()
}

#[test]
fn a_map_of_parts_holds_the_effect_of_each_edit() {
    for (name, policy) in [("demo", Policy::Hf), ("tiny-f32", Policy::F32)] {
        let loaded = if name == "demo" { demo() } else { Arc::new(load(name, policy)) };
        let vocab = loaded.meta.dims.vocab as u32;
        let live = read(&loaded, &[1, 5, 9 % vocab, 12 % vocab, 5, 9 % vocab, 7], None);
        for (over, how) in [(Over::Experts, How::Zero), (Over::Experts, How::Ban), (Over::Heads, How::Mean)] {
            let of = if over == Over::Experts { MapOver::Experts } else { MapOver::Heads };
            let map = map(&live, MapOf::Parts(of, how));
            let mut found: Vec<Ablation> = Vec::new();
            ablate(&live, (over, how), last(&live), &Control::none(), &mut |one| found.push(one)).unwrap();
            assert!(map.is_complete() && map.progress().1 == found.len(), "{name} {over:?}");
            for one in &found {
                assert_eq!(map.get(one.layer, one.index), Some(&Found::Effect(one.measures)), "{name} {}", one.edit);
            }
            assert!(
                map.largest(MapMeasure::Target) > 0.0 && map.largest(MapMeasure::Kl) > 0.0,
                "{name}: nothing matters"
            );
        }
        let blocks = map(&live, MapOf::Parts(MapOver::Blocks, How::Zero));
        for (column, part) in ["attn", "mlp"].iter().enumerate() {
            let b = live.edited(Some(&edits(&live, &[&format!("zero L1.{part}")])), &Control::none()).unwrap();
            let alone = measure(&live, &b, last(&live), &Control::none()).unwrap();
            assert_eq!(blocks.get(1, column), Some(&Found::Effect(alone)));
        }
    }
}

#[test]
fn a_map_of_an_edited_run_keeps_its_edits() {
    let loaded = demo();
    let plain = text(&loaded, PROMPT);
    let own = ["zero L2.mlp", "ban L0.E3"];
    let base = plain.edited(Some(&edits(&plain, &own)), &Control::none()).unwrap();
    let found = map(&base, MapOf::Parts(MapOver::Heads, How::Zero));
    for (layer, head) in [(5, 3), (1, 0), (3, 7)] {
        let cell = format!("zero L{layer}.H{head}");
        let both = plain.edited(Some(&edits(&plain, &[own[0], own[1], &cell])), &Control::none()).unwrap();
        let alone = measure(&base, &both, last(&base), &Control::none()).unwrap();
        let Some(Found::Effect(cell)) = found.get(layer, head) else { panic!("no cell") };
        assert_eq!(
            (cell.kl, cell.target_logprob_change, cell.flips),
            (alone.kl, alone.target_logprob_change, alone.flips)
        );
        assert_eq!(cell.sites, base.tokens().len(), "its own edit only");
    }
    let other = map(&plain, MapOf::Parts(MapOver::Heads, How::Zero));
    assert_ne!(other.get(5, 3), found.get(5, 3), "the edits of the run matter");
}

#[test]
fn a_rerouted_place_is_the_run_with_the_next_expert_forced() {
    let loaded = demo();
    let live = text(&loaded, PROMPT);
    let found = map(&live, MapOf::Routing);
    let n = live.tokens().len();
    let mut changed = 0;
    for (layer, pos) in [(0, 1), (3, n - 2), (5, n - 1), (2, 4)] {
        let token = &live.tokens()[pos];
        let choice = mixscope::analysis::routing::TokenRouting::choice(token, layer).unwrap();
        let (loser, winner) = (*choice.chosen.last().unwrap(), choice.runner_up().unwrap());
        let b =
            live.edited(Some(&edits(&live, &[&format!("force L{layer}.E{winner}@{pos}")])), &Control::none()).unwrap();
        let now = b.tokens()[pos].experts(layer).unwrap();
        assert!(now.contains(&(winner as u32)) && !now.contains(&loser), "{now:?}");
        let Some(Found::Effect(cell)) = found.get(layer, pos) else { panic!("no cell") };
        if pos + 1 < n {
            let of = |run: &Live| f64::from(run.tokens()[pos + 1].score.unwrap().nll);
            let by = cell.loss_change.unwrap();
            assert!((by - (of(&b) - of(&live))).abs() < 1e-5, "{by} against {}", of(&b) - of(&live));
            changed += usize::from(by != 0.0);
        } else {
            assert_eq!(cell.loss_change, None, "no token came after the last");
            assert!(cell.kl > 0.0);
        }
    }
    assert!(changed >= 2, "these choices matter");
    // Later tokens don't matter.
    let mut short = live.clone();
    short.truncate(5);
    let before = map(&short, MapOf::Routing);
    for layer in 0..6 {
        assert_eq!(before.get(layer, 2), found.get(layer, 2));
    }
}

#[test]
fn near_ties_are_rerouted_first() {
    let loaded = demo();
    let mut core = Core::new(loaded);
    core.answer(RequestId(1), Ask::Prompt(Prompt::Text(PROMPT.to_owned())));
    let live = core.run().live().unwrap().clone();
    let margin = |layer: usize, pos: usize| {
        mixscope::analysis::routing::TokenRouting::choice(&live.tokens()[pos], layer).unwrap().margin().unwrap().gap
    };
    let places: Vec<(usize, usize)> = parts(&mut core, request(&live, MapOf::Routing), 0)
        .into_iter()
        .flat_map(|part| part.found.into_iter().map(|(layer, pos, _)| (layer, pos)))
        .collect();
    assert_eq!(places.len(), 6 * live.tokens().len());
    assert!(places.windows(2).all(|two| margin(two[0].0, two[0].1) <= margin(two[1].0, two[1].1)));
}

/// The parts of a map as the screen receives them.
fn parts(core: &mut Core, request: MapRequest, done: usize) -> Vec<MapPart> {
    let events = core.answer(RequestId(50), Ask::Derive(Derive::Effects { request: Box::new(request), done }));
    let part = |event| match event {
        Event::Derived { result: Derived::Effects(part), .. } => Some(*part),
        Event::Failed { failure, .. } => panic!("{failure:?}"),
        _ => None,
    };
    events.into_iter().filter_map(part).collect()
}

#[test]
fn a_map_that_was_stopped_goes_on_where_it_was() {
    let live = text(&demo(), PROMPT);
    let request = request(&live, MapOf::Parts(MapOver::Heads, How::Zero));
    let run = Run::Live(live);
    let mut kept = Kept::default();
    let asks = AtomicUsize::new(0);
    let is_enough = || asks.fetch_add(1, Ordering::Relaxed) > 40;
    let first = Derive::Effects { request: Box::new(request.clone()), done: 0 };
    let Part::Some(Derived::Effects(stopped), rest) =
        derive(&run, &mut kept, &first, &Control::cancelled_by(&is_enough)).unwrap()
    else {
        panic!("it was not stopped")
    };
    assert!(stopped.done > 0 && stopped.done < 48 && stopped.found.len() == stopped.done, "{}", stopped.done);
    let mut all = stopped.found;
    let mut next = Some(rest);
    while let Some(ask) = next.take() {
        let (found, rest) = match derive(&run, &mut kept, &ask, &Control::none()).unwrap() {
            Part::Whole(found) => (found, None),
            Part::Some(found, rest) => (found, Some(rest)),
            Part::None => panic!("nothing was computed"),
        };
        let Derived::Effects(part) = found else { panic!("{found:?}") };
        assert_eq!(part.from, all.len(), "it goes on where it was");
        all.extend(part.found);
        next = rest;
    }
    let fresh = effect_map(&run, &request, &Control::none()).unwrap();
    assert_eq!(all.len(), 48);
    for (layer, head, found) in &all {
        assert_eq!(fresh.get(*layer, *head), Some(found));
    }
}

#[test]
fn a_map_that_another_run_began_starts_again() {
    let loaded = demo();
    let mut core = Core::new(loaded);
    core.answer(RequestId(1), Ask::Prompt(Prompt::Text(PROMPT.to_owned())));
    let live = core.run().live().unwrap().clone();
    let request = request(&live, MapOf::Routing);
    core.answer(RequestId(2), Ask::Edits { edits: vec!["zero L1.attn".parse().unwrap()], at: 0 });
    // The places before were computed of the run without the edit.
    let now = parts(&mut core, request.clone(), 20);
    assert_eq!(now[0].from, 0);
    let found: usize = now.iter().map(|part| part.found.len()).sum();
    assert_eq!(found, 6 * live.tokens().len());
    let fresh = effect_map(&Run::Live(core.run().live().unwrap().clone()), &request, &Control::none()).unwrap();
    for (layer, pos, cell) in now.iter().flat_map(|part| &part.found) {
        assert_eq!(fresh.get(*layer, *pos), Some(cell));
    }
}

#[test]
fn a_place_that_is_impossible_leaves_the_others() {
    let loaded = demo();
    let plain = text(&loaded, PROMPT);
    let base = plain.edited(Some(&edits(&plain, &["ban L3.E0,E1,E2,E3,E4,E5"])), &Control::none()).unwrap();
    let found = map(&base, MapOf::Parts(MapOver::Experts, How::Ban));
    assert!(found.is_complete());
    assert_eq!(found.get(3, 6), Some(&Found::Nothing), "a token needs two experts");
    assert!(found.refused.as_ref().is_some_and(|why| why.contains("are left in layer 3")), "{:?}", found.refused);
    assert!(matches!(found.get(2, 0), Some(Found::Effect(_))));
    // What is banned stays banned, and nothing else can win.
    let routing = map(&base, MapOf::Routing);
    assert_eq!(routing.get(3, 4), Some(&Found::Nothing));
    assert!(matches!(routing.get(2, 4), Some(Found::Effect(_))));
}

#[test]
fn flips_that_an_edit_of_the_base_shares_are_no_reason_to_overlook_others() {
    let loaded = demo();
    let plain = text(&loaded, PROMPT);
    let base = plain.edited(Some(&edits(&plain, &["topk L* 1"])), &Control::none()).unwrap();
    let found = map(&base, MapOf::Parts(MapOver::Blocks, How::Zero));
    let both = plain.edited(Some(&edits(&plain, &["topk L* 1", "zero L0.mlp"])), &Control::none()).unwrap();
    let differs = |layer: usize, pos: usize| base.tokens()[pos].experts(layer) != both.tokens()[pos].experts(layer);
    let flips = (0..6).flat_map(|layer| (0..base.tokens().len()).map(move |pos| (layer, pos)));
    let counted = flips.filter(|(layer, pos)| differs(*layer, *pos)).count();
    let Some(Found::Effect(cell)) = found.get(0, 1) else { panic!("no cell") };
    assert_eq!(cell.flips, counted);
    assert!(counted > 0, "the edit matters");
    let unused = map(&base, MapOf::Parts(MapOver::Experts, How::Zero));
    let never =
        |layer: usize, expert: u32| base.tokens().iter().all(|token| !token.experts(layer).unwrap().contains(&expert));
    let (layer, expert) = (0..6).flat_map(|l| (0..8).map(move |e| (l, e))).find(|(l, e)| never(*l, *e)).unwrap();
    let Some(Found::Effect(cell)) = unused.get(layer, expert as usize) else { panic!("no cell") };
    assert_eq!((cell.sites, cell.kl), (0, 0.0), "an expert that no token chose");
}

#[test]
fn a_patching_map_is_patch_by_patch_what_the_command_computes() {
    let loaded = demo();
    let (clean, corrupted) = (text(&loaded, PROMPT), text(&loaded, SECOND));
    let n = clean.tokens().len();
    assert_eq!(n, corrupted.tokens().len(), "the two prompts have as many tokens");
    let position = n - 1;
    let ids = |live: &Live| live.tokens().iter().map(|token| token.id).collect::<Vec<u32>>();
    for over in PatchOver::ALL {
        let best = |live: &Live, k: usize| live.tokens()[position].next.top[k].id;
        let target = best(&clean, 0);
        let foil = if best(&corrupted, 0) == target { best(&corrupted, 1) } else { best(&corrupted, 0) };
        let watch = Watch { position, token: target, foil: Some(foil) };
        let request = MapRequest {
            key: MapKey { of: MapOf::Patching(over), watch: Some(watch) },
            tokens: n,
            second: Some(Prompt::Text(SECOND.to_owned())),
        };
        let map = effect_map(&Run::Live(clean.clone()), &request, &Control::none()).unwrap();
        let source = read(&loaded, &ids(&clean), Some(over.hook()));
        let plan = PatchPlan { clean: &source, corrupted: &corrupted, over, target: watch };
        let mut count = 0;
        let ends = patch(&plan, &Control::none(), &mut |one| {
            let column = one.position.or(one.index).unwrap();
            let cell = Found::Patched { measure: one.measure, recovery: one.recovery };
            assert_eq!(map.get(one.layer, column), Some(&cell), "{over} L{} {column}", one.layer);
            count += 1;
        })
        .unwrap();
        assert_eq!(map.baselines, Some(ends));
        assert!(map.is_complete() && count > 0, "{over}");
        let same = ids(&clean).iter().zip(ids(&corrupted)).take_while(|(a, b)| **a == *b).count();
        if over.is_by_position() {
            assert_eq!(map.get(3, same - 1), Some(&Found::Nothing), "the texts are the same there");
        }
        if over == PatchOver::ResidPre {
            let all: f64 = (same..n).filter_map(|pos| map.value(0, pos, MapMeasure::Target)).fold(0.0, f64::max);
            assert!(all > 0.3, "at layer 0 the exchanged tokens carry the difference: {all}");
        }
    }
    let unequal = MapRequest {
        key: MapKey { of: MapOf::Patching(PatchOver::Heads), watch: Some(last(&clean)) },
        tokens: n,
        second: Some(Prompt::Text("short".to_owned())),
    };
    let refused = effect_map(&Run::Live(clean), &unequal, &Control::none()).unwrap_err().to_string();
    assert!(refused.contains("equal lengths"), "{refused}");
}

#[test]
fn contributions_of_all_layers_add_up_to_the_difference_of_two_logits() {
    let loaded = demo();
    let live = text(&loaded, PROMPT);
    let watch = last(&live);
    let found = model_shares(&live, watch, &Control::none()).unwrap();
    let all = found.all();
    assert_eq!(all.len(), 1 + 6 * (8 + 2), "embedding, heads and chosen experts");
    let logits = live.logits(watch.position..watch.position + 1).unwrap();
    let difference = f64::from(logits[watch.token as usize]) - f64::from(logits[watch.foil.unwrap() as usize]);
    assert_eq!(found.logit(), difference);
    let sum: f64 = all.iter().map(mixscope::analysis::Share::value).sum();
    // What is left is the rounding of bf16, as in the contributions to one logit.
    assert!((sum - difference).abs() < 0.25, "{sum} against {difference}");
    let ranked = found.ranked();
    assert!(ranked.windows(2).all(|two| two[0].value().abs() >= two[1].value().abs()));
    let alone = model_shares(&live, Watch { foil: None, ..watch }, &Control::none()).unwrap();
    assert!(alone.all().iter().all(|share| share.foil.is_none() && share.value() == share.target));
}

#[test]
fn a_second_prompt_is_read_as_the_run_is_and_compared_with_it() {
    let loaded = demo();
    let mut core = Core::new(loaded.clone());
    core.answer(RequestId(1), Ask::Prompt(Prompt::Text(PROMPT.to_owned())));
    core.answer(RequestId(2), Ask::Edits { edits: vec!["zero L4.mlp".parse().unwrap()], at: 0 });
    let second = Prompt::Text(SECOND.to_owned());
    let events = core.answer(RequestId(3), Ask::Derive(Derive::Second { prompt: second.clone() }));
    let Some(Event::Derived { result: Derived::Second { meta, tokens, .. }, .. }) = events.first() else {
        panic!("{events:?}")
    };
    assert_eq!(meta.edits.len(), 1, "under the edits of the run");
    let plain = text(&loaded, SECOND);
    let alone = plain.edited(Some(&edits(&plain, &["zero L4.mlp"])), &Control::none()).unwrap();
    assert_eq!(mean_loss(tokens), mean_loss(alone.tokens()));
    assert_ne!(mean_loss(tokens), mean_loss(plain.tokens()), "the edit matters");

    let events = core.answer(RequestId(4), Ask::Derive(Derive::Distance(OtherRun::Second(second))));
    let Some(Event::Derived { result: Derived::Distance(_, found), .. }) = events.first() else { panic!("{events:?}") };
    let run = core.run().live().unwrap();
    let same = run.tokens().iter().zip(tokens).take_while(|(a, b)| a.id == b.id).count();
    assert!(found.kl[..same].iter().all(|kl| *kl == Some(0.0)), "{:?}", found.kl);
    assert!(found.kl[same..].iter().all(|kl| kl.unwrap() > 0.0));
    assert!(found.residual.iter().all(|share| *share > 0.0));
}

#[test]
fn the_distance_of_two_runs_begins_where_the_edit_does() {
    let loaded = demo();
    let a = text(&loaded, PROMPT);
    let nothing = distance(&a, &a.clone(), &Control::none()).unwrap();
    assert!(nothing.kl.iter().all(|kl| *kl == Some(0.0)) && nothing.residual.iter().all(|share| *share == 0.0));
    let b = a.edited(Some(&edits(&a, &["zero L3.attn@4.."])), &Control::none()).unwrap();
    let found = distance(&a, &b, &Control::none()).unwrap();
    assert!(found.kl[..4].iter().all(|kl| *kl == Some(0.0)) && found.kl[4].unwrap() > 0.0, "{:?}", found.kl);
    assert!(found.residual[..3].iter().all(|share| *share == 0.0) && found.residual[3] > 0.0, "{:?}", found.residual);
    let ids = |live: &Live| live.tokens().iter().map(|token| token.id).collect::<Vec<u32>>();
    assert_eq!(align(&ids(&a), &ids(&b)).len(), found.kl.len());
}
