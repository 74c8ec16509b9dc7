//! Edits as the explorer requests them.

use super::{ids, parsed};
use mixscope::engine::Core;
use mixscope::model::{Location, open};
use mixscope::protocol::{Ask, Derive, Derived, Event, RequestId};
use mixscope::trace::{Policy, Prompt, Sampling, Variant};
use std::sync::Arc;

fn answer(core: &mut Core, id: &mut u64, ask: Ask) -> Vec<Event> {
    *id += 1;
    core.answer(RequestId(*id), ask)
}

#[test]
fn edits_are_undone_redone_flipped_and_compared() {
    let loaded = Arc::new(open(&Location::Demo, Policy::Hf, None, false).unwrap());
    let prompt = ids(&loaded, 16);
    let mut core = Core::new(loaded);
    let mut id = 0;
    answer(&mut core, &mut id, Ask::Prompt(Prompt::Ids(prompt.clone())));
    let plain = core.run().tokens().to_vec();
    let edits = || parsed(&["zero L4.mlp@5.."]);
    let events = answer(&mut core, &mut id, Ask::Edits { edits: edits(), at: 7 });
    let found = events.iter().find_map(|event| if let Event::Edited(found) = event { Some(found) } else { None });
    let found = found.unwrap();
    assert_eq!((found.notes.len(), found.notes[0].sites, found.kl.0), (1, 11, 7));
    assert!(found.kl.1 > 0.0 && found.loss_change.unwrap() != 0.0);
    let kept = events.iter().find_map(|event| if let Event::Tokens { keep, .. } = event { Some(*keep) } else { None });
    assert_eq!(kept, Some(5), "what comes before the edit is shared");
    let edited = core.run().tokens().to_vec();
    let same = |a: &[Arc<mixscope::trace::TokenRecord>], b: &[Arc<mixscope::trace::TokenRecord>]| {
        a.len() == b.len()
            && a.iter().zip(b).all(|(a, b)| a.values == b.values && a.next == b.next && a.sites == b.sites)
    };
    assert!(!same(&plain, &edited));
    // The run without edits is the baseline, at once.
    let variant = Variant::plain(Policy::Hf);
    let events = answer(&mut core, &mut id, Ask::Derive(Derive::Variant { variant, have: 0, len: 16 }));
    let records = events.iter().find_map(|event| match event {
        Event::Derived { result: Derived::Variant { tokens, .. }, .. } => Some(tokens.clone()),
        _ => None,
    });
    assert!(same(&records.unwrap(), &plain));
    for _ in 0..2 {
        answer(&mut core, &mut id, Ask::Edits { edits: Vec::new(), at: 0 });
        assert!(same(core.run().tokens(), &plain) && core.run().meta().edits.is_empty());
        answer(&mut core, &mut id, Ask::Edits { edits: edits(), at: 0 });
        assert!(same(core.run().tokens(), &edited));
    }
    answer(&mut core, &mut id, Ask::Undo);
    assert!(same(core.run().tokens(), &plain));
    answer(&mut core, &mut id, Ask::Redo);
    assert!(same(core.run().tokens(), &edited) && core.run().meta().edits.len() == 1);
    // Another prompt and more tokens are read under the edits.
    answer(&mut core, &mut id, Ask::Prompt(Prompt::Ids(prompt[..9].to_vec())));
    assert_eq!(core.run().tokens().iter().map(|token| token.sites.len()).sum::<usize>(), 4);
    answer(
        &mut core,
        &mut id,
        Ask::Step { count: Some(2), sampling: Sampling { temperature: 0.0, ..Sampling::default() } },
    );
    assert_eq!(core.run().tokens().iter().map(|token| token.sites.len()).sum::<usize>(), 6);
    // A wrong edit leaves the run as it was.
    let events = answer(&mut core, &mut id, Ask::Edits { edits: parsed(&["ban L60.E1"]), at: 0 });
    assert!(events.iter().any(|event| matches!(event, Event::Failed { .. })));
    assert_eq!(core.run().meta().edits.len(), 1);
}

#[test]
fn what_the_prompt_is_follows_its_tokens() {
    let loaded = Arc::new(open(&Location::Demo, Policy::Hf, None, false).unwrap());
    let prompt = ids(&loaded, 15);
    let mut core = Core::new(loaded);
    let mut id = 0;
    answer(&mut core, &mut id, Ask::Prompt(Prompt::Ids(prompt)));
    answer(&mut core, &mut id, Ask::Edits { edits: parsed(&["zero L4.mlp@generated", "mean L1.H2"]), at: 0 });
    answer(&mut core, &mut id, Ask::Truncate { len: 8 });
    let greedy = Sampling { temperature: 0.0, ..Sampling::default() };
    answer(&mut core, &mut id, Ask::Step { count: Some(3), sampling: greedy });
    let of = |core: &Core, edit: u16| -> Vec<usize> {
        let has = |pos: &usize| core.run().tokens()[*pos].sites.iter().any(|site| site.edit == edit);
        (0..core.run().tokens().len()).filter(has).collect()
    };
    assert_eq!(of(&core, 0), [8, 9, 10], "what follows the shortened prompt is generated");
    assert_eq!(of(&core, 1).len(), 11);
    // The same tokens from the start give the same bits.
    let now = core.run().tokens().to_vec();
    answer(&mut core, &mut id, Ask::Policy(Policy::F32));
    answer(&mut core, &mut id, Ask::Policy(Policy::Hf));
    assert!(now.iter().zip(core.run().tokens()).all(|(a, b)| a.values == b.values && a.sites == b.sites));
}
