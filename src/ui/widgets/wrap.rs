//! Text broken into lines.

use crate::state::text::{harmless, width};
use unicode_segmentation::UnicodeSegmentation;

/// Breaks text into lines of at most `room` cells, at words.
pub fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in harmless(text).split_word_bounds() {
        let cells = width(word);
        if used + cells > room && used > 0 {
            lines.push(String::new());
            used = 0;
            if word.trim().is_empty() {
                continue;
            }
        }
        used += cells;
        if let Some(line) = lines.last_mut() {
            line.push_str(word);
        }
    }
    lines
}
