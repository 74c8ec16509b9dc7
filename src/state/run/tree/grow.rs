//! How the tree follows actions, undo and redo. Runs are found by what they are, so no run has two nodes.

use super::{Place, RunNow, RunTree, TreeNode};
use crate::protocol::RunAction;
use crate::trace::{Policy, Source};

/// Own tokens of a node that are kept as they are shown.
const MOST_PIECES: usize = 24;

fn is_generation(action: RunAction) -> bool {
    matches!(action, RunAction::Step | RunAction::Generation)
}

/// How many tokens at the start are the same.
fn shared(a: &[(u32, Source)], b: &[(u32, Source)]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

impl RunTree {
    /// Follows an action that led from `before` to `now`.
    pub(in crate::state) fn acted(&mut self, before: RunNow, now: RunNow) {
        if !self.is_at(&before) {
            self.settle(before);
        }
        self.arrive(now);
    }

    /// Goes to a run that undo, redo or a session brought back. A run that is not in the tree is added.
    pub(in crate::state) fn settle(&mut self, now: RunNow) {
        self.current = self.locate(&now, 0..self.nodes.len());
        match self.current {
            None if !now.tokens.is_empty() => self.add(None, now),
            _ => self.note(now.shown, now.loss),
        }
    }

    /// Goes to the run after an action.
    pub(super) fn arrive(&mut self, now: RunNow) {
        if now.tokens.is_empty() {
            self.current = None;
            return;
        }
        if let Some(place) = self.exact(&now).or_else(|| self.on_the_way(&now)) {
            self.current = Some(place);
            self.note(now.shown, now.loss);
        } else if let Some(node) = self.growing(&now) {
            let of = &mut self.nodes[node];
            of.rest.extend(&now.tokens[of.len()..]);
            of.action = RunAction::Generation;
            self.current = Some(Place { node, len: now.tokens.len() });
            self.note(now.shown, now.loss);
        } else {
            self.attach(now);
        }
    }

    /// Whether the current place is this run.
    pub(super) fn is_at(&self, run: &RunNow) -> bool {
        match self.current {
            None => run.tokens.is_empty(),
            Some(place) => place.len == run.tokens.len() && self.fits(place.node, run),
        }
    }

    /// Whether a node begins with the run, computed in the same way.
    fn fits(&self, node: usize, run: &RunNow) -> bool {
        self.nodes[node].is_computed_as(run.policy, &run.edits) && self.begins_with(node, &run.tokens)
    }

    /// The node that is this run.
    fn exact(&self, run: &RunNow) -> Option<Place> {
        let node = self.node_of(&run.tokens, run.policy, &run.edits)?;
        Some(Place { node, len: run.tokens.len() })
    }

    fn node_of(&self, tokens: &[(u32, Source)], policy: Policy, edits: &[String]) -> Option<usize> {
        let is_it = |node: &usize| {
            let of = &self.nodes[*node];
            of.len() == tokens.len() && of.is_computed_as(policy, edits) && self.begins_with(*node, tokens)
        };
        (0..self.nodes.len()).find(is_it)
    }

    /// The place of a run: a node, else inside a node of the current path, else inside one of `nodes`.
    fn locate(&self, run: &RunNow, nodes: impl IntoIterator<Item = usize>) -> Option<Place> {
        if run.tokens.is_empty() {
            return None;
        }
        let inside = |node: usize| Place { node, len: run.tokens.len() };
        self.exact(run).or_else(|| {
            let node = self.path().chain(nodes).find(|node| self.fits(*node, run))?;
            Some(self.raised(inside(node)))
        })
    }

    /// The place of a run that is shorter than before, or that was generated before.
    fn on_the_way(&self, run: &RunNow) -> Option<Place> {
        let node = self.current?.node;
        match run.action {
            RunAction::StepBack | RunAction::Rewinding => self.locate(run, []),
            action if is_generation(action) => {
                let ahead = std::iter::once(node).chain(self.children(Some(node)));
                let node = ahead.into_iter().find(|node| self.fits(*node, run))?;
                Some(self.raised(Place { node, len: run.tokens.len() }))
            }
            _ => None,
        }
    }

    /// The same place in the node nearest to the root that has all its tokens.
    fn raised(&self, mut place: Place) -> Place {
        loop {
            let of = &self.nodes[place.node];
            match of.parent {
                Some(parent) if place.len <= of.keep && self.nodes[parent].is_computed_as(of.policy, &of.edits) => {
                    place.node = parent;
                }
                _ => return place,
            }
        }
    }

    /// The current node, if it is a generation that the run only makes longer and nothing depends on its end.
    fn growing(&self, run: &RunNow) -> Option<usize> {
        let node = self.current?.node;
        let of = &self.nodes[node];
        let is_free = of.name.is_none() && self.children(Some(node)).next().is_none();
        let is_longer = run.tokens.get(..of.len()).is_some_and(|start| self.begins_with(node, start));
        let is_generated = is_generation(of.action) && is_generation(run.action);
        (is_free && is_generated && is_longer && of.is_computed_as(run.policy, &run.edits)).then_some(node)
    }

    /// Adds the run below the current place. If the run goes on from inside a node, the node is divided there.
    fn attach(&mut self, run: RunNow) {
        let Some(place) = self.current else { return self.add(None, run) };
        let same = shared(&self.current_tokens(), &run.tokens);
        // A token that is forced earlier in the text begins a branch there.
        let goes_on = same == place.len || run.action == RunAction::ForcedToken && same > 0;
        let parent = if goes_on { self.ending_at(Place { len: same, ..place }) } else { place.node };
        match self.exact(&run) {
            // The same token was forced again: the node that was divided ends with it.
            Some(place) => self.current = Some(place),
            None => self.add(Some(parent), run),
        }
    }

    /// The node that ends at this place.
    fn ending_at(&mut self, place: Place) -> usize {
        let of = &self.nodes[place.node];
        let tokens = self.tokens(place.node);
        let known = self.node_of(&tokens[..place.len], of.policy, &of.edits);
        known.unwrap_or_else(|| self.divided(self.raised(place)))
    }

    /// A node that ends at this place: the tokens after it become a child. Else the node of the place.
    fn divided(&mut self, Place { node, len }: Place) -> usize {
        let of = &self.nodes[node];
        if len <= of.keep || len >= of.len() {
            return node;
        }
        let (own, pieces) = (len - of.keep, (len - of.keep).min(of.pieces.len()));
        let upper = TreeNode {
            id: self.next_id(),
            rest: of.rest[..own].to_vec(),
            pieces: of.pieces[..pieces].to_vec(),
            loss: None,
            name: None,
            ..of.clone()
        };
        let moved = |index: &mut usize| *index += usize::from(*index >= node);
        self.nodes.iter_mut().filter_map(|other| other.parent.as_mut()).for_each(moved);
        self.current.iter_mut().for_each(|place| moved(&mut place.node));
        let lower = &mut self.nodes[node];
        (lower.parent, lower.keep) = (Some(node), len);
        lower.rest.drain(..own);
        lower.pieces.drain(..pieces);
        self.nodes.insert(node, upper);
        node
    }

    /// Adds the run as a child and goes there.
    fn add(&mut self, parent: Option<usize>, run: RunNow) {
        let keep = parent.map_or(0, |parent| shared(&self.tokens(parent), &run.tokens));
        let node = TreeNode {
            id: self.next_id(),
            parent,
            action: run.action,
            prompt: run.prompt,
            policy: run.policy,
            edits: run.edits,
            keep,
            rest: run.tokens[keep..].to_vec(),
            pieces: Vec::new(),
            loss: None,
            name: None,
        };
        self.nodes.push(node);
        self.current = Some(Place { node: self.nodes.len() - 1, len: run.tokens.len() });
        self.note(run.shown, run.loss);
    }

    /// Keeps what the screen knows of the current node.
    fn note(&mut self, shown: &[(String, u16)], loss: Option<f32>) {
        let Some(Place { node, len }) = self.current else { return };
        let of = &mut self.nodes[node];
        let shown = shown.iter().skip(of.keep).take(MOST_PIECES).map(|(text, _)| text.clone());
        let pieces: Vec<String> = shown.collect();
        if pieces.len() > of.pieces.len() {
            of.pieces = pieces;
        }
        if len == of.len() && loss.is_some() {
            of.loss = loss;
        }
    }

    fn next_id(&self) -> u32 {
        self.nodes.iter().map(|node| node.id).max().map_or(0, |id| id.saturating_add(1))
    }
}
