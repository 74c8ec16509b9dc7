//! Config and files that disagree about the unembedding.

use crate::model::arch::Arch;
use crate::model::weights::{Naming, Part, Store, place};
use crate::trace::{Level, Report};

/// Follows the files where the config ties the unembedding to the embedding, as transformers 5 does: a matrix of its own with
/// other numbers is used, and one matrix under the other's name serves as both.
pub fn settle(arch: &mut Arch, store: &mut Store, report: &mut Report) {
    let naming = store.naming();
    if !arch.tied || matches!(naming, Naming::Gguf { .. }) {
        return;
    }
    let [embed, head] = [Part::Embed, Part::Unembed].map(|part| place(part, arch, naming).name);
    match (store.tensors().get(&embed), store.tensors().get(&head)) {
        (Some(a), Some(b)) if !store.are_equal(a, b) => {
            arch.tied = false;
            report.add(
                Level::Warn,
                "config.json: tie_word_embeddings",
                "one matrix, as it is true",
                format!("`{head}` and `{embed}` hold other numbers"),
                format!("`{head}` is used, as transformers 5 does; set tie_word_embeddings to false"),
            );
        }
        (None, Some(_)) => {
            store.alias(&head, &embed);
            report.add(
                Level::Note,
                format!("tensor `{embed}`"),
                "one",
                format!("only `{head}`"),
                "as they are tied, it is used for both",
            );
        }
        _ => {}
    }
}
