//! The baseline of a comparison: the run under another policy.

use crate::support;
use mixscope::analysis::view::View;
use mixscope::app::Still;
use mixscope::control::Control;
use mixscope::engine::{Capture, Live, Replay};
use mixscope::model::{Loaded, Location, open};
use mixscope::protocol;
use mixscope::state::{Baseline, Event, Overlay, Recorded};
use mixscope::trace::Prompt;
use mixscope::trace::{Policy, Source, TokenRecord};
use mixscope::ui::Depth;
use std::sync::Arc;

const PROMPT: &str =
    "Once upon a time, there was a little girl named Lily. She had a red ball. One day she went to the park.";

fn demo(policy: Policy) -> Arc<Loaded> {
    Arc::new(open(&Location::Demo, policy, None, false).unwrap())
}

fn still() -> Still {
    Still::new(demo(Policy::Hf), Some(PROMPT))
}

/// The text on screen, once A has been read.
fn seen(still: &mut Still) -> String {
    let screen = still.screen(160, 45, Depth::Mono);
    let lines = screen.content().chunks(160).map(|line| line.iter().map(|cell| cell.symbol()).collect::<String>());
    lines.collect::<Vec<_>>().join("\n")
}

/// The prompt read under a policy, without any explorer.
fn read(policy: Policy) -> Vec<Arc<TokenRecord>> {
    let loaded = demo(policy);
    let capture = Capture::for_views(loaded.meta.dims.layers);
    let mut session = Live::new(loaded, capture, 8);
    let ids = session.prompt_ids(&Prompt::Text(PROMPT.to_owned())).unwrap();
    session.extend(&ids, Source::Prompt, &Control::none()).unwrap();
    session.tokens().to_vec()
}

#[test]
fn the_run_that_was_left_is_what_the_new_one_is_compared_with() {
    let mut still = still();
    still.press("5 v").unwrap();
    assert!(seen(&mut still).contains("one run so far: p reads the same tokens"), "{}", seen(&mut still));
    still.press("p").unwrap();
    let text = seen(&mut still);
    assert!(text.contains("A hf, B f32"), "{text}");

    let (a, b) = (read(Policy::Hf), read(Policy::F32));
    let found = still.state.baseline.diff().unwrap();
    assert_eq!(found.tokens(), a.len());
    let sets = |token: &TokenRecord, layer: usize| {
        let mut experts = token.experts(layer).unwrap().to_vec();
        experts.sort_unstable();
        experts
    };
    for (layer, counted) in found.layers().iter().enumerate() {
        let flips: Vec<usize> = (0..a.len()).filter(|pos| sets(&a[*pos], layer) != sets(&b[*pos], layer)).collect();
        let found: Vec<usize> = counted.flips().iter().map(|flip| flip.position).collect();
        assert_eq!(found, flips, "layer {layer}");
    }
    assert!(found.flips().0 > 0, "rounding flips an expert of this text");
    let mean = |tokens: &[Arc<TokenRecord>]| {
        let nll: Vec<f64> = tokens.iter().filter_map(|token| token.score).map(|score| f64::from(score.nll)).collect();
        nll.iter().sum::<f64>() / nll.len() as f64
    };
    let [of_a, of_b] = found.mean_losses().unwrap();
    assert!((of_a - mean(&a)).abs() < 1e-9 && (of_b - mean(&b)).abs() < 1e-9);
    assert!(text.contains(&format!("mean loss A {of_a:.4}  B {of_b:.4}")), "{text}");
}

#[test]
fn the_first_policy_stays_a_until_the_run_returns_to_it() {
    let mut still = still();
    still.press("5 v p").unwrap();
    still.press("p").unwrap();
    seen(&mut still);
    let policies = |still: &Still| {
        (still.state.baseline.variant().map(|variant| variant.policy), still.state.meta().unwrap().policy)
    };
    assert_eq!(policies(&still), (Some(Policy::Hf), Policy::F32Router));
    assert_eq!(still.state.baseline.tokens().len(), still.state.tokens.len(), "A is read again for another B");
    still.press("p").unwrap();
    assert_eq!(policies(&still), (Some(Policy::F32Router), Policy::Hf));
    still.press("z").unwrap();
    assert_eq!(policies(&still), (Some(Policy::Hf), Policy::F32Router), "undone");

    still.press("P end enter").unwrap();
    assert_eq!(policies(&still), (Some(Policy::Hf), Policy::Hf4), "chosen from the list");
    still.press("P").unwrap();
    assert!(matches!(still.state.overlays.last(), Some(Overlay::Policies(_))));
    let text = seen(&mut still);
    for policy in Policy::all() {
        assert!(text.contains(policy.about().get(..40).unwrap_or(policy.about())), "{policy}: {text}");
    }
}

#[test]
fn a_follows_the_run_as_it_grows_shrinks_and_parts() {
    let mut still = still();
    still.press("5 v p").unwrap();
    seen(&mut still);
    let prompt = still.state.tokens.len();
    let alike = |still: &Still| {
        let ids = |tokens: &[Arc<TokenRecord>]| tokens.iter().map(|token| token.id).collect::<Vec<_>>();
        assert_eq!(ids(still.state.baseline.tokens()), ids(&still.state.tokens));
        assert_eq!(still.state.baseline.diff().unwrap().tokens(), still.state.tokens.len());
    };
    still.press("space space").unwrap();
    assert_eq!(still.state.baseline.tokens().len(), prompt, "read when it is looked at");
    seen(&mut still);
    alike(&still);
    still.press("u").unwrap();
    alike(&still);
    still.press("f x enter").unwrap();
    seen(&mut still);
    alike(&still);
    still.press("i ctrl-u h i enter").unwrap();
    seen(&mut still);
    alike(&still);
}

#[test]
fn braces_go_from_flip_to_flip() {
    let mut still = still();
    still.press("5 v p").unwrap();
    seen(&mut still);
    let found = still.state.baseline.diff().unwrap().clone();
    let layers = found.layers().iter().enumerate();
    let mut all: Vec<(usize, usize)> =
        layers.flat_map(|(layer, found)| found.flips().iter().map(move |flip| (flip.position, layer))).collect();
    all.sort_unstable();
    assert!(!all.is_empty(), "rounding flips experts of this text");
    let place = |still: &Still| (still.state.cursor.token, still.state.cursor.layer);
    while still.state.cursor.layer > 0 {
        still.press("J").unwrap();
    }
    still.press("home").unwrap();
    for expected in all.iter().chain(&all[..1]) {
        still.press("}").unwrap();
        assert_eq!(place(&still), *expected, "every flip in turn, around the end");
    }
    still.press("{").unwrap();
    assert_eq!(place(&still), all[all.len() - 1], "and back around the beginning");
    let said = still.state.message.as_ref().unwrap().failure.summary.clone();
    assert_eq!(said, format!("flip {0} of {0}", all.len()));
    still.press("v home }").unwrap();
    assert_eq!(still.state.view(), View::FidelityLoss);
    let first = all.iter().map(|(pos, _)| *pos).find(|pos| *pos > 0);
    assert_eq!(Some(still.state.cursor.token), first, "of any layer, where tokens are lines");
}

/// What a key copies.
fn copied(still: &mut Still, keys: &str) -> String {
    let mut found = String::new();
    for name in keys.split_whitespace() {
        let effects = mixscope::state::update(&mut still.state, mixscope::state::Event::Key(name.parse().unwrap()));
        for effect in effects {
            if let mixscope::state::Effect::Copy(text) = effect {
                found = text;
            }
        }
    }
    found
}

#[test]
fn what_is_copied_has_the_columns_of_the_files() {
    let mut still = still();
    still.press("5 v p").unwrap();
    seen(&mut still);
    let (n, layers) = (still.state.tokens.len(), still.state.meta().unwrap().dims.layers);
    let flips = copied(&mut still, "y v");
    assert!(flips.starts_with("policy_a,policy_b,position,token_id,token,layer,flipped,experts_a"), "{flips}");
    assert_eq!(flips.lines().count(), 1 + n * layers);
    let mut rows = csv::Reader::from_reader(flips.as_bytes());
    let flipped = rows.records().filter(|row| &row.as_ref().unwrap()[6] == "1").count();
    assert_eq!(flipped, still.state.baseline.diff().unwrap().flips().0);
    assert_eq!(copied(&mut still, "y r").lines().count(), 1 + layers);
    assert_eq!(copied(&mut still, "y c").lines().count(), 2);
    let losses = copied(&mut still, "v y v");
    assert!(losses.starts_with("policy_a,policy_b,position,token_id,token,nll_a,nll_b,difference,flips,"), "{losses}");
    assert_eq!(losses.lines().count(), 1 + n);
    assert!(losses.lines().nth(2).unwrap().starts_with("hf,f32,1,"), "{losses}");
}

#[test]
fn the_lab_reads_the_run_under_every_policy_and_leaves_it_as_it_is() {
    let mut still = still();
    let before = still.state.tokens.clone();
    still.press("5 v v v").unwrap();
    let text = seen(&mut still);
    assert!(text.contains("enter reads the 28 tokens under every policy that can differ"), "{text}");
    still.press("enter").unwrap();
    let text = seen(&mut still);
    let lab = still.state.lab.clone().unwrap();
    assert_eq!(lab.tokens.len(), before.len());
    assert!(still.state.tokens.iter().zip(&before).all(|(a, b)| Arc::ptr_eq(a, b)), "the run is as it was");
    for row in &lab.rows {
        assert!(text.contains(row.policy.name()), "{}: {text}", row.policy);
    }
    // The same as two runs side by side say.
    still.press("v v v p").unwrap();
    seen(&mut still);
    let flips: Vec<usize> = still.state.baseline.diff().unwrap().layers().iter().map(|l| l.flips().len()).collect();
    let row = lab.rows.iter().find(|row| row.policy == Policy::F32).unwrap();
    assert_eq!(flips, row.end_to_end.iter().map(|layer| layer.flips).collect::<Vec<_>>());
    let [of_a, of_b] = still.state.baseline.diff().unwrap().mean_losses().unwrap();
    assert!((row.mean_loss.unwrap() - of_b).abs() < 1e-6);
    assert!((lab.loss_change(row).unwrap() - (of_b - of_a)).abs() < 1e-6);
    still.press("v v space").unwrap();
    let text = seen(&mut still);
    assert!(text.contains("of an earlier text: enter runs it again"), "{text}");
    let table = copied(&mut still, "y v");
    assert_eq!(table.lines().count(), 1 + lab.rows.len(), "{table}");
}

#[test]
fn a_recording_is_compared_with_as_far_as_the_tokens_are_its_own() {
    let path = support::fixture("tiny-bf16/reference.safetensors");
    let run = Replay::open(&path).unwrap();
    let recorded = Recorded { name: "reference.safetensors".to_owned(), trace: run.records(), lens: Vec::new() };
    let (n, ids) = (recorded.trace.tokens.len(), recorded.ids());
    let (dir, _temp) = support::model_dir("tiny-bf16");
    let loaded = Arc::new(open(&Location::Dir(dir), Policy::Hf, None, false).unwrap());
    let meta = loaded.meta.clone();
    let mut still = Still::with(loaded, Prompt::Ids(ids.clone()));
    still.state.baseline = Baseline::recorded(recorded);
    // As the loop does: the recording is there before the model is.
    still.take(Event::Engine(protocol::Event::Ready { id: Default::default(), meta: meta.clone() }));
    still.press("esc").unwrap();
    still.take(Event::Engine(protocol::Event::Finished { id: Default::default(), outcome: protocol::Outcome::Done }));
    assert_eq!(still.state.baseline.tokens().len(), 0, "no token of the run yet");
    still.press("5 v p p p").unwrap();
    let text = seen(&mut still);
    assert!(text.contains("A reference.safetensors (hf), B hf"), "{text}");
    let found = still.state.baseline.diff().unwrap();
    assert_eq!((found.tokens(), found.flips().0), (n, 0), "parity: no expert flips");
    assert!(text.contains("mean loss A"), "{text}");
    let [of_a, of_b] = found.mean_losses().unwrap();
    assert!((of_a - of_b).abs() < 0.05, "{of_a} {of_b}");
    still.press("u u").unwrap();
    assert_eq!(still.state.baseline.tokens().len(), n - 2);
    still.press("space").unwrap();
    let own = still.state.tokens.last().unwrap().id;
    assert_eq!(still.state.baseline.tokens().len(), if own == ids[n - 2] { n - 1 } else { n - 2 });

    // A model of another shape can't be compared.
    let demo = demo(Policy::Hf);
    still.take(Event::Engine(protocol::Event::Ready { id: Default::default(), meta: demo.meta.clone() }));
    let said = &still.state.message.as_ref().unwrap().failure;
    assert!(
        said.summary.contains("reference.safetensors can't be compared with this model: it has 3 layers"),
        "{said:?}"
    );
    assert!(!still.state.baseline.is_recorded());
}

#[test]
fn a_recording_of_another_text_is_compared_as_far_as_both_are_the_same() {
    let run = Replay::open(&support::fixture("tiny-bf16/reference.safetensors")).unwrap();
    let seen = |other_at: usize| {
        let recorded = Recorded { name: "reference.safetensors".to_owned(), trace: run.records(), lens: Vec::new() };
        let mut ids = recorded.ids();
        ids[other_at] += 1;
        let (dir, _temp) = support::model_dir("tiny-bf16");
        let loaded = Arc::new(open(&Location::Dir(dir), Policy::Hf, None, false).unwrap());
        let meta = loaded.meta.clone();
        let mut still = Still::with(loaded, Prompt::Ids(ids));
        still.state.baseline = Baseline::recorded(recorded);
        still.take(Event::Engine(protocol::Event::Ready { id: Default::default(), meta }));
        still.press("esc").unwrap();
        still.take(Event::Engine(protocol::Event::Finished {
            id: Default::default(),
            outcome: protocol::Outcome::Done,
        }));
        still.press("5 v p p p").unwrap();
        (seen(&mut still), still.state.baseline.tokens().len())
    };
    let (text, compared) = seen(12);
    assert_eq!(compared, 12);
    assert!(text.contains("the texts differ from token 12 on") && text.contains("over 12 tokens"), "{text}");
    let (text, compared) = seen(0);
    assert_eq!(compared, 0);
    assert!(text.contains("not even the first token is the same"), "{text}");
    assert!(!text.contains("0 flips") && !text.contains("over 0 tokens"), "{text}");
}
