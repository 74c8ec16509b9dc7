//! Names with something before them or in between: what wrappers of a model leave in its checkpoint, and the two names of
//! the experts' block.

use super::Store;
use crate::trace::{Level, Report};
use anyhow::Result;

/// A tensor that every model has, after `model.`.
const ANCHOR: &str = "layers.0.self_attn.q_proj.weight";
/// Parts of names that PyTorch's wrappers add in between.
const WRAPPERS: [&str; 3] = ["_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."];
const MODEL: &str = "model.";
const HEAD: &str = "lm_head.weight";
/// The experts' block with a tensor for each matrix, and with fused ones. transformers 5 reads all four combinations.
const BLOCKS: [&str; 2] = [".block_sparse_moe.", ".mlp."];

impl Store {
    /// Takes away what is before all names of the model, or within them, and gives the experts' block its usual name.
    /// `report` says so.
    ///
    /// # Errors
    /// If two tensors would get one name.
    pub fn plain_names(&mut self, report: &mut Report) -> Result<()> {
        self.unwrap(report)?;
        let is_fused = BLOCKS.iter().any(|block| {
            let experts = format!("{MODEL}layers.0{block}experts.gate_up_proj");
            self.tensors().contains_key(&experts)
        });
        let [split, fused] = BLOCKS;
        let (from, to) = if is_fused { (split, fused) } else { (fused, split) };
        if self.tensors().keys().any(|name| name.contains(from)) {
            self.rename(|name| name.replacen(from, to, 1))?;
            let found = format!("`{from}`");
            report.add(
                Level::Ok,
                "tensor names",
                format!("`{to}`"),
                found,
                "they are read as one, as in transformers 5",
            );
        }
        Ok(())
    }

    fn unwrap(&mut self, report: &mut Report) -> Result<()> {
        let is_there = |wrapper: &&&str| self.tensors().keys().any(|name| name.contains(**wrapper));
        let wrappers: Vec<&str> = WRAPPERS.iter().filter(is_there).copied().collect();
        if !wrappers.is_empty() {
            let plain = |name: &str| WRAPPERS.iter().fold(name.to_owned(), |name, wrapper| name.replace(wrapper, ""));
            self.rename(plain)?;
            let found = format!("`{}` before them or inside", wrappers.join("`, `"));
            report.add(Level::Note, "tensor names", "", found, "they are read without");
        }
        let prefixes: Vec<String> = self
            .tensors()
            .keys()
            .filter_map(|name| name.strip_suffix(ANCHOR))
            .filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
            .map(str::to_owned)
            .collect();
        let [prefix] = &prefixes[..] else { return Ok(()) };
        if prefix == MODEL {
            return Ok(());
        }
        // The head stands beside the layers, or further out: at `a.lm_head` of `a.model.layers`.
        let outer = |name: &str| name.strip_suffix(HEAD).is_some_and(|outer| prefix.starts_with(outer));
        let plain = |name: &str| match name.strip_prefix(prefix.as_str()) {
            _ if outer(name) => HEAD.to_owned(),
            Some(rest) => format!("{MODEL}{rest}"),
            None => name.to_owned(),
        };
        self.rename(plain)?;
        let found = match prefix.as_str() {
            "" => "names without `model.`: a base model's".to_owned(),
            some => format!("`{some}` before all names"),
        };
        report.add(Level::Warn, "tensor names", "`model.…`, `lm_head.…`", found, "they are read as if it were not so");
        Ok(())
    }
}
