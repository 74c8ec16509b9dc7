//! Lists of edits: a line each, or JSON.

use super::{Change, Edit, Picks};
use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The edits of a text: one a line, where what follows a word that begins with `#` is a comment. Or JSON: a list of texts or of
/// objects with `edit`, an object with such a list as `edits` (run.json, effect.json), or experts to switch off and on as
/// EasySteer writes them (`layer_configs`).
///
/// # Errors
/// As for a single edit; the message names the line.
pub fn parse_edits(text: &str) -> Result<Vec<Edit>> {
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with(['[', '{']) {
        return of_json(&serde_json::from_str(text).context("it is not valid JSON")?);
    }
    let mut edits = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            edits.push(line.parse().with_context(|| format!("line {}", number + 1))?);
        }
    }
    Ok(edits)
}

fn of_json(json: &Value) -> Result<Vec<Edit>> {
    if let Some(configs) = json.get("layer_configs") {
        return steering(configs);
    }
    let found = json.get("edits").unwrap_or(json);
    let list = found.as_array().with_context(|| {
        format!(
            "expected a list of edits, or an object with such a list as `edits` or with `layer_configs`, found {}",
            start(found)
        )
    })?;
    let edit = |(number, item): (usize, &Value)| {
        let text = item.get("edit").unwrap_or(item).as_str();
        let text = text.with_context(|| format!("edit {}: expected a text, found {}", number + 1, start(item)))?;
        text.parse().with_context(|| format!("edit {}", number + 1))
    };
    list.iter().enumerate().map(edit).collect()
}

/// The start of a value, for a message.
fn start(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Experts to switch off (`ban`) and on (`force`), by layer: `{"7": {"mode": "deactivate", "expert_ids": [30]}}`, as EasySteer's
/// `moe_router` reads them.
fn steering(configs: &Value) -> Result<Vec<Edit>> {
    let by_layer = || format!("layer_configs: expected an object by layer, found {}", start(configs));
    let configs = configs.as_object().with_context(by_layer)?;
    let mut edits = Vec::new();
    for (layer, config) in configs {
        let at = layer.parse::<usize>().ok();
        let at = at.with_context(|| format!("layer_configs: `{layer}` is no layer: expected a number such as 7"))?;
        let (off, on) = of_layer(config).with_context(|| format!("layer_configs: layer {layer}"))?;
        let changes = [(off, Change::Ban as fn(Picks) -> Change), (on, Change::Force)];
        let found = changes.into_iter().filter(|(experts, _)| !experts.is_empty());
        edits.extend(found.map(|(experts, change)| Edit::new(Picks::one(at), change(Picks::these(experts)))));
    }
    edits.sort_by_key(|edit| edit.layers.last());
    Ok(edits)
}

/// The experts of a layer that are switched off, and those that are switched on.
fn of_layer(config: &Value) -> Result<(Vec<usize>, Vec<usize>)> {
    let known = ["mode", "expert_ids", "activate_ids", "deactivate_ids"];
    let keys = config.as_object().with_context(|| format!("expected an object, found {}", start(config)))?.keys();
    if let Some(key) = keys.into_iter().find(|key| !known.contains(&key.as_str())) {
        bail!("`{key}` is not one of {}", known.join(", "));
    }
    let (mut off, mut on) = (ids(config, "deactivate_ids")?, ids(config, "activate_ids")?);
    let listed = ids(config, "expert_ids")?;
    match config.get("mode").filter(|mode| !mode.is_null()).map(Value::as_str) {
        None | Some(Some("deactivate")) => off.extend(listed),
        Some(Some("activate")) => on.extend(listed),
        Some(Some(mode)) => bail!("mode: expected `deactivate` or `activate`, found `{mode}`"),
        Some(None) => bail!("mode: expected `deactivate` or `activate`, found {}", start(&config["mode"])),
    }
    Ok((off, on))
}

fn ids(config: &Value, key: &str) -> Result<Vec<usize>> {
    let Some(listed) = config.get(key) else { return Ok(Vec::new()) };
    let listed = listed.as_array().with_context(|| format!("{key}: expected a list, found {}", start(listed)))?;
    let id = |value: &Value| {
        let id = value.as_u64().and_then(|id| usize::try_from(id).ok());
        id.with_context(|| format!("{key}: expected numbers of experts, found {}", start(value)))
    };
    listed.iter().map(id).collect()
}
