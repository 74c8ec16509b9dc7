//! Running a prompt in one call: logits, activations, and edits by hooks.

use super::activations::{Activation, Activations};
use super::arch::token_ids;
use super::opening::Loaded;
use super::pass::{Hooks, NoHooks};
use super::precision::Precision;
use super::tokenizer::bare_piece;
use crate::control::Control;
use crate::trace::{Dims, Piece, Prompt};
use anyhow::{Context, Result, bail, ensure};

impl Loaded {
    /// The sizes.
    pub fn dims(&self) -> Dims {
        self.meta.dims
    }

    /// The roundings of the policy with which the model was opened.
    pub fn precision(&self) -> Precision {
        Precision::new(self.meta.policy, self.meta.compute_dtype)
    }

    /// The token ids of a prompt. A text begins with BOS if the tokenizer adds it.
    ///
    /// # Errors
    /// If the prompt is empty or longer than the context, an id is outside the vocabulary, or the model has no
    /// tokenizer for a text or no template for a message.
    pub fn tokens(&self, prompt: impl Into<Prompt>) -> Result<Vec<u32>> {
        let ids = match prompt.into() {
            Prompt::Ids(ids) => ids,
            Prompt::Text(text) => self.tokenize(&text, true)?,
            Prompt::Chat(message) => {
                let template = self.chat.as_ref();
                let template = template.context("this model has no chat template; give the prompt as it is")?;
                self.tokenize(&template.render(&message)?, false)?
            }
        };
        ensure!(!ids.is_empty(), "the prompt is empty: give at least one token");
        let Dims { vocab, context, .. } = self.meta.dims;
        if let Some(id) = ids.iter().find(|id| **id as usize >= vocab) {
            bail!("token id {id} is outside the model's vocabulary of {vocab} tokens");
        }
        ensure!(
            ids.len() <= context,
            "the prompt has {} tokens, but the model's context is {context} (max_position_embeddings); shorten it",
            ids.len()
        );
        Ok(ids)
    }

    /// What is odd about the ids of a prompt: that it begins with BOS twice, because the text has one and the tokenizer
    /// adds another.
    pub fn prompt_warning(&self, ids: &[u32]) -> Option<String> {
        let bos = token_ids(self.meta.config.get("bos_token_id"));
        match ids {
            [first, second, ..] if first == second && bos.contains(first) => Some(format!(
                "the prompt begins with two BOS tokens ({first} `{}`): one is in the text, and the tokenizer adds another; \
                 leave out the one in the text",
                self.piece(*first)
            )),
            _ => None,
        }
    }

    /// The ids of a text. `special` adds the special tokens of the tokenizer's template (BOS).
    ///
    /// # Errors
    /// If there is no tokenizer.
    pub fn tokenize(&self, text: &str, special: bool) -> Result<Vec<u32>> {
        let tokenizer = self.tokenizer.as_ref();
        let tokenizer = tokenizer.context("this model has no readable tokenizer; give the prompt as token ids")?;
        tokenizer.encode(text, special)
    }

    /// The tokenizer's spelling of a token; `<id N>` without a tokenizer.
    pub fn piece(&self, id: u32) -> Piece {
        self.tokenizer.as_ref().map_or_else(|| bare_piece(id), |tokenizer| tokenizer.piece(id))
    }

    /// The logits of a prompt `[pos, vocab]`.
    ///
    /// # Errors
    /// As [`Loaded::tokens`].
    pub fn run(&self, prompt: impl Into<Prompt>) -> Result<Activation<f32>> {
        self.run_with_hooks(prompt, &mut NoHooks)
    }

    /// The logits of a prompt, and every activation by the name of its hook.
    ///
    /// # Errors
    /// As [`Loaded::tokens`].
    pub fn run_with_cache(&self, prompt: impl Into<Prompt>) -> Result<(Activation<f32>, Activations)> {
        let mut kept = Activations::all(self.dims());
        let logits = self.run_with_hooks(prompt, &mut kept)?;
        Ok((logits, kept))
    }

    /// The logits of a prompt that `hooks` observe or edit.
    ///
    /// # Errors
    /// As [`Loaded::tokens`], or if a hook fails.
    pub fn run_with_hooks(&self, prompt: impl Into<Prompt>, hooks: &mut dyn Hooks) -> Result<Activation<f32>> {
        let ids = self.tokens(prompt)?;
        let mut cache = self.model.new_cache();
        let values = self.model.forward(&ids, &mut cache, self.precision(), hooks, &Control::none())?;
        Ok(Activation { shape: vec![ids.len(), self.dims().vocab], values })
    }

    /// The logit lens on residuals `[rows × d_model]`: the logits `[rows, vocab]` that the final norm and the
    /// unembedding give.
    ///
    /// # Errors
    /// If `resid` is not whole rows.
    pub fn lens(&self, resid: &[f32]) -> Result<Activation<f32>> {
        let values = self.model.lens(resid, self.precision())?;
        Ok(Activation { shape: vec![resid.len() / self.dims().d_model, self.dims().vocab], values })
    }
}
