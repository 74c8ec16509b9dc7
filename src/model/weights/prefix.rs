//! Names with something before them or in between: what wrappers of a model leave in its checkpoint.

use super::Store;
use crate::trace::{Level, Report};

/// A tensor that every model has, after `model.`.
const ANCHOR: &str = "layers.0.self_attn.q_proj.weight";
/// Parts of names that PyTorch's wrappers add in between.
const WRAPPERS: [&str; 3] = ["_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."];
const MODEL: &str = "model.";
const HEAD: &str = "lm_head.weight";

impl Store {
    /// Takes away what is before all names of the model, or within them, and says so in `report`.
    pub fn unwrap_names(&mut self, report: &mut Report) {
        let is_there = |wrapper: &&&str| self.tensors().keys().any(|name| name.contains(**wrapper));
        let wrappers: Vec<&str> = WRAPPERS.iter().filter(is_there).copied().collect();
        if !wrappers.is_empty() {
            let plain = |name: &str| WRAPPERS.iter().fold(name.to_owned(), |name, wrapper| name.replace(wrapper, ""));
            self.rename(plain);
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
        let [prefix] = &prefixes[..] else { return };
        if prefix == MODEL {
            return;
        }
        // The head stands beside the layers, or further out: at `a.lm_head` of `a.model.layers`.
        let outer = |name: &str| name.strip_suffix(HEAD).is_some_and(|outer| prefix.starts_with(outer));
        let plain = |name: &str| match name.strip_prefix(prefix.as_str()) {
            _ if outer(name) => HEAD.to_owned(),
            Some(rest) => format!("{MODEL}{rest}"),
            None => name.to_owned(),
        };
        self.rename(plain);
        let found = match prefix.as_str() {
            "" => "names without `model.`: a base model's".to_owned(),
            some => format!("`{some}` before all names"),
        };
        report.add(Level::Warn, "tensor names", "`model.…`, `lm_head.…`", found, "they are read as if it were not so");
    }
}
