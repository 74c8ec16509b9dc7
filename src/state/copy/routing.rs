//! Copying routing.

use super::{Copied, Extent, Table};
use crate::analysis::LayerUsage;
use crate::analysis::routing::TokenRouting;
use crate::state::{LoadMeasure, RoutingLens, State};

const NOT_CAPTURED: &str = "the routing was not captured";

impl State {
    pub(super) fn copy_routing(&self, extent: Extent) -> Copied {
        match self.routing {
            RoutingLens::Load => self.copy_load(extent),
            RoutingLens::Pairs => self.copy_pairs(extent),
            RoutingLens::Token | RoutingLens::Layer | RoutingLens::Map => self.copy_choices(extent),
        }
    }

    /// Columns of `routing.csv`.
    fn copy_choices(&self, extent: Extent) -> Copied {
        let c = self.cursor;
        let layers = self.meta().map_or(0, |meta| meta.dims.layers);
        let not_captured = || NOT_CAPTURED.to_owned();
        let (positions, layers, what) = match extent {
            Extent::Cell => {
                let routing =
                    self.token().and_then(|token| TokenRouting::of(token, c.layer)).ok_or_else(not_captured)?;
                let text = format!("E{} {}", c.expert, routing.probs.get(c.expert).ok_or_else(not_captured)?);
                return Ok((text.clone(), text));
            }
            Extent::Row => (c.token..c.token + 1, c.layer..c.layer + 1, "the experts of the layer"),
            Extent::View if self.routing == RoutingLens::Token => {
                (c.token..c.token + 1, 0..layers, "the token's routing")
            }
            Extent::View if self.routing == RoutingLens::Layer => {
                (0..self.tokens.len(), c.layer..c.layer + 1, "the layer's routing")
            }
            Extent::View => (0..self.tokens.len(), 0..layers, "the run's routing"),
        };
        let mut table = Table::new(&["position", "layer", "expert", "logit", "prob", "rank", "weight"])?;
        for pos in positions {
            for layer in layers.clone() {
                let routing = TokenRouting::of(&self.tokens[pos], layer).ok_or_else(not_captured)?;
                let ranking = routing.ranking();
                for (expert, (logit, prob)) in routing.logits.iter().zip(routing.probs).enumerate() {
                    let rank = ranking.iter().position(|ranked| *ranked == expert).map_or(0, |at| at + 1);
                    let weight = routing.weight_of(expert).unwrap_or(0.0);
                    table.add((pos, layer, expert, logit, prob, rank, weight))?;
                }
            }
        }
        table.finish(what)
    }

    fn layer_stats(&self, layer: usize) -> Result<&LayerUsage, String> {
        self.stats.layer(layer).filter(|layer| layer.tokens > 0).ok_or_else(|| NOT_CAPTURED.to_owned())
    }

    /// Columns of the exported `routing.load`.
    fn copy_load(&self, extent: Extent) -> Copied {
        let (c, dims) = (self.cursor, self.meta().map(|meta| meta.dims).ok_or("no model is open")?);
        let layers = match extent {
            Extent::Cell => {
                let layer = self.layer_stats(c.layer)?;
                let (name, value) = match self.load {
                    LoadMeasure::First => ("share of first choices", layer.first_share(c.expert)),
                    LoadMeasure::Chosen => ("share of all choices", layer.chosen_share(c.expert)),
                    LoadMeasure::Weight => ("mean weight", layer.mean_weight(c.expert)),
                };
                let value = value.ok_or("no token chose this expert")?;
                let text = format!("L{} E{} {name} {value}", c.layer, c.expert);
                return Ok((text.clone(), text));
            }
            Extent::Row => c.layer..c.layer + 1,
            Extent::View => 0..dims.layers,
        };
        let mut table = Table::new(&["layer", "expert", "first_share", "share", "mean_weight"])?;
        for layer in layers {
            let stats = self.layer_stats(layer)?;
            for e in 0..dims.experts {
                table.add((layer, e, stats.first_share(e), stats.chosen_share(e), stats.mean_weight(e)))?;
            }
        }
        table.finish("the load")
    }

    /// Columns of the exported `routing.pairs`.
    fn copy_pairs(&self, extent: Extent) -> Copied {
        let (c, dims) = (self.cursor, self.meta().map(|meta| meta.dims).ok_or("no model is open")?);
        let stats = self.layer_stats(c.layer)?;
        let others = |expert: usize| (0..dims.experts).filter(move |other| *other != expert);
        let experts = match extent {
            Extent::Cell => {
                let partner = others(c.expert).max_by_key(|other| stats.together(c.expert, *other));
                let partner = partner.ok_or("there is only one expert")?;
                let share = stats.also(c.expert, partner).ok_or("no token chose this expert")?;
                let text = format!("L{} E{} with E{partner} {share}", c.layer, c.expert);
                return Ok((text.clone(), format!("with which it is chosen most: {text}")));
            }
            Extent::Row => c.expert..c.expert + 1,
            Extent::View => 0..dims.experts,
        };
        let mut table = Table::new(&["layer", "expert", "with", "together", "share"])?;
        for expert in experts {
            for other in others(expert) {
                table.add((c.layer, expert, other, stats.together(expert, other), stats.also(expert, other)))?;
            }
        }
        table.finish("the pairs")
    }
}
