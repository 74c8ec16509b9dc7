//! How many tokens a prompt has while it is being typed.

use crate::engine::run::Run;
use crate::protocol::Derived;
use crate::trace::Prompt;
use anyhow::Result;

/// # Errors
/// If the prompt can't be tokenised.
pub fn derive(run: &Run, prompt: &Prompt) -> Result<Derived> {
    Ok(Derived::Counted(prompt.clone(), run.need_live()?.prompt_ids(prompt)?.len()))
}
