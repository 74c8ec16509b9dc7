//! Undo and redo in the engine: the same records, the same bits afterwards, one edit a request.

use crate::support::still::demo;
use mixscope::engine::{Core, Engine, OpenOptions, open_target};
use mixscope::protocol::{Ask, Branches, Event, FormerRun, Outcome, RequestId, Revision, RunAction};
use mixscope::trace::Prompt;
use mixscope::trace::{Device, Direction, HookKind, Policy, Sampling, Source, TokenRecord};
use std::sync::Arc;
use tokio::sync::mpsc::channel;

fn text(prompt: &str) -> Ask {
    Ask::Prompt(Prompt::Text(prompt.to_owned()))
}

fn steps(count: usize) -> Ask {
    Ask::Step { count: Some(count), sampling: Sampling::default() }
}

/// An engine and what a screen that follows its events would show.
struct Seen {
    core: Core,
    screen: Vec<Arc<TokenRecord>>,
    policy: Policy,
    branches: Branches,
}

impl Seen {
    fn new() -> Self {
        Self { core: Core::new(demo()), screen: Vec::new(), policy: Policy::Hf, branches: Branches::default() }
    }

    /// Does a request; returns the tokens that were reported again.
    fn ask(&mut self, ask: Ask) -> (Vec<Event>, usize) {
        let events = self.core.answer(RequestId(1), ask);
        let mut reported = 0;
        for event in &events {
            match event {
                Event::Tokens { keep, tokens, .. } => {
                    self.screen.truncate(*keep);
                    self.screen.extend(tokens.iter().cloned());
                    reported += tokens.len();
                }
                Event::Switched(meta) => self.policy = meta.policy,
                Event::Acted { former, undos, .. } => self.branches.acted(former.clone(), *undos),
                Event::Revised(revision) => self.branches.revised(revision.former.clone(), revision.direction),
                _ => {}
            }
        }
        let run = self.core.run().tokens();
        assert!(run.len() == self.screen.len() && run.iter().zip(&self.screen).all(|(a, b)| Arc::ptr_eq(a, b)));
        assert_eq!(self.policy, self.core.run().meta().policy);
        (events, reported)
    }

    fn revise(&mut self, ask: Ask) -> (Option<Revision>, usize) {
        let (events, reported) = self.ask(ask);
        assert!(matches!(events.last(), Some(Event::Finished { outcome: Outcome::Done, .. })));
        let found =
            events.into_iter().find_map(|e| if let Event::Revised(revision) = e { Some(revision) } else { None });
        (found, reported)
    }
}

fn assert_same(a: &[Arc<TokenRecord>], b: &[Arc<TokenRecord>], what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    for (a, b) in a.iter().zip(b) {
        assert_eq!((a.id, a.source, a.score, &a.next), (b.id, b.source, b.score, &b.next), "{what}");
        for layer in 0..6 {
            for kind in [HookKind::ResidPost, HookKind::RotK, HookKind::RouterLogits] {
                assert_eq!(a.row(kind, layer), b.row(kind, layer), "{what}");
            }
        }
    }
}

#[test]
fn every_kind_of_action_is_undone_and_done_again() {
    let mut seen = Seen::new();
    let edits = [
        (text("The capital of France is"), "the prompt"),
        (steps(1), "the step"),
        (steps(4), "the generation"),
        (Ask::ForceToken(300), "the forced token"),
        (Ask::ForceText(" and so".into()), "the forced text"),
        (Ask::Back, "the step back"),
        (Ask::Truncate { len: 9 }, "the rewinding"),
        (Ask::Branch { len: 5, token: 301 }, "the forced token"),
        (Ask::Policy(Policy::F32), "the change of policy"),
        (text("The capital of Spain"), "the prompt"),
        (steps(2), "the generation"),
    ];
    let mut runs = vec![(seen.screen.clone(), Policy::Hf)];
    for (ask, _) in &edits {
        seen.ask(ask.clone());
        runs.push((seen.screen.clone(), seen.policy));
    }
    for round in 0..2 {
        for (i, (_, name)) in edits.iter().enumerate().rev() {
            let (revision, reported) = seen.revise(Ask::Undo);
            let revision = revision.unwrap();
            let what = format!("round {round}, {name} undone");
            assert_eq!(
                (revision.former.action.name(), revision.direction, revision.undos, revision.redos),
                (*name, Direction::Back, i, edits.len() - i)
            );
            assert_same(&seen.screen, &runs[i].0, &what);
            assert_eq!(seen.policy, runs[i].1, "{what}");
            let gone = runs[i + 1].0.len();
            let starts_alike = |(a, b): &(&Arc<TokenRecord>, &Arc<TokenRecord>)| Arc::ptr_eq(a, b);
            let shared = runs[i].0.iter().zip(&runs[i + 1].0).take_while(starts_alike).count();
            assert_eq!(reported, runs[i].0.len() - shared, "{what} of {gone}: only new tokens are reported");
        }
        assert_eq!(seen.revise(Ask::Undo).0, None, "nothing to undo");
        assert!(seen.screen.is_empty());
        for (i, (_, name)) in edits.iter().enumerate() {
            let (revision, _) = seen.revise(Ask::Redo);
            assert_eq!(revision.map(|r| (r.former.action.name(), r.direction)), Some((*name, Direction::Forward)));
            assert_same(&seen.screen, &runs[i + 1].0, &format!("round {round}, {name} done again"));
        }
        assert_eq!(seen.revise(Ask::Redo).0, None, "nothing to redo");
    }
}

/// What a session file would hold of it, read by another engine.
fn come_back(seen: &Seen) -> Seen {
    let json = serde_json::to_vec(&seen.branches).unwrap();
    let tokens = seen.screen.iter().map(|token| (token.id, token.source)).collect();
    let mut again = Seen::new();
    if seen.policy != Policy::Hf {
        again.ask(Ask::Policy(seen.policy));
    }
    again.branches = serde_json::from_slice(&json).unwrap();
    again.ask(Ask::Restore { prompt: None, tokens, branches: again.branches.clone(), edits: Vec::new() });
    again
}

#[test]
fn actions_outlive_the_session_and_are_undone_bit_for_bit() {
    let mut seen = Seen::new();
    let edits = [
        text("The capital of France is"),
        steps(4),
        Ask::ForceText(" and so".into()),
        Ask::Branch { len: 5, token: 301 },
        Ask::Policy(Policy::F32),
        text("The capital of Spain"),
        Ask::Back,
    ];
    let mut runs = vec![(seen.screen.clone(), seen.policy)];
    for ask in &edits {
        seen.ask(ask.clone());
        runs.push((seen.screen.clone(), seen.policy));
    }
    seen.revise(Ask::Undo);
    seen.revise(Ask::Undo);
    let mut again = come_back(&seen);
    assert_eq!(again.branches, seen.branches);
    assert_same(&again.screen, &runs[5].0, "the run itself");
    for at in [6, 7, 6, 5, 4, 3, 2, 1, 0, 1, 2, 3, 4, 5, 6, 7] {
        let back = at < again.branches.past.len();
        let revision = again.revise(if back { Ask::Undo } else { Ask::Redo }).0.unwrap();
        assert_eq!(revision.redos, again.branches.future.len());
        assert_same(&again.screen, &runs[at].0, &format!("run {at}"));
        assert_eq!(again.policy, runs[at].1, "run {at}");
        // In the middle of it once more.
        if at == 3 {
            again = come_back(&again);
        }
    }
}

#[test]
fn damaged_actions_in_a_session_change_nothing() {
    let mut seen = Seen::new();
    seen.ask(text("One two"));
    let left = |keep, id| FormerRun {
        action: RunAction::Step,
        prompt: None,
        edits: Vec::new(),
        policy: Policy::Hf,
        keep,
        rest: vec![(id, Source::Prompt)],
    };
    for damaged in [left(99, 1), left(1, 1_000_000)] {
        seen.branches = Branches { past: vec![damaged], future: Vec::new() };
        let mut again = come_back(&seen);
        let before = again.screen.clone();
        for _ in 0..2 {
            let (events, _) = again.ask(Ask::Undo);
            let Some(Event::Failed { failure, .. }) = events.last() else { panic!("{events:?}") };
            assert!(failure.summary.contains("does not say how to go back to before the step"), "{failure:?}");
            assert_same(&again.screen, &before, "still there");
        }
    }
}

#[test]
fn the_prompt_of_the_run_is_reported() {
    let mut seen = Seen::new();
    seen.ask(text("One"));
    seen.ask(steps(1));
    seen.ask(text("Two"));
    let mut prompt = |ask| seen.revise(ask).0.unwrap().prompt;
    let text = |text: &str| Some(Prompt::Text(text.to_owned()));
    assert_eq!(prompt(Ask::Undo), text("One"));
    assert_eq!(prompt(Ask::Undo), text("One"));
    assert_eq!(prompt(Ask::Undo), None);
    assert_eq!(prompt(Ask::Redo), text("One"));
    assert_eq!(prompt(Ask::Redo), text("One"));
    assert_eq!(prompt(Ask::Redo), text("Two"));
}

#[test]
fn after_an_undo_the_run_goes_on_as_if_nothing_had_been() {
    for edit in [steps(40), Ask::ForceText(" Madrid and Rome".into()), text("The capital of Spain"), Ask::Back] {
        let mut seen = Seen::new();
        seen.ask(text("The capital of France is"));
        seen.ask(steps(2));
        seen.ask(edit.clone());
        seen.revise(Ask::Undo);
        seen.ask(steps(3));
        let mut fresh = Seen::new();
        fresh.ask(text("The capital of France is"));
        fresh.ask(steps(5));
        let same: Vec<u32> = fresh.screen.iter().map(|token| token.id).collect();
        assert_eq!(seen.screen.iter().map(|token| token.id).collect::<Vec<_>>(), same, "{edit:?}");
        assert_same(&seen.screen, &fresh.screen, &format!("{edit:?}"));
        assert_eq!(seen.revise(Ask::Redo).0, None, "a new edit forgets what was undone");
    }
}

#[test]
fn what_changes_nothing_is_no_action() {
    let mut seen = Seen::new();
    seen.ask(text("One two"));
    seen.ask(text("One two"));
    let len = seen.screen.len();
    seen.ask(Ask::Truncate { len });
    seen.ask(Ask::ForceToken(1_000_000));
    seen.ask(Ask::Step { count: Some(1), sampling: Sampling { temperature: -1.0, ..Default::default() } });
    let revision = seen.revise(Ask::Undo).0.unwrap();
    assert_eq!((revision.former.action, revision.undos), (RunAction::Prompt, 0));
}

#[test]
fn a_paused_generation_is_one_action() {
    let (sender, mut events) = channel(64);
    let options = OpenOptions { policy: Policy::Hf, dtype: None, ids_only: false, device: Device::Cpu };
    let engine = Engine::start(Arc::new(open_target), options, sender).unwrap();
    engine.ask(RequestId(1), Ask::Open("demo".to_owned())).unwrap();
    let sampling = Sampling { temperature: 50.0, ..Default::default() };
    let mut len = 0;
    let mut next = |wanted: &dyn Fn(&Event, usize) -> bool| {
        loop {
            let event = events.blocking_recv().expect("the engine lives");
            if let Event::Tokens { keep, tokens, .. } = &event {
                len = keep + tokens.len();
            }
            if wanted(&event, len) {
                return len;
            }
        }
    };
    let ends =
        |id: u64| move |event: &Event, _: usize| matches!(event, Event::Finished { id: ended, .. } if ended.0 == id);
    next(&|event, _| matches!(event, Event::Ready { .. }));
    engine.ask(RequestId(3), text("Once upon a time")).unwrap();
    let prompt = next(&ends(3));
    engine.ask(RequestId(4), Ask::Step { count: None, sampling }).unwrap();
    next(&|_, len| len >= prompt + 5);
    engine.cancel(RequestId(4));
    engine.ask(RequestId(5), Ask::Undo).unwrap();
    assert_eq!(next(&ends(5)), prompt, "all of it at once");
    engine.ask(RequestId(6), Ask::Redo).unwrap();
    assert!(next(&ends(6)) >= prompt + 5);
}
