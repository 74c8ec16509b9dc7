//! How to make a picture again: the model, a hash of the prompt, and the commands.

use crate::analysis::view::{View, ViewData, ViewSpec};
use crate::analysis::{How, LensMeasure, MapMeasure, MapOf, MapOver, Measure, MeasuredOn, PatchOver, Pick};
use crate::export::figure::{DPI, Look, Style, Width};
use crate::trace::{LensSite, Meta, Records, Source, TokenRecord};
use sha2::{Digest, Sha256};

/// Names and values, in this order.
type Recipe = Vec<(&'static str, String)>;

/// What the run of a picture was: model, precision, edits and hashes of its tokens.
pub fn of_run<'a>(meta: &Meta, tokens: impl Iterator<Item = &'a TokenRecord>) -> Recipe {
    let tokens: Vec<&TokenRecord> = tokens.collect();
    let prompt = tokens.iter().take_while(|token| token.source == Source::Prompt).count();
    let hash = |tokens: &[&TokenRecord]| ids_hash(tokens.iter().map(|token| token.id));
    let mut recipe = vec![
        (
            "Model",
            if meta.title.starts_with(&model(meta)) {
                meta.title.clone()
            } else {
                format!("{} ({})", model(meta), meta.title)
            },
        ),
        ("Precision", format!("{} {}", meta.policy, meta.compute_dtype)),
        ("Prompt", format!("{prompt} tokens, sha256 of their ids {}", hash(&tokens[..prompt]))),
    ];
    if prompt < tokens.len() {
        recipe.push(("Tokens", format!("{} tokens, sha256 of their ids {}", tokens.len(), hash(&tokens))));
    }
    if !meta.edits.is_empty() {
        recipe.push(("Edits", edits(meta).join("; ")));
    }
    recipe
}

/// The recipe of a picture of a view.
pub fn of_view(data: &ViewData, spec: &ViewSpec, look: &Look) -> Recipe {
    // As of the picture that `mixscope lab` writes.
    if let (View::FidelityLab, Some(lab)) = (spec.view, &data.lab) {
        return of_lab(lab);
    }
    let Records { meta, tokens } = &data.trace;
    let mut recipe = of_run(meta, tokens.iter().map(|token| &**token));
    for (name, other) in [("Against", &data.against), ("Second", &data.second)] {
        if let Some(Records { meta, tokens }) = other {
            let ids = ids_hash(tokens.iter().map(|token| token.id));
            let what = format!("{} {} {}", model(meta), meta.policy, meta.compute_dtype);
            recipe.push((name, format!("{what}, {} tokens, sha256 of their ids {ids}", tokens.len())));
        }
    }
    let edits: String = edits(meta).iter().map(|edit| format!(" --edit {}", quoted(edit))).collect();
    let run =
        format!("mixscope run {} --prompt-ids IDS --precision {}{edits} --out RUN", quoted(&model(meta)), meta.policy);
    let export = format!("mixscope export RUN --view {}{}{}", spec.view, options(data, spec), style(look));
    recipe.push(("Command", format!("{run}; {export}")));
    recipe
}

/// The recipe of the picture of a precision lab.
pub fn of_lab(lab: &crate::analysis::Lab) -> Recipe {
    let model = file_name(&lab.model);
    let n = lab.tokens.len();
    vec![
        ("Model", model.clone()),
        ("Precision", format!("{} {}", lab.base, lab.dtype)),
        ("Prompt", format!("{n} tokens, sha256 of their ids {}", ids_hash(lab.tokens.iter().map(|token| token.id)))),
        ("Command", format!("mixscope lab {} --prompt-ids IDS --out DIR", quoted(&model))),
    ]
}

/// The SHA-256 of ids written as `1,422,3`, which is what `--prompt-ids` takes.
fn ids_hash(ids: impl Iterator<Item = u32>) -> String {
    let text = ids.map(|id| id.to_string()).collect::<Vec<_>>().join(",");
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The model without the folders on somebody's machine.
fn model(meta: &Meta) -> String {
    file_name(meta.model_name())
}

fn file_name(name: &str) -> String {
    // `owner/name` is a model of the Hub; what is in a folder of the current one can't be told from it, and tells nothing.
    let is_path = name.starts_with(['/', '.', '~']) || name.contains('\\') || name.matches('/').count() > 1;
    let last = name.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().filter(|_| is_path);
    last.unwrap_or(name).to_owned()
}

/// The edits as text; of one that reads a file only what it does, because the path is somebody's.
fn edits(meta: &Meta) -> Vec<String> {
    let text = |edit: &crate::trace::Edit| match edit.source() {
        None => edit.to_string(),
        Some(_) => edit.to_string().split_whitespace().take(2).collect::<Vec<_>>().join(" ") + " FILE",
    };
    meta.edits.iter().map(text).collect()
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-@+=:,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// The options of `export` that choose what the picture shows.
fn options(data: &ViewData, spec: &ViewSpec) -> String {
    let mut out = String::new();
    let mut add = |name: &str, value: String| out += &format!(" --{name} {value}");
    let measure = |measure: MapMeasure, usual: MapMeasure| (measure != usual).then(|| measure.name().to_owned());
    match spec.view {
        View::RoutingToken | View::Next => add("token", spec.pos.to_string()),
        View::RoutingLayer | View::RoutingPairs => add("layer", spec.layer.to_string()),
        View::AttentionHead => {
            add("layer", spec.layer.to_string());
            let head = match spec.head {
                Pick::One(head) => head.to_string(),
                heads => heads.name(),
            };
            add("head", head);
        }
        View::AttentionGrid | View::AttentionScores => {
            if spec.measure != Measure::Entropy {
                add("measure", spec.measure.name().to_owned());
            }
            if spec.on != MeasuredOn::Text {
                add("on", spec.on.name().to_owned());
            }
            if spec.sorted && spec.view == View::AttentionGrid {
                out += " --sort";
            }
        }
        View::LensGrid => {
            if spec.lens != LensMeasure::Top {
                add("measure", spec.lens.name().to_owned());
            }
            match spec.site {
                Some(LensSite::ResidPost) => {}
                Some(site) => add("site", site.to_string()),
                None => add("site", "both".to_owned()),
            }
        }
        View::LensTargets => {
            add("token", spec.pos.to_string());
            if matches!(spec.lens, LensMeasure::Kl | LensMeasure::Entropy) {
                add("measure", spec.lens.name().to_owned());
            } else {
                let ids: Vec<String> = data.trajectories.iter().map(|way| way.id.to_string()).collect();
                add("targets", ids.join(","));
            }
        }
        View::FidelityFlips | View::FidelityLoss | View::Compare => add("against", "A".to_owned()),
        View::EffectsMap | View::EffectsRouting | View::EffectsPatching | View::EffectsContributions => {
            let key = data.effects.as_deref().map(|map| map.key);
            match key.map(|key| key.of) {
                Some(MapOf::Parts(over, how)) => {
                    if over != MapOver::Experts {
                        add("over", over.name().to_owned());
                    }
                    if how != How::Zero {
                        add("how", how.name().to_owned());
                    }
                    if let Some(name) = measure(spec.effect, MapMeasure::default()) {
                        add("measure", name);
                    }
                }
                Some(MapOf::Routing) => {
                    if let Some(name) = measure(spec.effect, MapMeasure::Loss) {
                        add("measure", name);
                    }
                }
                Some(MapOf::Patching(over)) => {
                    add("corrupt", "TEXT".to_owned());
                    if over != PatchOver::ResidPre {
                        add("over", over.name().to_owned());
                    }
                }
                None => {}
            }
            let watch = key.and_then(|key| key.watch).or(data.shares.as_deref().map(|shares| shares.watch));
            if let Some(watch) = watch {
                add("token", watch.position.to_string());
                add("target", watch.token.to_string());
                if let Some(foil) = watch.foil {
                    add("foil", foil.to_string());
                }
            }
        }
        View::RoutingUsage => {
            if let Some(usage) = spec.usage {
                add("measure", usage.name().to_owned());
            }
        }
        View::RoutingMap | View::FidelityValidated | View::FidelityLab => {}
    }
    out
}

/// The options of `export` for the look.
fn style(look: &Look) -> String {
    let mut out = match look.style {
        Style::Screen if look.scale == 1.0 => String::new(),
        Style::Screen => format!(" --scale {}", look.scale),
        Style::Paper { width, dpi } => {
            let width = if width == Width::COLUMN { String::new() } else { format!(" --width {width}") };
            let dpi = if dpi == DPI { String::new() } else { format!(" --dpi {dpi}") };
            format!(" --style paper{width}{dpi}")
        }
    };
    if look.dark {
        out += " --dark";
    }
    out
}
