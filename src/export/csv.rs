//! Tidy tables, one observation a row, RFC 4180, floats in the fewest digits that give them back exactly.

use crate::analysis::routing::TokenRouting;
use crate::analysis::{Attribution, Pattern, Pick};
use crate::trace::{LensCell, LensKey, Records, TokenRecord};
use anyhow::{Context, Result};
use csv::{Terminator, Writer, WriterBuilder};
use std::borrow::Cow;
use std::io::Write;
use std::ops::Range;

/// How text from a tokenizer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Text {
    /// As the tokenizer spells it.
    #[default]
    Exact,
    /// With `'` before a text that a spreadsheet would run as a formula: one that begins with `=`, `+`, `-`, `@`, their
    /// full-width forms, a tab or a line end (OWASP, CSV injection). Programs such as pandas see the `'` too.
    SpreadsheetSafe,
}

impl Text {
    pub(super) fn cell(self, text: &str) -> Cow<'_, str> {
        let runs = |c: char| matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠' | '\t' | '\r' | '\n');
        if self == Self::SpreadsheetSafe && text.starts_with(runs) {
            return format!("'{text}").into();
        }
        text.into()
    }
}

pub(super) fn table<W: Write>(out: W, header: &[&str]) -> Result<Writer<W>> {
    let mut writer = WriterBuilder::new().has_headers(false).terminator(Terminator::CRLF).from_writer(out);
    writer.write_record(header)?;
    Ok(writer)
}

/// `tokens.csv`: one row a token; the last three columns are empty at position 0.
///
/// # Errors
/// If `out` can't be written to.
pub fn tokens(trace: &Records, text: Text, out: impl Write) -> Result<()> {
    let mut writer = table(out, &["position", "token_id", "token", "source", "nll", "entropy", "rank"])?;
    for (pos, token) in trace.tokens.iter().enumerate() {
        let (nll, entropy, rank) =
            token.score.map_or((None, None, None), |s| (Some(s.nll), Some(s.entropy), Some(s.rank)));
        writer.serialize((pos, token.id, text.cell(&token.piece), token.source.as_str(), nll, entropy, rank))?;
    }
    Ok(writer.flush()?)
}

/// `routing.csv`, written token by token.
pub struct RoutingTable<W: Write>(Writer<W>);

impl<W: Write> RoutingTable<W> {
    /// Writes the header row.
    ///
    /// # Errors
    /// If `out` can't be written to.
    pub fn new(out: W) -> Result<Self> {
        Ok(Self(table(out, &["position", "layer", "expert", "logit", "prob", "rank", "weight"])?))
    }

    /// Writes one row an expert.
    ///
    /// # Errors
    /// If routing was not captured or the output can't be written to.
    pub fn token(&mut self, token: &TokenRecord, pos: usize, layer: usize) -> Result<()> {
        let routing = TokenRouting::of(token, layer)
            .with_context(|| format!("the routing of layer {layer} was not captured at position {pos}"))?;
        let mut ranks = vec![0usize; routing.logits.len()];
        for (rank, expert) in routing.ranking().into_iter().enumerate() {
            ranks[expert] = rank + 1;
        }
        for (expert, rank) in ranks.into_iter().enumerate() {
            let weight = routing.weight_of(expert).unwrap_or(0.0);
            let (logit, prob) = (routing.logits[expert], routing.probs[expert]);
            self.0.serialize((pos, layer, expert, logit, prob, rank, weight))?;
        }
        Ok(())
    }

    /// Writes what is still buffered.
    ///
    /// # Errors
    /// If the output can't be written to.
    pub fn finish(mut self) -> Result<()> {
        Ok(self.0.flush()?)
    }
}

/// `routing.csv`: one row an expert, for every position and each of `layers`.
///
/// # Errors
/// If routing was not captured or `out` can't be written to.
pub fn routing(trace: &Records, layers: Range<usize>, out: impl Write) -> Result<()> {
    let mut table = RoutingTable::new(out)?;
    for (pos, token) in trace.tokens.iter().enumerate() {
        layers.clone().try_for_each(|layer| table.token(token, pos, layer))?;
    }
    table.finish()
}

/// `attention.csv`, written head by head so that one pattern at a time is in memory.
pub struct AttentionTable<W: Write>(Writer<W>);

impl<W: Write> AttentionTable<W> {
    /// Writes the header row.
    ///
    /// # Errors
    /// If `out` can't be written to.
    pub fn new(out: W) -> Result<Self> {
        Ok(Self(table(out, &["layer", "head", "query", "key", "weight"])?))
    }

    /// Writes one head, or heads together (`mean` or `max` as head): every key up to each query.
    ///
    /// # Errors
    /// If the output can't be written to.
    pub fn head(&mut self, layer: usize, pick: Pick, pattern: &Pattern) -> Result<()> {
        let head = pick.name();
        for query in 0..pattern.n {
            for (key, weight) in pattern.row(query).iter().enumerate() {
                self.0.serialize((layer, &head, query, key, weight))?;
            }
        }
        Ok(())
    }

    /// Writes what is still buffered.
    ///
    /// # Errors
    /// If the output can't be written to.
    pub fn finish(mut self) -> Result<()> {
        Ok(self.0.flush()?)
    }
}

/// `attribution.csv`, written position by position.
pub struct AttributionTable<W: Write>(Writer<W>, Text);

impl<W: Write> AttributionTable<W> {
    /// Writes the header row.
    ///
    /// # Errors
    /// If `out` can't be written to.
    pub fn new(text: Text, out: W) -> Result<Self> {
        let header = ["position", "target_id", "target", "component", "layer", "index", "share", "norm", "cosine"];
        Ok(Self(table(out, &header)?, text))
    }

    /// Writes one position: embed, attn and mlp of every layer, heads and experts of the layers that were looked into,
    /// and the remainder. Shares of embed, attn, mlp and remainder add up to the logit; only experts have a norm and a
    /// cosine.
    ///
    /// # Errors
    /// If the output can't be written to.
    pub fn position(&mut self, found: &Attribution) -> Result<()> {
        let target = self.1.cell(&found.piece);
        let mut row = |what: &str, layer: Option<usize>, index: Option<usize>, share: f64| {
            let nothing = (None::<f64>, None::<f64>);
            self.0.serialize((found.pos, found.target, &*target, what, layer, index, share, nothing))
        };
        row("embed", None, None, found.embed)?;
        for (layer, (attn, mlp)) in found.attn.iter().zip(&found.mlp).enumerate() {
            row("attn", Some(layer), None, *attn)?;
            row("mlp", Some(layer), None, *mlp)?;
        }
        row("remainder", None, None, found.remainder)?;
        for shares in &found.details {
            for (head, share) in shares.heads.iter().enumerate() {
                row("head", Some(shares.layer), Some(head), *share)?;
            }
        }
        for shares in &found.details {
            for e in &shares.experts {
                let measures = (e.share, e.norm, e.cosine);
                let place = ("expert", shares.layer, e.expert);
                self.0.serialize((found.pos, found.target, &*target, place, measures))?;
            }
        }
        Ok(())
    }

    /// Writes what is still buffered.
    ///
    /// # Errors
    /// If the output can't be written to.
    pub fn finish(mut self) -> Result<()> {
        Ok(self.0.flush()?)
    }
}

/// `lens.csv`: the best tokens of each lens cell.
///
/// # Errors
/// If `out` can't be written to.
pub fn lens<'a>(
    cells: impl IntoIterator<Item = (&'a LensKey, &'a LensCell)>,
    text: Text,
    out: impl Write,
) -> Result<()> {
    let mut writer = table(out, &["position", "layer", "site", "k", "token_id", "token", "logit", "prob"])?;
    for (key, cell) in cells {
        for (k, c) in cell.top.iter().enumerate() {
            let site = key.site.to_string();
            writer.serialize((key.pos, key.layer, site, k + 1, c.id, text.cell(&c.piece), c.logit, c.prob))?;
        }
    }
    Ok(writer.flush()?)
}

/// `lens_summary.csv`: where the model's own final top-1 stands in each lens cell.
///
/// # Errors
/// If `out` can't be written to.
pub fn lens_summary<'a>(cells: impl IntoIterator<Item = (&'a LensKey, &'a LensCell)>, out: impl Write) -> Result<()> {
    let mut writer = table(out, &["position", "layer", "site", "final_rank", "final_prob", "entropy", "kl"])?;
    for (key, cell) in cells {
        let site = key.site.to_string();
        writer.serialize((key.pos, key.layer, site, cell.final_rank, cell.final_prob, cell.entropy, cell.kl))?;
    }
    Ok(writer.flush()?)
}

/// `candidates.csv`, written position by position.
pub struct CandidatesTable<W: Write>(Writer<W>, Text);

impl<W: Write> CandidatesTable<W> {
    /// Writes the header row.
    ///
    /// # Errors
    /// If `out` can't be written to.
    pub fn new(text: Text, out: W) -> Result<Self> {
        Ok(Self(table(out, &["position", "k", "token_id", "token", "logit", "prob"])?, text))
    }

    /// Writes the `k` best tokens after one position.
    ///
    /// # Errors
    /// If the output can't be written to.
    pub fn token(&mut self, token: &TokenRecord, pos: usize, k: usize) -> Result<()> {
        for (i, c) in token.next.top.iter().take(k).enumerate() {
            self.0.serialize((pos, i + 1, c.id, self.1.cell(&c.piece), c.logit, c.prob))?;
        }
        Ok(())
    }

    /// Writes what is still buffered.
    ///
    /// # Errors
    /// If the output can't be written to.
    pub fn finish(mut self) -> Result<()> {
        Ok(self.0.flush()?)
    }
}

/// `candidates.csv`: the best tokens of the distribution that follows each position, before temperature.
///
/// # Errors
/// If `out` can't be written to.
pub fn candidates(trace: &Records, k: usize, text: Text, out: impl Write) -> Result<()> {
    let mut table = CandidatesTable::new(text, out)?;
    for (pos, token) in trace.tokens.iter().enumerate() {
        table.token(token, pos, k)?;
    }
    table.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_survive_and_awkward_tokens_are_quoted() {
        let mut out = Vec::new();
        let mut writer = table(&mut out, &["a", "b"]).unwrap();
        let x = 0.1f32 + 0.2f32;
        writer.serialize((x, "say \"hi\",\nthen go")).unwrap();
        writer.serialize((1.0e-30f32, "é")).unwrap();
        drop(writer);
        let text = String::from_utf8(out.clone()).unwrap();
        assert!(text.starts_with("a,b\r\n"), "{text}");
        let mut reader = csv::Reader::from_reader(out.as_slice());
        let rows: Vec<(f32, String)> = reader.deserialize().map(Result::unwrap).collect();
        assert_eq!(rows, [(x, "say \"hi\",\nthen go".to_owned()), (1.0e-30, "é".to_owned())]);
    }

    #[test]
    fn formulas_are_disarmed_only_on_request() {
        for text in ["=1+1", "+cmd", "-2", "@x", "＝1", "\tx"] {
            assert_eq!(Text::Exact.cell(text), text);
            assert_eq!(Text::SpreadsheetSafe.cell(text), format!("'{text}"));
        }
        for text in ["▁=1", "a=b", "", "'x"] {
            assert_eq!(Text::SpreadsheetSafe.cell(text), text);
        }
    }
}
