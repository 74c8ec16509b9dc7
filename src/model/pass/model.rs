//! A model: its architecture, and its weights where they are stored.

use super::cache::KvCache;
use super::experts::{Expert, Paging};
use super::gate::Router;
use super::tally::Tally;
use crate::model::arch::Arch;
use crate::model::precision::Gate;
use crate::model::products::Products;
use crate::model::weights::{Matrix, Part, Store, Stored, Which};
use crate::trace::{Device, Dims, Dtype, Scores};
use anyhow::{Context, Result, ensure};
use std::sync::Arc;

/// A model whose weights stay where they are stored.
pub struct Model {
    pub(in crate::model) arch: Arch,
    compute: Dtype,
    pub(in crate::model) embed: Matrix,
    pub(in crate::model) layers: Vec<Layer>,
    pub(in crate::model) norm: Vec<f32>,
    pub(in crate::model) unembed: Matrix,
    pub(in crate::model) scores: Scores,
    pub(in crate::model) products: Arc<Products>,
    paging: Paging,
    tally: Tally,
}

/// The weights of a decoder layer.
#[derive(Clone)]
pub(in crate::model) struct Layer {
    pub ln1: Vec<f32>,
    pub q: Matrix,
    pub k: Matrix,
    pub v: Matrix,
    pub o: Matrix,
    /// Gains of the norms of queries and keys, if the model has them.
    pub qk_norm: Option<[Vec<f32>; 2]>,
    pub ln2: Vec<f32>,
    pub mlp: Mlp,
}

/// The weights between the norm after attention and the residual stream.
#[derive(Clone)]
pub(in crate::model) enum Mlp {
    /// One MLP for every token.
    Dense(Box<Expert>),
    /// Router and experts.
    Moe(Box<Mixture>),
}

/// Router and experts of a layer.
#[derive(Clone)]
pub(in crate::model) struct Mixture {
    pub router: Router,
    pub experts: Vec<Expert>,
    pub shared: Option<Shared>,
}

/// An expert that reads every token, times the sigmoid of its gate.
#[derive(Clone)]
pub(in crate::model) struct Shared {
    pub expert: Expert,
    /// `[1, d_model]`.
    pub gate: Matrix,
}

impl Layer {
    /// Router and experts; `None` in a layer without.
    pub fn mixture(&self) -> Option<&Mixture> {
        match &self.mlp {
            Mlp::Moe(mixture) => Some(mixture),
            Mlp::Dense(_) => None,
        }
    }

    /// Leaves out the shared expert.
    pub fn remove_shared(&mut self) {
        if let Mlp::Moe(mixture) = &mut self.mlp {
            mixture.shared = None;
        }
    }

    /// The experts that a router chooses from.
    pub fn experts(&self) -> &[Expert] {
        self.mixture().map_or(&[], |mixture| &mixture.experts)
    }

    /// Everything with the matrices of an expert.
    fn all_experts(&self) -> impl Iterator<Item = &Expert> {
        let (dense, shared) = match &self.mlp {
            Mlp::Dense(dense) => (Some(&**dense), None),
            Mlp::Moe(mixture) => (None, mixture.shared.as_ref().map(|shared| &shared.expert)),
        };
        self.experts().iter().chain(dense).chain(shared)
    }

    /// The same, to be changed.
    pub fn all_experts_mut(&mut self) -> impl Iterator<Item = &mut Expert> {
        let (experts, dense, shared) = match &mut self.mlp {
            Mlp::Dense(dense) => (None, Some(&mut **dense), None),
            Mlp::Moe(mixture) => (Some(&mut mixture.experts), None, mixture.shared.as_mut()),
        };
        experts.into_iter().flatten().chain(dense).chain(shared.map(|shared| &mut shared.expert))
    }
}

impl Model {
    /// Takes the parts of the model from `store`. `compute` is the dtype in which the `hf` policies round, and to which
    /// they round weights of other dtypes when these are read.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape or type.
    pub fn new(arch: Arch, store: &Store, compute: Dtype) -> Result<Self> {
        let vector = |part: Part| Ok::<_, anyhow::Error>(store.matrix(part, &arch)?.to_f32());
        let matrix = |part: Part| store.with_bias(part, &arch);
        let embed = matrix(Part::Embed)?;
        let unembed = if arch.tied { embed.clone() } else { matrix(Part::Unembed)? };
        let layer = |l: usize| {
            let expert = |part: &dyn Fn(Which) -> Part| {
                let one = |which: Which| matrix(part(which));
                Ok::<_, anyhow::Error>(Expert { w1: one(Which::W1)?, w2: one(Which::W2)?, w3: one(Which::W3)? })
            };
            let shared = || {
                Ok::<_, anyhow::Error>(Shared {
                    expert: expert(&|which| Part::Shared(l, which))?,
                    gate: matrix(Part::SharedGate(l))?,
                })
            };
            let mlp = match arch.dims.has_router(l) {
                false => Mlp::Dense(Box::new(expert(&|which| Part::Dense(l, which))?)),
                true => Mlp::Moe(Box::new(Mixture {
                    router: Router::new(matrix(Part::Gate(l))?),
                    experts: (0..arch.dims.experts)
                        .map(|e| expert(&|which| Part::Expert(l, e, which)))
                        .collect::<Result<_>>()?,
                    shared: (arch.dims.d_shared > 0).then(shared).transpose()?,
                })),
            };
            let qk_norm = || Ok::<_, anyhow::Error>([vector(Part::QNorm(l))?, vector(Part::KNorm(l))?]);
            Ok(Layer {
                ln1: vector(Part::Ln1(l))?,
                q: matrix(Part::Q(l))?,
                k: matrix(Part::K(l))?,
                v: matrix(Part::V(l))?,
                o: matrix(Part::O(l))?,
                qk_norm: arch.attn.qk_norm.map(|_| qk_norm()).transpose()?,
                ln2: vector(Part::Ln2(l))?,
                mlp,
            })
        };
        let layers = (0..arch.dims.layers).map(layer).collect::<Result<_>>()?;
        let norm = vector(Part::Norm)?;
        let sinks: Vec<Vec<f32>> = match arch.attn.sinks {
            true => (0..arch.dims.layers).map(|l| vector(Part::Sinks(l))).collect::<Result<_>>()?,
            false => Vec::new(),
        };
        let scores = Scores { scale: arch.attn.scale, sinks: sinks.into() };
        let (products, paging, tally) = (Arc::default(), Paging::default(), Tally::default());
        Ok(Self { compute, embed, layers, norm, unembed, scores, products, paging, tally, arch })
    }

    /// The same weights, in place, computed as `arch` says.
    pub(in crate::model) fn with_arch(&self, arch: Arch) -> Self {
        Self {
            arch,
            compute: self.compute,
            embed: self.embed.clone(),
            layers: self.layers.clone(),
            norm: self.norm.clone(),
            unembed: self.unembed.clone(),
            scores: self.scores.clone(),
            products: self.products.clone(),
            paging: Paging::default(),
            tally: Tally::default(),
        }
    }

    /// Computes the products with all weights except the routers' on `device`.
    pub(in crate::model) fn compute_on(&mut self, device: Device) -> Result<()> {
        let products = Products::on(device)?;
        let in_blocks = |matrix: &Matrix| matches!(matrix.stored(), Stored::Blocks(_));
        ensure!(
            products.decode_blocks() || !self.multiplied().any(in_blocks),
            "quantised weights can't be used there: compute on the device `cpu`"
        );
        self.products = Arc::new(products);
        Ok(())
    }

    /// Counts the experts that were in memory when the router chose them.
    pub fn paging(&self) -> &Paging {
        &self.paging
    }

    /// How much it computed so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Counts the chosen experts and has those on disk read; on a device weights are not paged.
    pub(super) fn fetch(&self, experts: &[Expert], chosen: &[u32]) {
        if !self.products.are_on_device() {
            self.paging.fetch(experts, chosen);
        }
    }

    /// The router's weights in `layer`, in the form of `gate`.
    ///
    /// # Errors
    /// If they can't be quantised.
    pub fn router(&self, layer: usize, gate: Gate) -> Result<&Matrix> {
        let layer = self.layers.get(layer).context("the model has no such layer")?;
        layer.mixture().context("the layer has no router")?.router.read_as(gate)
    }

    /// How attention scores become weights.
    pub fn scores(&self) -> &Scores {
        &self.scores
    }

    /// The sizes.
    pub fn dims(&self) -> Dims {
        self.arch.dims
    }

    /// How the model computes.
    pub fn arch(&self) -> &Arch {
        &self.arch
    }

    /// The dtype in which the `hf` policies round.
    pub fn compute_dtype(&self) -> Dtype {
        self.compute
    }

    /// Whether weights are decoded again for each token, so that reading many tokens at once saves only memory traffic.
    pub fn decodes_each_token(&self) -> bool {
        self.is_quantised() && !self.products.are_on_device()
    }

    /// An empty KV cache for this model.
    pub fn new_cache(&self) -> KvCache {
        KvCache::new(self.arch.dims.layers, self.arch.dims.kv_heads * self.arch.dims.d_head)
    }

    /// Every matrix that activations are multiplied by, except the routers'.
    fn multiplied(&self) -> impl Iterator<Item = &Matrix> {
        let of = |layer| {
            let Layer { q, k, v, o, .. }: &Layer = layer;
            let experts = layer.all_experts().flat_map(|expert| [&expert.w1, &expert.w2, &expert.w3]);
            [q, k, v, o].into_iter().chain(experts)
        };
        self.layers.iter().flat_map(of).chain([&self.unembed])
    }

    fn is_quantised(&self) -> bool {
        self.layers.iter().flat_map(Layer::all_experts).any(Expert::is_quantised)
    }
}
