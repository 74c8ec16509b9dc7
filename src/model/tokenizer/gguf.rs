//! The SentencePiece tokenizer in a GGUF file's metadata.

use super::leftmost::Leftmost;
use crate::model::weights::gguf::{Header, Value};
use crate::trace::{Level, Report};
use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::{AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, Tokenizer};

/// Token types of ggml's `llama_token_type`.
const NORMAL: u64 = 1;
const UNKNOWN: u64 = 2;
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;
const BYTE: u64 = 6;

/// Bytes of a token; the time to find the merges of a piece grows with the square of its length.
const LONGEST: usize = 512;

/// The most tokens: four times those of the largest vocabularies.
const MOST: usize = 1 << 20;
/// Merges for every token; SentencePiece models have about two.
const MOST_MERGES: usize = 16;

/// The tokenizer in the metadata.
struct Pieces<'a> {
    pieces: Vec<&'a str>,
    scores: Vec<f64>,
    kinds: Vec<u64>,
    ids: HashMap<&'a str, u32>,
}

/// A tokenizer that gives the ids of the one in the metadata: BPE with byte fallback, built like the official Mixtral
/// tokenizer.json. If its scores say nothing, it gives the tokens of single characters, and what joins them.
///
/// # Errors
/// If the file has no tokenizer, one of another kind, or a damaged one.
pub fn tokenizer(header: &Header) -> Result<(Tokenizer, Option<Leftmost>)> {
    let model = header.text("tokenizer.ggml.model")?.context("it holds no tokenizer (tokenizer.ggml.model)")?;
    ensure!(model == "llama", "its tokenizer is of the kind `{model}`; only `llama` (SentencePiece BPE) can be read");
    let pieces = Pieces::read(header)?;
    let id = |key: &str| -> Result<Option<usize>> {
        let id = header.number(key)?.map(|id| usize::try_from(id).unwrap_or(usize::MAX));
        if let Some(id) = id {
            ensure!(id < pieces.pieces.len(), "{key} is {id}, but there are {} tokens", pieces.pieces.len());
        }
        Ok(id)
    };
    let is = |key: &str, default: bool| header.get(key).and_then(Value::bool).unwrap_or(default);
    let bos = id("tokenizer.ggml.bos_token_id")?.filter(|_| is("tokenizer.ggml.add_bos_token", true));
    let eos = id("tokenizer.ggml.eos_token_id")?.filter(|_| is("tokenizer.ggml.add_eos_token", false));
    let unknown = id("tokenizer.ggml.unknown_token_id")?;
    let unknown = unknown.or_else(|| pieces.kinds.iter().position(|kind| *kind == UNKNOWN));
    let adds_space = is("tokenizer.ggml.add_space_prefix", true);

    let mut merges = pieces.merges()?;
    let leftmost = pieces.one_score().map(|_| pieces.leftmost(&std::mem::take(&mut merges)));
    let mut bpe = BPE::builder().vocab_and_merges(pieces.vocab(), merges).byte_fallback(true).fuse_unk(true);
    if let Some(unknown) = unknown {
        bpe = bpe.unk_token(pieces.pieces[unknown].to_owned());
    }
    let failed = |error: tokenizers::Error| anyhow!("{error}");
    let mut tokenizer = Tokenizer::new(bpe.build().map_err(failed)?);
    tokenizer.with_normalizer(Some(normalizer(adds_space)?)).map_err(failed)?;
    tokenizer.with_post_processor(template(&pieces.pieces, bos, eos)?);
    tokenizer.with_decoder(Some(decoder(adds_space)?));
    let added = |wanted: &[u64], special: bool| -> Vec<AddedToken> {
        let all = pieces.pieces.iter().zip(&pieces.kinds).filter(|(_, kind)| wanted.contains(kind));
        all.map(|(piece, _)| AddedToken::from((*piece).to_owned(), special).normalized(false)).collect()
    };
    tokenizer.add_special_tokens(added(&[UNKNOWN, CONTROL], true)).map_err(failed)?;
    tokenizer.add_tokens(added(&[USER_DEFINED], false)).map_err(failed)?;
    Ok((tokenizer, leftmost))
}

/// Warns if the scores say nothing: the file was converted without `tokenizer.model`, which has them.
pub fn check_scores(header: &Header, report: &mut Report) {
    let Some(score) = Pieces::read(header).ok().and_then(|pieces| pieces.one_score()) else { return };
    report.add(
        Level::Warn,
        "tokenizer.ggml.scores",
        "another score for each token, which says what is joined first",
        format!("{score} for all: the file was converted without tokenizer.model"),
        "text is split otherwise than the model learnt, so it predicts worse; put tokenizer.model next to the safetensors \
         files and convert them again",
    );
}

impl<'a> Pieces<'a> {
    fn read(header: &Header<'a>) -> Result<Self> {
        let array = |key: &str| {
            let array = header.get(key).and_then(Value::array);
            array.with_context(|| format!("its tokenizer lacks {key}"))
        };
        let pieces: Option<Vec<&str>> = array("tokenizer.ggml.tokens")?.iter().map(Value::text).collect();
        let pieces = pieces.context("tokenizer.ggml.tokens holds bytes that are not UTF-8")?;
        let scores: Vec<f64> = array("tokenizer.ggml.scores")?.iter().filter_map(Value::number).collect();
        let kinds: Vec<u64> = array("tokenizer.ggml.token_type")?.iter().filter_map(Value::unsigned).collect();
        ensure!(
            !pieces.is_empty() && scores.len() == pieces.len() && kinds.len() == pieces.len(),
            "its tokenizer has {} tokens, {} scores and {} types; it is damaged",
            pieces.len(),
            scores.len(),
            kinds.len()
        );
        ensure!(scores.iter().all(|score| !score.is_nan()), "tokenizer.ggml.scores holds NaN");
        ensure!(
            u32::try_from(pieces.len()).is_ok(),
            "its tokenizer has {} tokens, more than any tokenizer has",
            pieces.len()
        );
        ensure!(pieces.len() <= MOST, "its tokenizer has {} tokens; at most {MOST} are read", pieces.len());
        if let Some(piece) = pieces.iter().find(|piece| piece.len() > LONGEST) {
            bail!("tokenizer.ggml.tokens holds a token of {} bytes; at most {LONGEST} are read", piece.len());
        }
        let ids: HashMap<&str, u32> = pieces.iter().zip(0..).map(|(piece, id)| (*piece, id)).collect();
        ensure!(ids.len() == pieces.len(), "its tokenizer holds {} tokens twice", pieces.len() - ids.len());
        ensure!(!ids.contains_key(""), "its tokenizer holds an empty token");
        Ok(Self { pieces, scores, kinds, ids })
    }

    fn vocab(&self) -> Vocab {
        self.ids.iter().map(|(piece, id)| ((*piece).to_owned(), *id)).collect()
    }

    /// The score of all tokens of more than one character, if there are several and they have the same.
    fn one_score(&self) -> Option<f64> {
        let all = self.pieces.iter().zip(&self.scores).zip(&self.kinds);
        let long = all.filter(|((piece, _), kind)| **kind == NORMAL && piece.chars().nth(1).is_some());
        let mut scores = long.map(|((_, score), _)| *score);
        let (first, second) = (scores.next()?, scores.next()?);
        (first == second && scores.all(|score| score == first)).then_some(first)
    }

    /// The merges, none of which comes before another.
    fn leftmost(&self, merges: &Merges) -> Leftmost {
        // Text never gives a control or user-defined token by joining.
        let part = |piece: &str| self.ids.get(piece).copied().filter(|id| self.kinds[*id as usize] == NORMAL);
        Leftmost::new(merges.iter().filter_map(|(left, right)| {
            let one = *self.ids.get(format!("{left}{right}").as_str())?;
            Some(((part(left)?, part(right)?), one))
        }))
    }

    /// SentencePiece joins the neighbours whose joint piece has the best score; as merges, in the order in which
    /// transformers' `SentencePieceExtractor` lists them: by score, then by the lengths of the halves, longest first.
    fn merges(&self) -> Result<Merges> {
        let mut all = Vec::new();
        let mut splits: Vec<(u32, u32, usize)> = Vec::new();
        for ((piece, score), kind) in self.pieces.iter().zip(&self.scores).zip(&self.kinds) {
            if matches!(*kind, UNKNOWN | CONTROL | BYTE) {
                continue;
            }
            splits.clear();
            for (at, _) in piece.char_indices().skip(1) {
                let (left, right) = piece.split_at(at);
                if let (Some(l), Some(r)) = (self.ids.get(left), self.ids.get(right)) {
                    splits.push((*l, *r, at));
                }
            }
            splits.sort_unstable();
            let most = MOST_MERGES * self.pieces.len().max(4096);
            ensure!(all.len() + splits.len() <= most, "its tokens can be put together in more than {most} ways");
            all.extend(splits.iter().map(|(.., at)| (*score, piece.split_at(*at))));
        }
        let lengths = |(left, right): (&str, &str)| (left.chars().count(), right.chars().count());
        all.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| lengths(b.1).cmp(&lengths(a.1))));
        Ok(all.into_iter().map(|(_, (left, right))| (left.to_owned(), right.to_owned())).collect())
    }
}

fn normalizer(adds_space: bool) -> Result<NormalizerWrapper> {
    let mut steps = vec![json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})];
    if adds_space {
        steps.insert(0, json!({"type": "Prepend", "prepend": "▁"}));
    }
    Ok(serde_json::from_value(json!({"type": "Sequence", "normalizers": steps}))?)
}

fn decoder(adds_space: bool) -> Result<DecoderWrapper> {
    let mut steps = vec![
        json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if adds_space {
        steps.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    Ok(serde_json::from_value(json!({"type": "Sequence", "decoders": steps}))?)
}

/// BOS and EOS around a text.
fn template(pieces: &[&str], bos: Option<usize>, eos: Option<usize>) -> Result<Option<PostProcessorWrapper>> {
    if bos.is_none() && eos.is_none() {
        return Ok(None);
    }
    let special = |id: usize| json!({"SpecialToken": {"id": pieces[id], "type_id": 0}});
    let around = |name: &str| -> Vec<Json> {
        let text = json!({"Sequence": {"id": name, "type_id": 0}});
        bos.map(special).into_iter().chain([text]).chain(eos.map(special)).collect()
    };
    let named = |id: usize| (pieces[id].to_owned(), json!({"id": pieces[id], "ids": [id], "tokens": [pieces[id]]}));
    let tokens: serde_json::Map<String, Json> = bos.into_iter().chain(eos).map(named).collect();
    let pair = [around("A"), around("B")].concat();
    let template = json!({"type": "TemplateProcessing", "single": around("A"), "pair": pair, "special_tokens": tokens});
    Ok(Some(serde_json::from_value(template)?))
}
