//! How texts are cut into tokens where the run ends.

use crate::engine::run::{Live, Run};
use crate::protocol::{Derived, Spelled};
use anyhow::Result;

pub fn derive(run: &Run, texts: &[String]) -> Result<Derived> {
    Ok(Derived::Spelled(spell(run.need_live()?, texts)?))
}

/// The tokens of texts that continue the run.
///
/// # Errors
/// If there is no tokenizer.
pub fn spell(live: &Live, texts: &[String]) -> Result<Vec<Spelled>> {
    let spell = |text: &String| {
        let ids = live.tokenize_on(text)?;
        let tokens = ids.into_iter().map(|id| (id, live.piece(id))).collect();
        Ok(Spelled { text: text.clone(), tokens })
    };
    texts.iter().map(spell).collect()
}
