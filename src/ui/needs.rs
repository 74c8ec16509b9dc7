//! How many lines a view has use for.

use super::views::contributions::Lines;
use crate::state::{LensLayout, RoutingLens, State, Tab};

/// Lines with which the view is whole, frame and title included; `None` if it fills whatever it gets.
pub fn view(state: &State, framed: bool, across: u16) -> Option<u16> {
    let d = state.meta()?.dims;
    let (layers, experts) = (d.layers, d.experts);
    let lines = match state.view {
        Tab::Routing => match state.routing {
            RoutingLens::Token => 2 + layers,
            RoutingLens::Layer => 3 + experts,
            RoutingLens::Load => 3 + layers,
            RoutingLens::Pairs => 4 + experts,
            // Two lines a layer, if all tokens stand side by side; else in as many bands as fit.
            RoutingLens::Map if state.tokens.len() * 2 + 8 <= usize::from(across) => 2 + 2 * layers,
            RoutingLens::Map => return None,
        },
        Tab::Lens => match state.lens {
            LensLayout::Grid => 3 + layers,
            LensLayout::Both => 3 + 2 * layers,
            LensLayout::Plot => return None,
        },
        Tab::Next => 3 + state.token()?.next.top.len(),
        Tab::Attention | Tab::Fidelity => return None,
    };
    Some(u16::try_from(lines).unwrap_or(u16::MAX).saturating_add(edge(framed)))
}

/// The same for the contributions.
pub fn contributions(state: &State, framed: bool) -> Option<u16> {
    let d = state.meta()?.dims;
    // The sums take up to two.
    let lines = Lines::whole(d.top_k, d.heads, d.layers).sum() + 2;
    Some(u16::try_from(lines).unwrap_or(u16::MAX).saturating_add(edge(framed)))
}

fn edge(framed: bool) -> u16 {
    if framed { 2 } else { 1 }
}
