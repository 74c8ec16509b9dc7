//! Names with something before them or in between: what wrappers of a model leave in its checkpoint, and the two names of
//! the experts' block.

use super::{Entry, Store};
use crate::model::arch::Names;
use crate::trace::{Level, Report};
use anyhow::{Result, bail, ensure};

/// A tensor that every model has, after `model.`.
const ANCHOR: &str = "layers.0.self_attn.q_proj.weight";
/// Parts of names that PyTorch's wrappers add in between.
const WRAPPERS: [&str; 3] = ["_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."];
const MODEL: &str = "model.";
const HEAD: &str = "lm_head.weight";
/// The experts' block with a tensor for each matrix, and with fused ones. transformers 5 reads all four combinations.
const BLOCKS: [&str; 2] = [".block_sparse_moe.", ".mlp."];
/// More experts than any layer has: names are spelled out for each.
const MOST_EXPERTS: usize = 1 << 16;
/// Ends of the names of fused tensors, and the matrices of each expert in them, in their order, as in [`Names::expert`].
const FUSED: [(&str, &[usize]); 2] = [(".experts.gate_up_proj", &[0, 2]), (".experts.down_proj", &[1])];
/// Granite's names in the memory of transformers 5, and in its files.
const GRANITE: [(&str, &str); 3] = [
    (".experts.gate_up_proj", ".input_linear.weight"),
    (".experts.down_proj", ".output_linear.weight"),
    (".router.weight", ".router.layer.weight"),
];

impl Store {
    /// Takes away what is before all names of the model, or within them, and gives the experts' block its usual name. Of
    /// `experts` that are fused in some layers only, each gets tensors of its own. `report` says so.
    ///
    /// # Errors
    /// If two tensors would get one name, or a fused tensor does not hold as many experts.
    pub fn plain_names(&mut self, names: Names, experts: usize, report: &mut Report) -> Result<()> {
        self.unwrap(report)?;
        let is_mixed = self.tensors().keys().any(|name| fused(name).is_some())
            && self.tensors().keys().any(|name| is_of_one_expert(name, names));
        if names == Names::GRANITE {
            let plain = |name: &str| {
                let renamed = GRANITE.iter().find_map(|(from, to)| Some(format!("{}{to}", name.strip_suffix(from)?)));
                renamed.unwrap_or_else(|| name.to_owned())
            };
            self.rename(plain)?;
        } else if names.block != names.fused_block {
            self.plain_block(is_mixed, report)?;
        }
        if is_mixed {
            self.split_experts(names, experts, report)?;
        }
        Ok(())
    }

    /// Gives the experts' block of a Mixtral its usual name.
    fn plain_block(&mut self, is_mixed: bool, report: &mut Report) -> Result<()> {
        let is_fused = !is_mixed
            && BLOCKS.iter().any(|block| {
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

    /// Gives every expert of a fused tensor tensors of its own, which are parts of it.
    fn split_experts(&mut self, names: Names, experts: usize, report: &mut Report) -> Result<()> {
        let all: Vec<String> = self.tensors().keys().filter(|name| fused(name).is_some()).cloned().collect();
        for name in &all {
            let Some(((layer, matrices), whole)) = fused(name).zip(self.remove(name)) else { continue };
            let matrices: Vec<&str> = matrices.iter().map(|which| names.expert[*which]).collect();
            let parts = experts.saturating_mul(matrices.len());
            let [count, rows, cols] = whole.shape[..] else {
                bail!("tensor `{name}`: expected [experts, rows, columns], found {:?}", whole.shape);
            };
            ensure!(
                (1..=MOST_EXPERTS).contains(&experts)
                    && count == experts
                    && rows.is_multiple_of(matrices.len())
                    && whole.len.is_multiple_of(parts),
                "tensor `{name}`: expected [{experts}, rows, columns] with rows for {}, found {:?}",
                matrices.join(" and "),
                whole.shape
            );
            let len = whole.len / parts;
            for part in 0..parts {
                let (expert, matrix) = (part / matrices.len(), matrices[part % matrices.len()]);
                let shape = vec![rows / matrices.len(), cols];
                let entry = Entry { shape, start: whole.start + part * len, len, ..whole.clone() };
                let own = format!("{layer}.experts.{expert}.{matrix}.weight");
                if self.replace(own.clone(), entry) == Some(false) {
                    bail!("tensors `{own}` and `{name}` hold other numbers of one matrix; remove the wrong one");
                }
            }
        }
        let found = format!("{} tensors of all experts of a layer, and others of one expert", all.len());
        report.add(Level::Ok, "experts' tensors", "one form", found, "both are read, as in transformers 5");
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

/// The block and the matrices of a fused tensor; `None` if it is none.
fn fused(name: &str) -> Option<(&str, &'static [usize])> {
    FUSED.iter().find_map(|(end, matrices)| Some((name.strip_suffix(end)?, *matrices)))
}

/// Whether a tensor is a matrix of one expert.
fn is_of_one_expert(name: &str, names: Names) -> bool {
    let Some((_, rest)) = name.split_once(".experts.") else { return false };
    let matrix = rest.split_once('.').filter(|(expert, _)| expert.parse::<usize>().is_ok()).map(|(_, matrix)| matrix);
    matrix.and_then(|matrix| matrix.strip_suffix(".weight")).is_some_and(|matrix| names.expert.contains(&matrix))
}
