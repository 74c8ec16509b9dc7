//! Parsers of option values.

use anyhow::{Context, Result, bail, ensure};
use std::ops::Range;

/// `A..B` (B not included), `A..=B`, `A..`, `..B`, or one layer `A`.
pub fn layers(text: &str) -> Result<(usize, Option<usize>)> {
    let number = |text: &str| text.trim().parse::<usize>().with_context(|| format!("`{text}` is not a layer number"));
    let Some((from, to)) = text.split_once("..") else {
        let layer = number(text)?;
        return Ok((layer, Some(layer.saturating_add(1))));
    };
    let from = if from.trim().is_empty() { 0 } else { number(from)? };
    let to = match to.strip_prefix('=') {
        Some(last) => Some(number(last)?.saturating_add(1)),
        None if to.trim().is_empty() => None,
        None => Some(number(to)?),
    };
    ensure!(to.is_none_or(|to| from < to), "`{text}` is an empty range; A..B does not include B");
    Ok((from, to))
}

/// A whole number, at least 1.
pub fn positive(text: &str) -> Result<usize> {
    let number = text.parse().ok().filter(|n: &usize| *n > 0);
    number.with_context(|| format!("`{text}` is not a whole number of at least 1"))
}

/// The requested layers of a model with `all` layers.
///
/// # Errors
/// If the model lacks one of them.
pub fn within(asked: Option<(usize, Option<usize>)>, all: usize) -> Result<Range<usize>> {
    let (from, to) = asked.unwrap_or((0, None));
    let to = to.unwrap_or(all);
    ensure!(from < to && to <= all, "--layers {from}..{to}: the model has layers 0..{all}");
    Ok(from..to)
}

/// `L.H`: layer and head.
pub fn head(text: &str) -> Result<(usize, usize)> {
    let (layer, head) = text.trim().split_once('.').with_context(|| format!("`{text}` is not LAYER.HEAD, e.g. 5.4"))?;
    let number = |n: &str| n.parse::<usize>().with_context(|| format!("`{text}` is not LAYER.HEAD, e.g. 5.4"));
    Ok((number(layer)?, number(head)?))
}

/// The requested heads, as `(layer, head)`; by default all `heads` of `layers`.
///
/// # Errors
/// If a model with `all_layers` layers lacks one of them.
pub fn heads_within(
    asked: Option<&[(usize, usize)]>,
    layers: &Range<usize>,
    (all_layers, heads): (usize, usize),
) -> Result<Vec<(usize, usize)>> {
    let Some(asked) = asked else {
        return Ok(layers.clone().flat_map(|layer| (0..heads).map(move |head| (layer, head))).collect());
    };
    if let Some((layer, head)) = asked.iter().find(|(layer, head)| *layer >= all_layers || *head >= heads) {
        bail!("--heads {layer}.{head}: the model has layers 0..{all_layers} of heads 0..{heads}");
    }
    Ok(asked.to_vec())
}

/// A warning if fewer tokens fit into the model's context of `context` tokens than are requested.
pub fn context_warning(context: usize, prompt: usize, steps: usize) -> Option<String> {
    let room = context.saturating_sub(prompt);
    (steps > room).then(|| {
        format!(
            "warning: the model's context is {context} tokens (max_position_embeddings): at most {room} are generated"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layer_ranges() {
        assert_eq!(layers("2..4").unwrap(), (2, Some(4)));
        assert_eq!(layers("2..=4").unwrap(), (2, Some(5)));
        assert_eq!(layers("3").unwrap(), (3, Some(4)));
        assert_eq!(layers("..").unwrap(), (0, None));
        assert!(layers("4..4").is_err() && layers("a..b").is_err());
        assert_eq!(within(layers("4..").ok(), 6).unwrap(), 4..6);
        assert!(within(Some((0, Some(7))), 6).unwrap_err().to_string().contains("0..6"));
    }
}
