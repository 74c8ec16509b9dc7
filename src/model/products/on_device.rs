//! Products by candle, with copies of the weights on its device.

use crate::model::available_memory;
use crate::model::kernels::Block;
use crate::model::precision::Rounding;
use crate::model::weights::{Matrix, Stored, WeightsId};
use crate::trace::size;
use anyhow::{Context, Result, ensure};
use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

/// Rows of each product. A library chooses its kernel by the shape, and with it the order of the sums. With one shape
/// for all products, a token's values don't depend on the number of tokens that are read with it.
const TILE: usize = 32;

/// A device with copies of weights.
pub(super) struct OnDevice {
    device: Device,
    /// Whether copies keep 16 bits and blocks. On the CPU candle would widen them for each product, so copies are f32
    /// there.
    keeps_narrow: bool,
    copies: Mutex<HashMap<Reading, Arc<Copied>>>,
    /// Locked while a thread computes on a GPU: candle has one handle of its library for all threads, but a queue for each.
    turn: Mutex<()>,
}

/// Weights, and the rounding with which they are read.
type Reading = (WeightsId, Option<Rounding>);

/// Weights on the device, `[n, k]`.
enum Copied {
    Numbers(Tensor),
    Blocks(QTensor),
}

/// Rows of activations that are multiplied in one dtype, on the device as tiles `[TILE, k]`.
struct Tiles {
    dtype: DType,
    rows: Vec<usize>,
    tiles: Vec<Tensor>,
}

impl OnDevice {
    pub fn new(device: Device) -> Self {
        Self { keeps_narrow: !device.is_cpu(), device, copies: Mutex::default(), turn: Mutex::default() }
    }

    pub fn is_metal(&self) -> bool {
        self.device.is_metal()
    }

    /// See [`crate::model::kernels::linears`].
    ///
    /// # Errors
    /// If the device fails.
    pub fn linears(&self, xs: &[&[f32]], jobs: &[(usize, &Matrix)], round: Rounding) -> Result<Vec<Vec<f32>>> {
        let _turn = (!self.device.is_cpu()).then(|| self.turn.lock().unwrap_or_else(PoisonError::into_inner));
        let mut tiled: HashMap<(usize, DType), Vec<Tiles>> = HashMap::new();
        let mut outs: Vec<Vec<f32>> = Vec::with_capacity(jobs.len());
        let (mut results, mut places) = (Vec::new(), Vec::new());
        for (job, (at, w)) in jobs.iter().enumerate() {
            let (x, k) = (xs[*at], w.cols());
            outs.push(vec![0.0; x.len() / k.max(1) * w.rows()]);
            let copied = self.copied(w, round)?;
            let narrow = copied.narrow_dtype(round);
            let tiled = match tiled.entry((*at, narrow)) {
                Entry::Occupied(made) => made.into_mut(),
                Entry::Vacant(open) => open.insert(self.tiled(x, k, narrow, round)?),
            };
            for Tiles { dtype, rows, tiles } in tiled {
                let wide = copied.to_dtype(*dtype, &self.device)?.t()?;
                for (rows, tile) in rows.chunks(TILE).zip(tiles) {
                    let product = tile.matmul(&wide)?.narrow(0, 0, rows.len())?;
                    // Only the rows are kept: a copy back would include everything that the tensor was made from.
                    results.push(product.to_dtype(DType::F32)?.force_contiguous()?.flatten_all()?);
                    places.extend(rows.iter().map(|row| (job, *row, w.rows())));
                }
            }
        }
        if results.is_empty() {
            return Ok(outs);
        }
        // One copy back for all results, because each copy waits for the device.
        let all = Tensor::cat(&results, 0)?.to_vec1::<f32>()?;
        let mut rest = all.as_slice();
        for (job, row, n) in places {
            let (first, others) = rest.split_at(n);
            let out = &mut outs[job][row * n..][..n];
            out.copy_from_slice(first);
            jobs[job].1.finish(0, out, round);
            rest = others;
        }
        Ok(outs)
    }

    /// The rows of `x` `[rows, k]`: those that `narrow` holds exactly in that dtype, the others in f32. Each row is judged
    /// alone, so that one row changes nothing for the others.
    fn tiled(&self, x: &[f32], k: usize, narrow: DType, round: Rounding) -> Result<Vec<Tiles>> {
        let row = |row: usize| &x[row * k..][..k];
        let is_exact = |i: &usize| row(*i).iter().all(|x| round.one(*x) == *x || x.is_nan());
        let all = 0..x.len() / k.max(1);
        let (exact, others) = match narrow {
            DType::F32 => (Vec::new(), all.collect()),
            _ => all.partition::<Vec<usize>, _>(is_exact),
        };
        let mut parts = Vec::with_capacity(2);
        for (dtype, rows) in [(narrow, exact), (DType::F32, others)] {
            if rows.is_empty() {
                continue;
            }
            let filled = rows.len().div_ceil(TILE) * TILE;
            let all: Vec<f32> = rows.iter().flat_map(|i| row(*i)).copied().collect();
            let all = Tensor::from_vec(all, (rows.len(), k), &self.device)?.to_dtype(dtype)?;
            let all = all.pad_with_zeros(0, 0, filled - rows.len())?;
            let tiles = (0..filled).step_by(TILE).map(|first| all.narrow(0, first, TILE));
            parts.push(Tiles { dtype, rows, tiles: tiles.collect::<candle_core::Result<_>>()? });
        }
        Ok(parts)
    }

    /// The copy of `w` as read under `round`. It is made when it is first used.
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
                 where its memory is too small, compute on the device `cpu`",
                w.stored()
            )
        })?;
        let copied = Arc::new(copied);
        copies.insert(key, copied.clone());
        Ok(copied)
    }

    fn copy(&self, w: &Matrix, narrowed: Option<Rounding>) -> Result<Copied> {
        let shape = (w.rows(), w.cols());
        if let (Stored::Blocks(block), None, true) = (w.stored(), narrowed, self.keeps_narrow)
            && let Some(kind) = ggml(block)
        {
            let mut bytes = Vec::with_capacity(w.len());
            (0..w.rows()).for_each(|row| bytes.extend_from_slice(w.row_bytes(row)));
            let storage = QStorage::from_data(Cow::Owned(bytes), &self.device, kind)?;
            self.device.synchronize()?;
            return Ok(Copied::Blocks(QTensor::new(storage, shape)?));
        }
        if self.device.is_cpu() {
            let bytes = w.rows() as u64 * w.cols() as u64 * size_of::<f32>() as u64;
            room_for(bytes, available_memory())?;
        }
        let dtype = match narrowed {
            _ if !self.keeps_narrow => DType::F32,
            Some(round) => dtype_of(round),
            None => w.stored().dtype().map_or(DType::F32, |dtype| dtype_of(Rounding::to(dtype))),
        };
        let numbers = match dtype {
            DType::BF16 => Tensor::from_vec(numbers(w, narrowed, bf16::from_f32)?, shape, &self.device)?,
            DType::F16 => Tensor::from_vec(numbers(w, narrowed, f16::from_f32)?, shape, &self.device)?,
            _ => Tensor::from_vec(numbers(w, narrowed, |x| x)?, shape, &self.device)?,
        };
        // The next thread that uses it has a queue of its own.
        self.device.synchronize()?;
        Ok(Copied::Numbers(numbers))
    }
}

/// Refuses a copy that is so large that the system would end this program.
fn room_for(bytes: u64, available: Option<u64>) -> Result<()> {
    let free = available.unwrap_or(u64::MAX);
    ensure!(bytes <= free, "it takes {}, and {} of memory are available", size(bytes), size(free));
    Ok(())
}

/// The weights row by row, as read under `narrowed`.
fn numbers<T>(w: &Matrix, narrowed: Option<Rounding>, of: impl Fn(f32) -> T) -> Result<Vec<T>> {
    let (mut all, mut line) = (Vec::new(), Vec::new());
    all.try_reserve_exact(w.rows() * w.cols())?;
    for row in 0..w.rows() {
        w.widen_row(row, narrowed.unwrap_or(Rounding::None), &mut line);
        all.extend(line.iter().map(|x| of(*x)));
    }
    Ok(all)
}

impl Copied {
    /// The dtype to multiply rows in that it holds exactly: 16 bits only if the result is rounded to it in any case.
    fn narrow_dtype(&self, round: Rounding) -> DType {
        match self {
            Self::Numbers(w) if w.dtype() == dtype_of(round) => w.dtype(),
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
        Rounding::None | Rounding::Operands => DType::F32,
        Rounding::F16 => DType::F16,
        Rounding::Bf16 => DType::BF16,
    }
}

/// candle's own type of a block; `None` for those that it lacks, which are widened.
fn ggml(block: Block) -> Option<GgmlDType> {
    Some(match block {
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
        Block::Iq4Nl | Block::Iq4Xs | Block::Mxfp4 => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kernels;

    const K: usize = 256;

    /// A CPU that keeps copies in 16 bits and blocks, as a GPU does.
    fn like_a_gpu() -> OnDevice {
        OnDevice { keeps_narrow: true, ..OnDevice::new(Device::Cpu) }
    }

    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..n).map(next).collect()
    }

    fn stored(stored: Stored, n: usize) -> Matrix {
        let values = numbers(n * K, 3);
        let bytes = match stored {
            Stored::Bf16 => values.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes()).collect(),
            Stored::F16 => values.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect(),
            Stored::F32 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Stored::Mxfp4 => unreachable!("its scales are apart"),
            Stored::Blocks(block) => {
                let tensor = Tensor::from_vec(values, (n, K), &Device::Cpu).unwrap();
                QTensor::quantize(&tensor, ggml(block).unwrap()).unwrap().data().unwrap().into_owned()
            }
        };
        Matrix::stored_as(stored, bytes, n, K)
    }

    #[test]
    fn products_are_those_of_our_own_kernels() {
        let blocks =
            [Block::Q4_0, Block::Q5_1, Block::Q8_0, Block::Q2K, Block::Q3K, Block::Q4K, Block::Q5K, Block::Q6K];
        let plain = [Stored::Bf16, Stored::F16, Stored::F32];
        for kind in plain.into_iter().chain(blocks.map(Stored::Blocks)) {
            let w = stored(kind, 5);
            for round in [Rounding::None, Rounding::F16, Rounding::Bf16] {
                let mut x = numbers(40 * K, 9);
                round.slice(&mut x);
                let want = kernels::linear(&x, &w, round);
                for on_device in [OnDevice::new(Device::Cpu), like_a_gpu()] {
                    let got = on_device.linears(&[&x], &[(0, &w)], round).unwrap().remove(0);
                    let step = match round {
                        Rounding::None | Rounding::Operands => 1e-5,
                        Rounding::F16 => 1.0 / 1024.0,
                        Rounding::Bf16 => 1.0 / 128.0,
                    };
                    let size = (K as f32).sqrt();
                    for (got, want) in got.iter().zip(&want) {
                        assert!(
                            (got - want).abs() <= step * want.abs() + 1e-5 * size,
                            "{kind} {round:?}: {got} {want}"
                        );
                    }
                    assert_eq!(got.len(), want.len());
                    let copies = on_device.copies.lock().unwrap();
                    let narrow = copies.values().next().unwrap().narrow_dtype(round);
                    // A rounded product reads its weights in that dtype, stored so or narrowed.
                    let as_rounded = if on_device.keeps_narrow { dtype_of(round) } else { DType::F32 };
                    assert_eq!(narrow, as_rounded, "{kind} {round:?}");
                }
            }
        }
    }

    #[test]
    fn weights_that_are_rounded_otherwise_are_other_copies() {
        for kind in [Stored::F32, Stored::Blocks(Block::Q8_0)] {
            let (w, x) = (stored(kind, 5), numbers(2 * K, 9));
            for one in [OnDevice::new(Device::Cpu), like_a_gpu()] {
                for (round, copies) in [
                    (Rounding::None, 1),
                    (Rounding::Bf16, 2),
                    (Rounding::F16, 3),
                    (Rounding::None, 3),
                    (Rounding::Bf16, 3),
                ] {
                    let other = OnDevice { keeps_narrow: one.keeps_narrow, ..OnDevice::new(Device::Cpu) };
                    let product = |on_device: &OnDevice| on_device.linears(&[&x], &[(0, &w)], round).unwrap();
                    assert_eq!(product(&one), product(&other), "{kind} {round:?}");
                    assert_eq!(one.copies.lock().unwrap().len(), copies, "{kind} {round:?}");
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_before_it_is_copied() {
        let error = room_for(3 << 30, Some(1 << 30)).unwrap_err().to_string();
        assert_eq!(error, "it takes 3.22 GB, and 1.07 GB of memory are available");
        assert!(room_for(1, Some(1)).is_ok() && room_for(u64::MAX, None).is_ok());
    }

    #[test]
    fn one_inexact_row_changes_nothing_for_the_others() {
        let (w, on_device) = (stored(Stored::Bf16, 40), like_a_gpu());
        let mut x = numbers(70 * K, 5);
        Rounding::Bf16.slice(&mut x);
        // A hook may write a value that bf16 can't hold.
        x[3 * K..4 * K].copy_from_slice(&numbers(K, 8));
        // The sums of both dtypes may be equal here, so the test looks at the dtype of each row.
        let parts = on_device.tiled(&x, K, DType::BF16, Rounding::Bf16).unwrap();
        let parts: Vec<_> = parts.into_iter().map(|part| (part.dtype, part.rows, part.tiles.len())).collect();
        let others = (0..70).filter(|row| *row != 3).collect();
        assert_eq!(parts, [(DType::BF16, others, 3), (DType::F32, vec![3], 1)]);
        let (first, second) = (&x[..], &x[2 * K..5 * K]);
        let jobs = [(0, &w), (1, &w), (0, &w)];
        let together = on_device.linears(&[first, second], &jobs, Rounding::Bf16).unwrap();
        let alone: Vec<f32> = x
            .chunks_exact(K)
            .flat_map(|x| on_device.linears(&[x], &[(0, &w)], Rounding::Bf16).unwrap().remove(0))
            .collect();
        assert!(together[0] == alone && together[2] == alone && together[1] == alone[2 * 40..5 * 40]);
        // In f32, not rounded first, as our own kernels compute it.
        let want = kernels::linear(&x[3 * K..4 * K], &w, Rounding::Bf16);
        for (got, want) in alone[3 * 40..4 * 40].iter().zip(&want) {
            assert!((got - want).abs() <= want.abs() / 128.0 + 1e-4, "{got} {want}");
        }
        assert!(on_device.linears(&[&[]], &[(0, &w)], Rounding::None).unwrap() == [Vec::<f32>::new()]);
    }
}
