//! Tests of the table of keys.

use super::*;

#[test]
fn no_key_has_two_meanings_or_hides_another() {
    assert_eq!(Keymap::default().check(), Ok(()));
}

/// Configuration files name actions: a name that changes breaks them.
#[test]
fn actions_have_names_of_their_own_that_stay() {
    let mut names = std::collections::HashMap::new();
    for binding in bindings() {
        let name = binding.action.to_string();
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{name}");
        assert_eq!(*names.entry(name.clone()).or_insert(binding.action), binding.action, "{name} means two things");
    }
    for name in [
        "quit",
        "suspend",
        "redraw",
        "escape",
        "help",
        "causes",
        "show-routing",
        "show-attention",
        "show-lens",
        "show-next",
        "show-fidelity",
        "next-view",
        "previous-view",
        "cycle-lens",
        "token-left",
        "token-right",
        "token-far-left",
        "token-far-right",
        "token-first",
        "token-last",
        "up",
        "down",
        "previous-head",
        "next-head",
        "previous-expert",
        "next-expert",
        "edit-prompt",
        "generate",
        "go",
        "run-count",
        "back",
        "rewind",
        "force-candidate",
        "force-text",
        "sampling",
        "cycle-policy",
        "cycle-colour",
        "toggle-details",
        "accept",
        "new-line",
        "example",
        "pick-example-1",
        "pick-example-2",
        "pick-example-3",
        "open-model",
        "complete",
        "toggle-chat",
        "edit-left",
        "edit-right",
        "edit-up",
        "edit-down",
        "edit-word-left",
        "edit-word-right",
        "edit-line-start",
        "edit-line-end",
        "edit-delete-left",
        "edit-delete-right",
        "edit-delete-word",
        "edit-delete-to-start",
        "edit-delete-to-end",
        "edit-history-back",
        "edit-history-forward",
        "edit-page-up",
        "edit-page-down",
    ] {
        assert!(names.contains_key(name), "{name} is gone");
    }
}

#[test]
fn every_action_is_found_by_its_keys_and_has_a_help_text() {
    let keymap = Keymap::default();
    for binding in bindings() {
        for chord in binding.keys {
            if let Some(prefix) = chord.prefix {
                assert_eq!(keymap.look_up(binding.scope, None, prefix), Found::Prefix);
            }
            assert_eq!(keymap.look_up(binding.scope, chord.prefix, chord.key), Found::Action(binding.action));
        }
        assert!(!binding.help.is_empty());
    }
}
