//! The tree on its own: where runs go, what leaves it, and what a session brings back.

use super::*;
use crate::protocol::{Branches, FormerRun};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn ids(tokens: &[u32]) -> Vec<(u32, Source)> {
    tokens.iter().map(|id| (*id, Source::Prompt)).collect()
}

fn run(action: RunAction, tokens: &[u32]) -> RunNow<'static> {
    let (policy, edits) = (Policy::Hf, Vec::new());
    RunNow { action, prompt: None, policy, edits, tokens: ids(tokens), shown: &[], loss: None }
}

/// The tree after these actions, from the empty run on.
fn tree(actions: &[(RunAction, &[u32])]) -> RunTree {
    let mut tree = RunTree::default();
    actions.iter().for_each(|(action, tokens)| tree.arrive(run(*action, tokens)));
    tree
}

/// Its lines with the number of tokens, `*` at the current one.
fn drawn(tree: &RunTree) -> Vec<String> {
    let line = |row: BranchRow| {
        let current = row.current.map_or(String::new(), |len| format!(" *{len}"));
        format!("{}{} {}{current}", row.lines, row.label, row.tokens)
    };
    tree.rows().into_iter().map(line).collect()
}

use RunAction::{ForcedToken, Generation, Prompt as Text, Rewinding, Step, StepBack};

#[test]
fn steps_grow_one_node_until_something_depends_on_its_end() {
    let mut tree = tree(&[(Text, &[1, 2]), (Step, &[1, 2, 3]), (Step, &[1, 2, 3, 4]), (Generation, &[1, 2, 3, 4, 5])]);
    assert_eq!(drawn(&tree), ["prompt 2", "generation 5 *5"]);
    let id = tree.nodes()[1].id;
    tree.rename(id, " mine ").unwrap();
    tree.arrive(run(Step, &[1, 2, 3, 4, 5, 6]));
    assert_eq!(drawn(&tree), ["prompt 2", "mine 5", "step 6 *6"]);
    tree.settle(run(Step, &[1, 2, 3, 4, 5]));
    tree.arrive(run(Step, &[1, 2, 3, 4, 5, 7]));
    assert_eq!(drawn(&tree), ["prompt 2", "mine 5", "├─ step 6", "└─ step 6 *6"]);
    tree.rename(id, "").unwrap();
    assert_eq!(tree.nodes()[1].label(), "generation");
}

#[test]
fn a_new_way_from_the_middle_of_a_generation_divides_it() {
    for shorter in [StepBack, Rewinding] {
        let mut tree = tree(&[(Text, &[1, 2]), (Generation, &[1, 2, 3, 4, 5]), (shorter, &[1, 2, 3])]);
        assert_eq!(drawn(&tree), ["prompt 2", "generation 5 *3"], "{shorter:?} adds nothing");
        tree.arrive(run(Step, &[1, 2, 3, 4]));
        assert_eq!(drawn(&tree), ["prompt 2", "generation 5 *4"], "the same token again adds nothing");
        tree.arrive(run(shorter, &[1, 2, 3]));
        tree.arrive(run(ForcedToken, &[1, 2, 3, 9]));
        assert_eq!(drawn(&tree), ["prompt 2", "generation 3", "├─ generation 5", "└─ forced token 4 *4"]);
        assert_eq!(tree.tokens(2), ids(&[1, 2, 3, 4, 5]));
        assert_eq!((tree.nodes()[2].keep, tree.nodes()[3].keep), (3, 3));
    }
    // A token that is forced in the middle, without a step back before it.
    let mut tree = tree(&[(Text, &[1, 2]), (Generation, &[1, 2, 3, 4, 5]), (ForcedToken, &[1, 2, 3, 9])]);
    assert_eq!(drawn(&tree), ["prompt 2", "generation 3", "├─ generation 5", "└─ forced token 4 *4"]);
    tree.arrive(run(ForcedToken, &[1, 2, 8]));
    assert_eq!(drawn(&tree)[4], "└─ forced token 3 *3");
    assert_eq!(tree.nodes()[4].parent, Some(0), "the prompt ends there already");
    let before = tree.clone();
    tree.arrive(run(ForcedToken, &[1, 2, 3]));
    tree.arrive(run(ForcedToken, &[1, 2, 8]));
    assert_eq!(tree, before, "forced again");
}

#[test]
fn another_prompt_is_a_child_and_the_same_run_has_one_node() {
    let mut tree = tree(&[(Text, &[1, 2]), (Text, &[1, 5, 6]), (Text, &[1, 2])]);
    assert_eq!(drawn(&tree), ["prompt 2 *2", "prompt 3"]);
    assert_eq!((tree.nodes()[1].parent, tree.nodes()[1].keep), (Some(0), 1));
    let under = |policy, edits: &[&str]| RunNow {
        policy,
        edits: edits.iter().map(ToString::to_string).collect(),
        ..run(RunAction::Edits, &[1, 2])
    };
    tree.arrive(under(Policy::F32, &[]));
    tree.arrive(under(Policy::F32, &["ban L3.E5"]));
    tree.arrive(under(Policy::F32, &[]));
    assert_eq!(tree.nodes().len(), 4);
    assert_eq!(tree.current(), Some(Place { node: 2, len: 2 }));
    let differs: Vec<String> = tree.rows().into_iter().map(|row| row.differs).collect();
    assert_eq!(differs, ["ids 1,2", "keeps 1 of 2 · ids 5,6", "f32", "ban L3.E5"]);
    tree.arrive(run(Text, &[]));
    assert_eq!((tree.current(), tree.nodes().len()), (None, 4));
}

#[test]
fn deleting_spares_the_current_path_and_asks_for_names() {
    let mut tree =
        tree(&[(Text, &[1, 2]), (Generation, &[1, 2, 3, 4]), (StepBack, &[1, 2, 3]), (ForcedToken, &[1, 2, 3, 9])]);
    tree.arrive(run(Text, &[7]));
    tree.settle(run(Text, &[1, 2, 3]));
    assert_eq!(drawn(&tree), ["prompt 2", "generation 3 *3", "├─ generation 4", "└─ forced token 4", "   prompt 1"]);
    let id = |tree: &RunTree, row: usize| tree.rows()[row].id;
    for row in [0, 1] {
        let id = id(&tree, row);
        assert_eq!(tree.delete(id, true), Deleted::IsCurrent, "row {row}");
    }
    let (forced, prompt) = (id(&tree, 3), id(&tree, 4));
    tree.rename(prompt, "kept").unwrap();
    assert_eq!(tree.delete(forced, false), Deleted::HasName("kept".into()));
    assert_eq!(tree.nodes().len(), 5);
    assert_eq!(tree.delete(forced, true), Deleted::Gone(2));
    assert_eq!(drawn(&tree), ["prompt 2", "generation 3 *3", "generation 4"]);
    assert_eq!(tree.delete(forced, true), Deleted::Gone(0));
}

#[test]
fn the_oldest_leaves_go_first_then_runs_between_others_and_never_names() {
    let mut tree = tree(&[(Text, &[1, 2])]);
    for forced in 10..16 {
        tree.settle(run(Text, &[1, 2]));
        tree.arrive(run(ForcedToken, &[1, 2, forced]));
    }
    let first = tree.nodes()[1].id;
    tree.rename(first, "first").unwrap();
    assert_eq!(tree.bound_to(4, 100), 3);
    let left: Vec<_> = (1..4).map(|node| tree.tokens(node)[2].0).collect();
    assert_eq!(left, [10, 14, 15]);
    assert_eq!(tree.bound_to(2, 100), 2, "then the prompt, whose tokens its children take over");
    assert_eq!(drawn(&tree), ["├─ first 3", "└─ forced token 3 *3"]);
    assert_eq!((tree.tokens(0), tree.tokens(1)), (ids(&[1, 2, 10]), ids(&[1, 2, 15])));
    assert_eq!(tree.bound_to(1, 1), 0, "the named and the current one stay");
}

#[test]
fn names_are_short_and_not_too_many() {
    let mut tree = RunTree::default();
    for token in 0..=bounds::MOST_NAMES as u32 {
        tree.arrive(run(Text, &[token]));
    }
    let ids: Vec<u32> = tree.nodes().iter().map(|node| node.id).collect();
    for id in &ids[1..] {
        tree.rename(*id, &"x".repeat(1000)).unwrap();
    }
    assert!(tree.rename(ids[0], "one more").unwrap_err().contains("128 branches have names"));
    tree.rename(ids[0], "").unwrap();
    tree.rename(ids[1], "another").unwrap();
    assert_eq!(tree.nodes()[2].name.as_ref().unwrap().chars().count(), 60);
    assert_eq!(tree.bound_to(1, 1), 1);
}

#[test]
fn a_session_without_a_tree_begins_with_its_undo() {
    let former = |action, keep, rest: &[u32]| FormerRun {
        action,
        prompt: None,
        policy: Policy::Hf,
        edits: Vec::new(),
        keep,
        rest: ids(rest),
    };
    // Empty → [1 2] → [1 2 3] → (now) [1 2 9] → undone: [1 2 9 4].
    let past = vec![former(Text, 0, &[]), former(Step, 2, &[]), former(ForcedToken, 2, &[3])];
    let future = vec![former(Step, 3, &[4])];
    let restored = |past: &[FormerRun], saved| {
        let branches = Branches { past: past.to_vec(), future: future.clone() };
        RunTree::restored(saved, &branches, run(Generation, &[1, 2, 9]))
    };
    let whole = ["prompt 2", "├─ step 3", "└─ forced token 3 *3", "   step 4"];
    assert_eq!(drawn(&restored(&past, RunTree::default())), whole);
    let mut damaged = past.clone();
    damaged[1].keep = 99;
    assert_eq!(
        drawn(&restored(&damaged, RunTree::default())),
        ["prompt 2", "├─ prompt 3", "└─ forced token 3 *3", "   step 4"]
    );

    let saved = restored(&past, RunTree::default());
    let again: RunTree = serde_json::from_value(serde_json::to_value(&saved).unwrap()).unwrap();
    assert_eq!(again, saved);
    assert_eq!(restored(&[], again), saved, "a tree comes back as it was");
    for (at, wrong) in
        [("/nodes/1/parent", 7), ("/nodes/1/keep", 9), ("/nodes/1/id", 0), ("/current/node", 4), ("/current/len", 0)]
    {
        let mut value = serde_json::to_value(&saved).unwrap();
        *value.pointer_mut(at).unwrap() = wrong.into();
        let damaged: RunTree = serde_json::from_value(value).unwrap();
        assert_eq!(drawn(&restored(&past, damaged)), whole, "{at} = {wrong}: made again");
    }
}

proptest! {
    #[test]
    fn bounds_and_deletions_change_no_run_that_stays(
        actions in prop::collection::vec((0usize..6, 1u32..4, any::<prop::sample::Index>(), 0usize..8), 60)
    ) {
        let mut tree = RunTree::default();
        let mut now: Vec<u32> = Vec::new();
        for (kind, token, index, other) in actions {
            let action = match kind {
                0 => { now = vec![token, token]; Text }
                1 | 2 => { now.push(token); Step }
                3 => { now.truncate(index.index(now.len() + 1)); Rewinding }
                4 => { now.truncate(index.index(now.len() + 1)); now.push(token); ForcedToken }
                _ => { now = vec![1; other]; RunAction::Branch }
            };
            tree.arrive(run(action, &now));
            if other == 0 && !tree.is_empty() {
                let id = tree.nodes()[index.index(tree.nodes().len())].id;
                tree.rename(id, "name").unwrap();
            } else if other == 1 && !tree.is_empty() {
                let id = tree.nodes()[index.index(tree.nodes().len())].id;
                tree.delete(id, false);
            }
            let runs = |tree: &RunTree| -> BTreeSet<Vec<u32>> {
                let ids = |node| tree.tokens(node).iter().map(|(id, _)| *id).collect();
                (0..tree.nodes().len()).map(ids).collect()
            };
            let named = |tree: &RunTree| tree.nodes().iter().filter(|node| node.name.is_some()).count();
            let (all, names) = (runs(&tree), named(&tree));
            prop_assert_eq!(all.len(), tree.nodes().len(), "no run twice");
            tree.bound_to(6, 20);
            prop_assert!(runs(&tree).is_subset(&all));
            prop_assert_eq!(named(&tree), names);
            let must_stay = names + 1;
            prop_assert!(tree.nodes().len() <= 6.max(must_stay));
            prop_assert!(tree.own_tokens() <= 20 || tree.nodes().len() <= must_stay);
            prop_assert_eq!(tree.current_tokens(), ids(&now));
            prop_assert_eq!(tree.rows().len(), tree.nodes().len(), "each node is reached from the root");
            let sound = RunTree::restored(tree.clone(), &Branches::default(), run(Text, &now));
            prop_assert_eq!(sound.current_tokens(), ids(&now));
        }
    }
}
