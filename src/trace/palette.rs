//! Colours of values and of experts, shared by the screen and by pictures.

/// viridis (matplotlib, CC0) at 0, 0.1, … 1.
const VIRIDIS: [(u8, u8, u8); 11] = [
    (0x44, 0x01, 0x54),
    (0x48, 0x24, 0x75),
    (0x41, 0x44, 0x87),
    (0x35, 0x5f, 0x8d),
    (0x2a, 0x78, 0x8e),
    (0x21, 0x91, 0x8c),
    (0x22, 0xa8, 0x84),
    (0x44, 0xbf, 0x70),
    (0x7a, 0xd1, 0x51),
    (0xbd, 0xdf, 0x26),
    (0xfd, 0xe7, 0x25),
];

/// Experts: the eight colours of Okabe and Ito (2008) for all kinds of colour vision, black lightened to grey.
pub const EXPERTS: [(u8, u8, u8); 8] = [
    (0xe6, 0x9f, 0x00),
    (0x56, 0xb4, 0xe9),
    (0x00, 0x9e, 0x73),
    (0xf0, 0xe4, 0x42),
    (0x3a, 0x86, 0xd1),
    (0xd5, 0x5e, 0x00),
    (0xcc, 0x79, 0xa7),
    (0xb0, 0xb0, 0xb0),
];

/// The colour of a value of 0..1.
pub fn viridis(t: f32) -> (u8, u8, u8) {
    let at = t.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f32;
    let i = (at as usize).min(VIRIDIS.len() - 2);
    let mix = |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * (at - i as f32)).round() as u8;
    let (a, b) = (VIRIDIS[i], VIRIDIS[i + 1]);
    (mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

/// How bright a colour looks, 0 to 255 (ITU-R BT.601).
pub fn luma((r, g, b): (u8, u8, u8)) -> f32 {
    0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b)
}
