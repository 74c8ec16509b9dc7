use super::comparison::{Comparison, Place};
use super::hook::HookDiff;
use super::loss::{LossDiff, Predictions};
use super::routing::{self, Choices, LayerRouting};
use super::tolerance::{Mode, Tolerance};
use super::values;
use crate::trace::{Dtype, Hook, HookKind as K, TraceTensor, Values};
use anyhow::Result;

/// Compares recordings hook by hook, in the order of the forward pass. Only one hook of each is in memory at a time.
pub struct Comparer {
    mode: Mode,
    tolerance: Tolerance,
    dtypes: [Dtype; 2],
    tokens: Vec<u32>,
    top_k: usize,
    other_sum: bool,
    layer: Option<u32>,
    choices: [Choices; 2],
    /// Whether the experts or their order differ in this layer, by position; `None` until its routing is known.
    differing: Option<Vec<bool>>,
    hidden: Option<(Hook, Vec<bool>)>,
    input: Option<(Hook, Vec<bool>)>,
    hooks: Vec<HookDiff>,
    routing: Vec<LayerRouting>,
    predictions: [Predictions; 2],
    only_in: [Vec<String>; 2],
    not_isolated: Vec<usize>,
    final_isolated: bool,
}

impl Comparer {
    /// Starts a comparison of runs over `tokens` whose activations are exact in `dtypes`. Where a recording lacks the
    /// chosen experts, the best `top_k` count as chosen. `other_sum` says that A and B are known to round the sum of
    /// experts at different places, so that it need not be bit-equal.
    pub fn new(
        mode: Mode,
        tolerance: Option<f32>,
        dtypes: [Dtype; 2],
        tokens: Vec<u32>,
        top_k: usize,
        other_sum: bool,
    ) -> Self {
        let tolerance =
            tolerance.map_or_else(|| Tolerance::of(dtypes[0], dtypes[1]), |within| Tolerance::Given { within });
        Self {
            mode,
            tolerance,
            dtypes,
            tokens,
            top_k,
            other_sum,
            layer: None,
            choices: Default::default(),
            differing: None,
            hidden: None,
            input: None,
            hooks: Vec::new(),
            routing: Vec::new(),
            predictions: Default::default(),
            only_in: Default::default(),
            not_isolated: Vec::new(),
            final_isolated: true,
        }
    }

    /// Adds the next hook; `None` for a recording that lacks it.
    ///
    /// # Errors
    /// If both recordings hold it and their shapes or kinds of numbers differ; the message names the tensor.
    pub fn add(&mut self, hook: Hook, a: Option<TraceTensor>, b: Option<TraceTensor>) -> Result<()> {
        self.move_to(hook);
        match (&a, &b) {
            (Some(a), Some(b)) => {
                let pos = self.tokens.len();
                let skip = self.differing.as_deref().filter(|_| self.allows_flips());
                let found = values::compare(hook, [a, b], self.tolerance, pos, skip)?;
                self.hooks.push(found.diff);
                self.note_hidden(hook, found.unequal);
            }
            (Some(_), None) => self.only_in[0].push(hook.to_string()),
            (None, Some(_)) => self.only_in[1].push(hook.to_string()),
            (None, None) => {}
        }
        for (side, tensor) in [a, b].into_iter().enumerate() {
            let Some(tensor) = tensor else { continue };
            self.keep(side, hook.kind, tensor);
        }
        Ok(())
    }

    /// Notes that B continues with A's value of `hook`.
    pub fn fed(&mut self, hook: Hook) {
        self.move_to(hook);
        self.hidden = Some((hook, vec![false; self.tokens.len()]));
    }

    /// Notes that a layer could not be fed with A's input.
    pub fn not_fed(&mut self, layer: usize) {
        self.not_isolated.push(layer);
    }

    /// Notes that final norm and logits could not be fed with A's last residual.
    pub fn final_not_fed(&mut self) {
        self.final_isolated = false;
    }

    /// Notes that only one recording, A (0) or B (1), holds `hook`.
    pub fn note_missing(&mut self, hook: Hook, side: usize) {
        self.move_to(hook);
        self.only_in[side].push(hook.to_string());
    }

    /// Sets the predictions of A (0) or B (1) that are recorded in another form than logits.
    pub fn predictions(&mut self, side: usize, predictions: Predictions) {
        self.predictions[side] = predictions;
    }

    /// Whether tokens that flip within rounding may differ after the router.
    fn allows_flips(&self) -> bool {
        matches!(self.tolerance, Tolerance::Half { .. } | Tolerance::Mixed { .. })
    }

    /// Remembers at which positions the hidden state is unequal.
    fn note_hidden(&mut self, hook: Hook, mut unequal: Vec<bool>) {
        match hook.kind {
            K::Embed | K::ResidPre | K::ResidMid | K::Ln2 | K::ResidPost => {}
            // These are added to the hidden state. The sum itself may not be recorded.
            K::AttnOut | K::MlpOut => {
                let Some((_, before)) = &self.hidden else { return };
                unequal.iter_mut().zip(before).for_each(|(unequal, before)| *unequal |= before);
            }
            _ => return,
        }
        self.hidden = Some((hook, unequal));
    }

    /// Keeps the values that later hooks of the layer, or the end, need.
    fn keep(&mut self, side: usize, kind: K, tensor: TraceTensor) {
        let choices = &mut self.choices[side];
        match (kind, tensor.values) {
            (K::RouterLogits, Values::F32(values)) => choices.logits = Some((values, tensor.dtype)),
            (K::ExpertWeights, Values::F32(values)) => choices.probs = Some(values),
            (K::ExpertIndices, Values::U32(values)) => {
                self.top_k = tensor.shape.last().copied().unwrap_or(self.top_k);
                choices.chosen = Some(values);
            }
            (K::Logits, Values::F32(values)) => self.predictions[side] = Predictions::of(&values, &self.tokens),
            _ => {}
        }
    }

    fn move_to(&mut self, hook: Hook) {
        let layer = hook.decoder_layer();
        let is_routing = matches!(hook.kind, K::RouterLogits | K::ExpertWeights | K::ExpertIndices);
        if layer != self.layer || hook.kind > K::ExpertIndices {
            self.settle();
        }
        if layer != self.layer {
            (self.layer, self.differing, self.input) = (layer, None, None);
        }
        if is_routing && self.input.is_none() {
            self.input = self.hidden.clone();
        }
    }

    /// Compares the layer's routing after all of it was added.
    fn settle(&mut self) {
        let choices = std::mem::take(&mut self.choices);
        let Some(layer) = self.layer else { return };
        let [a, b] = &choices;
        if let Some((routing, differing)) =
            routing::compare(layer, [a, b], self.tokens.len(), self.top_k, self.input.as_ref())
        {
            self.routing.push(routing);
            self.differing = Some(differing);
        }
    }

    /// The comparison of all hooks that were added.
    pub fn finish(mut self) -> Comparison {
        self.settle();
        let [a, b] = &self.predictions;
        let place = |diff: &HookDiff| Some(Place { hook: diff.hook, layer: diff.layer, position: diff.first_unequal? });
        let mut found = Comparison {
            mode: self.mode,
            tolerance: self.tolerance,
            tokens: self.tokens.len(),
            common_prefix: None,
            dtypes: self.dtypes,
            ok: false,
            failures: Vec::new(),
            first_difference: self.hooks.iter().find_map(place),
            first_flip: self.routing.iter().find_map(|layer| layer.at.first().cloned()),
            // Alone, the logits are those of A's own last residual.
            loss: LossDiff::of(a, b).filter(|_| self.mode == Mode::EndToEnd),
            routing: self.routing,
            hooks: self.hooks,
            only_in: self.only_in,
            not_isolated: self.not_isolated,
            final_isolated: self.final_isolated,
        };
        found.judge(self.other_sum);
        found
    }
}
