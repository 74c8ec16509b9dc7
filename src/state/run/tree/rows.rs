//! The tree as lines of a list.

use super::{RunTree, TreeNode};
use crate::state::text::{harmless, quoted};

/// A line of the list of branches. Its texts are safe to draw.
#[derive(Clone, Debug, PartialEq)]
pub struct BranchRow {
    /// The id of the node.
    pub id: u32,
    /// The lines of the tree before the label: `│  ├─ `.
    pub lines: String,
    /// Its name or its action.
    pub label: String,
    /// Whether the user named it.
    pub is_named: bool,
    /// How many of its tokens are on screen, if it is the current one.
    pub current: Option<usize>,
    /// The number of its tokens.
    pub tokens: usize,
    /// Its mean loss, nats a token, if it is known.
    pub loss: Option<f32>,
    /// What differs from its parent: policy, edits, own tokens.
    pub differs: String,
}

impl RunTree {
    /// Its lines, from the root down. A node with one child has it right below; several children begin branches.
    pub fn rows(&self) -> Vec<BranchRow> {
        let mut rows = Vec::with_capacity(self.nodes.len());
        self.rows_below(None, "", &mut rows);
        rows
    }

    fn rows_below(&self, parent: Option<usize>, lines: &str, rows: &mut Vec<BranchRow>) {
        let children: Vec<usize> = self.children(parent).collect();
        let last = children.len().saturating_sub(1);
        for (at, child) in children.into_iter().enumerate() {
            let (own, below) = match (last, at) {
                (0, _) => ("", ""),
                (_, at) if at == last => ("└─ ", "   "),
                _ => ("├─ ", "│  "),
            };
            rows.push(self.row(child, format!("{lines}{own}")));
            self.rows_below(Some(child), &format!("{lines}{below}"), rows);
        }
    }

    fn row(&self, index: usize, lines: String) -> BranchRow {
        let node = &self.nodes[index];
        BranchRow {
            id: node.id,
            lines,
            label: harmless(node.label()),
            is_named: node.name.is_some(),
            current: self.current.filter(|place| place.node == index).map(|place| place.len),
            tokens: node.len(),
            loss: node.loss,
            differs: self.differs(node),
        }
    }

    fn differs(&self, node: &TreeNode) -> String {
        let parent = node.parent.map(|parent| &self.nodes[parent]);
        let mut parts = Vec::new();
        if parent.is_some_and(|parent| parent.policy != node.policy) {
            parts.push(node.policy.to_string());
        }
        if parent.map_or(&[][..], |parent| &parent.edits) != node.edits {
            parts.push(if node.edits.is_empty() { "no edits".to_owned() } else { harmless(&node.edits.join("; ")) });
        }
        if let Some(parent) = parent.filter(|parent| node.keep < parent.len()) {
            parts.push(format!("keeps {} of {}", node.keep, parent.len()));
        }
        if !node.rest.is_empty() {
            parts.push(own_text(node));
        }
        parts.join(" · ")
    }
}

/// The own tokens of a node; ids if it was never on screen.
fn own_text(node: &TreeNode) -> String {
    let more = if node.pieces.len() < node.rest.len() { "…" } else { "" };
    if node.pieces.is_empty() {
        let ids: Vec<String> = node.rest.iter().take(6).map(|(id, _)| id.to_string()).collect();
        return format!("ids {}{}", ids.join(","), if node.rest.len() > 6 { ",…" } else { "" });
    }
    quoted(&format!("{}{more}", harmless(&node.pieces.concat())))
}
