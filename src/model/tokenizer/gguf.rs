//! The SentencePiece tokenizer in a GGUF file's metadata.

use super::leftmost::Leftmost;
use super::pieces::{CONTROL, Pieces, UNKNOWN, USER_DEFINED};
use crate::model::weights::gguf::{Header, Value};
use crate::trace::{Level, Report};
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value as Json, json};
use tokenizers::models::bpe::BPE;
use tokenizers::{AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, Tokenizer};

/// A tokenizer that gives the ids of the one in the metadata: BPE with byte fallback, built like the official Mixtral
/// tokenizer.json. If its scores say nothing, it gives the tokens of single characters, and what joins them.
///
/// # Errors
/// If the file has no tokenizer, one of another kind, or a damaged one.
pub fn tokenizer(header: &Header) -> Result<(Tokenizer, Option<Leftmost>)> {
    let model = header.text("tokenizer.ggml.model")?.context("it holds no tokenizer (tokenizer.ggml.model)")?;
    ensure!(
        model == "llama",
        "its tokenizer is of the kind `{model}`; only `llama` (SentencePiece BPE) and `gpt2` (byte-level BPE) can be read"
    );
    let pieces = pieces_of(header)?;
    let id = |key: &str| -> Result<Option<usize>> {
        let id = header.number(key)?.map(|id| usize::try_from(id).unwrap_or(usize::MAX));
        if let Some(id) = id {
            ensure!(id < pieces.texts.len(), "{key} is {id}, but there are {} tokens", pieces.texts.len());
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
        bpe = bpe.unk_token(pieces.texts[unknown].clone());
    }
    let failed = |error: tokenizers::Error| anyhow!("{error}");
    let mut tokenizer = Tokenizer::new(bpe.build().map_err(failed)?);
    tokenizer.with_normalizer(Some(normalizer(adds_space)?)).map_err(failed)?;
    tokenizer.with_post_processor(template(&pieces.texts, bos, eos)?);
    tokenizer.with_decoder(Some(decoder(adds_space)?));
    let added = |wanted: &[u64], special: bool| -> Vec<AddedToken> {
        pieces.of_kinds(wanted).map(|text| AddedToken::from(text.to_owned(), special).normalized(false)).collect()
    };
    tokenizer.add_special_tokens(added(&[UNKNOWN, CONTROL], true)).map_err(failed)?;
    tokenizer.add_tokens(added(&[USER_DEFINED], false)).map_err(failed)?;
    Ok((tokenizer, leftmost))
}

/// Warns if the scores say nothing: the file was converted without `tokenizer.model`, which has them.
pub fn check_scores(header: &Header, report: &mut Report) {
    let Some(score) = pieces_of(header).ok().and_then(|pieces| pieces.one_score()) else { return };
    report.add(
        Level::Warn,
        "tokenizer.ggml.scores",
        "another score for each token, which says what is joined first",
        format!("{score} for all: the file was converted without tokenizer.model"),
        "text is split otherwise than the model learnt, so it predicts worse; put tokenizer.model next to the safetensors \
         files and convert them again",
    );
}

/// The pieces in the metadata.
fn pieces_of(header: &Header) -> Result<Pieces> {
    let array = |key: &str| {
        let array = header.get(key).and_then(Value::array);
        array.with_context(|| format!("its tokenizer lacks {key}"))
    };
    let texts: Option<Vec<&str>> = array("tokenizer.ggml.tokens")?.iter().map(Value::text).collect();
    let texts = texts.context("tokenizer.ggml.tokens holds bytes that are not UTF-8")?;
    let scores: Vec<f64> = array("tokenizer.ggml.scores")?.iter().filter_map(Value::number).collect();
    let kinds: Vec<u64> = array("tokenizer.ggml.token_type")?.iter().filter_map(Value::unsigned).collect();
    let texts = texts.into_iter().map(str::to_owned).collect();
    Pieces::new(texts, scores, kinds, ("tokenizer.ggml.tokens", "tokenizer.ggml.scores"))
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
fn template(pieces: &[String], bos: Option<usize>, eos: Option<usize>) -> Result<Option<PostProcessorWrapper>> {
    if bos.is_none() && eos.is_none() {
        return Ok(None);
    }
    let special = |id: usize| json!({"SpecialToken": {"id": pieces[id], "type_id": 0}});
    let around = |name: &str| -> Vec<Json> {
        let text = json!({"Sequence": {"id": name, "type_id": 0}});
        bos.map(special).into_iter().chain([text]).chain(eos.map(special)).collect()
    };
    let named = |id: usize| (pieces[id].clone(), json!({"id": pieces[id], "ids": [id], "tokens": [pieces[id]]}));
    let tokens: serde_json::Map<String, Json> = bos.into_iter().chain(eos).map(named).collect();
    let pair = [around("A"), around("B")].concat();
    let template = json!({"type": "TemplateProcessing", "single": around("A"), "pair": pair, "special_tokens": tokens});
    Ok(Some(serde_json::from_value(template)?))
}
