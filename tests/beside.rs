//! The run under another policy, beside the run on screen.

use mixscope::app::Still;
use mixscope::engine::{Capture, Control, Session};
use mixscope::model::{Loaded, Location, open};
use mixscope::state::{FidelityLens, Overlay, View};
use mixscope::trace::protocol::Prompt;
use mixscope::trace::{Policy, Source, TokenRecord};
use mixscope::ui::Depth;
use std::sync::Arc;

const PROMPT: &str =
    "Once upon a time there was a little girl named Lily. drum apple seven blue owl key | drum apple seven";

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
    let mut session = Session::new(loaded, capture, 8);
    let ids = session.prompt_ids(&Prompt::Text(PROMPT.to_owned())).unwrap();
    let mut control = Control { cancelled: &|| false, progress: &mut |_, _| {}, arrived: &mut |_, _| {} };
    session.extend(&ids, Source::Prompt, &mut control).unwrap();
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
    let found = still.state.beside.differences().unwrap();
    assert_eq!(found.tokens(), a.len());
    let sets = |token: &TokenRecord, layer: usize| {
        let mut experts = token.experts(layer).unwrap().to_vec();
        experts.sort_unstable();
        experts
    };
    for (layer, counted) in found.layers().iter().enumerate() {
        let flips: Vec<usize> = (0..a.len()).filter(|pos| sets(&a[*pos], layer) != sets(&b[*pos], layer)).collect();
        assert_eq!(counted.flips(), flips.len(), "layer {layer}");
        assert_eq!(counted.next(0, true), flips.iter().copied().find(|pos| *pos > 0), "layer {layer}");
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
    let policies = |still: &Still| (still.state.beside.policy(), still.state.meta().unwrap().policy);
    assert_eq!(policies(&still), (Some(Policy::Hf), Policy::F32Router));
    assert_eq!(still.state.beside.tokens().len(), still.state.tokens.len(), "A is read again for another B");
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
        assert_eq!(ids(still.state.beside.tokens()), ids(&still.state.tokens));
        assert_eq!(still.state.beside.differences().unwrap().tokens(), still.state.tokens.len());
    };
    still.press("space space").unwrap();
    assert_eq!(still.state.beside.tokens().len(), prompt, "read when it is looked at");
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
    let found = still.state.beside.differences().unwrap().clone();
    still.press("home }").unwrap();
    let layer = still.state.cursor.layer;
    let next = found.layers()[layer].next(0, true);
    assert_eq!(still.state.cursor.token, next.unwrap_or(0));
    still.press("v home }").unwrap();
    assert_eq!((still.state.view, still.state.fidelity), (View::Fidelity, FidelityLens::Loss));
    assert_eq!(Some(still.state.cursor.token), found.next(0, true), "of any layer, where tokens are lines");
    still.press("end }").unwrap();
    let said = still.state.message.as_ref().unwrap().failure.summary.clone();
    assert!(said.starts_with("no expert differs after token"), "{said}");
}
