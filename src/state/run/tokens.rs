//! Tokens from the engine.

use super::work::Pace;
use crate::state::State;
use crate::state::text::{show_piece, width};
use crate::trace::TokenRecord;
use std::sync::Arc;

impl State {
    pub(in crate::state) fn on_tokens(&mut self, keep: usize, tokens: Vec<Arc<TokenRecord>>, ms: f64) {
        // The cursor stays if tokens replace the whole run, as under another policy.
        let followed = self.cursor.token + 1 >= self.tokens.len() && (keep > 0 || self.tokens.is_empty());
        let kept = keep.min(self.tokens.len());
        // Records that only changed their source keep their derived values.
        let equal = self.tokens[kept..]
            .iter()
            .zip(&tokens)
            .take_while(|(a, b)| a.id == b.id && Arc::ptr_eq(&a.values, &b.values));
        let unchanged = kept + equal.count();
        if unchanged < self.tokens.len() || kept + tokens.len() > self.tokens.len() {
            self.derived.forget_distance();
        }
        if unchanged < self.tokens.len() {
            self.selected_usage = None;
            self.derived.truncate(unchanged);
            // Bookmarks stay on the same text, even if the text is read under another policy.
            let alike = self.tokens[kept..].iter().zip(&tokens).take_while(|(a, b)| a.id == b.id).count();
            self.bookmarks.split_off(&(kept + alike));
        }
        if let Some(search) = &mut self.search {
            search.truncate(unchanged);
        }
        let before = self.tokens.len();
        self.usage.truncate(&self.tokens, unchanged);
        self.lines.truncate(&self.shown, kept);
        self.tokens.truncate(kept);
        self.shown.truncate(kept);
        self.shown.extend(tokens.iter().zip(kept..).map(|(token, pos)| {
            let text = show_piece(&token.piece);
            let cells = width(&text) + usize::from(self.bookmarks.contains(&pos));
            (text, cells.min(usize::from(u16::MAX)) as u16)
        }));
        if !tokens.is_empty() {
            self.pace = Pace { tokens: self.pace.tokens + tokens.len(), ms: self.pace.ms + ms };
        }
        self.tokens.extend(tokens);
        self.usage.extend(&self.tokens[unchanged..]);
        self.lines.extend(&self.shown);
        self.baseline.follow(&self.tokens, unchanged);
        self.renew_closest_calls(unchanged, before);
        if followed && self.reduced_motion && self.is_busy() {
            self.catch_up = true;
        } else if followed {
            self.go_to_end();
        }
        self.clamp();
    }

    fn go_to_end(&mut self) {
        self.cursor.token = self.tokens.len().saturating_sub(1);
        self.cursor.candidate = 0;
    }

    /// Moves the cursor to the end of the run when the run is over, if it waited for that.
    pub(in crate::state) fn catch_up(&mut self) {
        if self.jobs.is_empty() && std::mem::take(&mut self.catch_up) {
            self.go_to_end();
        }
    }
}
