//! Views of `export` whose numbers a model computes: effect maps, patching, contributions of all layers.

use super::experiments::setup::target;
use super::stderr::Stderr;
use super::{error, values};
use crate::analysis::view::{View, ViewData, ViewSpec};
use crate::analysis::{HeadScores, How, MapKey, MapMeasure, MapOf, MapOver, PatchOver, Watch, mean_loss};
use crate::app::files::Reporter as _;
use crate::control::Control;
use crate::engine::{
    Capture, Live, OpenOptions, Replay, Run, Target, effect_map, head_scores, model_shares, open_model,
};
use crate::model::Edits;
use crate::protocol::MapRequest;
use crate::trace::{Dims, Edit, Prompt, Records};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use clap::error::ErrorKind;
use std::sync::Arc;

/// Mean losses of one model on two processors are not further apart, nats.
const MOST_APART: f64 = 0.05;

/// What these views are computed from.
#[derive(Args)]
pub struct WithModel {
    /// For the views of effects and for --on random: the model that computes them [default: the one that the trace names].
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// For effects.map: experts, heads or blocks [default: experts]. For effects.patching: resid_pre, attn_out, mlp_out,
    /// heads or experts [default: resid_pre].
    #[arg(long, value_name = "PARTS")]
    over: Option<String>,
    /// For effects.map: zero, ban or mean [default: zero].
    #[arg(long, value_name = "HOW")]
    how: Option<String>,
    /// For effects.map, effects.patching and effects.contributions: the token that is watched after --token: a text that is one
    /// token, or an id [default: the most probable].
    #[arg(long, value_name = "TOK", allow_hyphen_values = true)]
    target: Option<String>,
    /// For these: the token that the target is compared with.
    #[arg(long, value_name = "TOK", allow_hyphen_values = true)]
    foil: Option<String>,
    /// For effects.patching: the corrupted prompt, which gets the values of the run, of as many tokens.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    corrupt: Option<String>,
}

/// The element of `all` with this name.
fn named<T: Copy>(option: &str, name: &str, all: &[T], name_of: fn(T) -> &'static str) -> Result<T> {
    let found = all.iter().copied().find(|one| name_of(*one) == name);
    let names = || all.iter().map(|one| name_of(*one)).collect::<Vec<_>>().join(", ");
    found.with_context(|| format!("{option}: `{name}` is not one of {}", names()))
}

impl WithModel {
    /// The first option that was given although the view does not use it, with the views that do.
    pub fn misplaced(&self, view: View) -> Option<(&'static str, Vec<View>)> {
        use View::{AttentionGrid, AttentionScores, EffectsContributions, EffectsMap, EffectsPatching, EffectsRouting};
        let with_model =
            [EffectsMap, EffectsRouting, EffectsPatching, EffectsContributions, AttentionGrid, AttentionScores];
        let watched = [EffectsMap, EffectsPatching, EffectsContributions];
        let options: [(&str, bool, &[View]); 6] = [
            ("--model", self.model.is_some(), &with_model),
            ("--over", self.over.is_some(), &[EffectsMap, EffectsPatching]),
            ("--how", self.how.is_some(), &[EffectsMap]),
            ("--target", self.target.is_some(), &watched),
            ("--foil", self.foil.is_some(), &watched),
            ("--corrupt", self.corrupt.is_some(), &[EffectsPatching]),
        ];
        let found = options.into_iter().find(|(_, is_given, views)| *is_given && !views.contains(&view));
        found.map(|(option, _, views)| (option, views.to_vec()))
    }

    /// What the map of a view goes over.
    ///
    /// # Errors
    /// If an option has no such value, or a part can't be banned.
    pub fn map(&self, view: View) -> Result<Option<MapOf>> {
        let over = self.over.as_deref();
        Ok(match view {
            View::EffectsMap => {
                let over = named("--over", over.unwrap_or("experts"), &MapOver::ALL, MapOver::name)?;
                let how = named("--how", self.how.as_deref().unwrap_or("zero"), &How::ALL, How::name)?;
                ensure!(
                    how.fits(over),
                    "--how ban: only experts are chosen, so only these can be banned; use zero or mean"
                );
                Some(MapOf::Parts(over, how))
            }
            View::EffectsRouting => Some(MapOf::Routing),
            View::EffectsPatching => {
                ensure!(
                    self.corrupt.is_some(),
                    "--view {view}: it needs --corrupt TEXT, the prompt that gets the values"
                );
                Some(MapOf::Patching(named("--over", over.unwrap_or("resid_pre"), &PatchOver::ALL, PatchOver::name)?))
            }
            _ => None,
        })
    }

    /// Whether a model was named.
    pub fn has_model(&self) -> bool {
        self.model.is_some()
    }

    /// The scores of all heads on random tokens given twice, by the model of a saved run.
    ///
    /// # Errors
    /// As [`data`](Self::data).
    pub fn head_scores(&self, saved: &Replay) -> Result<Arc<HeadScores>> {
        let stderr = Stderr::new(false);
        let live = self.read(saved, &stderr)?;
        let progress = |done: usize, total: usize| stderr.progress("random tokens", done, total);
        let found = head_scores(&live, &Control::watched_by(&progress))?;
        stderr.clear();
        Ok(found)
    }

    /// The numbers of the view, computed by the model from the tokens of a saved run; `token` is the position that is
    /// watched.
    ///
    /// # Errors
    /// If the model can't be opened or has another shape; as the computation.
    pub fn data(&self, saved: &Replay, spec: &ViewSpec, token: Option<usize>) -> Result<ViewData> {
        let stderr = Stderr::new(false);
        let live = self.read(saved, &stderr)?;
        let n = live.tokens().len();
        ensure!(n > 0, "the run has no token");
        let second = self.corrupt.clone().map(Prompt::Text);
        let theirs = second.as_ref().map(|prompt| live.prompt_ids(prompt)).transpose().context("--corrupt")?;
        // Tokens that were generated after the prompt have no counterpart.
        let prompt = live.prompt().count();
        let tokens = theirs.as_ref().map_or(n, |ids| if (prompt..=n).contains(&ids.len()) { ids.len() } else { n });
        let position = token.unwrap_or(tokens - 1);
        if position >= tokens {
            let which = if second.is_some() { " that both prompts have" } else { "" };
            let message = format!("--token: expected a position from 0 to {}{which}, found {position}", tokens - 1);
            return Err(error(ErrorKind::ValueValidation, message));
        }
        if spec.effect == MapMeasure::Difference && self.foil.is_none() && spec.view == View::EffectsMap {
            let message = "--measure difference: it is that of target and foil, so it needs --foil TOK";
            return Err(error(ErrorKind::ValueValidation, message));
        }
        let mut data = ViewData::of(live.records());
        let mut upto = live.clone();
        upto.truncate(position + 1);
        let progress = |done: usize, total: usize| stderr.progress("places", done, total);
        let control = Control::watched_by(&progress);
        if let Some(ids) = theirs {
            let mut other = live.fresh(Capture::for_views(live.meta().dims.layers));
            other.set_prompt(&ids, &Control::none(), &mut |_, _| {})?;
            data.second = Some(other.records());
        }
        let watch = match spec.map {
            Some(MapOf::Routing) => None,
            _ => Some(target(&upto, self.target.as_deref(), self.foil.as_deref(), &stderr)?),
        };
        let watch = watch.map(|watch| self.with_foil(watch, &data));
        if let Some(foil) = watch.and_then(|watch| watch.foil).filter(|_| self.foil.is_none()) {
            stderr.say(&format!("foil token {foil} `{}`, the answer of the corrupted prompt", live.piece(foil).text()));
        }
        match (spec.map, watch) {
            (Some(of), watch) => {
                let request = MapRequest { key: MapKey { of, watch }, tokens, second };
                let map = effect_map(&Run::Live(live), &request, &control)?;
                if let Some(why) = &map.refused {
                    stderr.say(&format!("warning: some places are left blank: {why}"));
                }
                data.effects = Some(Arc::new(map));
            }
            (None, Some(watch)) => data.shares = Some(Arc::new(model_shares(&live, watch, &control)?)),
            (None, None) => bail!("--view {}: there is nothing to watch", spec.view),
        }
        stderr.clear();
        Ok(data)
    }

    /// Patching compares with the answer of the corrupted prompt, if no other foil was given.
    fn with_foil(&self, watch: Watch, data: &ViewData) -> Watch {
        let answer = |second: &Records| second.tokens.get(watch.position)?.next.top.first().map(|best| best.id);
        let theirs = data.second.as_ref().and_then(answer).filter(|id| *id != watch.token);
        Watch { foil: watch.foil.or(theirs), ..watch }
    }

    /// Reads the tokens of the saved run with the model, as it was computed.
    fn read(&self, saved: &Replay, stderr: &Stderr) -> Result<Live> {
        let meta = saved.meta();
        let recording = meta.recording.as_ref();
        let named = recording.map_or(meta.name.as_str(), |recording| recording.model.as_str());
        let name = self.model.as_deref().unwrap_or(named);
        // What a file says must not start a download.
        let is_remote = self.model.is_none() && matches!(Target::parse(name), Ok(Target::Hub(_)));
        ensure!(!is_remote, "the trace names the model {name} of the Hub: give --model {name} to open it");
        let options = OpenOptions { policy: meta.policy, dtype: Some(meta.compute_dtype), ..OpenOptions::default() };
        let control = Control::none();
        let loaded = open_model(name, options, &control, &mut |_| {}).with_context(|| match self.model {
            Some(_) => "--model".to_owned(),
            None => format!("the trace names the model {name}, which can't be opened: give --model"),
        })?;
        let (theirs, own) = (meta.dims, loaded.meta.dims);
        let sizes = |dims: &Dims| {
            format!(
                "{} layers of {} heads and {} experts, {} tokens",
                dims.layers, dims.heads, dims.experts, dims.vocab
            )
        };
        let (theirs, own_sizes) = (sizes(&theirs), sizes(&own));
        ensure!(
            theirs == own_sizes,
            "{name} is another model than that of the trace: it has {own_sizes}, the trace {theirs}"
        );
        let layers = own.layers;
        let mut live = Live::new(Arc::new(loaded), Capture::for_views(layers), 8);
        let notes = recording.map_or(&[][..], |recording| &recording.edits);
        let edits = notes
            .iter()
            .map(|note| note.edit.parse())
            .collect::<Result<Vec<Edit>>>()
            .context("the edits of the trace")?;
        if !edits.is_empty() {
            live = live.edited(Some(&Edits::new(edits, own)?), &control)?;
        }
        let progress = |done: usize, total: usize| stderr.progress("tokens", done / layers, total / layers);
        let tokens: Vec<_> = saved.tokens().iter().map(|token| (token.id, token.source)).collect();
        live.extend_from(&tokens, &Control::watched_by(&progress), &mut |_, _| {})?;
        let losses = [mean_loss(saved.tokens()), mean_loss(live.tokens())];
        if let [Some(theirs), Some(own)] = losses
            && (theirs - own).abs() > MOST_APART
        {
            stderr.say(&format!(
                "warning: {name} gives the tokens a mean loss of {own:.4} and the trace has {theirs:.4}: is it the same model?"
            ));
        }
        Ok(live)
    }
}

/// The measure of a map with this name.
///
/// # Errors
/// If there is none.
pub fn measure(name: &str) -> Result<MapMeasure> {
    named("--measure", name, &MapMeasure::ALL, MapMeasure::name)
}
