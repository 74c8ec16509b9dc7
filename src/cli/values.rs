//! Parsers of option values. Their errors say what was expected and found; the name of the option comes before.

use super::error;
use anyhow::{Result, anyhow, ensure};
use clap::error::ErrorKind;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::str::FromStr;

/// A parser of whole numbers in `range`.
pub fn whole<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T> + Clone + Send + Sync + 'static
where
    T: FromStr + Display + PartialOrd + Copy + Send + Sync + 'static,
{
    move |text| {
        let number = text.trim().parse::<T>().ok().filter(|number| range.contains(number));
        number
            .ok_or_else(|| anyhow!("expected a whole number from {} to {}, found `{text}`", range.start(), range.end()))
    }
}

/// A text, which may begin with a hyphen, but is not an option whose text was forgotten.
pub fn text(text: &str) -> Result<String> {
    let word = text.strip_prefix("--").or_else(|| text.strip_prefix('-').filter(|word| word.len() == 1));
    let is_option =
        word.is_some_and(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphabetic() || c == '-'));
    ensure!(!is_option, "expected a text, found the option `{text}`; --prompt-file and stdin take any text");
    Ok(text.to_owned())
}

/// A whole number of at least 0.
pub fn count(text: &str) -> Result<usize> {
    text.trim().parse().map_err(|_| anyhow!("expected a whole number of at least 0, found `{text}`"))
}

/// A whole number, at least 1.
pub fn positive(text: &str) -> Result<usize> {
    let number = text.trim().parse().ok().filter(|n: &usize| *n > 0);
    number.ok_or_else(|| anyhow!("expected a whole number of at least 1, found `{text}`"))
}

/// A seed.
pub fn seed(text: &str) -> Result<u64> {
    text.trim().parse().map_err(|_| anyhow!("expected a whole number of at least 0, found `{text}`"))
}

/// The id of a token.
pub fn token_id(text: &str) -> Result<u32> {
    text.trim().parse().map_err(|_| anyhow!("expected token ids, such as 1,422,3, found `{text}`"))
}

/// A finite number of at least 0.
pub fn at_least_0<T: FromStr + Into<f64> + Copy>(text: &str) -> Result<T> {
    number(text, "of at least 0", |number| number >= 0.0)
}

/// A finite number above 0.
pub fn above_0(text: &str) -> Result<f64> {
    number(text, "above 0", |number| number > 0.0)
}

/// A probability above 0.
pub fn probability(text: &str) -> Result<f64> {
    number(text, "above 0 and at most 1", |number| number > 0.0 && number <= 1.0)
}

fn number<T: FromStr + Into<f64> + Copy>(text: &str, which: &str, fits: impl Fn(f64) -> bool) -> Result<T> {
    let is_good = |number: &T| (*number).into().is_finite() && fits((*number).into());
    text.trim().parse().ok().filter(is_good).ok_or_else(|| anyhow!("expected a number {which}, found `{text}`"))
}

/// `A..B` (B not included), `A..=B`, `A..`, `..B`, or one layer `A`.
pub fn layers(text: &str) -> Result<(usize, Option<usize>)> {
    let wrong = || anyhow!("expected layers, such as 2..5 (5 not included), 2..=5, 2.. or 3, found `{text}`");
    let number = |text: &str| text.trim().parse::<usize>().map_err(|_| wrong());
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

/// The requested layers of a model with `all` layers.
///
/// # Errors
/// If the model lacks one of them.
pub fn within(asked: Option<(usize, Option<usize>)>, all: usize) -> Result<Range<usize>> {
    let (from, to) = asked.unwrap_or((0, None));
    let to = to.unwrap_or(all);
    if from < to && to <= all {
        return Ok(from..to);
    }
    let message = format!("--layers: expected layers of 0..{all}, which the model has, found {from}..{to}");
    Err(error(ErrorKind::ValueValidation, message))
}

/// Layer and head: `5.4`, or as they are written elsewhere, `L5H4` and `L5.H4`.
pub fn head(text: &str) -> Result<(usize, usize)> {
    let name = text.trim();
    let pair = match name.strip_prefix(['L', 'l']) {
        Some(rest) => rest.split_once(['H', 'h']).map(|(layer, head)| (layer.strip_suffix('.').unwrap_or(layer), head)),
        None => name.split_once('.'),
    };
    let pair = pair.and_then(|(layer, head)| Some((layer.parse().ok()?, head.parse().ok()?)));
    pair.ok_or_else(|| anyhow!("expected LAYER.HEAD or LxHy, such as 5.4 or L5H4, found `{text}`"))
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
        let found = format!("found {layer}.{head}");
        let message = format!("--heads: expected a layer of 0..{all_layers} and a head of 0..{heads}, {found}");
        return Err(error(ErrorKind::ValueValidation, message));
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
