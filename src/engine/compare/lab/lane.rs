//! One policy on its way through the model.

use super::Work;
use super::watch::{Seen, Watch};
use crate::analysis::diff::{Comparer, Comparison, Mode};
use crate::model::{Distribution, KvCache, Loaded, NoTaps, Pass, Precision, Taps, sampling};
use crate::trace::{Hook, HookKind, Meta, Policy, Sampling};
use anyhow::{Result, ensure};
use candle_core::Tensor;

/// Positions whose logits are in memory at a time.
const CHUNK: usize = 64;

/// A policy's pass over the prompt, with what generation needs of it.
pub struct Lane<'m> {
    meta: Meta,
    precision: Precision,
    pass: Pass<'m>,
    /// What the next layer reads `[pos, d_model]`.
    resid: Tensor,
    cache: KvCache,
    tokens: usize,
}

impl<'m> Lane<'m> {
    /// Before the first layer.
    pub fn begin(loaded: &'m Loaded, policy: Policy, ids: &[u32]) -> Result<Self> {
        let meta = Meta { policy, ..(*loaded.meta).clone() };
        let precision = Precision::new(policy, meta.compute_dtype);
        let cache = loaded.model.new_cache();
        let (pass, resid) = loaded.model.begin(ids, &cache, precision, &mut NoTaps)?;
        Ok(Self { meta, precision, pass, resid, cache, tokens: ids.len() })
    }

    /// The model under this policy.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// One layer of the base; returns what it read and what was seen of it.
    pub fn read(&mut self, layer: usize, work: &mut Work) -> Result<(Tensor, Seen)> {
        let input = self.resid.clone();
        let mut watch = Watch::new(&self.meta, self.tokens, work);
        self.resid = self.pass.layer(layer, input.clone(), &mut self.cache, &mut watch)?;
        Ok((input, watch.seen))
    }

    /// After the last layer: the loss of each token but the first, nats `[pos - 1]`, and the greedy continuation of at
    /// most `steps` tokens.
    pub fn finish(self, loaded: &Loaded, ids: &[u32], steps: usize, work: &mut Work) -> Result<(Vec<f32>, Vec<u32>)> {
        let Self { precision, pass, resid, mut cache, .. } = self;
        pass.end(&mut cache);
        let vocab = loaded.meta.dims.vocab;
        let (mut nll, mut last) = (Vec::with_capacity(ids.len()), Vec::new());
        for start in (0..ids.len()).step_by(CHUNK) {
            work.control.check()?;
            let rows = CHUNK.min(ids.len() - start);
            let rows = resid.narrow(0, start, rows)?.flatten_all()?.to_vec1::<f32>()?;
            let logits = loaded.model.lens(&rows, precision)?;
            let bad = logits.iter().position(|x| !x.is_finite());
            let at = start + bad.unwrap_or(0) / vocab;
            ensure!(bad.is_none(), "NaN or infinity in `{}` at position {at}", HookKind::Logits.at(0));
            // The last position predicts what is not there yet.
            let next = ids[start + 1..].iter().zip(logits.chunks_exact(vocab));
            nll.extend(next.map(|(id, row)| -Distribution::of(row).log_prob(*id as usize) as f32));
            last = logits[logits.len() - vocab..].to_vec();
        }
        let done = work.done + steps.saturating_sub(1) * loaded.meta.dims.layers;
        let mut generated = Vec::with_capacity(steps);
        while generated.len() < steps {
            let id = sampling::sample(&last, &Sampling::default(), ids.len() + generated.len() - 1)?;
            generated.push(id);
            if generated.len() == steps || loaded.meta.eos.contains(&id) {
                break;
            }
            let logits = loaded.model.forward(&[id], &mut cache, precision, &mut Step { work })?;
            last = logits.flatten_all()?.to_vec1()?;
        }
        work.done = done;
        Ok((nll, generated))
    }
}

/// A lane that is compared with the base.
pub struct Variant<'m> {
    lane: Lane<'m>,
    end_to_end: Comparer,
    isolated: Comparer,
}

impl<'m> Variant<'m> {
    /// Before the first layer.
    pub fn begin(loaded: &'m Loaded, policy: Policy, ids: &[u32], base: &Meta) -> Result<Self> {
        let lane = Lane::begin(loaded, policy, ids)?;
        let dtypes = [base.activation_dtype(), lane.meta.activation_dtype()];
        let comparer = |mode| Comparer::new(mode, None, dtypes, ids.to_vec(), base.dims.top_k, false);
        let (end_to_end, isolated) = (comparer(Mode::EndToEnd), comparer(Mode::Isolated));
        Ok(Self { lane, end_to_end, isolated })
    }

    /// One layer, twice: after the layer before it, and with `input`, which the base read `[pos, d_model]`; keys and
    /// values of the second go to `scratch`, which is empty.
    pub fn read(
        &mut self,
        layer: usize,
        input: &Tensor,
        seen: &Seen,
        scratch: &mut KvCache,
        work: &mut Work,
    ) -> Result<()> {
        let lane = &mut self.lane;
        let mut watch = Watch::new(&lane.meta, lane.tokens, work).beside(seen, &mut self.end_to_end);
        lane.resid = lane.pass.layer(layer, lane.resid.clone(), &mut lane.cache, &mut watch)?;
        self.isolated.fed(HookKind::ResidPre.at(layer));
        let mut watch = Watch::new(&lane.meta, lane.tokens, work).beside(seen, &mut self.isolated);
        lane.pass.layer(layer, input.clone(), scratch, &mut watch)?;
        Ok(())
    }

    /// The lane, and its comparisons with the base: end to end, and each layer alone.
    pub fn into_parts(self) -> (Lane<'m>, [Comparison; 2]) {
        (self.lane, [self.end_to_end.finish(), self.isolated.finish()])
    }
}

/// Watches a generated token being read.
struct Step<'a, 'b> {
    work: &'a mut Work<'b>,
}

impl Taps for Step<'_, '_> {
    fn wants(&self, _: Hook) -> bool {
        false
    }

    fn tap(&mut self, _: Hook, _: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }

    fn enter_layer(&mut self, _: usize) -> Result<()> {
        self.work.enter(1)
    }
}
