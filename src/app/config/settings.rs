//! Every setting: its section and key, its meaning, how it is read and printed.

use super::Config;
use crate::analysis::colour_map::{Ramp, Rgb};
use crate::app::ColorChoice;
use crate::state::{Arrangement, FirstArrangement, StripColour};
use crate::trace::Policy;
use crate::ui::ThemeName;
use clap::ValueEnum;
use std::fmt::Display;
use std::str::FromStr;
use toml::de::DeValue;

/// One setting.
pub struct Setting {
    /// The table of the file it belongs to.
    pub section: &'static str,
    /// Its key.
    pub key: &'static str,
    /// What it means.
    pub help: &'static str,
    /// Reads a value into the configuration; the error says what was expected.
    pub read: fn(&mut Config, &DeValue) -> Result<(), String>,
    /// Its value as TOML; if it is not set, `Err` with an example.
    pub show: fn(&Config) -> Result<String, &'static str>,
}

/// The tables of the file, without `[keys]`.
pub const SECTIONS: [&str; 3] = ["ui", "defaults", "palettes"];

const STRIPS: [(StripColour, &str); 5] = [
    (StripColour::Expert, "expert"),
    (StripColour::Loss, "loss"),
    (StripColour::Entropy, "entropy"),
    (StripColour::Attention, "attention"),
    (StripColour::Plain, "plain"),
];

const ARRANGEMENTS: [(FirstArrangement, &str); 6] = [
    (FirstArrangement::Auto, "auto"),
    (FirstArrangement::Of(Arrangement::One), "one"),
    (FirstArrangement::Of(Arrangement::Two), "two"),
    (FirstArrangement::Of(Arrangement::Stacked), "stacked"),
    (FirstArrangement::Of(Arrangement::Three), "three"),
    (FirstArrangement::Of(Arrangement::Dashboard), "dashboard"),
];

const DETAILS: [(bool, &str); 2] = [(false, "auto"), (true, "reversed")];

const POLICIES: [(Policy, &str); 4] =
    [(Policy::Hf, "hf"), (Policy::F32, "f32"), (Policy::F32Router, "f32-router"), (Policy::Ggml, "ggml")];

/// All of them, in the order of the file.
pub const SETTINGS: &[Setting] = &[
    Setting {
        section: "ui",
        key: "theme",
        help: "theme: dark, light, colour-vision-safe or mono",
        read: |c, v| word(v, &ThemeName::ALL).map(|theme| c.theme = theme),
        show: |c| text(c.theme),
    },
    Setting {
        section: "ui",
        key: "color",
        help: "number of colours: auto (from NO_COLOR, COLORTERM and TERM), never, 16, 256 or true (24-bit)",
        read: |c, v| word(v, &colours()).map(|color| c.color = color),
        show: |c| text(name_of(&colours(), &c.color)),
    },
    Setting {
        section: "ui",
        key: "mouse",
        help: "whether the explorer uses the mouse",
        read: |c, v| flag(v).map(|mouse| c.mouse = mouse),
        show: |c| Ok(c.mouse.to_string()),
    },
    Setting {
        section: "ui",
        key: "reduced_motion",
        help: "while tokens are generated: at most 4 frames a second apart from replies to keys, and the cursor stays in place",
        read: |c, v| flag(v).map(|reduced| c.reduced_motion = reduced),
        show: |c| Ok(c.reduced_motion.to_string()),
    },
    Setting {
        section: "ui",
        key: "strip",
        help: "what the text is coloured by: expert, loss, entropy, attention or plain",
        read: |c, v| word(v, &STRIPS).map(|strip| c.strip = strip),
        show: |c| text(name_of(&STRIPS, &c.strip)),
    },
    Setting {
        section: "ui",
        key: "arrangement",
        help: "views at first: auto (dashboard from 140×40 on, else one), one, two, stacked, three or dashboard",
        read: |c, v| word(v, &ARRANGEMENTS).map(|arrangement| c.arrangement = arrangement),
        show: |c| text(name_of(&ARRANGEMENTS, &c.arrangement)),
    },
    Setting {
        section: "ui",
        key: "details",
        help: "details next to the view: auto (shown on wide screens, folded on narrow ones) or reversed",
        read: |c, v| word(v, &DETAILS).map(|flipped| c.details_flipped = flipped),
        show: |c| text(name_of(&DETAILS, &c.details_flipped)),
    },
    Setting {
        section: "defaults",
        key: "model",
        help: "model: demo, a directory, a .gguf file or a name on the Hub",
        read: |c, v| string(v).map(|model| c.model = model.to_owned()),
        show: |c| text(&c.model),
    },
    Setting {
        section: "defaults",
        key: "precision",
        help: "precision policy, which says where values are rounded: hf, f32, f32-router or ggml",
        read: |c, v| word(v, &POLICIES).map(|policy| c.precision = policy),
        show: |c| text(c.precision),
    },
    Setting {
        section: "defaults",
        key: "device",
        help: "what computes the matrix products: cpu, candle, cuda, cuda:N, metal or metal:N",
        read: |c, v| {
            let device = string(v)?.parse().map_err(|_| "cpu, candle, cuda, cuda:N, metal or metal:N");
            device.map(|device| c.device = device).map_err(str::to_owned)
        },
        show: |c| text(c.device),
    },
    Setting {
        section: "defaults",
        key: "threads",
        help: "threads for matrix products, 1 to 1024; not set: one per core",
        read: |c, v| {
            let threads = whole::<u16>(v).filter(|n| (1..=1024).contains(n));
            threads.map(|n| c.threads = Some(n)).ok_or("a whole number of 1 to 1024".to_owned())
        },
        show: |c| c.threads.map(|n| n.to_string()).ok_or("2"),
    },
    Setting {
        section: "defaults",
        key: "temperature",
        help: "sampling temperature; 0 takes the most probable token",
        read: |c, v| {
            let temperature = number(v).filter(|t| t.is_finite() && *t >= 0.0);
            temperature.map(|t| c.sampling.temperature = t).ok_or("a number of at least 0".to_owned())
        },
        show: |c| Ok(format!("{:?}", c.sampling.temperature)),
    },
    Setting {
        section: "defaults",
        key: "top_k",
        help: "sample only among the K most probable tokens; not set: among all",
        read: |c, v| {
            let top_k = whole::<usize>(v).filter(|k| *k > 0);
            top_k.map(|k| c.sampling.top_k = Some(k)).ok_or("a whole number of at least 1".to_owned())
        },
        show: |c| c.sampling.top_k.map(|k| k.to_string()).ok_or("40"),
    },
    Setting {
        section: "defaults",
        key: "top_p",
        help: "sample only among the most probable tokens that together reach P; not set: among all",
        read: |c, v| {
            let top_p = number(v).filter(|p| *p > 0.0 && *p <= 1.0);
            top_p.map(|p| c.sampling.top_p = Some(p)).ok_or("a number above 0 and at most 1".to_owned())
        },
        show: |c| c.sampling.top_p.map(|p| format!("{p:?}")).ok_or("0.9"),
    },
    Setting {
        section: "defaults",
        key: "seed",
        help: "seed of the sampler; the same seed gives the same tokens",
        read: |c, v| whole(v).map(|seed| c.sampling.seed = seed).ok_or("a whole number of at least 0".to_owned()),
        show: |c| Ok(c.sampling.seed.to_string()),
    },
    Setting {
        section: "palettes",
        key: "values",
        help: "colour map of values: viridis, cividis, magma or grey; not set: the theme's",
        read: |c, v| word(v, &Ramp::ALL).map(|ramp| c.values = Some(ramp)),
        show: |c| c.values.map_or(Err("\"cividis\""), text),
    },
    Setting {
        section: "palettes",
        key: "experts",
        help: "colours of experts, used in turn if the terminal has 256 colours or more; not set: the theme's",
        read: |c, v| experts(v).map(|colours| c.experts = Some(colours)),
        show: |c| {
            let hex = |(r, g, b): &Rgb| format!("\"#{r:02x}{g:02x}{b:02x}\"");
            let all = |colours: &Vec<Rgb>| format!("[{}]", colours.iter().map(hex).collect::<Vec<_>>().join(", "));
            c.experts.as_ref().map(all).ok_or("[\"#e69f00\", \"#56b4e9\", \"#009e73\", \"#f0e442\"]")
        },
    },
];

fn colours() -> Vec<(ColorChoice, &'static str)> {
    let all = [ColorChoice::Auto, ColorChoice::Never, ColorChoice::Ansi, ColorChoice::Indexed, ColorChoice::True];
    let name = |choice: ColorChoice| match choice {
        ColorChoice::Auto => "auto",
        ColorChoice::Never => "never",
        ColorChoice::Ansi => "16",
        ColorChoice::Indexed => "256",
        ColorChoice::True => "true",
    };
    debug_assert_eq!(all.len(), ColorChoice::value_variants().len());
    all.map(|choice| (choice, name(choice))).to_vec()
}

fn name_of<T: PartialEq>(all: &[(T, &'static str)], value: &T) -> &'static str {
    all.iter().find(|(one, _)| one == value).map_or("", |(_, name)| *name)
}

/// A string as TOML writes it.
pub fn quoted(value: impl Display) -> String {
    toml::Value::String(value.to_string()).to_string()
}

fn text<E>(value: impl Display) -> Result<String, E> {
    Ok(quoted(value))
}

fn string<'v>(value: &'v DeValue) -> Result<&'v str, String> {
    value.as_str().ok_or_else(|| "a text in quotes".to_owned())
}

fn flag(value: &DeValue) -> Result<bool, String> {
    match value {
        DeValue::Boolean(flag) => Ok(*flag),
        _ => Err("true or false".to_owned()),
    }
}

/// One of several words; the error names the nearest if one is near.
fn word<T: Copy>(value: &DeValue, all: &[(T, &'static str)]) -> Result<T, String> {
    let words: Vec<&str> = all.iter().map(|(_, name)| *name).collect();
    let given = value.as_str().unwrap_or_default();
    let found = all.iter().find(|(_, name)| *name == given).map(|(one, _)| *one);
    found.ok_or_else(|| {
        let near = crate::trace::nearest(given, words.iter().copied());
        let list: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
        let near = near.map(|word| format!(" (did you mean \"{word}\"?)")).unwrap_or_default();
        format!("one of {}{near}", list.join(", "))
    })
}

fn whole<T: FromStr>(value: &DeValue) -> Option<T> {
    match value {
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().ok(),
        DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok()?.to_string().parse().ok(),
        _ => None,
    }
}

fn number(value: &DeValue) -> Option<f64> {
    match value {
        DeValue::Float(number) => number.as_str().parse().ok(),
        other => whole::<u64>(other).map(|n| n as f64),
    }
}

/// Colours written as `#rrggbb`.
fn experts(value: &DeValue) -> Result<Vec<Rgb>, String> {
    let expected = || "a list of colours such as [\"#e69f00\", \"#56b4e9\"]".to_owned();
    let DeValue::Array(list) = value else { return Err(expected()) };
    let colour = |text: &str| {
        let hex = text.strip_prefix('#').filter(|hex| hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()))?;
        let [_, r, g, b] = u32::from_str_radix(hex, 16).ok()?.to_be_bytes();
        Some((r, g, b))
    };
    let colours: Option<Vec<Rgb>> = list.iter().map(|item| colour(item.get_ref().as_str()?)).collect();
    colours.filter(|colours| !colours.is_empty()).ok_or_else(expected)
}
