//! Colours of values and of experts, shared by the screen and by pictures.

use std::fmt;
use std::str::FromStr;

/// Red, green, blue.
pub type Rgb = (u8, u8, u8);

/// Colours of the values 0, 0.1, … 1. All but grey are from matplotlib's tables of 256 (CC0).
type Stops = [Rgb; 11];

const VIRIDIS: Stops = [
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

const CIVIDIS: Stops = [
    (0x00, 0x22, 0x4e),
    (0x0a, 0x34, 0x70),
    (0x35, 0x45, 0x6c),
    (0x4f, 0x57, 0x6c),
    (0x66, 0x69, 0x70),
    (0x7c, 0x7b, 0x78),
    (0x94, 0x8e, 0x77),
    (0xae, 0xa2, 0x71),
    (0xc8, 0xb8, 0x66),
    (0xe4, 0xce, 0x52),
    (0xfe, 0xe8, 0x38),
];

const MAGMA: Stops = [
    (0x00, 0x00, 0x04),
    (0x15, 0x0e, 0x37),
    (0x3b, 0x0f, 0x70),
    (0x64, 0x1a, 0x80),
    (0x8c, 0x29, 0x81),
    (0xb6, 0x37, 0x79),
    (0xde, 0x49, 0x68),
    (0xf6, 0x6f, 0x5c),
    (0xfe, 0x9f, 0x6d),
    (0xfe, 0xce, 0x91),
    (0xfc, 0xfd, 0xbf),
];

/// Even steps of the sRGB value, which is close to even steps of lightness.
const GREY: Stops = {
    let mut stops = [(0, 0, 0); 11];
    let mut i = 0;
    while i < stops.len() {
        let v = (255 * i / 10) as u8;
        stops[i] = (v, v, v);
        i += 1;
    }
    stops
};

/// A colour map for values of 0..1. Every map grows lighter from end to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ramp {
    /// Purple, green, yellow.
    #[default]
    Viridis,
    /// Blue, grey, yellow: looks the same with every kind of colour vision (Nuñez, Anderton and Renslow 2018).
    Cividis,
    /// Black, red, pale yellow.
    Magma,
    /// Black to white.
    Grey,
}

impl Ramp {
    /// All maps with their names.
    pub const ALL: [(Ramp, &str); 4] =
        [(Self::Viridis, "viridis"), (Self::Cividis, "cividis"), (Self::Magma, "magma"), (Self::Grey, "grey")];

    /// The colour of a value. Values outside 0..1 have the colour of the nearer end, NaN that of 0.
    pub fn colour(self, t: f32) -> Rgb {
        let stops = match self {
            Self::Viridis => &VIRIDIS,
            Self::Cividis => &CIVIDIS,
            Self::Magma => &MAGMA,
            Self::Grey => &GREY,
        };
        let at = if t.is_nan() { 0.0 } else { t.clamp(0.0, 1.0) * (stops.len() - 1) as f32 };
        let i = (at as usize).min(stops.len() - 2);
        let mix = |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * (at - i as f32)).round() as u8;
        let (a, b) = (stops[i], stops[i + 1]);
        (mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
    }
}

impl fmt::Display for Ramp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(Self::ALL.iter().find(|(ramp, _)| ramp == self).map_or("", |(_, name)| name))
    }
}

impl FromStr for Ramp {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        let names = Self::ALL.map(|(_, name)| name).join(", ");
        let found = Self::ALL.iter().find(|(_, n)| *n == name).map(|(ramp, _)| *ramp);
        found.ok_or_else(|| anyhow::anyhow!("`{name}` is not one of {names}"))
    }
}

/// Colours of experts: those of Okabe and Ito (2008) for all kinds of colour vision. A pale green replaces their black,
/// which is invisible on a dark screen. Of all hues it is the farthest from the other seven for every kind of colour
/// vision.
pub const EXPERTS: [Rgb; 8] = [
    (0xe6, 0x9f, 0x00),
    (0x56, 0xb4, 0xe9),
    (0x00, 0x9e, 0x73),
    (0xf0, 0xe4, 0x42),
    (0x3a, 0x86, 0xd1),
    (0xd5, 0x5e, 0x00),
    (0xcc, 0x79, 0xa7),
    (0x98, 0xf5, 0xd0),
];

/// The colour of a value of 0..1 in the default map.
pub fn viridis(t: f32) -> Rgb {
    Ramp::Viridis.colour(t)
}

/// The perceived brightness of a colour, 0 to 255 (ITU-R BT.601).
pub fn luma((r, g, b): Rgb) -> f32 {
    0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b)
}

/// Relative luminance of an sRGB colour, 0 to 1 (WCAG 2.2).
pub fn luminance((r, g, b): Rgb) -> f32 {
    let linear = |v: u8| {
        let v = f32::from(v) / 255.0;
        if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
}

/// Contrast of two colours, 1 to 21 (WCAG 2.2). Text is readable from 4.5 on.
pub fn contrast(a: Rgb, b: Rgb) -> f32 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// Black or white, whichever is easier to read on `paper`; the contrast is never below 4.5.
pub fn ink(paper: Rgb) -> Rgb {
    let (black, white) = ((0, 0, 0), (0xff, 0xff, 0xff));
    if contrast(black, paper) >= contrast(white, paper) { black } else { white }
}

/// Orange, white and blue: the colour of a value between −1 and 1. The ends are those of ColorBrewer's PuOr and RdBu, which stay
/// distinct with red-green blindness.
pub fn diverging(value: f32) -> Rgb {
    const ENDS: [Rgb; 2] = [(0xb3, 0x58, 0x06), (0x21, 0x66, 0xac)];
    let value = if value.is_finite() { value.clamp(-1.0, 1.0) } else { 0.0 };
    let end = ENDS[usize::from(value >= 0.0)];
    let mix = |to: u8| (255.0 + (f32::from(to) - 255.0) * value.abs()).round() as u8;
    (mix(end.0), mix(end.1), mix(end.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows 0, 51, 102, 153, 204 and 255 of matplotlib's tables.
    #[test]
    fn ramps_pass_through_matplotlibs_values() {
        let known = [
            (Ramp::Viridis, [0x440154, 0x414487, 0x2a788e, 0x22a884, 0x7ad151, 0xfde725]),
            (Ramp::Cividis, [0x00224e, 0x35456c, 0x666970, 0x948e77, 0xc8b866, 0xfee838]),
            (Ramp::Magma, [0x000004, 0x3b0f70, 0x8c2981, 0xde4968, 0xfe9f6d, 0xfcfdbf]),
            (Ramp::Grey, [0x000000, 0x333333, 0x666666, 0x999999, 0xcccccc, 0xffffff]),
        ];
        for (ramp, values) in known {
            for (i, want) in values.into_iter().enumerate() {
                let (r, g, b) = ramp.colour(i as f32 / 5.0);
                let got = u32::from_be_bytes([0, r, g, b]);
                assert_eq!(got, want, "{ramp} at {i}/5: {got:06x} {want:06x}");
            }
            assert_eq!(ramp.colour(f32::NAN), ramp.colour(-1.0));
            assert_eq!(ramp.to_string().parse::<Ramp>().unwrap(), ramp);
        }
        assert!("jet".parse::<Ramp>().unwrap_err().to_string().contains("viridis, cividis, magma, grey"));
    }

    #[test]
    fn every_ramp_grows_lighter_and_carries_ink() {
        for (ramp, name) in Ramp::ALL {
            let colours: Vec<Rgb> = (0..64).map(|i| ramp.colour(i as f32 / 63.0)).collect();
            assert!(colours.windows(2).all(|pair| luminance(pair[1]) >= luminance(pair[0])), "{name}");
            assert!(colours.iter().all(|colour| contrast(*colour, ink(*colour)) >= 4.5), "{name}");
        }
    }

    #[test]
    fn contrast_is_that_of_the_standard() {
        assert!((contrast((0, 0, 0), (255, 255, 255)) - 21.0).abs() < 1e-3);
        assert!((contrast((0x77, 0x77, 0x77), (255, 255, 255)) - 4.478).abs() < 1e-2);
    }
}
