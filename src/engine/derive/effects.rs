//! Effect maps: place after place, a few of them at a time.

use super::Part;
use super::second::ids_of;
use crate::analysis::diff::same_experts;
use crate::analysis::routing::exchange;
use crate::analysis::{EffectMap, Found, How, MapAxis, MapOf, MapOver, Measures};
use crate::control::{Control, Stopped};
use crate::engine::experiments::{Baseline, Over, PatchPlan, Patches, ablated, cells};
use crate::engine::run::{Capture, Live, Run};
use crate::model::{Distribution, Edits};
use crate::protocol::{Derive, Derived, MapPart, MapRequest};
use crate::trace::{Change, Edit, HookKind, Picks, Scope};
use anyhow::{Context, Result, bail};
use std::time::{Duration, Instant};

/// The time after which the places that are computed are shown.
const SLICE: Duration = Duration::from_millis(60);

/// The map that is being computed.
#[derive(Default)]
pub struct Mapping {
    work: Option<Work>,
}

struct Work {
    request: MapRequest,
    /// The run that each place is compared with.
    base: Live,
    /// Its logits, for a map of parts.
    baseline: Baseline,
    places: Places,
}

enum Places {
    /// Layer, column, parts, edit.
    Parts(Vec<(usize, usize, Over, Edit)>),
    /// Layer and position, the narrowest choice first.
    Routing(Vec<(usize, usize)>),
    Patches(Box<Patches>),
}

impl Places {
    fn count(&self) -> usize {
        match self {
            Self::Parts(places) => places.len(),
            Self::Routing(places) => places.len(),
            Self::Patches(patches) => patches.count(),
        }
    }
}

impl Mapping {
    /// Computes the next places of a map of `run`, after the first `done`.
    ///
    /// # Errors
    /// [`Stopped`] if `control` is cancelled before a place is computed, or the run no longer has these tokens; if the second
    /// prompt can't be compared with the run; as [`Live::extend`].
    pub fn derive(&mut self, run: &Run, request: &MapRequest, done: usize, control: &Control) -> Result<Part> {
        let live = run.need_live()?;
        if live.tokens().len() < request.tokens {
            return Err(Stopped.into());
        }
        let mut base = live.clone();
        base.truncate(request.tokens);
        let fits = |work: &Work| work.request == *request && work.base.is_same_as(&base);
        // Places of another run are no beginning of this map.
        let (mut work, from) = match self.work.take().filter(fits) {
            Some(work) if done <= work.places.count() => (work, done),
            _ => (Work::new(&base, request, control)?, 0),
        };
        let all = work.places.count();
        let mut found = if from == 0 { work.nothing() } else { Vec::new() };
        let (started, mut at, mut refused) = (Instant::now(), from, None);
        while at < all && (at == from || started.elapsed() < SLICE) {
            match work.measure(at, control) {
                Ok(place) => found.push(place),
                // What is computed is shown; the rest follows.
                Err(error) if error.is::<Stopped>() && at > from => break,
                Err(error) if error.is::<Stopped>() => {
                    self.work = Some(work);
                    return Err(error);
                }
                // An edit that is impossible at one place says nothing of the others.
                Err(error) => {
                    let (layer, column) = work.place(at);
                    found.push((layer, column, Found::Nothing));
                    refused.get_or_insert_with(|| format!("{error:#}"));
                }
            }
            at += 1;
            control.progress(at, all);
        }
        let baselines = match &work.places {
            Places::Patches(patches) => Some(patches.baselines()),
            _ => None,
        };
        let shape = (work.base.meta().dims.layers, columns(&work.base, request.key.of));
        let part = MapPart { request: request.clone(), shape, baselines, from, done: at, refused, found };
        self.work = (at < all).then_some(work);
        let derived = Derived::Effects(Box::new(part));
        Ok(if at < all {
            Part::Some(derived, Derive::Effects { request: Box::new(request.clone()), done: at })
        } else {
            Part::Whole(derived)
        })
    }
}

/// A whole map of `run`.
///
/// # Errors
/// If the second prompt can't be compared with the run, or no place can be computed; as [`Live::extend`].
pub fn effect_map(run: &Run, request: &MapRequest, control: &Control) -> Result<EffectMap> {
    let (mut mapping, mut done) = (Mapping::default(), 0);
    let mut map: Option<EffectMap> = None;
    loop {
        let (found, is_whole) = match mapping.derive(run, request, done, control)? {
            Part::Whole(found) => (found, true),
            Part::Some(found, _) => (found, false),
            Part::None => continue,
        };
        let Derived::Effects(part) = found else { bail!("a map has places") };
        let map = map.get_or_insert_with(|| EffectMap::new(request.key, part.shape, request.tokens));
        map.baselines = part.baselines;
        map.refused = map.refused.take().or(part.refused);
        done = part.done;
        for (layer, column, found) in part.found {
            map.set(layer, column, found);
        }
        if is_whole {
            let is_empty = map.places().all(|(.., found)| matches!(found, Found::Nothing));
            if let (true, Some(why)) = (is_empty, &map.refused) {
                bail!("no place of the map could be computed: {why}");
            }
            return Ok(map.clone());
        }
    }
}

/// The places of a layer.
fn columns(run: &Live, of: MapOf) -> usize {
    let dims = run.meta().dims;
    match of.axis() {
        MapAxis::Expert => dims.experts,
        MapAxis::Head => dims.heads,
        MapAxis::Block => 2,
        MapAxis::Position => run.tokens().len(),
    }
}

fn places(base: &Live, request: &MapRequest, control: &Control) -> Result<Places> {
    Ok(match request.key.of {
        MapOf::Parts(over, how) => Places::Parts(parts(base, over, how)),
        MapOf::Routing => Places::Routing(choices(base)),
        MapOf::Patching(over) => {
            let second = request.second.as_ref().context("patching needs a second prompt: C types one")?;
            let watch = request.key.watch.context("there is no target to watch")?;
            let layers = base.meta().dims.layers;
            let capture = Capture::of(HookKind::FOR_VIEWS.into_iter().chain([over.hook()]), 0..layers, layers);
            let read = |ids: &[u32], capture: Capture| -> Result<Live> {
                let mut run = base.fresh(capture);
                run.set_prompt(ids, &control.quiet(), &mut |_, _| {})?;
                Ok(run)
            };
            let own: Vec<u32> = base.tokens().iter().map(|token| token.id).collect();
            let clean = read(&own, capture)?;
            let corrupted = read(&ids_of(base, second)?, Capture::for_views(layers))?;
            Places::Patches(Box::new(Patches::new(&PatchPlan {
                clean: &clean,
                corrupted: &corrupted,
                over,
                target: watch,
            })?))
        }
    })
}

/// The edits of a map of parts, the last layer first: its edits cost least.
fn parts(base: &Live, over: MapOver, how: How) -> Vec<(usize, usize, Over, Edit)> {
    let of = |over: Over, from: usize| {
        cells(base, over, how).into_iter().map(move |(layer, index, edit)| (layer, from + index, over, edit))
    };
    let mut all: Vec<_> = match over {
        MapOver::Experts => of(Over::Experts, 0).collect(),
        MapOver::Heads => of(Over::Heads, 0).collect(),
        MapOver::Blocks => of(Over::Attn, 0).chain(of(Over::Mlp, 1)).collect(),
    };
    all.sort_by_key(|(layer, column, ..)| (std::cmp::Reverse(*layer), *column));
    all
}

/// Every choice of an expert, the narrowest first.
fn choices(base: &Live) -> Vec<(usize, usize)> {
    let layers = base.meta().dims.layers;
    let margin =
        |layer: usize, pos: usize| Some(exchange(&base.tokens()[pos], layer, &base.meta().edits)?.margin?.abs());
    let places = (0..base.tokens().len()).flat_map(|pos| (0..layers).map(move |layer| (layer, pos)));
    let mut all: Vec<(f32, (usize, usize))> =
        places.map(|(layer, pos)| (margin(layer, pos).unwrap_or(f32::INFINITY), (layer, pos))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all.into_iter().map(|(_, place)| place).collect()
}

impl Work {
    fn new(base: &Live, request: &MapRequest, control: &Control) -> Result<Self> {
        let places = places(base, request, control)?;
        // Means are those of the whole map, so they are computed once.
        let parts = match &places {
            Places::Parts(parts) => &parts[..],
            _ => &[],
        };
        let own = base.meta().edits.clone();
        let base = base.with_means(own.iter().chain(parts.iter().map(|(.., edit)| edit)), &control.quiet())?;
        Ok(Self { request: request.clone(), baseline: Baseline::new(&base), places, base })
    }

    /// The places where nothing can be changed: patched positions before the first difference of the texts, and experts of
    /// layers without a router.
    fn nothing(&self) -> Vec<(usize, usize, Found)> {
        let dims = self.base.meta().dims;
        let layers = dims.layers;
        let Places::Patches(patches) = &self.places else {
            let of_experts = matches!(self.request.key.of.axis(), MapAxis::Expert);
            let dense = (0..layers).filter(|layer| of_experts && !dims.has_router(*layer));
            return dense.flat_map(|layer| (0..dims.experts).map(move |e| (layer, e, Found::Nothing))).collect();
        };
        let same = patches.same_positions();
        (0..layers).flat_map(|layer| (0..same).map(move |pos| (layer, pos, Found::Nothing))).collect()
    }

    /// The layer and the column of a place.
    fn place(&self, at: usize) -> (usize, usize) {
        match &self.places {
            Places::Parts(places) => (places[at].0, places[at].1),
            Places::Routing(places) => places[at],
            Places::Patches(patches) => patches.place(at),
        }
    }

    fn measure(&mut self, at: usize, control: &Control) -> Result<(usize, usize, Found)> {
        control.check()?;
        let watch = self.request.key.watch;
        match &mut self.places {
            Places::Parts(places) => {
                let (layer, column, over, edit) = &places[at];
                let watch = watch.context("there is no target to watch")?;
                let index = if *over == Over::Mlp { 0 } else { *column };
                let found = ablated(&mut self.baseline, *over, (*layer, index, edit), watch, &control.quiet())?;
                Ok((*layer, *column, Found::Effect(found)))
            }
            Places::Routing(places) => {
                let (layer, pos) = places[at];
                Ok((layer, pos, rerouted(&self.base, layer, pos, &control.quiet())?))
            }
            Places::Patches(patches) => {
                let found = patches.measure(at, control)?;
                let Some(column) = found.position.or(found.index) else { bail!("a patch has no place") };
                Ok((found.layer, column, Found::Patched { measure: found.measure, recovery: found.recovery }))
            }
        }
    }
}

/// The edit that lets the best rejected expert win over the last chosen one; `None` if no expert was rejected, or the experts
/// were not captured.
fn rerouting(base: &Live, layer: usize, pos: usize) -> Option<Edit> {
    let exchange = exchange(base.tokens().get(pos)?, layer, &base.meta().edits)?;
    Some(Edit::new(Picks::one(layer), Change::Force(Picks::one(exchange.winner))).at(Scope::Positions(pos, pos)))
}

/// What would follow a token if the next expert had won in a layer: of the token that came, or else of the most probable one.
fn rerouted(base: &Live, layer: usize, pos: usize, control: &Control) -> Result<Found> {
    let Some(edit) = rerouting(base, layer, pos) else { return Ok(Found::Nothing) };
    let mut short = base.clone();
    // Only the distribution after this token is looked at.
    if !short.edits().is_some_and(|of| of.edits().depend_on_prompt()) {
        short.truncate(pos + 1);
    }
    let edits: Vec<Edit> = base.meta().edits.iter().cloned().chain([edit]).collect();
    let edited = short.edited(Some(&Edits::new(edits, base.meta().dims)?), control)?;
    let came = base.tokens().get(pos + 1).map(|token| token.id);
    let best = || base.tokens()[pos].next.top.first().map(|best| best.id);
    let Some(token) = came.or_else(best) else { return Ok(Found::Nothing) };
    let [a, b] = [short.logits(pos..pos + 1)?, edited.logits(pos..pos + 1)?];
    let kl = if a == b { 0.0 } else { f64::from(Distribution::of(&a).kl(&Distribution::of(&b))).max(0.0) };
    let [a, b] = [Distribution::of(&a), Distribution::of(&b)];
    let at = token as usize;
    let logprob = b.log_prob(at) - a.log_prob(at);
    let (before, after) = (&short.tokens()[pos], &edited.tokens()[pos]);
    let flips =
        (layer + 1..base.meta().dims.layers).filter(|above| same_experts(before, after, *above) == Some(false)).count();
    Ok(Found::Effect(Measures {
        sites: 1,
        loss_change: came.map(|_| -logprob),
        kl,
        target_logit_change: f64::from(b.logit(at)) - f64::from(a.logit(at)),
        target_logprob_change: logprob,
        logit_difference_change: None,
        flips,
    }))
}
