//! The numbers of MXFP4: 4-bit floating-point numbers (E2M1) in groups with a power of two as scale (E8M0), as OCP Microscaling
//! Formats 1.0 has them.

/// Numbers that share a scale, and their bytes.
pub const GROUP: usize = 32;
pub const BYTES: usize = 16;
/// Values of an E2M1 number.
const E2M1: [f32; 16] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0];

/// The power of two that an E8M0 scale says, 2^(e − 127); 255 is NaN.
fn power(e: u8) -> f32 {
    match e {
        0 => f32::from_bits(0x0040_0000),
        255 => f32::NAN,
        _ => f32::from_bits(u32::from(e) << 23),
    }
}

/// Replaces `out` with the numbers of one row: two in each byte, the lower half first.
pub fn widen(numbers: &[u8], scales: &[u8], out: &mut Vec<f32>) {
    out.clear();
    for (bytes, scale) in numbers.chunks_exact(BYTES).zip(scales) {
        let scale = power(*scale);
        out.extend(bytes.iter().flat_map(|byte| [byte & 15, byte >> 4]).map(|code| E2M1[usize::from(code)] * scale));
    }
}

#[cfg(test)]
mod tests {
    use super::widen;

    #[test]
    fn the_lower_half_of_a_byte_comes_first_and_scales_are_powers_of_two() {
        let mut bytes = [0u8; 32];
        (bytes[0], bytes[1], bytes[16], bytes[31]) = (0x21, 0xf7, 0x0a, 0x90);
        let mut out = Vec::new();
        widen(&bytes, &[127, 128], &mut out);
        assert_eq!(out.len(), 64);
        assert_eq!((out[..4].to_vec(), out[32], out[63]), (vec![0.5, 1.0, 6.0, -6.0], -2.0, -1.0));
        widen(&bytes[..16], &[255], &mut out);
        assert!(out.iter().all(|x| x.is_nan()));
        widen(&bytes[..16], &[0], &mut out);
        assert_eq!(out[1], 2f32.powi(-127));
    }
}
