use super::super::dot::tests::numbers;
use super::super::isa::isa;
use super::super::isa::tests::supported;
use super::*;
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};

const ALL: [(Block, GgmlDType); 3] =
    [(Block::Q8_0, GgmlDType::Q8_0), (Block::Q4K, GgmlDType::Q4K), (Block::Q6K, GgmlDType::Q6K)];

/// Rows of weights times rows of activations, `[row of activations][row of weights]`: by an instruction set, or by the widest
/// of this machine.
fn products(isa: Option<Isa>, block: Block, w: &[&[u8]], x: &[f32], k: usize) -> Vec<Vec<f32>> {
    let mut out = vec![vec![0.0; w.len()]; x.len() / k];
    let fixed = Fixed::of(isa.unwrap_or(self::isa()), x, k, |one| one == block);
    fixed.multiply(block, (|i| w[i.min(w.len() - 1)], w.len()), &mut Scratch::default(), |row, at, results| {
        out[row][at..][..results.len()].copy_from_slice(results);
    });
    out
}

fn bits(rows: &[Vec<f32>]) -> Vec<u32> {
    rows.iter().flatten().map(|x| x.to_bits()).collect()
}

#[test]
fn every_instruction_set_gives_the_same_bits_and_the_product_of_the_values() {
    for (block, dtype) in ALL {
        for k in [32, 64, 96, 256, 512, 4096, 288].into_iter().filter(|k| k % block.width() == 0) {
            for (n, rows) in [(1, 1), (2, 2), (40, 3), (33, 6), (5, 4), (5, 7)] {
                let x: Vec<f32> = numbers(rows * k, 6).iter().map(|x| x * x * x).collect();
                let weights = Tensor::new(numbers(n * k, 5), &Device::Cpu).unwrap();
                let tensor = QTensor::quantize(&weights, dtype).unwrap();
                let (bytes, values) = (tensor.data().unwrap(), tensor.dequantize(&Device::Cpu).unwrap());
                let values: Vec<f32> = values.to_vec1().unwrap();
                let w: Vec<&[u8]> = bytes.chunks_exact(bytes.len() / n).collect();
                let got = products(None, block, &w, &x, k);
                for (x, got) in x.chunks(k).zip(&got) {
                    for (values, got) in values.chunks(k).zip(got) {
                        let terms = || values.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x));
                        let (want, size) = (terms().sum::<f64>(), terms().map(|x| x * x).sum::<f64>().sqrt());
                        assert!((f64::from(*got) - want).abs() < 2e-6 * size, "{block:?} {k}: {got} for {want}");
                    }
                }
                for isa in supported() {
                    let other = products(Some(isa), block, &w, &x, k);
                    assert_eq!(bits(&other), bits(&got), "{isa:?} {block:?} {k} {n} {rows}");
                    let alone: Vec<_> = x.chunks(k).flat_map(|x| products(Some(isa), block, &w, x, k)).collect();
                    assert_eq!(bits(&alone), bits(&got), "{isa:?} {block:?} {k} {n} {rows}, one by one");
                }
            }
        }
    }
}

#[test]
fn any_bytes_give_the_same_bits_everywhere() {
    for (block, _) in ALL {
        let (k, rows) = (512, 5);
        for (scale, size) in
            [(0x3c00u16, 1.0), (0x8001, 1.0), (0x0003, 1e30), (0xbc00, 1e-33), (0, 1.0), (0x8000, 1e-38)]
        {
            let bytes = 6 * k / block.width() * block.bytes();
            let mut w: Vec<u8> = numbers(bytes, 3).iter().map(|x| (x * 128.0) as i8 as u8).collect();
            for block_bytes in w.chunks_exact_mut(block.bytes()) {
                let scales: &[usize] = match block {
                    Block::Q8_0 => &[0],
                    Block::Q4K => &[0, 2],
                    _ => &[208],
                };
                scales.iter().for_each(|at| block_bytes[*at..at + 2].copy_from_slice(&scale.to_le_bytes()));
            }
            let w: Vec<&[u8]> = w.chunks_exact(w.len() / 6).collect();
            let mut x: Vec<f32> = numbers(rows * k, 8).iter().map(|x| x * size).collect();
            x[..32].fill(0.0);
            x[3 * k + 7] = f32::INFINITY;
            let got = products(None, block, &w, &x, k);
            for (row, got) in got.iter().enumerate() {
                assert!(got.iter().all(|value| value.is_nan() == (row == 3)), "{block:?} {scale:x} {size} {row}");
            }
            for isa in supported() {
                let other = products(Some(isa), block, &w, &x, k);
                let alone: Vec<_> = x.chunks(k).flat_map(|x| products(Some(isa), block, &w, x, k)).collect();
                assert!(alone[3].iter().all(|value| value.is_nan()), "{isa:?} {block:?} {scale:x} {size}");
                for row in (0..rows).filter(|row| *row != 3) {
                    let of = |all: &[Vec<f32>]| bits(&all[row..=row]);
                    assert_eq!(of(&other), of(&got), "{isa:?} {block:?} {scale:x} {size} {row}");
                    assert_eq!(of(&alone), of(&got), "{isa:?} {block:?} {scale:x} {size} {row}, alone");
                }
            }
        }
    }
}

#[test]
fn the_largest_sums_fit() {
    // −128 and 127 times the largest number, and scales that are 1.
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
                let got = products(None, block, &[first, second], &x, k);
                let value = got[0][0];
                assert!((f64::from(value) - want).abs() <= 1e-6 * size, "{block:?} {fill} {value}: {want}");
                // Several rows of activations go through other kernels than one.
                for rows in 1..=4 {
                    let x = x.repeat(rows);
                    let got = products(None, block, &[first, second], &x, k);
                    for isa in supported() {
                        let other = products(Some(isa), block, &[first, second], &x, k);
                        assert_eq!(bits(&other), bits(&got), "{isa:?} {block:?} {fill} {rows}");
                    }
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
    let got = products(None, Block::Q8_0, &[&bytes], &x, 512)[0][0];
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
            for isa in supported().into_iter().map(Some).chain([None]) {
                assert!(products(isa, block, &[&bytes], &x, 256)[0][0].is_nan(), "{block:?} {bad}");
            }
        }
    }
}

#[test]
fn activations_keep_22_bits_of_the_largest_of_their_block() {
    let mut x = vec![0f32; 64];
    (x[0], x[1], x[40]) = (-1.0, 3e-7, 1e-30);
    let parts = |x: &[f32]| packed(isa(), x, 64, parts_on)[0];
    let piece = parts(&x);
    let number = |i: usize| {
        let (pair, half) = place(i % 32);
        256 * i32::from(piece.upper[pair][i / 32][half]) + i32::from(piece.lower[pair][i / 32][half])
    };
    let value = |i: usize| number(i) as f32 * piece.steps[i / 32];
    assert_eq!((value(0), value(2)), (-1.0, 0.0));
    assert!((value(1) - 3e-7).abs() <= 0.5f32.powi(22) && (value(40) - 1e-30).abs() < 1e-36);
    assert_eq!(piece.totals[0], value(0) + value(1));
    x[3] = f32::INFINITY;
    assert!(parts(&x).steps[0].is_nan());
    assert_eq!((step(1f32.to_bits()), step(1.5f32.to_bits()), step(0) > 0.0), (0.5f32.powi(21), 0.5f32.powi(21), true));
}
