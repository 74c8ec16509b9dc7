use super::*;
use crate::analysis::colour_map::contrast;
use crate::ui::ThemeName;

#[test]
fn the_ramp_spans_viridis_and_ink_contrasts() {
    let theme = Theme::new(Depth::True);
    assert_eq!(theme.pixel(0.0), Color::Rgb(0x44, 0x01, 0x54));
    assert_eq!(theme.pixel(1.0), Color::Rgb(0xfd, 0xe7, 0x25));
    assert_eq!(theme.heat(1.0).fg, Some(Color::Rgb(0, 0, 0)));
    assert_eq!(theme.heat(f32::NAN), theme.heat(0.0));
    assert_eq!(indexed((255, 255, 255)), 231);
    assert_eq!(indexed((0x8a, 0x8a, 0x8a)), 245);
    for index in 16..=255 {
        assert_eq!(table_rgb(indexed(table_rgb(index))), table_rgb(index), "{index}");
    }
}

#[test]
fn without_colour_nothing_is_coloured() {
    let theme = Theme::new(Depth::Mono);
    for style in [theme.heat(0.5), theme.expert(3), theme.dim(), theme.warn(), theme.error(), theme.good()] {
        assert_eq!((style.fg, style.bg), (None, None));
    }
    assert_eq!([0.0, 0.03, 0.5, 1.0].map(|v| theme.glyph(v)), [" ", "░", "▒", "█"]);
}

/// The colour on the screen; the terminal's own 16 as xterm draws them.
fn seen(colour: Color) -> Rgb {
    match colour {
        Color::Rgb(r, g, b) => (r, g, b),
        Color::Indexed(index) => table_rgb(index),
        Color::Black => (0, 0, 0),
        Color::Red => (0xcd, 0, 0),
        Color::LightRed => (0xff, 0, 0),
        Color::Green => (0, 0xcd, 0),
        Color::Yellow => (0xcd, 0xcd, 0),
        Color::LightYellow => (0xff, 0xff, 0),
        Color::Blue => (0, 0, 0xee),
        Color::Magenta => (0xcd, 0, 0xcd),
        Color::Cyan => (0, 0xcd, 0xcd),
        Color::LightCyan => (0, 0xff, 0xff),
        Color::DarkGray => (0x7f, 0x7f, 0x7f),
        other => panic!("{other} is not used for text"),
    }
}

fn texts(theme: &Theme) -> [(&'static str, Style); 7] {
    [
        ("dim", theme.dim()),
        ("accent", theme.accent()),
        ("warn", theme.warn()),
        ("error", theme.error()),
        ("good", theme.good()),
        ("favour", theme.signed(1.0)),
        ("against", theme.signed(-1.0)),
    ]
}

#[test]
fn text_of_every_theme_can_be_read() {
    for (name, _) in ThemeName::ALL {
        let colours = Colours::of(name);
        for depth in [Depth::True, Depth::Indexed, Depth::Ansi, Depth::Mono] {
            let theme = Theme::with(depth, &colours);
            // The user's terminal chooses the 16 colours and the background; here, those of xterm.
            let papers = match (name, depth) {
                (ThemeName::Light, Depth::Ansi) => vec![(255, 255, 255)],
                (ThemeName::Light, _) => vec![(255, 255, 255), (0xfd, 0xf6, 0xe3)],
                (_, Depth::Ansi) => vec![(0, 0, 0)],
                _ => vec![(0, 0, 0), colours.paper()],
            };
            for (what, style) in texts(&theme) {
                for paper in papers.iter().filter(|_| style.fg.is_some()) {
                    let ratio = contrast(seen(style.fg.unwrap()), *paper);
                    assert!(ratio >= 4.5, "{name} {depth:?} {what} on {paper:?}: {ratio}");
                }
            }
            if !theme.has_ramp() {
                continue;
            }
            for step in 0..STEPS {
                let style = theme.heat(step as f32 / (STEPS - 1) as f32);
                let ratio = contrast(seen(style.fg.unwrap()), seen(style.bg.unwrap()));
                assert!(ratio >= 4.5, "{name} {depth:?} step {step}: {ratio}");
            }
            for expert in 0..8 {
                let style = theme.expert(expert);
                let ratio = contrast(seen(style.fg.unwrap()), seen(style.bg.unwrap()));
                assert!(ratio >= 4.5, "{name} {depth:?} expert {expert}: {ratio}");
            }
        }
    }
}

/// sRGB as a person without the long (`red`) or the medium cones sees it: Viénot, Brettel and Mollon 1999.
fn dichromat(rgb: Rgb, red: bool) -> [f32; 3] {
    let linear = |v: u8| (f32::from(v) / 255.0).powf(2.2);
    let (r, g, b) = (linear(rgb.0), linear(rgb.1), linear(rgb.2));
    let (mixed, kept) = if red {
        (0.11238 * r + 0.88762 * g, 0.00401 * r - 0.00401 * g + b)
    } else {
        (0.29275 * r + 0.70725 * g, -0.02234 * r + 0.02234 * g + b)
    };
    [mixed, mixed, kept].map(|v| v.clamp(0.0, 1.0).powf(1.0 / 2.2))
}

#[test]
fn the_safe_theme_tells_good_from_bad_whatever_the_colour_vision() {
    let theme = Theme::with(Depth::True, &Colours::of(ThemeName::ColourVisionSafe));
    let texts = texts(&theme).map(|(what, style)| (what, seen(style.fg.unwrap())));
    let (meanings, signs) = texts.split_at(5);
    for red in [true, false] {
        for (i, (a, first)) in meanings.iter().chain(signs).enumerate() {
            // Signs are compared with each other only.
            for (b, second) in if i < 5 { &meanings[..i] } else { &signs[..i - 5] } {
                let (x, y) = (dichromat(*first, red), dichromat(*second, red));
                let apart = (0..3).map(|c| (x[c] - y[c]).powi(2)).sum::<f32>().sqrt();
                assert!(apart > 0.2, "{a} and {b} are {apart} apart");
            }
        }
    }
}

#[test]
fn experts_of_ones_own_are_used_in_turn_with_readable_ink() {
    let colours = Colours { experts: vec![(0, 0, 0x80), (0xff, 0xff, 0)], ..Colours::default() };
    let theme = Theme::with(Depth::True, &colours);
    assert_eq!(theme.expert(2), Style::new().bg(Color::Rgb(0, 0, 0x80)).fg(Color::Rgb(255, 255, 255)));
    assert_eq!(theme.expert(3), Style::new().bg(Color::Rgb(255, 255, 0)).fg(Color::Rgb(0, 0, 0)));
}

#[test]
fn the_mono_theme_has_no_colour_at_any_depth() {
    let theme = Theme::with(Depth::True, &Colours::of(ThemeName::Mono));
    assert!(!theme.has_ramp() && theme.expert_colour(1).is_none());
    assert!(texts(&theme).iter().all(|(_, style)| style.fg.is_none()));
}

/// Every expert differs from plain text and from every other expert, for every kind of colour vision.
#[test]
fn experts_have_hues_of_their_own() {
    for (name, _) in ThemeName::ALL {
        for (i, a) in Colours::of(name).experts.iter().enumerate() {
            let (most, least) = (a.0.max(a.1).max(a.2), a.0.min(a.1).min(a.2));
            assert!(most - least > 60, "{name}: expert {i} is grey");
            for (j, b) in Colours::of(name).experts[..i].iter().enumerate() {
                for red in [true, false] {
                    let (x, y) = (dichromat(*a, red), dichromat(*b, red));
                    let apart = (0..3).map(|c| (x[c] - y[c]).powi(2)).sum::<f32>().sqrt();
                    assert!(apart > 0.15, "{name}: experts {j} and {i} are {apart} apart");
                }
            }
        }
    }
    assert!(EXPERTS_ANSI.iter().all(|colour| !matches!(colour, Color::Gray | Color::DarkGray | Color::White)));
}
