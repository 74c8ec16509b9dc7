//! Copying routing.

use super::{Clip, Copied, Extent, csv};
use crate::analysis::LayerUsage;
use crate::analysis::routing::TokenRouting;
use crate::analysis::tables::{self, RoutingRow, Row, UsageRow};
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
        let mut clip = Clip::new(RoutingRow::TABLE)?;
        for pos in positions {
            for layer in layers.clone() {
                clip.extend(tables::routing(&self.tokens[pos], pos, layer).map_err(|_| not_captured())?)?;
            }
        }
        clip.finish(what)
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
        let mut clip = Clip::new(UsageRow::TABLE)?;
        for layer in layers {
            clip.extend(tables::usage(layer, self.layer_stats(layer)?))?;
        }
        clip.finish("the load")
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
        csv(experts.flat_map(|expert| tables::pairs(c.layer, stats, expert)), "the pairs")
    }
}
