//! Thousands of random actions against a simulated engine.

use super::*;

#[derive(Clone, Debug)]
enum Random {
    Key(Key),
    Paste(String),
    Answer(usize),
    Fail,
    Drawn,
}

fn any_key() -> impl Strategy<Value = Key> {
    let codes = prop_oneof![
        8 => prop::sample::select("ioguUrfsqv12345hjklHL0$[],.cdpe?n x9:/Nm'\"zZyYrvcat{}DwS!".chars().collect::<Vec<_>>()).prop_map(Code::Char),
        4 => prop::sample::select(vec![
            Code::Enter, Code::Esc, Code::Backspace, Code::Delete, Code::Tab, Code::BackTab, Code::Up, Code::Down,
            Code::Left, Code::Right, Code::Home, Code::End, Code::PageUp, Code::PageDown,
        ]),
        1 => any::<char>().prop_map(Code::Char),
    ];
    (codes, prop::bool::weighted(0.1), prop::bool::weighted(0.1), prop::bool::weighted(0.1))
        .prop_map(|(code, ctrl, alt, shift)| Key { code, ctrl, alt, shift })
}

fn any_action() -> impl Strategy<Value = Random> {
    prop_oneof![
        20 => any_key().prop_map(Random::Key),
        1 => ".{0,12}".prop_map(Random::Paste),
        8 => (1usize..4).prop_map(Random::Answer),
        1 => Just(Random::Fail),
        4 => Just(Random::Drawn),
    ]
}

/// An engine that keeps the contract without a model.
#[derive(Default)]
struct Simulated {
    tokens: u32,
    open: Vec<(RequestId, Ask)>,
    /// Lengths before each edit, and after each that was undone.
    past: Vec<u32>,
    future: Vec<u32>,
}

impl Simulated {
    fn take(&mut self, state: &mut State, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Ask(id, ask) => self.open.push((id, ask)),
                Effect::CancelOpening(through) => {
                    self.open.retain(|(id, ask)| *id > through || !matches!(ask, Ask::Open(_)));
                }
                Effect::FindModels(text) => {
                    let found = ["demo", "a/b", "folder/"].map(|name| Choice {
                        name: format!("{text}{name}"),
                        origin: if name.ends_with('/') { Origin::Folder } else { Origin::Path },
                        note: String::new(),
                    });
                    let effects = update(state, Event::Models(found.to_vec()));
                    assert!(effects.is_empty());
                }
                Effect::Cancel(through) => {
                    let (gone, stays) =
                        self.open.drain(..).partition(|(id, ask)| *id <= through && !matches!(ask, Ask::Derive(_)));
                    self.open = stays;
                    let gone: Vec<(RequestId, Ask)> = gone;
                    for (id, _) in gone {
                        engine(state, protocol::Event::Finished { id, outcome: Outcome::Cancelled });
                    }
                }
                _ => {}
            }
        }
    }

    fn answer(&mut self, state: &mut State) {
        if self.open.is_empty() {
            return;
        }
        let (id, ask) = self.open.remove(0);
        if let Ask::Open(name) = &ask {
            if name.len() % 2 == 0 {
                self.tokens = 0;
                (self.past, self.future) = Default::default();
                let effects = engine(state, protocol::Event::Ready { id, meta: meta() });
                engine(state, protocol::Event::Finished { id, outcome: Outcome::Done });
                self.take(state, effects);
            } else {
                let failure = protocol::Failure { summary: "no".into(), causes: Vec::new() };
                engine(state, protocol::Event::Failed { id, failure });
            }
            return;
        }
        let before = self.tokens;
        if let Ask::Undo | Ask::Redo = ask {
            let back = ask == Ask::Undo;
            let (from, to) = if back { (&mut self.past, &mut self.future) } else { (&mut self.future, &mut self.past) };
            match from.pop() {
                Some(tokens) => {
                    to.push(before);
                    self.tokens = tokens;
                    let keep = tokens.min(before);
                    let new = (keep..tokens).map(record).collect();
                    engine(state, protocol::Event::Tokens { id, keep: keep as usize, tokens: new, ms: 0.0 });
                    let prompt = (tokens > 0).then(|| Prompt::Text("again".into()));
                    let (undos, redos) = (self.past.len(), self.future.len());
                    let direction = if back { Direction::Back } else { Direction::Forward };
                    let left = FormerRun {
                        action: RunAction::Step,
                        prompt: None,
                        edits: Vec::new(),
                        policy: Policy::Hf,
                        keep: 0,
                        rest: Vec::new(),
                    };
                    let revision = protocol::Revision { former: left, direction, prompt, undos, redos };
                    engine(state, protocol::Event::Revised(revision));
                }
                None => drop(engine(state, protocol::Event::Warning("nothing".into()))),
            }
            engine(state, protocol::Event::Finished { id, outcome: Outcome::Done });
            return;
        }
        let (keep, new) = match ask {
            Ask::Prompt(_) => (0, 5),
            Ask::Step { count, .. } => (self.tokens, count.unwrap_or(3).min(50) as u32),
            Ask::ForceToken(_) | Ask::ForceText(_) => (self.tokens, 1),
            Ask::Back => (self.tokens.saturating_sub(1).max(self.tokens.min(1)), 0),
            Ask::Truncate { len } => ((len as u32).min(self.tokens), 0),
            Ask::Policy(_) | Ask::Edits { .. } => (0, self.tokens),
            Ask::Restore { tokens, .. } | Ask::GoTo { tokens, .. } => (0, tokens.len() as u32),
            Ask::Branch { len, .. } => ((len as u32).min(self.tokens), 1),
            Ask::Derive(_) | Ask::Lab { .. } | Ask::Open(_) | Ask::Undo | Ask::Redo => (self.tokens, 0),
        };
        self.tokens = keep + new;
        if self.tokens != before {
            self.past.push(before);
            self.future.clear();
        }
        let tokens = (keep..self.tokens).map(record).collect();
        engine(state, protocol::Event::Tokens { id, keep: keep as usize, tokens, ms: 1.0 });
        engine(state, protocol::Event::Finished { id, outcome: Outcome::Done });
    }
}

proptest! {
    // 100 runs of 100 actions.
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]
    #[test]
    fn ten_thousand_random_actions_keep_the_state_sound(actions in prop::collection::vec(any_action(), 100)) {
        let mut state = fresh();
        let mut model = Simulated::default();
        let effects = engine(&mut state, protocol::Event::Ready { id: RequestId(0), meta: meta() });
        model.take(&mut state, effects);
        let d = meta().dims;
        for action in actions {
            let effects = match &action {
                Random::Key(key) => update(&mut state, Event::Key(*key)),
                Random::Paste(text) => update(&mut state, Event::Paste(text.clone())),
                Random::Answer(n) => {
                    (0..*n).for_each(|_| model.answer(&mut state));
                    Vec::new()
                }
                Random::Fail => {
                    if model.open.is_empty() {
                        continue;
                    }
                    let (id, _) = model.open.remove(0);
                    engine(&mut state, protocol::Event::Failed { id, failure: Failure { summary: "no".into(), causes: vec![] } })
                }
                Random::Drawn => {
                    let lens = vec![mixscope::trace::LensKey { pos: state.cursor.token, layer: 0, site: LensSite::ResidMid }];
                    update(&mut state, Event::Drawn(Wanted { lens, ..Default::default() }.into(), Geometry { page_overflow: Some(3), ..Geometry::default() }))
                }
            };
            model.take(&mut state, effects);
            let c = state.cursor;
            prop_assert!(c.token < state.tokens.len().max(1), "{action:?}");
            prop_assert!(c.layer < d.layers && c.head < d.heads && c.expert < d.experts, "{action:?} {c:?}");
            prop_assert!(c.candidate < 10, "{action:?} {c:?}");
            prop_assert_eq!(state.shown.len(), state.tokens.len());
            prop_assert_eq!(state.tokens.len(), model.tokens as usize);
            let runs = model.open.iter().filter(|(_, ask)| !matches!(ask, Ask::Derive(_) | Ask::Open(_))).count();
            prop_assert_eq!(state.jobs.len(), runs, "jobs of the screen are those of the engine after {:?}", action);
            prop_assert!(state.overlays.len() <= 1, "{:?}", state.overlays);
            prop_assert!(state.bookmarks.iter().all(|pos| *pos < state.tokens.len()), "{action:?}");
            let matched = state.search.iter().flat_map(|search| search.matches()).map(|found| found.end).max();
            prop_assert!(matched.is_none_or(|end| end <= state.tokens.len()), "{action:?}");
        }
    }
}
