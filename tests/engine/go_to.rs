//! Going to a branch: the same bits as reading it from the start, with the records that are there already.

use crate::support::still::demo;
use mixscope::engine::Core;
use mixscope::protocol::{Ask, Event, Outcome, RequestId, RunAction};
use mixscope::trace::{Direction, Edit, HookKind, Policy, Prompt, Sampling, Source, TokenRecord};
use std::sync::Arc;

type Tokens = Vec<(u32, Source)>;
type Records = Vec<Arc<TokenRecord>>;

fn text(prompt: &str) -> Ask {
    Ask::Prompt(Prompt::Text(prompt.to_owned()))
}

fn steps(count: usize) -> Ask {
    Ask::Step { count: Some(count), sampling: Sampling::default() }
}

fn edits(lines: &[&str]) -> Vec<Edit> {
    lines.iter().map(|line| line.parse().unwrap()).collect()
}

fn ids(records: &[Arc<TokenRecord>]) -> Tokens {
    records.iter().map(|token| (token.id, token.source)).collect()
}

fn run(core: &Core) -> Records {
    core.run().tokens().to_vec()
}

#[track_caller]
fn ask(core: &mut Core, ask: Ask) -> Vec<Event> {
    let events = core.answer(RequestId(1), ask);
    assert!(!events.iter().any(|event| matches!(event, Event::Failed { .. })), "{events:?}");
    events
}

#[track_caller]
fn go(core: &mut Core, tokens: &[(u32, Source)], policy: Policy, edits: &[Edit]) -> Vec<Event> {
    let prompt = Some(Prompt::Text("the prompt".into()));
    ask(core, Ask::GoTo { prompt, tokens: tokens.to_vec(), policy, edits: edits.to_vec() })
}

/// The run as an engine reads it that has read nothing before.
fn fresh(tokens: &[(u32, Source)], policy: Policy, edits: &[Edit]) -> Records {
    let mut core = Core::new(demo());
    if policy != Policy::Hf {
        ask(&mut core, Ask::Policy(policy));
    }
    let (tokens, edits) = (tokens.to_vec(), edits.to_vec());
    ask(&mut core, Ask::Restore { prompt: None, tokens, branches: Default::default(), edits });
    run(&core)
}

#[track_caller]
fn assert_same(a: &[Arc<TokenRecord>], b: &[Arc<TokenRecord>]) {
    assert_eq!(a.len(), b.len());
    for (pos, (a, b)) in a.iter().zip(b).enumerate() {
        assert_eq!((a.id, a.source, a.score, &a.next, &a.sites), (b.id, b.source, b.score, &b.next, &b.sites), "{pos}");
        for layer in 0..6 {
            for kind in [HookKind::ResidPost, HookKind::RotK, HookKind::RouterLogits, HookKind::ExpertIndices] {
                assert_eq!(a.row(kind, layer), b.row(kind, layer), "{pos} {kind:?} {layer}");
            }
        }
    }
}

fn shared(a: &[Arc<TokenRecord>], b: &[Arc<TokenRecord>]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| Arc::ptr_eq(&a.values, &b.values)).count()
}

/// A prompt with 4 generated tokens, and the same with a forced text in place of the last two.
fn two_branches(core: &mut Core) -> (Records, Records) {
    ask(core, text("The capital of France is"));
    ask(core, steps(4));
    let first = run(core);
    ask(core, Ask::Truncate { len: first.len() - 2 });
    ask(core, Ask::ForceText(" Berlin and Rome".into()));
    (first, run(core))
}

#[test]
fn a_branch_is_the_run_that_it_was_and_shares_its_records() {
    let mut core = Core::new(demo());
    let (first, second) = two_branches(&mut core);
    let common = first.len() - 2;
    for (goal, left) in [(&first, &second), (&second, &first), (&first, &second)] {
        let events = go(&mut core, &ids(goal), Policy::Hf, &[]);
        let now = run(&core);
        assert_same(&now, goal);
        assert_same(&now, &fresh(&ids(goal), Policy::Hf, &[]));
        assert!(shared(&now, left) >= common);
        let reported = events.iter().find_map(|event| match event {
            Event::Tokens { keep, tokens, .. } => Some((*keep, tokens.len())),
            _ => None,
        });
        assert_eq!(reported, Some((common, goal.len() - common)), "only what differs is reported");
        let acted = events.iter().find_map(|event| match event {
            Event::Acted { former, prompt, .. } => Some((former.action, prompt.clone())),
            _ => None,
        });
        assert_eq!(acted, Some((RunAction::Branch, Some(Prompt::Text("the prompt".into())))));
        // It goes on as if nothing had been.
        ask(&mut core, steps(3));
        let mut other = Core::new(demo());
        ask(&mut other, Ask::Restore { prompt: None, tokens: ids(goal), branches: Default::default(), edits: vec![] });
        ask(&mut other, steps(3));
        assert_same(&run(&core), &run(&other));
        go(&mut core, &ids(goal), Policy::Hf, &[]);
    }
    // The first run is still kept for undo: nothing of it is read again.
    assert_eq!(shared(&run(&core), &first), first.len());
}

#[test]
fn policies_and_edits_change_on_the_way_bit_for_bit() {
    let mut core = Core::new(demo());
    let (first, second) = two_branches(&mut core);
    let mean = edits(&["mean L2.H3", "zero L4.mlp@generated"]);
    let ways = [
        (&second, Policy::F32, edits(&[])),
        (&first, Policy::Hf, edits(&["ban L3.E5"])),
        (&second, Policy::Hf, edits(&["ban L3.E5"])),
        (&first, Policy::Hf, mean.clone()),
        (&second, Policy::F32Router, mean.clone()),
        (&first, Policy::F32Router, edits(&["scale L1.E0 0.5"])),
        (&second, Policy::Hf, edits(&[])),
    ];
    for (goal, policy, edits) in &ways {
        go(&mut core, &ids(goal), *policy, edits);
        assert_eq!((core.run().meta().policy, &core.run().meta().edits[..]), (*policy, &edits[..]));
        assert_same(&run(&core), &fresh(&ids(goal), *policy, edits));
    }
    // Another prompt: edits that depend on it change.
    let mut other = Core::new(demo());
    ask(&mut other, text("drum apple seven blue"));
    go(&mut core, &ids(&first), Policy::Hf, &mean);
    go(&mut core, &ids(&run(&other)), Policy::Hf, &mean);
    assert_same(&run(&core), &fresh(&ids(&run(&other)), Policy::Hf, &mean));
    // Layers below an edit are shared.
    go(&mut core, &ids(&first), Policy::Hf, &[]);
    let plain = run(&core);
    go(&mut core, &ids(&first[..first.len() - 1]), Policy::Hf, &edits(&["zero L5.mlp@7.."]));
    assert_eq!(shared(&run(&core), &plain), 7, "positions before the edit are shared");
}

#[test]
fn going_to_a_branch_is_undone_and_done_again() {
    let mut core = Core::new(demo());
    let (first, second) = two_branches(&mut core);
    go(&mut core, &ids(&first), Policy::F32, &edits(&["ban L3.E5"]));
    let there = run(&core);
    for (ask_for, direction, goal) in [(Ask::Undo, Direction::Back, &second), (Ask::Redo, Direction::Forward, &there)] {
        let events = ask(&mut core, ask_for);
        let Some(Event::Revised(revision)) = events.iter().find(|event| matches!(event, Event::Revised(_))) else {
            panic!("{events:?}")
        };
        assert_eq!((revision.former.action.name(), revision.direction), ("the change of branch", direction));
        assert_same(&run(&core), goal);
    }
    assert!(matches!(ask(&mut core, text("One")).last(), Some(Event::Acted { .. })));
}

#[test]
fn the_same_tokens_with_other_sources_are_another_run() {
    let mut core = Core::new(demo());
    let (first, _) = two_branches(&mut core);
    let as_prompt: Tokens = ids(&first).into_iter().map(|(id, _)| (id, Source::Prompt)).collect();
    go(&mut core, &as_prompt, Policy::Hf, &[]);
    assert_eq!(ids(&run(&core)), as_prompt);
    assert_eq!(shared(&run(&core), &first), first.len());
    go(&mut core, &ids(&first), Policy::Hf, &[]);
    assert_eq!(ids(&run(&core)), ids(&first));
}

#[test]
fn a_branch_that_does_not_fit_leaves_the_run() {
    let mut core = Core::new(demo());
    let (first, second) = two_branches(&mut core);
    let token = |id| vec![(id, Source::Prompt)];
    let ban = edits(&["ban L99.E5"]);
    for (tokens, edits, why) in [
        (token(1_000_000), &[][..], "the branch can't be read"),
        (Vec::new(), &[], "it has no token"),
        (token(1), &ban, "the branch can't be read"),
        (vec![(1, Source::Prompt); 100_000], &[], "the branch has 100000 tokens"),
    ] {
        let ask = Ask::GoTo { prompt: None, tokens, policy: Policy::F32, edits: edits.to_vec() };
        let events = core.answer(RequestId(2), ask);
        let Some(Event::Failed { failure, .. }) = events.last() else { panic!("{events:?}") };
        assert!(failure.summary.contains(why), "{failure:?}");
        assert!(run(&core).iter().zip(&second).all(|(a, b)| Arc::ptr_eq(a, b)));
        assert_eq!((core.run().tokens().len(), core.run().meta().policy), (second.len(), Policy::Hf));
    }
    let events = core.answer(RequestId(3), Ask::Undo);
    assert!(matches!(events.last(), Some(Event::Finished { outcome: Outcome::Done, .. })));
    assert_eq!(run(&core).len(), first.len() - 2, "the forced text is undone");
}
