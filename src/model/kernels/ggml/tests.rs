use super::super::dot::tests::numbers;
use super::super::isa::tests::supported;
use super::*;
use half::f16;
use serde_json::Value;

const ALL: [Block; 13] = [
    Block::Q4_0,
    Block::Q4_1,
    Block::Q5_0,
    Block::Q5_1,
    Block::Q8_0,
    Block::Iq4Nl,
    Block::Mxfp4,
    Block::Q2K,
    Block::Q3K,
    Block::Q4K,
    Block::Q5K,
    Block::Q6K,
    Block::Iq4Xs,
];

fn operands(isa: Isa, x: &[f32], k: usize, block: Block) -> Operands {
    let how = meets(block);
    Operands::of(isa, x, k, how == Some(Meets::Small), how == Some(Meets::Large))
}

/// What `tools/record_ggml_dots.py` recorded of a format.
struct Recorded {
    weights: Vec<u8>,
    x: Vec<f32>,
    rounded: Vec<u8>,
    all: Value,
}

impl Recorded {
    fn of(block: Block) -> Self {
        let file = include_str!("../../../../tests/fixtures/ggml-dots.json");
        let all = serde_json::from_str::<Value>(file).unwrap()[block.name()].take();
        let bytes = |key: &str| {
            let digits = all[key].as_str().unwrap().as_bytes().chunks(2);
            digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
        };
        let x = all["x"].as_array().unwrap().iter();
        let x = x.map(|bits| f16::from_bits(bits.as_u64().unwrap() as u16).to_f32()).collect();
        Self { weights: bytes("weights"), x, rounded: bytes("rounded"), all }
    }
}

#[test]
fn activations_are_rounded_as_ggml_rounds_them_on_x86() {
    let half = |x: f32| f16::from_f32(x).to_le_bytes();
    for (isa, block) in supported().into_iter().flat_map(|isa| ALL.map(|block| (isa, block))) {
        let recorded = Recorded::of(block);
        let x = operands(isa, &recorded.x, recorded.x.len(), block);
        let mut bytes = Vec::new();
        if meets(block) == Some(Meets::Small) {
            for small in x.small(0) {
                bytes.extend(half(small.scale));
                if matches!(block, Block::Q4_1 | Block::Q5_1) {
                    bytes.extend(half(small.sum));
                }
                bytes.extend(small.numbers.map(i8::cast_unsigned));
            }
        } else {
            for large in x.large(0) {
                bytes.extend(large.scale.to_le_bytes());
                bytes.extend(large.numbers.map(i8::cast_unsigned));
                bytes.extend(large.sums.iter().flat_map(|sum| sum.to_le_bytes()));
            }
        }
        assert!(bytes == recorded.rounded, "{} on {isa}", block.name());
    }
}

#[test]
fn a_block_gives_the_bits_of_ggmls_scalar_code_and_a_row_nearly_those_of_its_code_for_x86() {
    for (isa, block) in supported().into_iter().flat_map(|isa| ALL.map(|block| (isa, block))) {
        let recorded = Recorded::of(block);
        let singles = recorded.all["single"].as_array().unwrap();
        assert_eq!(singles.len() * block.bytes(), recorded.weights.len());
        for (at, want) in singles.iter().enumerate() {
            let x = operands(isa, &recorded.x[at * block.width()..][..block.width()], block.width(), block);
            let got = dot(isa, block, &recorded.weights[at * block.bytes()..][..block.bytes()], &x, 0);
            let want = f32::from_bits(want.as_u64().unwrap() as u32);
            assert_eq!(got.to_bits(), want.to_bits(), "{} {at} on {isa}: {got} {want}", block.name());
        }
        let x = operands(isa, &recorded.x, recorded.x.len(), block);
        let got = f64::from(dot(isa, block, &recorded.weights, &x, 0));
        for key in ["row_reference", "row"] {
            let want = recorded.all[key].as_f64().unwrap();
            assert!((got - want).abs() < 4e-6 * want.abs().max(1.0), "{} on {isa}: {got} {want}", block.name());
        }
    }
}

/// Any bytes as rows of weights; only in the first row also scales that are infinite or NaN.
fn rows(block: Block, n: usize, k: usize) -> Vec<Vec<u8>> {
    let bytes = k / block.width() * block.bytes();
    let all: Vec<u8> = numbers(n * bytes, 7).iter().map(|v| (v * 1e6) as i32 as u8).collect();
    let mut rows: Vec<Vec<u8>> = all.chunks(bytes).map(<[u8]>::to_vec).collect();
    // The upper bytes of scales.
    let scales: &[usize] = match block {
        Block::Mxfp4 => &[0],
        Block::Q2K => &[81, 83],
        Block::Q3K => &[109],
        Block::Q6K => &[209],
        Block::Q4_1 | Block::Q5_1 | Block::Q4K | Block::Q5K => &[1, 3],
        _ => &[1],
    };
    for block in rows.iter_mut().skip(1).flat_map(|row| row.chunks_mut(block.bytes())) {
        scales.iter().for_each(|at| block[*at] &= 0xbf);
    }
    rows
}

/// All NaN are one: which of them an instruction returns is not stated.
fn bits(x: f32) -> u32 {
    if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }
}

#[test]
fn all_instruction_sets_give_the_same_bits() {
    for (block, k) in ALL.into_iter().flat_map(|block| [32, 96, 256, 288, 768].map(|k| (block, k))) {
        if k % block.width() == 0 {
            check(block, k);
        }
    }
}

/// Compares tiles and single products of all instruction sets, for as many rows of weights as fill several tiles or none.
fn check(block: Block, k: usize) {
    const MOST: usize = 33;
    let mut x = numbers(7 * k, 6);
    (x[k], x[2 * k + k / 3], x[3 * k + k / 2]) = (f32::INFINITY, f32::NAN, f32::NEG_INFINITY);
    x[4 * k..][..k].iter_mut().for_each(|x| *x = x.signum());
    x[5 * k..][..k].iter_mut().for_each(|x| *x *= 1e-42);
    x[6 * k..][..k / 2].iter_mut().for_each(|x| *x *= 1e38);
    let w = rows(block, MOST, k);
    let of = |isa: Isa| -> Vec<u32> {
        let x = operands(isa, &x, k, block);
        w.iter().flat_map(|w| (0..7).map(|row| bits(dot(isa, block, w, &x, row))).collect::<Vec<_>>()).collect()
    };
    let want = of(Isa::Portable);
    #[cfg(target_arch = "x86_64")]
    for (isa, first, rows) in supported().into_iter().flat_map(|isa| {
        // The first rows together, and each of them alone.
        (1..=7).map(move |rows| (isa, 0, rows)).chain((1..7).map(move |first| (isa, first, 1)))
    }) {
        for n in [1, 5, 8, 17, MOST] {
            let x = operands(isa, &x[first * k..][..rows * k], k, block);
            let mut got = vec![Vec::new(); rows];
            let put = |row: usize, at: usize, results: &[f32]| {
                assert_eq!(at, got[row].len());
                got[row].extend(results.iter().copied().map(bits));
            };
            let row = |i: usize| &*w[i.min(MOST - 1)];
            let is_done = multiply(isa, block, (row, n), &x, &mut Scratch::default(), put);
            let of = |row: usize| (0..n).map(move |i| 7 * i + first + row);
            let wanted = (0..rows).map(|row| of(row).map(|at| want[at]).collect::<Vec<_>>());
            assert!(!is_done || wanted.eq(got), "{} on {isa}: {first}, {rows} × {n} × {k}", block.name());
            assert_eq!(is_done, isa != Isa::Portable && !matches!(block, Block::Q2K | Block::Iq4Xs));
        }
    }
    let (normal, nan) = (|x: &&u32| f32::from_bits(**x).is_normal(), |x: &&u32| f32::from_bits(**x).is_nan());
    assert!(want.iter().filter(normal).count() >= 8 && want.iter().any(|x| nan(&x)), "{}", block.name());
    for isa in supported() {
        assert_eq!(of(isa), want, "{} on {isa}: {k}", block.name());
    }
}
