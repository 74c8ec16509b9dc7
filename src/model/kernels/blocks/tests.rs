use super::super::dot::dot_f32;
use super::super::dot::tests::numbers;
use super::super::format::widen_f16;
use super::super::isa::tests::supported;
use super::*;
use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{Device, Tensor};
use half::f16;
use std::borrow::Cow;

const ALL: [(u32, Block, GgmlDType); 12] = [
    (2, Block::Q4_0, GgmlDType::Q4_0),
    (3, Block::Q4_1, GgmlDType::Q4_1),
    (6, Block::Q5_0, GgmlDType::Q5_0),
    (7, Block::Q5_1, GgmlDType::Q5_1),
    (8, Block::Q8_0, GgmlDType::Q8_0),
    (9, Block::Q8_1, GgmlDType::Q8_1),
    (10, Block::Q2K, GgmlDType::Q2K),
    (11, Block::Q3K, GgmlDType::Q3K),
    (12, Block::Q4K, GgmlDType::Q4K),
    (13, Block::Q5K, GgmlDType::Q5K),
    (14, Block::Q6K, GgmlDType::Q6K),
    (15, Block::Q8K, GgmlDType::Q8K),
];

fn quantized(dtype: GgmlDType, n: usize, seed: u32) -> QTensor {
    QTensor::quantize(&Tensor::new(numbers(n, seed), &Device::Cpu).unwrap(), dtype).unwrap()
}

fn candle(tensor: &QTensor) -> Vec<f32> {
    tensor.dequantize(&Device::Cpu).unwrap().to_vec1().unwrap()
}

/// Checks that every supported instruction set widens `bytes` to `want`, also from an odd address.
fn check(block: Block, bytes: &[u8], want: &[f32]) {
    let shifted: Vec<u8> = std::iter::once(0).chain(bytes.iter().copied()).collect();
    for isa in supported() {
        let mut got = vec![f32::NAN; want.len()];
        widen_blocks(isa, block, &shifted[1..], &mut got);
        for (i, (got, want)) in got.iter().zip(want).enumerate() {
            let same = got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan();
            assert!(same, "{isa:?} {block:?} {i}: expected {want}, found {got}");
        }
    }
}

#[test]
fn formats_agree_with_ggml() {
    for (id, block, dtype) in ALL {
        assert_eq!(Block::from_ggml(id), Some(block));
        assert_eq!((block.width(), block.bytes()), (dtype.block_size(), dtype.type_size()), "{block:?}");
        assert_eq!(block.name().replace('_', ""), format!("{dtype:?}").replace('_', ""));
    }
    let others = [(20, Block::Iq4Nl), (23, Block::Iq4Xs), (39, Block::Mxfp4)];
    assert!(others.iter().all(|(id, block)| Block::from_ggml(*id) == Some(*block)));
    assert_eq!((0..1000).filter_map(Block::from_ggml).count(), ALL.len() + others.len());
}

#[test]
fn values_are_those_of_candle() {
    for (_, block, dtype) in ALL {
        for (blocks, seed) in [(1, 1), (2, 2), (37, 3)] {
            let tensor = quantized(dtype, blocks * block.width(), seed);
            let (bytes, want) = (tensor.data().unwrap(), candle(&tensor));
            check(block, &bytes, &want);
            let mut got = vec![f32::NAN; want.len()];
            block.dequantize(&bytes, &mut got);
            assert_eq!(got, want);
            assert!(numbers(want.len(), seed).iter().zip(want).all(|(a, b)| (a - b).abs() < 0.4), "{block:?}");
        }
    }
}

#[test]
fn any_bytes_are_read_as_candle_reads_them() {
    for (seed, (_, block, dtype)) in (1..).zip(ALL) {
        let blocks = 1000;
        let bytes: Vec<u8> = numbers(blocks * block.bytes(), seed).iter().map(|v| (v * 128.0) as i8 as u8).collect();
        let storage = QStorage::from_data(Cow::Borrowed(&bytes), &Device::Cpu, dtype).unwrap();
        check(block, &bytes, &candle(&QTensor::new(storage, blocks * block.width()).unwrap()));
    }
}

#[test]
fn a_product_has_the_bits_of_the_widened_row() {
    for (_, block, dtype) in ALL {
        for n in [0, 32, 64, 96, 256, 512, 4096].into_iter().filter(|n| n % block.width() == 0) {
            let (tensor, x) = (quantized(dtype, n.max(block.width()), 5), numbers(n, 6));
            let (bytes, values) = (tensor.data().unwrap(), candle(&tensor));
            let bytes = &bytes[..n / block.width() * block.bytes()];
            let values: Vec<[u8; 4]> = values[..n].iter().map(|v| v.to_le_bytes()).collect();
            let want = dot_f32(Isa::Portable, &values, &x);
            for isa in supported() {
                let got = dot_blocks(isa, block, bytes, &x);
                assert_eq!(got.to_bits(), want.to_bits(), "{isa:?} {block:?} {n}: expected {want}, found {got}");
            }
        }
    }
}

#[test]
fn every_f16_is_widened_exactly() {
    for bits in 0..=u16::MAX {
        let (want, got) = (f16::from_bits(bits).to_f32(), widen_f16(bits.to_le_bytes()));
        assert!(got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(), "{bits:#06x}: {want} became {got}");
    }
}

/// Blocks and their values as the `gguf` package for Python reads them, recorded by `tools/record_blocks.py`.
const RECORDED: &str = include_str!("../../../../tests/fixtures/blocks.json");

#[test]
fn formats_with_a_table_are_read_as_ggml_reads_them() {
    let all: serde_json::Value = serde_json::from_str(RECORDED).unwrap();
    let hex = |text: &serde_json::Value| -> Vec<u8> {
        let text = text.as_str().unwrap();
        (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
    };
    for block in [Block::Iq4Nl, Block::Iq4Xs, Block::Mxfp4] {
        let (bytes, values) = (hex(&all[block.name()][0]), hex(&all[block.name()][1]));
        let want: Vec<f32> = values.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        assert_eq!(want.len(), bytes.len() / block.bytes() * block.width());
        check(block, &bytes, &want);
        let x = numbers(want.len(), 7);
        let words: Vec<[u8; 4]> = want.iter().map(|v| v.to_le_bytes()).collect();
        let product = dot_f32(Isa::Portable, &words, &x);
        for isa in supported() {
            let got = dot_blocks(isa, block, &bytes, &x);
            assert!(got.to_bits() == product.to_bits(), "{isa:?} {block:?}: expected {product}, found {got}");
        }
    }
}
