//! Products of quantised weights as they are stored, Q8_0, Q4_K and Q6_K, and activations in fixed point.
//!
//! Of each block of 32 activations the largest has 22 bits, rounded to nearest, and the others the same step, a power
//! of two: none is off by more than 2⁻²² of the largest. So the products with the stored integers, and the sums of four
//! neighbours, are exact. A chunk of 64 weights is sixteen such sums, one a lane; each is converted to f32 (rounded to
//! nearest) and added to its lane times its scale (fma), which is the stored scale times the step. At the end the lanes
//! are folded in halves. What Q4_K subtracts, a minimum for each block of 32, is added up in lanes of its own: minimum
//! times the sum of the block's activations (fma), eight blocks together.

use super::blocks::{Block, part, widen_f16};
use super::dot::{Isa, fold, per_isa};
#[cfg(target_arch = "x86_64")]
use super::fixed_vnni;
use super::k_blocks::scales_and_minima;
use rayon::prelude::*;

/// Weights whose products are added before they are scaled, and lanes that add four each.
pub(super) const CHUNK: usize = 64;
pub(super) const LANES: usize = CHUNK / 4;
/// Activations that have a step in common.
const BLOCK: usize = 32;
/// Chunks above which packing them is worth several threads.
const PIECE: usize = 1 << 9;
/// What every activation in its steps stays below.
const LARGEST: f32 = (1 << 22) as f32;

/// Whether products with weights of this format are computed here.
pub(super) fn is_for(block: Block) -> bool {
    matches!(block, Block::Q8_0 | Block::Q4K | Block::Q6K)
}

/// Rows of activations, in steps.
pub(super) struct Fixed {
    /// Chunks of a row; a last one may be half full.
    chunks: usize,
    /// Digits of each chunk to the base 256, from −128 to 127, the highest first; empty without the instruction for them.
    digits: Vec<[[i8; CHUNK]; 3]>,
    /// The same numbers for other instruction sets, `[chunk][number of four][lane]`.
    planes: Vec<[[i32; LANES]; 4]>,
    /// Sum of each lane's four.
    sums: Vec<[i32; LANES]>,
    /// Each block's step, and the sum of its activations, `[chunk][block]`.
    steps: Vec<[f32; 2]>,
    totals: Vec<[f32; 2]>,
}

/// Some chunks, to be written.
struct Part<'a> {
    digits: &'a mut [[[i8; CHUNK]; 3]],
    planes: &'a mut [[[i32; LANES]; 4]],
    sums: &'a mut [[i32; LANES]],
    steps: &'a mut [[f32; 2]],
    totals: &'a mut [[f32; 2]],
}

impl Part<'_> {
    /// Takes the chunks `at` of `x` `[rows, k]`.
    fn pack(&mut self, isa: Isa, x: &[f32], k: usize, at: std::ops::RangeFrom<usize>) {
        let chunks = k.div_ceil(CHUNK);
        for (i, at) in (0..self.sums.len()).zip(at) {
            let mut numbers = [0; CHUNK];
            let x = &x[at / chunks * k..][..k][at % chunks * CHUNK..];
            match x.first_chunk() {
                Some(x) => in_steps_on(isa, x, &mut numbers, &mut self.steps[i]),
                None => {
                    let mut filled = [0.0; CHUNK];
                    filled[..x.len()].copy_from_slice(x);
                    in_steps_on(isa, &filled, &mut numbers, &mut self.steps[i]);
                }
            }
            for (sum, four) in self.sums[i].iter_mut().zip(numbers.as_chunks::<4>().0) {
                *sum = four[0] + four[1] + four[2] + four[3];
            }
            for (half, sums) in self.sums[i].as_chunks::<{ LANES / 2 }>().0.iter().enumerate() {
                self.totals[i][half] = sums.iter().sum::<i32>() as f32 * self.steps[i][half];
            }
            if let Some(out) = self.digits.get_mut(i) {
                digits_on(isa, &numbers, out);
            }
            if let Some(planes) = self.planes.get_mut(i) {
                for (i, number) in numbers.iter().enumerate() {
                    planes[i % 4][i / 4] = *number;
                }
            }
        }
    }
}

/// One row of them.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub digits: &'a [[[i8; CHUNK]; 3]],
    planes: &'a [[[i32; LANES]; 4]],
    pub sums: &'a [[i32; LANES]],
    pub steps: &'a [[f32; 2]],
    pub totals: &'a [[f32; 2]],
}

/// The step of a block whose largest absolute value has these bits: the power of two that puts it from 2²¹ to 2²² (below
/// that if it is less than 2⁻¹⁰⁵, for lack of smaller steps). NaN if it is not finite.
#[inline(always)]
fn step(largest: u32) -> f32 {
    if largest >= f32::INFINITY.to_bits() {
        return f32::NAN;
    }
    f32::from_bits(((largest >> 23).max(22) - 21) << 23)
}

/// A chunk of activations in steps, and its blocks' steps.
#[inline(always)]
fn in_steps(x: &[f32; CHUNK], numbers: &mut [i32; CHUNK], steps: &mut [f32; 2]) {
    // 1.5 · 2²³: adding it leaves no bit behind the point, rounded to even where two are as near.
    const POINT: f32 = 12_582_912.0;
    for (half, x) in x.as_chunks::<BLOCK>().0.iter().enumerate() {
        let mut largest = 0;
        for x in x {
            largest = largest.max(x.to_bits() & 0x7fff_ffff);
        }
        let size = step(largest);
        let inverse = 1.0 / size;
        for (number, x) in numbers[half * BLOCK..].iter_mut().zip(x) {
            let rounded = (x * inverse + POINT) - POINT;
            *number = rounded.clamp(1.0 - LARGEST, LARGEST - 1.0) as i32;
        }
        steps[half] = size;
    }
}

per_isa!(in_steps_on / in_steps_avx2 / in_steps_avx512:
    (x: &[f32; CHUNK], numbers: &mut [i32; CHUNK], steps: &mut [f32; 2]) -> () = in_steps(x, numbers, steps));

#[inline(always)]
fn digits(numbers: &[i32; CHUNK], digits: &mut [[i8; CHUNK]; 3]) {
    for i in 0..CHUNK {
        // Half of 256 and of 256² more, so that each digit is rounded to the nearest.
        digits[2][i] = numbers[i] as i8;
        digits[1][i] = ((numbers[i] + 0x80) >> 8) as i8;
        digits[0][i] = ((numbers[i] + 0x8080) >> 16) as i8;
    }
}

per_isa!(digits_on / digits_avx2 / digits_avx512:
    (numbers: &[i32; CHUNK], out: &mut [[i8; CHUNK]; 3]) -> () = digits(numbers, out));

impl Fixed {
    /// Takes rows of activations `x` `[rows, k]`; `k` is a multiple of 32.
    pub fn of(isa: Isa, x: &[f32], k: usize) -> Self {
        #[cfg(target_arch = "x86_64")]
        let with_digits = fixed_vnni::is_here();
        #[cfg(not(target_arch = "x86_64"))]
        let with_digits = false;
        Self::with(isa, x, k, with_digits)
    }

    /// With digits or with planes; digits only where the instructions for them are.
    fn with(isa: Isa, x: &[f32], k: usize, with_digits: bool) -> Self {
        let (chunks, rows) = (k.div_ceil(CHUNK), x.len() / k.max(1));
        let all = chunks * rows;
        let mut fixed = Self {
            chunks,
            digits: vec![[[0; CHUNK]; 3]; if with_digits { all } else { 0 }],
            planes: vec![[[0; LANES]; 4]; if with_digits { 0 } else { all }],
            sums: vec![[0; LANES]; all],
            steps: vec![[1.0; 2]; all],
            totals: vec![[0.0; 2]; all],
        };
        let mut parts = fixed.parts();
        let pack = |(at, part): (usize, &mut Part)| part.pack(isa, x, k, at * PIECE..);
        if parts.len() > 1 {
            parts.par_iter_mut().enumerate().for_each(pack);
        } else {
            parts.iter_mut().enumerate().for_each(pack);
        }
        fixed
    }

    fn parts(&mut self) -> Vec<Part<'_>> {
        let mut digits = self.digits.chunks_mut(PIECE);
        let mut planes = self.planes.chunks_mut(PIECE);
        let scales = self.sums.chunks_mut(PIECE).zip(self.steps.chunks_mut(PIECE)).zip(self.totals.chunks_mut(PIECE));
        scales
            .map(|((sums, steps), totals)| {
                let (digits, planes) = (digits.next().unwrap_or_default(), planes.next().unwrap_or_default());
                Part { digits, planes, sums, steps, totals }
            })
            .collect()
    }

    /// Whether rows are in digits.
    pub fn has_digits(&self) -> bool {
        !self.digits.is_empty()
    }

    /// One row.
    pub fn row(&self, row: usize) -> Row<'_> {
        let range = row * self.chunks..(row + 1) * self.chunks;
        Row {
            digits: self.digits.get(range.clone()).unwrap_or_default(),
            planes: self.planes.get(range.clone()).unwrap_or_default(),
            sums: &self.sums[range.clone()],
            steps: &self.steps[range.clone()],
            totals: &self.totals[range],
        }
    }
}

/// Two rows of weights times a row of activations.
pub(super) fn dot_two(isa: Isa, block: Block, w: [&[u8]; 2], x: Row) -> [f32; 2] {
    #[cfg(target_arch = "x86_64")]
    if !x.digits.is_empty() {
        // SAFETY: there are digits only where the instructions for them are.
        return unsafe { fixed_vnni::dot_two(block, w, x) };
    }
    w.map(|w| dot_one_on(isa, block, w, [x])[0])
}

/// A row of weights times four rows of activations, so that it is decoded once; for those without digits.
pub(super) fn dot_four(isa: Isa, block: Block, w: &[u8], x: [Row; 4]) -> [f32; 4] {
    dot_four_on(isa, block, w, x)
}

#[inline(always)]
fn dot<const N: usize>(block: Block, w: &[u8], x: [Row; N]) -> [f32; N] {
    match block {
        Block::Q8_0 => dot_q8_0(w, x),
        Block::Q4K => dot_q4_k(w, x),
        _ => dot_q6_k(w, x),
    }
}

per_isa!(dot_one_on / dot_one_avx2 / dot_one_avx512: (block: Block, w: &[u8], x: [Row; 1]) -> [f32; 1] = dot(block, w, x));
per_isa!(dot_four_on / dot_four_avx2 / dot_four_avx512: (block: Block, w: &[u8], x: [Row; 4]) -> [f32; 4] = dot(block, w, x));

/// Adds the products of a chunk: `q` holds four weights a lane, too high by `offset`, and `scales` what they are stored with.
#[inline(always)]
fn add<const N: usize>(
    (q, offset, scales): (&[u32; LANES], i32, &[f32; LANES]),
    x: [Row; N],
    at: usize,
    lanes: &mut [[f32; LANES]; N],
) {
    for (x, lanes) in x.into_iter().zip(lanes) {
        let (planes, sums, steps) = (&x.planes[at], &x.sums[at], &x.steps[at]);
        for l in 0..LANES {
            let product = |j: usize| (((q[l] >> (8 * j)) & 255) as i32).wrapping_mul(planes[j][l]);
            let sum = product(0).wrapping_add(product(1)).wrapping_add(product(2)).wrapping_add(product(3));
            let sum = sum.wrapping_sub(sums[l].wrapping_mul(offset));
            lanes[l] = (sum as f32).mul_add(scales[l] * steps[l / (LANES / 2)], lanes[l]);
        }
    }
}

#[inline(always)]
fn words<const N: usize>(bytes: &[u8], out: &mut [u32]) {
    for (word, bytes) in out.iter_mut().zip(part::<N, _>(bytes, 0).as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
}

#[inline(always)]
fn dot_q8_0<const N: usize>(w: &[u8], x: [Row; N]) -> [f32; N] {
    let mut lanes = [[0f32; LANES]; N];
    for (at, blocks) in w.chunks(2 * 34).enumerate() {
        // Without a sign; a block that is missing is zero.
        let (mut q, mut scales) = ([0x8080_8080u32; LANES], [0f32; LANES]);
        for (half, block) in blocks.as_chunks::<34>().0.iter().enumerate() {
            let q = &mut q[half * 8..][..8];
            words::<32>(&block[2..], q);
            q.iter_mut().for_each(|q| *q ^= 0x8080_8080);
            scales[half * 8..][..8].fill(widen_f16(*part(block, 0)));
        }
        add((&q, 128, &scales), x, at, &mut lanes);
    }
    lanes.map(fold)
}

#[inline(always)]
fn dot_q4_k<const N: usize>(w: &[u8], x: [Row; N]) -> [f32; N] {
    let (mut lanes, mut below) = ([[0f32; LANES]; N], [[0f32; 8]; N]);
    for (block, from) in w.as_chunks::<144>().0.iter().zip((0..).step_by(4)) {
        let (d, min) = (widen_f16(*part(block, 0)), widen_f16(*part(block, 2)));
        let (stored, minima) = scales_and_minima(part(block, 4), d, min);
        for (at, pair) in (from..from + 4).zip(0..4) {
            let (mut q, mut scales) = ([0u32; LANES], [0f32; LANES]);
            words::<32>(&block[16 + 32 * pair..], &mut q[..8]);
            for i in 0..8 {
                (q[i], q[8 + i]) = (q[i] & 0x0f0f_0f0f, (q[i] >> 4) & 0x0f0f_0f0f);
            }
            for half in 0..2 {
                let group = 2 * pair + half;
                scales[half * 8..][..8].fill(stored[group]);
                for (x, below) in x.iter().zip(&mut below) {
                    below[group] = minima[group].mul_add(x.totals[at][half], below[group]);
                }
            }
            add((&q, 0, &scales), x, at, &mut lanes);
        }
    }
    let mut out = lanes.map(fold);
    out.iter_mut().zip(below).for_each(|(out, below)| *out -= fold(below));
    out
}

#[inline(always)]
fn dot_q6_k<const N: usize>(w: &[u8], x: [Row; N]) -> [f32; N] {
    let mut lanes = [[0f32; LANES]; N];
    for (block, from) in w.as_chunks::<210>().0.iter().zip((0..).step_by(4)) {
        let d = widen_f16(*part(block, 208));
        for (at, quarter) in (from..from + 4).zip(0..4) {
            let (n, upper) = (quarter / 2, quarter % 2);
            let (mut low, mut high) = ([0u32; LANES], [0u32; 8]);
            words::<64>(&block[64 * n..], &mut low);
            words::<32>(&block[128 + 32 * n..], &mut high);
            let (mut q, mut scales) = ([0u32; LANES], [0f32; LANES]);
            for i in 0..LANES {
                let two = high[i % 8] >> (4 * upper + 2 * (i / 8));
                q[i] = ((low[i] >> (4 * upper)) & 0x0f0f_0f0f) | ((two & 0x0303_0303) << 4);
                scales[i] = d * f32::from(block[192 + 8 * n + 4 * upper + i / 4] as i8);
            }
            add((&q, 32, &scales), x, at, &mut lanes);
        }
    }
    lanes.map(fold)
}

#[cfg(test)]
mod tests {
    use super::super::dot::isa;
    use super::super::dot::tests::{numbers, supported};
    use super::*;
    use candle_core::quantized::{GgmlDType, QTensor};
    use candle_core::{Device, Tensor};

    const ALL: [(Block, GgmlDType); 3] =
        [(Block::Q8_0, GgmlDType::Q8_0), (Block::Q4K, GgmlDType::Q4K), (Block::Q6K, GgmlDType::Q6K)];

    #[test]
    fn every_instruction_set_gives_the_same_bits_and_the_product_of_the_values() {
        for (block, dtype) in ALL {
            for k in [32, 64, 96, 256, 512, 4096].into_iter().filter(|k| k % block.width() == 0) {
                let x: Vec<f32> = numbers(2 * k, 6).iter().map(|x| x * x * x).collect();
                let weights = Tensor::new(numbers(2 * k, 5), &Device::Cpu).unwrap();
                let tensor = QTensor::quantize(&weights, dtype).unwrap();
                let (bytes, values) = (tensor.data().unwrap(), tensor.dequantize(&Device::Cpu).unwrap());
                let values: Vec<f32> = values.to_vec1().unwrap();
                let (first, second) = bytes.split_at(bytes.len() / 2);
                let fixed = Fixed::of(isa(), &x, k);
                let got = [0, 1].map(|row| dot_two(isa(), block, [first, second], fixed.row(row)));
                for (row, got) in got.iter().enumerate() {
                    for (values, got) in values.chunks(k).zip(got) {
                        let terms = || values.iter().zip(&x[row * k..]).map(|(w, x)| f64::from(*w) * f64::from(*x));
                        let (want, size) = (terms().sum::<f64>(), terms().map(|x| x * x).sum::<f64>().sqrt());
                        assert!((f64::from(*got) - want).abs() < 2e-6 * size, "{block:?} {k}: {got} for {want}");
                    }
                }
                for isa in supported() {
                    let fixed = Fixed::with(isa, &x, k, false);
                    let other = [0, 1].map(|row| dot_two(isa, block, [first, second], fixed.row(row)));
                    assert_eq!(
                        other.map(|x| x.map(f32::to_bits)),
                        got.map(|x| x.map(f32::to_bits)),
                        "{isa:?} {block:?} {k}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_largest_sums_of_four_fit() {
        // Sums of −128 and 127 times the largest number, and scales that are 1.
        let k = 512;
        for (block, _) in ALL {
            for fill in [0x80, 0x7f, 0xff, 0] {
                let mut bytes = vec![fill; 2 * k / block.width() * block.bytes()];
                for bytes in bytes.chunks_exact_mut(block.bytes()) {
                    let scales: &[usize] = match block {
                        Block::Q8_0 => &[0],
                        Block::Q4K => &[0, 2],
                        _ => &[208],
                    };
                    scales.iter().for_each(|at| bytes[*at..at + 2].copy_from_slice(&[0, 0x3c]));
                }
                let mut values = vec![0f32; k];
                let (first, second) = bytes.split_at(bytes.len() / 2);
                block.dequantize(first, &mut values);
                for sign in [1.0, -1.0] {
                    let x: Vec<f32> = (0..k).map(|i| if i < 256 { 1.999_999_9 * sign } else { -sign }).collect();
                    let want: f64 = values.iter().zip(&x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
                    let size: f64 = values.iter().zip(&x).map(|(w, x)| f64::from(w * x).abs()).sum();
                    let got = dot_two(isa(), block, [first, second], Fixed::of(isa(), &x, k).row(0));
                    assert!((f64::from(got[0]) - want).abs() <= 1e-6 * size, "{block:?} {fill} {}: {want}", got[0]);
                    for isa in supported() {
                        let other = dot_two(isa, block, [first, second], Fixed::with(isa, &x, k, false).row(0));
                        assert_eq!(other.map(f32::to_bits), got.map(f32::to_bits), "{isa:?} {block:?} {fill}");
                    }
                }
            }
        }
    }

    #[test]
    fn an_outlier_costs_its_block_no_more_than_its_step() {
        let weights = Tensor::new(numbers(512, 5), &Device::Cpu).unwrap();
        let tensor = QTensor::quantize(&weights, GgmlDType::Q8_0).unwrap();
        let mut bytes = tensor.data().unwrap().to_vec();
        bytes[2] = 0;
        let mut values = vec![0f32; 512];
        Block::Q8_0.dequantize(&bytes, &mut values);
        let mut x = numbers(512, 6);
        x[0] = 1e4;
        let want: f64 = values.iter().zip(&x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
        let [got, _] = dot_two(isa(), Block::Q8_0, [&bytes, &bytes], Fixed::of(isa(), &x, 512).row(0));
        let bound: f64 = values[1..32].iter().map(|w| f64::from(w.abs()) * 1e4 / f64::from(1 << 22)).sum();
        assert!((f64::from(got) - want).abs() < bound + 1e-5, "{got} for {want}, {bound}");
    }

    #[test]
    fn what_is_not_finite_stays_so() {
        let weights = Tensor::new(numbers(256, 5), &Device::Cpu).unwrap();
        for (block, dtype) in ALL {
            let tensor = QTensor::quantize(&weights, dtype).unwrap();
            let bytes = tensor.data().unwrap();
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut x = numbers(256, 6);
                x[40] = bad;
                for fixed in [Fixed::of(isa(), &x, 256), Fixed::with(isa(), &x, 256, false)] {
                    assert!(dot_two(isa(), block, [&bytes, &bytes], fixed.row(0))[0].is_nan(), "{block:?} {bad}");
                }
            }
        }
    }

    #[test]
    fn activations_keep_22_bits_of_the_largest_of_their_block() {
        let mut x = vec![0f32; 64];
        (x[0], x[1], x[40]) = (-1.0, 3e-7, 1e-30);
        let fixed = Fixed::with(isa(), &x, 64, false);
        let value = |i: usize| fixed.planes[0][i % 4][i / 4] as f32 * fixed.steps[0][i / 32];
        assert_eq!((value(0), value(2)), (-1.0, 0.0));
        assert!((value(1) - 3e-7).abs() <= 0.5f32.powi(22) && (value(40) - 1e-30).abs() < 1e-36);
        assert_eq!(fixed.totals[0][0], value(0) + value(1));
        x[3] = f32::INFINITY;
        assert!(Fixed::with(isa(), &x, 64, false).steps[0][0].is_nan());
        assert_eq!(
            (step(1f32.to_bits()), step(1.5f32.to_bits()), step(0) > 0.0),
            (0.5f32.powi(21), 0.5f32.powi(21), true)
        );
    }
}
