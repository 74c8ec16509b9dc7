//! Search for text in the run, across the borders of tokens.

use super::harmless;
use crate::state::State;
use crate::state::overlays::{InputKind, Overlay, Topic};
use crate::trace::Direction;
use std::ops::Range;

/// A search; esc ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// The typed text.
    pub query: String,
    /// The tokens of each match, in the order of the text; no two matches begin at the same token.
    matches: Vec<Range<usize>>,
    /// Whether the run has changed since.
    is_stale: bool,
}

impl Search {
    /// Whether the token at `pos` is part of a match.
    pub fn has(&self, pos: usize) -> bool {
        // Matches do not overlap in the text, so they are ordered by their ends as well.
        let at = self.matches.partition_point(|found| found.end <= pos);
        self.matches.get(at).is_some_and(|found| found.start <= pos)
    }

    /// The tokens of each match.
    pub fn matches(&self) -> &[Range<usize>] {
        &self.matches
    }

    /// Removes matches with tokens from `len` on.
    pub(in crate::state) fn truncate(&mut self, len: usize) {
        let kept = self.matches.partition_point(|found| found.end <= len);
        self.matches.truncate(kept);
        self.is_stale = true;
    }
}

/// Text as the strip shows it, with `·` for a space.
fn as_shown(text: &str, fold: bool) -> String {
    let text = harmless(text).replace([' ', '▁'], "·");
    if fold { text.to_lowercase() } else { text }
}

/// The tokens of each match of `query` in the text of `shown`. Capitals count only if `query` has some.
fn find(shown: &[(String, u16)], query: &str) -> Vec<Range<usize>> {
    let fold = !query.chars().any(char::is_uppercase);
    let needle = as_shown(query, fold);
    if needle.is_empty() {
        return Vec::new();
    }
    let mut text = String::new();
    let mut starts = Vec::with_capacity(shown.len());
    for (piece, _) in shown {
        starts.push(text.len());
        text += &if fold { piece.to_lowercase() } else { piece.clone() };
    }
    let token = |byte: usize| starts.partition_point(|start| *start <= byte) - 1;
    let mut matches: Vec<Range<usize>> = Vec::new();
    for (at, _) in text.match_indices(&needle) {
        let found = token(at)..token(at + needle.len() - 1) + 1;
        match matches.last_mut() {
            Some(last) if last.start == found.start => last.end = found.end,
            _ => matches.push(found),
        }
    }
    matches
}

impl State {
    /// Opens the input with the last search; in the help, lets words be typed.
    pub(in crate::state) fn open_search(&mut self) {
        if let Some(Overlay::Page(page)) = self.overlays.last_mut() {
            page.is_typing = page.topic == Topic::Help;
            return;
        }
        let last = self.search.as_ref().map_or(String::new(), |search| search.query.clone());
        self.open_input(InputKind::Search, &last);
    }

    /// Searches and goes to the first match at or after the cursor; an empty query ends the search.
    pub(in crate::state) fn start_search(&mut self, query: String) {
        if query.is_empty() {
            self.search = None;
            return;
        }
        self.search = Some(Search { matches: find(&self.shown, &query), query, is_stale: false });
        let at = self.cursor.token;
        self.go_to_match(|matches| matches.iter().position(|found| found.start >= at).or(Some(0)));
    }

    /// Goes to the next or the previous match, around the ends.
    pub(in crate::state) fn next_match(&mut self, direction: Direction) {
        let Some(search) = &mut self.search else {
            let summary = "no search yet: / starts one".to_owned();
            return self.say(summary);
        };
        if std::mem::take(&mut search.is_stale) {
            search.matches = find(&self.shown, &search.query);
        }
        let at = self.cursor.token;
        self.go_to_match(|matches| {
            let last = matches.len().checked_sub(1);
            match direction {
                Direction::Back => matches.iter().rposition(|found| found.start < at).or(last),
                Direction::Forward => matches.iter().position(|found| found.start > at).or(Some(0)),
            }
        });
    }

    fn go_to_match(&mut self, choose: impl Fn(&[Range<usize>]) -> Option<usize>) {
        let Some(search) = &self.search else { return };
        let chosen = choose(&search.matches).and_then(|i| Some((i, search.matches.get(i)?.start)));
        let query = harmless(&search.query);
        let summary = match chosen {
            None => format!("‘{query}’ is not in the text"),
            Some((i, pos)) => {
                let count = search.matches.len();
                self.go_to(pos);
                format!("match {} of {count} for ‘{query}’ · n next, N previous, esc ends", i + 1)
            }
        };
        self.say(summary);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pieces: &[&str]) -> Vec<(String, u16)> {
        pieces.iter().map(|piece| ((*piece).to_owned(), 1)).collect()
    }

    #[test]
    fn text_is_found_across_tokens() {
        let text = shown(&["<s>", "·The", "·cap", "ital", "·of", "↵", "·CAPE", "É"]);
        let ends = |query| find(&text, query).iter().map(|found| (found.start, found.end)).collect::<Vec<_>>();
        for (query, matches) in [
            ("the", &[(1, 2)][..]),
            ("capital of", &[(2, 5)]),
            ("Cap", &[]),
            ("CAP", &[(6, 7)]),
            ("cap", &[(2, 3), (6, 7)]),
            ("pit", &[(2, 4)]),
            ("\n", &[(5, 6)]),
            (" of\n", &[(4, 6)]),
            ("é", &[(7, 8)]),
            ("eé", &[(6, 8)]),
            ("zebra", &[]),
        ] {
            assert_eq!(ends(query), matches, "{query:?}");
        }
        let both = find(&shown(&["aaa", "a"]), "aa");
        assert_eq!((both.len(), both[0].clone()), (1, 0..2), "matches that begin in one token are one");
        assert!(find(&[], "x").is_empty());
    }

    #[test]
    fn membership_follows_the_matches() {
        let search = Search { query: "q".into(), matches: vec![1..3, 2..4, 7..8], is_stale: false };
        let inside: Vec<usize> = (0..9).filter(|pos| search.has(*pos)).collect();
        assert_eq!(inside, [1, 2, 3, 7]);
    }
}
