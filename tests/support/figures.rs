//! A run made by hand, and pictures as pixels.

use mixscope::analysis::colour_map::viridis;
use mixscope::analysis::tables::TokenText;
use mixscope::analysis::view::{THUMB, View, ViewData, ViewSpec};
use mixscope::analysis::{HeadMap, HeadStats, Lab, LabEqual, LabLayer, LabRow, LabToken, Pattern, Pick, Trajectory};
use mixscope::export::{Look, picture, table};
use mixscope::model::{Location, open};
use mixscope::trace::{
    Candidate, Dims, Dtype, HookKind, HookValues, LayerSet, LensCell, LensKey, LensSite, Meta, Policy, Prediction,
    Records, Row, Score, Source, TokenRecord,
};
use std::sync::{Arc, LazyLock};

pub const DIMS: Dims = Dims {
    layers: 2,
    d_model: 4,
    d_ff: 4,
    heads: 1,
    kv_heads: 1,
    d_head: 4,
    experts: 4,
    top_k: 2,
    vocab: 8,
    context: 4096,
    window: None,
    unwindowed: LayerSet::NONE,
    dense: LayerSet::NONE,
    d_dense: 0,
    d_shared: 0,
    qk_norm: false,
};

pub static META: LazyLock<Meta> = LazyLock::new(|| {
    let demo = open(&Location::Demo, Policy::F32, None, false).unwrap().meta;
    Meta { name: "hand-made".into(), dims: DIMS, ..(*demo).clone() }
});

pub fn candidate(id: u32, piece: &str, prob: f32) -> Candidate {
    Candidate { id, piece: piece.into(), logit: 2.0 * prob, prob }
}

/// A token that chooses experts `a` and `b`, in this order, in both layers.
pub fn token(id: u32, piece: &str, (a, b): (u32, u32)) -> Arc<TokenRecord> {
    let mut values = HookValues::new(DIMS.layers);
    for layer in 0..DIMS.layers {
        let of = |expert: u32, best: f32, second: f32, other: f32| match expert {
            e if e == a => best,
            e if e == b => second,
            _ => other,
        };
        let mut put = |kind: HookKind, row: Row| values.insert(kind.at(layer), row);
        put(HookKind::RouterLogits, Row::F32((0..4).map(|e| of(e, 2.0, 1.0, -0.5)).collect()));
        put(HookKind::ExpertWeights, Row::F32((0..4).map(|e| of(e, 0.5, 0.25, 0.125)).collect()));
        put(HookKind::ExpertIndices, Row::U32([a, b].into()));
        put(HookKind::MixingWeights, Row::F32([0.75, 0.25].into()));
    }
    let top = vec![candidate(3, "=1+1", 0.625), candidate(4, "say \"hi\", 你", 0.25)];
    Arc::new(TokenRecord {
        id,
        piece: piece.into(),
        source: Source::Prompt,
        score: Some(Score { nll: 1.5, entropy: 2.0, rank: 3 }),
        next: Arc::new(Prediction { top, entropy: 1.25 }),
        values: Arc::new(values),
        sites: Vec::new(),
    })
}

pub fn data(pieces: &[&str]) -> ViewData {
    let choices = [(0, 1), (0, 2), (3, 0)];
    let n = pieces.len();
    let ids: Vec<u32> = (0..n as u32).collect();
    let tokens = pieces.iter().enumerate().map(|(i, piece)| token(i as u32, piece, choices[i % 3])).collect();
    let trace = Records { meta: Arc::new(META.clone()), tokens };
    let cell = |pos: usize, layer: usize| LensCell {
        top: vec![candidate(5, if pos == 0 { "<b>&" } else { "+x" }, 0.5 - 0.125 * layer as f32)],
        final_rank: 2,
        final_prob: 0.25,
        entropy: 1.0,
        kl: 0.5,
    };
    let mut lens = Vec::new();
    for (pos, layer) in (0..n).flat_map(|pos| (0..DIMS.layers).map(move |layer| (pos, layer))) {
        for site in [LensSite::ResidMid, LensSite::ResidPost] {
            lens.push((LensKey { pos, layer, site }, Arc::new(cell(pos, layer))));
        }
    }
    let way = |id: u32, piece: &str| Trajectory {
        id,
        piece: piece.into(),
        points: vec![
            (0, LensSite::ResidMid, 40, 0.125),
            (0, LensSite::ResidPost, 3, 0.25),
            (1, LensSite::ResidMid, 1, 0.5),
        ],
    };
    let trajectories = vec![Arc::new(way(5, "@sum")), Arc::new(way(6, "▁b"))];
    let head = |layer: usize| {
        let stats = HeadStats { entropy: 1.5 - layer as f32, ..HeadStats::of(&pattern(n), &ids) };
        (HeadMap::pool(layer, Pick::One(0), &pattern(n), THUMB), stats)
    };
    let against = Some(baseline(pieces));
    let lab = Some(Arc::new(lab(pieces)));
    let heads = vec![head(0), head(1)];
    ViewData { pattern: Some(pattern(n)), heads, lens, trajectories, against, lab, ..ViewData::of(trace) }
}

/// The same tokens under another policy: every third one, from the third on, has another second expert in both layers, and
/// every token a loss of 0.25 less.
pub fn baseline(pieces: &[&str]) -> Records {
    let choices = [(0, 1), (2, 0), (3, 1)];
    let cheaper = |(i, piece): (usize, &&str)| {
        let mut token = token(i as u32, piece, choices[i % 3]);
        Arc::make_mut(&mut token).score = Some(Score { nll: 1.25, entropy: 2.0, rank: 3 });
        token
    };
    let meta = Arc::new(Meta { policy: Policy::Hf, ..META.clone() });
    Records { meta, tokens: pieces.iter().enumerate().map(cheaper).collect() }
}

/// Two policies; the second flips an expert in the second layer.
pub fn lab(pieces: &[&str]) -> Lab {
    let n = pieces.len();
    let token = |(id, piece): (usize, &&str)| LabToken { id: id as u32, piece: (*piece).into() };
    let layer = |flips: usize, equal: usize| LabLayer {
        flips,
        choices: n,
        within_rounding: 0,
        exact_ties: 0,
        equal: Lab::COMPONENTS.map(|hook| LabEqual { hook, equal, values: 8 }).to_vec(),
    };
    let row = |policy: Policy, flips: usize| LabRow {
        policy,
        mean_loss: Some(1.5 + flips as f64),
        nll: vec![1.5; n.saturating_sub(1)],
        end_to_end: vec![layer(0, 8), layer(flips, 8 - flips)],
        isolated: vec![layer(0, 8), layer(flips, 8)],
        flips: Vec::new(),
        generated: Vec::new(),
        differs_at: None,
    };
    Lab {
        model: "hand-made".to_owned(),
        base: Policy::Hf,
        dtype: Dtype::Bf16,
        tokens: pieces.iter().enumerate().map(token).collect(),
        steps: 0,
        rows: vec![row(Policy::Hf, 0), row(Policy::F32, 1)],
    }
}

/// Query `q` looks at key `k` with a weight that no other pair of the first few has.
pub fn pattern(n: usize) -> Pattern {
    let weight = |query: usize, key: usize| ((query * 37 + key * 11 + 5) % 101) as f32 / 101.0;
    Pattern { n, weights: (0..n).flat_map(|query| (0..=query).map(move |key| weight(query, key))).collect() }
}

pub fn spec(kind: View) -> ViewSpec {
    ViewSpec { pos: 1, layer: 1, ..ViewSpec::new(kind) }
}

pub fn csv(data: &ViewData, kind: View, text: TokenText) -> String {
    String::from_utf8(table(data, &spec(kind), text).unwrap()).unwrap()
}

pub struct Picture {
    pub width: usize,
    pub height: usize,
    pub pixels: Vec<(u8, u8, u8)>,
}

impl Picture {
    pub fn decode(bytes: &[u8]) -> Self {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut buffer = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut buffer).unwrap();
        assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
        let pixels = buffer[..info.buffer_size()].as_chunks::<3>().0.iter().map(|[r, g, b]| (*r, *g, *b)).collect();
        Self { width: info.width as usize, height: info.height as usize, pixels }
    }

    pub fn of(data: &ViewData, kind: View, look: &Look) -> Self {
        Self::decode(&picture(data, &spec(kind), look).unwrap())
    }

    pub fn at(&self, x: usize, y: usize) -> (u8, u8, u8) {
        self.pixels[y * self.width + x]
    }

    /// The squares of at least `side` × `side` pixels of one colour, by the colour: where their top left corner is.
    pub fn squares(&self, colours: &[(u8, u8, u8)], side: usize) -> Vec<Option<(usize, usize)>> {
        let is = |x: usize, y: usize, colour| {
            (0..side).all(|d| {
                [(d, 0), (0, d), (side - 1, d), (d, side - 1)].iter().all(|(dx, dy)| self.at(x + dx, y + dy) == colour)
            })
        };
        let find = |colour: &(u8, u8, u8)| {
            let below = (84..self.height - side).flat_map(|y| (0..self.width - side).map(move |x| (x, y)));
            below.into_iter().find(|(x, y)| self.at(*x, *y) == *colour && is(*x, *y, *colour))
        };
        colours.iter().map(find).collect()
    }
}

pub fn colour(value: f32) -> (u8, u8, u8) {
    viridis((value * 255.0).round() / 255.0)
}

/// Fails on anything that an XML 1.0 parser would refuse, and on references to anything outside.
pub fn well_formed(text: &str) {
    let bad = |c: char| matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}');
    assert!(!text.contains(bad), "a character that XML has not");
    let check_entities = |text: &str| {
        for rest in text.split('&').skip(1) {
            let name = rest.split_once(';').map(|(name, _)| name);
            assert!(matches!(name, Some("lt" | "gt" | "amp" | "quot" | "apos")), "an entity: {rest:.20}");
        }
    };
    let mut open = Vec::new();
    let mut rest = text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>").expect("the declaration");
    while let Some(start) = rest.find('<') {
        let (before, tag) = rest.split_at(start);
        assert!(!open.is_empty() || before.trim().is_empty(), "text outside: {before}");
        assert!(!before.contains('>'), "a bare >: {before}");
        check_entities(before);
        let end = tag.find('>').expect("a tag ends");
        let inside = &tag[1..end];
        rest = &tag[end + 1..];
        if let Some(name) = inside.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "closed in order");
            continue;
        }
        let (inside, closes) = inside.strip_suffix('/').map_or((inside, false), |inside| (inside, true));
        let (name, attributes) = inside.split_once(' ').unwrap_or((inside, ""));
        let known = ["svg", "g", "style", "rect", "text", "image", "polyline", "polygon", "circle", "desc", "metadata"];
        let is_metadata = ["rdf:", "dc:", "xmp:", "mixscope:"].iter().any(|prefix| name.starts_with(prefix));
        assert!(known.contains(&name) || is_metadata, "an element {name}");
        let parts: Vec<&str> = attributes.split('"').collect();
        assert!(parts.len() % 2 == 1, "quotes of {inside}");
        for pair in parts.chunks_exact(2) {
            let key = pair[0].trim();
            let is_embedded = name == "image" && pair[1].starts_with("data:image/png;base64,");
            assert!(key.ends_with('=') && (!key.contains("href") || is_embedded), "an attribute {key}");
            let names_something = pair[1].contains("//") && !key.starts_with("xmlns") && !is_embedded;
            assert!(!pair[1].contains('<') && !names_something, "{key}{}", pair[1]);
            check_entities(pair[1]);
        }
        if !closes {
            open.push(name.to_owned());
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "all is closed");
}
