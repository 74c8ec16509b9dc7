//! The parts of SentencePiece's `ModelProto` that a tokenizer needs (sentencepiece_model.proto).

use crate::model::tokenizer::pieces::Pieces;
use anyhow::{Context, Result, bail, ensure};

/// `TrainerSpec.ModelType`.
pub const UNIGRAM: u64 = 1;
/// The model type of byte pair encoding.
pub const BPE: u64 = 2;

/// The most pieces that are read before their number is judged.
const MOST: usize = 1 << 21;

/// A SentencePiece model.
pub struct Model {
    /// The vocabulary.
    pub pieces: Pieces,
    /// The algorithm.
    pub kind: u64,
    /// Whether unknown characters are bytes.
    pub byte_fallback: bool,
    /// The id of the unknown token.
    pub unk_id: u64,
    /// The text of the unknown token.
    pub unk_piece: String,
    /// BOS and EOS, unless they are off: their ids and texts.
    ends: [(i64, String); 2],
    /// A table of replaced characters.
    pub charsmap: Vec<u8>,
    /// Whether a text gets a space before it.
    pub adds_space: bool,
    /// Whether spaces are joined, and removed at the ends.
    pub removes_spaces: bool,
    /// Whether spaces become `▁`.
    pub escapes_spaces: bool,
}

impl Model {
    /// Reads the bytes of a `tokenizer.model`.
    ///
    /// # Errors
    /// If they are damaged, or the model is neither BPE nor Unigram.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let (mut texts, mut scores, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
        let (mut trainer, mut normalizer): (&[u8], &[u8]) = (&[], &[]);
        for field in Fields(bytes) {
            match field? {
                (1, Field::Bytes(piece)) => {
                    ensure!(texts.len() < MOST, "it has more than {MOST} pieces");
                    let (text, score, kind) = piece_of(piece)?;
                    texts.push(text);
                    scores.push(score);
                    kinds.push(kind);
                }
                (2, Field::Bytes(spec)) => trainer = spec,
                (3, Field::Bytes(spec)) => normalizer = spec,
                _ => {}
            }
        }
        ensure!(!texts.is_empty(), "it holds no pieces of a SentencePiece model");
        let names = ("its list of pieces", "its list of scores");
        let mut model = Self {
            pieces: Pieces::new(texts, scores, kinds, names)?,
            kind: UNIGRAM,
            byte_fallback: false,
            unk_id: 0,
            unk_piece: "<unk>".to_owned(),
            ends: [(1, "<s>".to_owned()), (2, "</s>".to_owned())],
            charsmap: Vec::new(),
            adds_space: true,
            removes_spaces: true,
            escapes_spaces: true,
        };
        model.read_trainer(trainer)?;
        model.read_normalizer(normalizer)?;
        super::check_kind(model.kind)?;
        let count = model.pieces.texts.len() as u64;
        ensure!(
            model.kind != UNIGRAM || model.unk_id < count,
            "its unknown token has the id {} of {count}",
            model.unk_id
        );
        Ok(model)
    }

    fn read_trainer(&mut self, bytes: &[u8]) -> Result<()> {
        for field in Fields(bytes) {
            match field? {
                (3, Field::Number(kind)) => self.kind = kind,
                (24, Field::Number(1)) => {
                    bail!("it puts spaces behind words (treat_whitespace_as_suffix), which is not supported")
                }
                (35, Field::Number(is)) => self.byte_fallback = is != 0,
                (40, Field::Number(id)) => self.unk_id = id,
                // Negative ids are written as numbers of 64 bits.
                (41, Field::Number(id)) => self.ends[0].0 = id.cast_signed(),
                (42, Field::Number(id)) => self.ends[1].0 = id.cast_signed(),
                (45, Field::Bytes(text)) => self.unk_piece = text_of(text)?,
                (46, Field::Bytes(text)) => self.ends[0].1 = text_of(text)?,
                (47, Field::Bytes(text)) => self.ends[1].1 = text_of(text)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn read_normalizer(&mut self, bytes: &[u8]) -> Result<()> {
        for field in Fields(bytes) {
            match field? {
                (2, Field::Bytes(table)) => self.charsmap = table.to_vec(),
                (3, Field::Number(is)) => self.adds_space = is != 0,
                (4, Field::Number(is)) => self.removes_spaces = is != 0,
                (5, Field::Number(is)) => self.escapes_spaces = is != 0,
                _ => {}
            }
        }
        Ok(())
    }

    /// The special tokens that the model itself names.
    pub fn special(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let ends = ["bos_token", "eos_token"].into_iter().zip(&self.ends);
        let ends = ends.filter(|(_, (id, _))| *id >= 0).map(|(name, (_, text))| (name, text.as_str()));
        ends.chain((self.unk_id.cast_signed() >= 0).then_some(("unk_token", self.unk_piece.as_str())))
    }
}

fn piece_of(bytes: &[u8]) -> Result<(String, f64, u64)> {
    let (mut text, mut score, mut kind) = (String::new(), 0.0, super::super::pieces::NORMAL);
    for field in Fields(bytes) {
        match field? {
            (1, Field::Bytes(bytes)) => text = text_of(bytes)?,
            (2, Field::Bits(bits)) => score = f64::from(f32::from_bits(bits)),
            (3, Field::Number(number)) => kind = number,
            _ => {}
        }
    }
    Ok((text, score, kind))
}

fn text_of(bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec()).context("one of its texts is not UTF-8")
}

/// The value of one field.
enum Field<'a> {
    Number(u64),
    Bits(u32),
    Bytes(&'a [u8]),
    Long,
}

/// The fields of a message: their numbers and values.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn number(&mut self) -> Result<u64> {
        let mut number = 0u64;
        for place in 0..10 {
            let (byte, rest) = self.0.split_first().context("it ends in the middle of a number")?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f).wrapping_shl(7 * place);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        bail!("it holds a number of more than 64 bits")
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8]> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let (taken, rest) = self.0.split_at_checked(len).context("it ends in the middle of a field")?;
        self.0 = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u64, Field<'a>)> {
        let tag = self.number()?;
        let field = match tag & 7 {
            0 => Field::Number(self.number()?),
            1 => {
                self.take(8)?;
                Field::Long
            }
            2 => {
                let len = self.number()?;
                Field::Bytes(self.take(len)?)
            }
            5 => Field::Bits(u32::from_le_bytes(self.take(4)?.try_into()?)),
            kind => bail!("it is no SentencePiece model (a field of the wire type {kind})"),
        };
        Ok((tag >> 3, field))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Field<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}
