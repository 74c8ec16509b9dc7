//! Who multiplies by the weights: this program's kernels, or candle on another device.
//!
//! Everything else of the forward pass stays on the CPU: one pass, whose every value can be seen and replaced, is right for
//! all devices. What moves is a few vectors a token; the weights are copied to the device once, when they are first used.

use super::kernels::{self, Block};
use super::precision::Rounding;
use super::weights::{Matrix, Stored, WeightsId};
use crate::trace::Device as Place;
use anyhow::{Context, Result};
use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

/// Rows of each product on a device. A library chooses its kernel by the shape, and with it the order of the sums: with one
/// shape for all, a token's values don't depend on how many are read with it.
const TILE: usize = 32;

/// Where products are computed.
#[derive(Default)]
pub(super) struct Products {
    elsewhere: Option<Elsewhere>,
}

impl Products {
    /// Products on `place`.
    ///
    /// # Errors
    /// If this build or this machine has no such device.
    pub fn on(place: Place) -> Result<Self> {
        let device = match place.in_this_build()? {
            Place::Cpu => return Ok(Self::default()),
            Place::Candle => Device::Cpu,
            Place::Cuda(number) => Device::new_cuda(number)?,
            Place::Metal(number) => Device::new_metal(number)?,
        };
        Ok(Self { elsewhere: Some(Elsewhere { device, copies: Mutex::default() }) })
    }

    /// Whether weights are copied to a device instead of being read in place.
    pub fn are_elsewhere(&self) -> bool {
        self.elsewhere.is_some()
    }

    /// Whether weights in blocks can be multiplied by: Metal has no decoder of blocks that candle could ask.
    pub fn know_blocks(&self) -> bool {
        self.elsewhere.as_ref().is_none_or(|elsewhere| !elsewhere.device.is_metal())
    }

    /// `x · wᵀ`, see [`kernels::linear`].
    ///
    /// # Errors
    /// If the device fails.
    pub fn linear(&self, x: &[f32], w: &Matrix, round: Rounding) -> Result<Vec<f32>> {
        Ok(self.linears(&[x], &[(0, w)], round)?.pop().unwrap_or_default())
    }

    /// Several products, see [`kernels::linears`].
    ///
    /// # Errors
    /// If the device fails.
    pub fn linears(&self, xs: &[&[f32]], jobs: &[(usize, &Matrix)], round: Rounding) -> Result<Vec<Vec<f32>>> {
        match &self.elsewhere {
            None => Ok(kernels::linears(xs, jobs, round)),
            Some(elsewhere) => elsewhere.linears(xs, jobs, round),
        }
    }
}

/// A device with copies of weights.
struct Elsewhere {
    device: Device,
    copies: Mutex<HashMap<Reading, Arc<Copied>>>,
}

/// Weights, and what they are rounded to as they are read.
type Reading = (WeightsId, Option<Rounding>);

/// Weights on the device, `[n, k]`.
enum Copied {
    Numbers(Tensor),
    Blocks(QTensor),
}

impl Elsewhere {
    fn linears(&self, xs: &[&[f32]], jobs: &[(usize, &Matrix)], round: Rounding) -> Result<Vec<Vec<f32>>> {
        let mut tiles: HashMap<(usize, DType), Vec<Tensor>> = HashMap::new();
        let (mut results, mut shapes) = (Vec::new(), Vec::new());
        for (at, w) in jobs {
            let copied = self.copied(w, round)?;
            let rows = xs[*at].len() / w.cols().max(1);
            shapes.push((rows, w.rows()));
            let dtype = copied.product_dtype(xs[*at], round);
            let wide = copied.to_dtype(dtype, &self.device)?.t()?;
            let tiles = match tiles.entry((*at, dtype)) {
                Entry::Occupied(made) => made.into_mut(),
                Entry::Vacant(open) => open.insert(self.tiles(xs[*at], w.cols(), dtype)?),
            };
            for (i, tile) in tiles.iter().enumerate() {
                let product = tile.matmul(&wide)?.narrow(0, 0, TILE.min(rows - i * TILE))?;
                results.push(product.to_dtype(DType::F32)?.flatten_all()?);
            }
        }
        if results.is_empty() {
            return Ok(vec![Vec::new(); jobs.len()]);
        }
        // One copy back for all of them: each waits for the device.
        let mut all = Tensor::cat(&results, 0)?.to_vec1::<f32>()?;
        round.slice(&mut all);
        let mut rest = all.as_slice();
        let mut take = |n: usize| {
            let (first, others) = rest.split_at(n);
            rest = others;
            first.to_vec()
        };
        Ok(shapes.into_iter().map(|(rows, n)| take(rows * n)).collect())
    }

    /// `x` `[rows, k]` on the device, as tiles `[TILE, k]`, the last one filled up with zeros.
    fn tiles(&self, x: &[f32], k: usize, dtype: DType) -> Result<Vec<Tensor>> {
        let rows = x.len() / k.max(1);
        let filled = rows.div_ceil(TILE) * TILE;
        let mut all = Vec::with_capacity(filled * k);
        all.extend_from_slice(x);
        all.resize(filled * k, 0.0);
        let all = Tensor::from_vec(all, (filled, k), &self.device)?.to_dtype(dtype)?;
        (0..filled).step_by(TILE).map(|first| Ok(all.narrow(0, first, TILE)?)).collect()
    }

    /// The copy of `w` as it reads under `round`; made when it is first asked for.
    fn copied(&self, w: &Matrix, round: Rounding) -> Result<Arc<Copied>> {
        let narrowed = w.is_narrowed_by(round).then_some(round);
        let key = (w.id(), narrowed);
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(copied) = copies.get(&key) {
            return Ok(copied.clone());
        }
        let copied = self.copy(w, narrowed).with_context(|| {
            let (n, k, held) = (w.rows(), w.cols(), copies.len());
            format!(
                "cannot copy {n} × {k} weights ({}) to the device, which holds {held} matrices; \
                 where its memory is too small, leave --device out",
                w.stored()
            )
        })?;
        let copied = Arc::new(copied);
        copies.insert(key, copied.clone());
        Ok(copied)
    }

    fn copy(&self, w: &Matrix, narrowed: Option<Rounding>) -> Result<Copied> {
        let shape = (w.rows(), w.cols());
        if let (Stored::Blocks(block), None, false) = (w.stored(), narrowed, self.device.is_cpu()) {
            let bytes: Vec<u8> = (0..w.rows()).flat_map(|row| w.row_bytes(row)).copied().collect();
            let storage = QStorage::from_data(Cow::Owned(bytes), &self.device, ggml(block))?;
            return Ok(Copied::Blocks(QTensor::new(storage, shape)?));
        }
        let dtype = match narrowed {
            Some(round) => dtype_of(round),
            None => match w.stored() {
                Stored::Bf16 => DType::BF16,
                Stored::F16 => DType::F16,
                Stored::F32 | Stored::Blocks(_) => DType::F32,
            },
        };
        // candle multiplies narrow numbers on the CPU by widening them each time.
        let dtype = if self.device.is_cpu() { DType::F32 } else { dtype };
        Ok(Copied::Numbers(match dtype {
            DType::BF16 => Tensor::from_vec(numbers(w, narrowed, bf16::from_f32), shape, &self.device)?,
            DType::F16 => Tensor::from_vec(numbers(w, narrowed, f16::from_f32), shape, &self.device)?,
            _ => Tensor::from_vec(numbers(w, narrowed, |x| x), shape, &self.device)?,
        }))
    }
}

/// The weights row by row, as they read under `narrowed`.
fn numbers<T>(w: &Matrix, narrowed: Option<Rounding>, of: impl Fn(f32) -> T) -> Vec<T> {
    let (mut all, mut line) = (Vec::with_capacity(w.rows() * w.cols()), Vec::new());
    for row in 0..w.rows() {
        w.widen_row(row, narrowed.unwrap_or(Rounding::None), &mut line);
        all.extend(line.iter().map(|x| of(*x)));
    }
    all
}

impl Copied {
    /// The dtype to multiply `x` in: 16 bits only if that loses nothing and the result is rounded to it in any case.
    fn product_dtype(&self, x: &[f32], round: Rounding) -> DType {
        match self {
            Self::Numbers(w) if w.dtype() != DType::F32 && w.dtype() == dtype_of(round) => {
                let is_exact = x.iter().all(|x| round.one(*x) == *x || x.is_nan());
                if is_exact { w.dtype() } else { DType::F32 }
            }
            Self::Numbers(_) | Self::Blocks(_) => DType::F32,
        }
    }

    fn to_dtype(&self, dtype: DType, device: &Device) -> Result<Tensor> {
        Ok(match self {
            Self::Numbers(w) => w.to_dtype(dtype)?,
            Self::Blocks(w) => w.dequantize(device)?,
        })
    }
}

fn dtype_of(round: Rounding) -> DType {
    match round {
        Rounding::None => DType::F32,
        Rounding::F16 => DType::F16,
        Rounding::Bf16 => DType::BF16,
    }
}

fn ggml(block: Block) -> GgmlDType {
    match block {
        Block::Q4_0 => GgmlDType::Q4_0,
        Block::Q4_1 => GgmlDType::Q4_1,
        Block::Q5_0 => GgmlDType::Q5_0,
        Block::Q5_1 => GgmlDType::Q5_1,
        Block::Q8_0 => GgmlDType::Q8_0,
        Block::Q8_1 => GgmlDType::Q8_1,
        Block::Q2K => GgmlDType::Q2K,
        Block::Q3K => GgmlDType::Q3K,
        Block::Q4K => GgmlDType::Q4K,
        Block::Q5K => GgmlDType::Q5K,
        Block::Q6K => GgmlDType::Q6K,
        Block::Q8K => GgmlDType::Q8K,
    }
}
