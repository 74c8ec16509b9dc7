//! Attention of heads.

pub mod grid;
pub mod head;
pub mod scores;

/// A note if cells cover more than one pair of tokens.
fn pooled(block: usize) -> Vec<String> {
    if block == 1 {
        return Vec::new();
    }
    vec![format!("pooled: each cell is the largest weight of {block} × {block} query-key pairs")]
}

/// The queries of a mean, in words.
fn queries(stride: usize) -> String {
    if stride == 1 { "queries".to_owned() } else { format!("every {stride}th query") }
}
