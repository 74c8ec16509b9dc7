//! The tree of runs: keys of its list, and random actions against an engine that keeps runs as data.

use super::*;
use mixscope::protocol::{FormerRun, Revision};
use mixscope::state::{BranchRow, RunTree};
use mixscope::trace::Edit;

type Tokens = Vec<(u32, Source)>;

#[derive(Clone, Debug, PartialEq)]
struct Run {
    tokens: Tokens,
    policy: Policy,
    edits: Vec<Edit>,
}

/// An engine that keeps runs, and undoes and redoes as the engine does.
struct Simulated {
    run: Run,
    past: Vec<(RunAction, Run)>,
    future: Vec<(RunAction, Run)>,
}

impl Simulated {
    fn new() -> Self {
        let run = Run { tokens: Vec::new(), policy: Policy::Hf, edits: Vec::new() };
        Self { run, past: Vec::new(), future: Vec::new() }
    }

    /// Makes `next` the run on the screen, and returns what is kept of the run before it.
    fn show(&mut self, state: &mut State, action: RunAction, next: Run) -> FormerRun {
        let left = std::mem::replace(&mut self.run, next);
        let alike = left.policy == self.run.policy && left.edits == self.run.edits;
        let same = left.tokens.iter().zip(&self.run.tokens).take_while(|(a, b)| a == b).count();
        let keep = if alike { same } else { 0 };
        if !alike {
            let (policy, edits) = (self.run.policy, self.run.edits.clone().into());
            engine(state, protocol::Event::Switched(Arc::new(Meta { policy, edits, ..(*meta()).clone() })));
        }
        let new = self.run.tokens[keep..]
            .iter()
            .map(|(id, source)| Arc::new(TokenRecord { source: *source, ..(*record(*id)).clone() }));
        engine(state, protocol::Event::Tokens { id: RequestId(1), keep, tokens: new.collect(), ms: 0.0 });
        let edits = left.edits.iter().map(ToString::to_string).collect();
        FormerRun { action, prompt: None, policy: left.policy, edits, keep, rest: left.tokens[keep..].to_vec() }
    }

    fn act(&mut self, state: &mut State, action: RunAction, next: Run) {
        if next == self.run {
            return;
        }
        self.past.push((action, self.run.clone()));
        self.future.clear();
        let former = self.show(state, action, next);
        let prompt = Some(Prompt::Text("the prompt".into()));
        engine(state, protocol::Event::Acted { former, undos: self.past.len(), prompt });
    }

    fn revise(&mut self, state: &mut State, direction: Direction) {
        let (from, to) = match direction {
            Direction::Back => (&mut self.past, &mut self.future),
            Direction::Forward => (&mut self.future, &mut self.past),
        };
        let Some((action, next)) = from.pop() else { return };
        to.push((action, self.run.clone()));
        let former = self.show(state, action, next);
        let (undos, redos) = (self.past.len(), self.future.len());
        engine(state, protocol::Event::Revised(Revision { former, direction, prompt: None, undos, redos }));
    }

    /// Carries out what the state requested.
    fn take(&mut self, state: &mut State, effects: Vec<Effect>) {
        for effect in effects {
            let Effect::Ask(id, ask) = effect else { continue };
            match ask {
                Ask::GoTo { tokens, policy, edits, .. } => {
                    self.act(state, RunAction::Branch, Run { tokens, policy, edits });
                }
                other => panic!("{other:?}"),
            }
            engine(state, protocol::Event::Finished { id, outcome: Outcome::Done });
        }
    }

    fn key(&mut self, state: &mut State, keys: &str) {
        let effects = press(state, keys);
        self.take(state, effects);
    }

    /// Opens the list at a row.
    fn open_at(&mut self, state: &mut State, row: usize) {
        press(state, "Y home");
        (0..row).for_each(|_| drop(press(state, "down")));
    }
}

fn open() -> State {
    let mut state = fresh();
    engine(&mut state, protocol::Event::Ready { id: RequestId(0), meta: meta() });
    press(&mut state, "esc");
    state
}

fn prompt(ids: &[u32]) -> Tokens {
    ids.iter().map(|id| (*id, Source::Prompt)).collect()
}

fn lines(state: &State) -> Vec<String> {
    let line = |row: BranchRow| format!("{}{} {}", row.lines, row.label, row.tokens);
    state.branch_rows().into_iter().map(line).collect()
}

fn said(state: &State) -> String {
    state.message.as_ref().map_or_else(String::new, |message| message.failure.summary.clone())
}

/// A prompt, a generation of it, a token forced after an undo, and the same under another policy.
fn forked() -> (State, Simulated) {
    let (mut state, mut engine) = (open(), Simulated::new());
    let run = |tokens: Tokens| Run { tokens, policy: Policy::Hf, edits: Vec::new() };
    let with = |id, source| [prompt(&[1, 2]), vec![(id, source)]].concat();
    engine.act(&mut state, RunAction::Prompt, run(prompt(&[1, 2])));
    engine.act(&mut state, RunAction::Step, run(with(3, Source::Generated)));
    engine.revise(&mut state, Direction::Back);
    engine.act(&mut state, RunAction::ForcedToken, run(with(4, Source::Forced)));
    engine.act(&mut state, RunAction::Policy, Run { policy: Policy::F32, ..run(with(4, Source::Forced)) });
    assert_eq!(lines(&state), ["prompt 2", "├─ step 3", "└─ forced token 3", "   change of policy 3"]);
    (state, engine)
}

#[test]
fn a_branch_that_an_undo_left_is_gone_to_and_undone() {
    let (mut state, mut engine) = forked();
    assert_eq!(state.branch_rows()[1].differs, "‘·t3’");
    assert_eq!(state.branch_rows()[3].differs, "f32");
    let before = engine.run.clone();
    press(&mut state, "Y up up");
    let effects = press(&mut state, "enter");
    let goal = [prompt(&[1, 2]), vec![(3, Source::Generated)]].concat();
    let prompt = Some(Prompt::Text("the prompt".into()));
    assert_eq!(asks(&effects), [Ask::GoTo { prompt, tokens: goal.clone(), policy: Policy::Hf, edits: vec![] }]);
    engine.take(&mut state, effects);
    assert_eq!((&engine.run.tokens, engine.run.policy), (&goal, Policy::Hf));
    assert_eq!(said(&state), "went to the step: 3 tokens · z goes back");
    assert_eq!(state.prompt, "the prompt");
    assert_eq!(lines(&state).len(), 4, "going there adds nothing");
    engine.revise(&mut state, Direction::Back);
    assert_eq!(engine.run, before);
    let place = state.tree().current().unwrap();
    assert_eq!(state.tree().nodes()[place.node].action, RunAction::Policy);
    engine.key(&mut state, "Y enter");
    assert_eq!(said(&state), "this is the current run");
}

#[test]
fn branches_are_named_compared_and_deleted_from_the_list() {
    let (mut state, mut engine) = forked();
    press(&mut state, "Y home down n");
    assert!(matches!(state.overlays[..], [Overlay::Input(_)]), "{:?}", state.overlays);
    press(&mut state, "m y space o n e enter");
    assert_eq!(lines(&state)[1], "├─ my one 3");
    assert!(matches!(state.overlays[..], [Overlay::Branches(_)]), "the list is back");
    press(&mut state, "d");
    assert_eq!(said(&state), "this would delete ‘my one’: the same key again deletes it");
    press(&mut state, "down up d");
    assert_eq!(lines(&state).len(), 4, "another key was pressed in between");
    press(&mut state, "d");
    assert_eq!(lines(&state), ["prompt 2", "forced token 3", "change of policy 3"]);
    press(&mut state, "home d");
    assert!(said(&state).contains("leads to the current run"), "{}", said(&state));
    // The same tokens under another policy become the baseline.
    press(&mut state, "down c");
    assert!(state.overlays.is_empty() && state.view() == View::Compare);
    assert_eq!(state.baseline.variant().map(|variant| variant.policy), Some(Policy::Hf));
    assert!(state.second.is_none());
    // Other tokens become the second prompt.
    press(&mut state, "1 Y home c");
    assert_eq!(state.view(), View::Compare);
    assert_eq!(state.second.as_ref().map(|second| &second.prompt), Some(&Prompt::Ids(vec![1, 2])));
    assert!(said(&state).contains("under the policy and the edits of the current run"));
    press(&mut state, "Y c");
    assert!(said(&state).contains("this is the current run"));
    engine.key(&mut state, "Y n");
    press(&mut state, "esc Y Y Y q");
    assert!(state.overlays.is_empty());
}

#[test]
fn an_empty_tree_a_busy_engine_and_a_saved_run_say_so() {
    let mut state = open();
    press(&mut state, "Y enter");
    press(&mut state, "Y n c d down");
    assert!(state.overlays.len() <= 1);
    let (mut state, _) = forked();
    let step = press(&mut state, "space");
    assert!(asks(&press(&mut state, "Y home enter")).is_empty());
    assert!(said(&state).contains("pause first"));
    finish(&mut state, &step);
    let mut state = fresh();
    press(&mut state, "Y");
    assert!(said(&state).contains("no model is open"), "{}", said(&state));
}

#[test]
fn a_full_tree_drops_the_oldest_and_says_so_once() {
    let (mut state, mut engine) = (open(), Simulated::new());
    let run = |id| Run { tokens: prompt(&[1, 2, id]), policy: Policy::Hf, edits: Vec::new() };
    let root = Run { tokens: prompt(&[1, 2]), policy: Policy::Hf, edits: Vec::new() };
    engine.act(&mut state, RunAction::Prompt, root);
    let mut times = 0;
    for id in 0..300 {
        engine.act(&mut state, RunAction::ForcedToken, run(10 + id));
        times += usize::from(said(&state).contains("the tree of runs is full"));
        state.message = None;
        engine.revise(&mut state, Direction::Back);
    }
    assert_eq!((times, state.branch_rows().len()), (1, 256));
    assert_eq!(state.tree().nodes()[1].rest[0].0, 10 + 300 - 255, "the oldest are gone");
}

#[derive(Clone, Debug)]
enum Random {
    Prompt(Vec<u32>),
    Step(Vec<u32>),
    Force(usize, u32),
    Truncate(usize),
    Back,
    Policy(bool),
    Edits(bool),
    Undo,
    Redo,
    GoTo(usize),
    Name(usize),
    Delete(usize),
    Session,
}

fn any_action() -> impl Strategy<Value = Random> {
    let ids = || prop::collection::vec(1u32..4, 1..4);
    prop_oneof![
        2 => ids().prop_map(Random::Prompt),
        6 => ids().prop_map(Random::Step),
        3 => (0usize..9, 1u32..4).prop_map(|(len, id)| Random::Force(len, id)),
        1 => (1usize..9).prop_map(Random::Truncate),
        2 => Just(Random::Back),
        1 => any::<bool>().prop_map(Random::Policy),
        2 => any::<bool>().prop_map(Random::Edits),
        4 => Just(Random::Undo),
        3 => Just(Random::Redo),
        3 => (0usize..20).prop_map(Random::GoTo),
        1 => (0usize..20).prop_map(Random::Name),
        2 => (0usize..20).prop_map(Random::Delete),
        1 => Just(Random::Session),
    ]
}

fn check(state: &State, engine: &Simulated) -> Result<(), TestCaseError> {
    let tree: &RunTree = state.tree();
    prop_assert_eq!(&tree.current_tokens(), &engine.run.tokens);
    if let Some(place) = tree.current() {
        let node = &tree.nodes()[place.node];
        let edits: Vec<String> = engine.run.edits.iter().map(ToString::to_string).collect();
        prop_assert_eq!((node.policy, &node.edits), (engine.run.policy, &edits));
        prop_assert!(place.len <= node.len());
    }
    for (index, node) in tree.nodes().iter().enumerate() {
        prop_assert!(node.parent.is_none_or(|parent| parent < index && node.keep <= tree.nodes()[parent].len()));
        prop_assert_eq!(tree.tokens(index).len(), node.len());
        prop_assert!(node.pieces.len() <= node.rest.len(), "{:?}", node);
        let shown: Vec<String> = node.rest.iter().map(|(id, _)| format!("·t{id}")).collect();
        prop_assert_eq!(&node.pieces[..], &shown[..node.pieces.len()]);
    }
    let mut reached: Vec<u32> = tree.rows().iter().map(|row| row.id).collect();
    reached.sort_unstable();
    let mut all: Vec<u32> = tree.nodes().iter().map(|node| node.id).collect();
    all.sort_unstable();
    prop_assert_eq!(reached, all, "every node has one line");
    prop_assert!(tree.nodes().len() <= 256 && tree.own_tokens() <= 1 << 16);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]
    #[test]
    fn the_tree_follows_random_actions(actions in prop::collection::vec(any_action(), 60)) {
        let (mut state, mut engine) = (open(), Simulated::new());
        let ban: Vec<Edit> = vec!["ban L3.E5".parse().unwrap()];
        for action in actions {
            let mut next = engine.run.clone();
            let rows = state.branch_rows().len();
            let end = |tokens: &mut Tokens, id, source| tokens.push((id, source));
            match action.clone() {
                Random::Prompt(ids) => {
                    next.tokens = prompt(&ids);
                    engine.act(&mut state, RunAction::Prompt, next);
                }
                Random::Step(ids) if !next.tokens.is_empty() => {
                    ids.iter().for_each(|id| end(&mut next.tokens, *id, Source::Generated));
                    let action = if ids.len() == 1 { RunAction::Step } else { RunAction::Generation };
                    engine.act(&mut state, action, next);
                }
                Random::Force(len, id) if !next.tokens.is_empty() => {
                    next.tokens.truncate(len.max(1));
                    end(&mut next.tokens, id, Source::Forced);
                    engine.act(&mut state, RunAction::ForcedToken, next);
                }
                Random::Truncate(len) => {
                    next.tokens.truncate(len);
                    engine.act(&mut state, RunAction::Rewinding, next);
                }
                Random::Back => {
                    next.tokens.truncate((next.tokens.len().max(2)) - 1);
                    engine.act(&mut state, RunAction::StepBack, next);
                }
                Random::Policy(is_hf) => {
                    next.policy = if is_hf { Policy::Hf } else { Policy::F32 };
                    engine.act(&mut state, RunAction::Policy, next);
                }
                Random::Edits(on) => {
                    next.edits = if on { ban.clone() } else { Vec::new() };
                    engine.act(&mut state, RunAction::Edits, next);
                }
                Random::Undo => engine.revise(&mut state, Direction::Back),
                Random::Redo => engine.revise(&mut state, Direction::Forward),
                Random::GoTo(row) if rows > 0 => {
                    engine.open_at(&mut state, row % rows);
                    engine.key(&mut state, "enter");
                    let place = state.tree().current().unwrap();
                    prop_assert_eq!(state.tree().nodes()[place.node].id, state.branch_rows()[row % rows].id);
                    prop_assert!(state.tree().is_current(place.node));
                }
                Random::Name(row) if rows > 0 => {
                    engine.open_at(&mut state, row % rows);
                    press(&mut state, "n x enter q");
                    prop_assert!(state.branch_rows()[row % rows].is_named);
                }
                Random::Delete(row) if rows > 0 => {
                    engine.open_at(&mut state, row % rows);
                    press(&mut state, "d q");
                }
                Random::Session => {
                    if let Some(saved) = state.saved() {
                        let json = serde_json::to_string(&saved).unwrap();
                        prop_assert_eq!(&serde_json::from_str::<mixscope::state::Saved>(&json).unwrap().tree, state.tree());
                    }
                }
                _ => {}
            }
            state.overlays.clear();
            check(&state, &engine)?;
        }
    }
}
