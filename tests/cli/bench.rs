//! `mixscope bench`: what it measures, never how fast it is.

use crate::support::cli::{assert_fails, mixscope, stderr, stdout};
use crate::support::recordings::parsed;
use crate::support::still::demo;

#[test]
fn the_figures_belong_together() {
    let output = mixscope(["bench", "demo", "--prompt-tokens", "8", "--steps", "3", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(output.stderr.is_empty());
    let found = parsed(&output);
    let info = parsed(&mixscope(["info", "demo", "--json"]));
    assert_eq!(found["token_bytes"], info["weight_bytes_per_token"]);
    assert_eq!((&found["prompt"], &found["steps"]), (&8.into(), &3.into()));
    let number = |value: &serde_json::Value| value.as_f64().filter(|x| x.is_finite()).unwrap();
    assert!(number(&found["bandwidth"]) > 0.0 && number(&found["load_ms"]) > 0.0);
    for lane in ["bare", "captured"] {
        for key in ["prefill_per_second", "step_ms", "of_floor"] {
            assert!(number(&found[lane][key]) > 0.0, "{lane} {key}");
        }
    }
    assert!(number(&found["capture_overhead"]) > -1.0);
    if cfg!(target_os = "linux") {
        assert!(number(&found["peak_bytes"]) > number(&found["anonymous_bytes"]));
    }
}

#[test]
fn the_table_names_the_floor() {
    let output = mixscope(["bench", "demo", "--prompt-tokens", "4", "--steps", "2", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for words in ["streaming read", "ms at least", "of the floor", "none", "those of a default run", "2 steps of each"]
    {
        assert!(stdout(&output).contains(words), "{words}: {}", stdout(&output));
    }
}

#[test]
fn more_than_the_context_holds_is_refused() {
    let context = demo().meta.dims.context;
    let prompt = (context - 12).to_string();
    let output = mixscope(["bench", "demo", "--prompt-tokens", &prompt, "--steps", "50", "--quiet"]);
    assert_fails(
        &output,
        1,
        &format!("--prompt-tokens {prompt} and --steps 50: expected at least one of each and at most {context} in all"),
    );
    assert_fails(&mixscope(["bench", "demo", "--steps", "0"]), 2, "--steps");
}
