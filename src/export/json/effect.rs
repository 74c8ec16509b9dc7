use crate::analysis::{Effect, Measures, NULL_MEASURES};
use crate::trace::{Meta, json_text};
use anyhow::Result;
use serde_json::{Map, Value, json};

/// The content of `effect.json` apart from the effect.
pub struct EffectInfo<'a> {
    /// The model and how it is run.
    pub meta: &'a Meta,
    /// The prompt as text; `None` if it was given as ids.
    pub prompt: Option<&'a str>,
    /// The ids of the prompt.
    pub ids: &'a [u32],
    /// Name and duration of each phase, ms.
    pub timings: &'a [(&'static str, f64)],
}

/// `effect.json`, pretty-printed.
///
/// # Errors
/// Never in practice: only if a number can't be written as JSON.
pub fn effect_json(effect: &Effect, info: &EffectInfo) -> Result<String> {
    let meta = info.meta;
    let timings: Map<String, Value> = info.timings.iter().map(|(name, ms)| (format!("{name}_ms"), json!(ms))).collect();
    let near_ties: usize = effect.layers.iter().map(|layer| layer.near_tie_flips).sum();
    let mut all = json!({
        "mixscope": env!("CARGO_PKG_VERSION"),
        "model": meta.model_name(),
        "precision": meta.policy,
        "compute_dtype": meta.activation_dtype(),
        "device": meta.computed_on(),
        "prompt": info.prompt,
        "prompt_ids": info.ids,
        "edits": effect.edits,
        "loss": effect.losses.map(|[baseline, edited]| json!({"baseline": baseline, "edited": edited})),
        "position": effect.position,
        "target": effect.target,
        "foil": effect.foil,
        "near_tie_flips": near_ties,
        "layers": effect.layers,
        "positions": effect.positions,
        "steps": effect.steps,
        "first_difference": effect.first_difference,
        "null": random_edits(effect)?,
        "timings": timings,
    });
    let Value::Object(measures) = serde_json::to_value(effect.measures)? else { return Ok(String::new()) };
    for (name, value) in measures {
        all[name] = value;
    }
    Ok(json_text(&all)?)
}

fn random_edits(effect: &Effect) -> Result<Value> {
    let Some(random) = &effect.null else { return Ok(Value::Null) };
    let mut places = Map::new();
    for measure in NULL_MEASURES {
        if let Some(place) = random.place(&effect.measures, measure) {
            places.insert(measure.to_owned(), serde_json::to_value(place)?);
        }
    }
    let draw = |(edits, measures): &(Vec<String>, Measures)| {
        let mut draw = serde_json::to_value(measures)?;
        draw["edits"] = json!(edits);
        Ok::<_, anyhow::Error>(draw)
    };
    let draws = random.draws.iter().map(draw).collect::<Result<Vec<Value>>>()?;
    Ok(json!({"count": random.draws.len(), "seed": random.seed, "places": places, "draws": draws}))
}
