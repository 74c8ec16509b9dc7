//! Pictures of effect maps: signed colours, hostile tokens, long runs.

use crate::support::figures::{DIMS, Picture, data, spec, well_formed};
use mixscope::analysis::colour_map::diverging;
use mixscope::analysis::view::{View, ViewData, ViewSpec};
use mixscope::analysis::{EffectMap, Found, How, MapKey, MapMeasure, MapOf, MapOver, Measures, PatchOver, Watch};
use mixscope::export::{Look, drawing, picture};
use std::sync::Arc;

fn with_map(pieces: &[&str], of: MapOf) -> (ViewData, ViewSpec) {
    let mut data = data(pieces);
    let columns = match of {
        MapOf::Parts(MapOver::Experts, _) => DIMS.experts,
        MapOf::Parts(..) => 2,
        _ => pieces.len(),
    };
    let watch = Some(Watch { position: 1, token: 3, foil: Some(4) });
    let mut map = EffectMap::new(MapKey { of, watch }, (DIMS.layers, columns), pieces.len());
    for layer in 0..DIMS.layers {
        for column in 0..columns {
            let value = if column % 2 == 0 { 1.0 } else { -2.0 } / (1.0 + layer as f64);
            let found = match of {
                MapOf::Patching(_) => Found::Patched { measure: value, recovery: value },
                _ => Found::Effect(Measures { target_logprob_change: value, kl: value.abs(), ..Measures::default() }),
            };
            map.set(layer, column, if (layer, column) == (0, 0) { Found::Nothing } else { found });
        }
    }
    map.baselines = matches!(of, MapOf::Patching(_)).then_some([3.0, -1.0]);
    data.effects = Some(Arc::new(map));
    let view = match of {
        MapOf::Parts(..) => View::EffectsMap,
        MapOf::Routing => View::EffectsRouting,
        MapOf::Patching(_) => View::EffectsPatching,
    };
    (data, ViewSpec { map: Some(of), ..spec(view) })
}

const ALL: [MapOf; 4] = [
    MapOf::Parts(MapOver::Experts, How::Ban),
    MapOf::Parts(MapOver::Blocks, How::Zero),
    MapOf::Routing,
    MapOf::Patching(PatchOver::MlpOut),
];

#[test]
fn positive_is_blue_and_negative_is_orange() {
    let (data, spec) = with_map(&["a", "b", "c", "d"], ALL[0]);
    let found = Picture::decode(&picture(&data, &spec, &Look::default()).unwrap());
    // The largest size is 2, of the second expert in layer 0; the third expert of layer 0 has half of it.
    let corners = found.squares(&[diverging(-1.0), diverging(64.0 / 127.0)], 6);
    assert!(corners.iter().all(Option::is_some), "{corners:?}");
    let kl = ViewSpec { effect: MapMeasure::Kl, ..spec };
    let found = Picture::decode(&picture(&data, &kl, &Look::default()).unwrap());
    assert!(found.squares(&[diverging(-1.0)], 6)[0].is_none(), "KL is never negative");
}

#[test]
fn hostile_tokens_and_long_runs_are_drawn() {
    let text: Vec<String> =
        (0..2500).map(|i| if i % 7 == 0 { "<&\">\u{8}🙂\u{202e}".into() } else { format!("t{i}") }).collect();
    let pieces: Vec<&str> = text.iter().map(String::as_str).collect();
    for of in ALL {
        for n in [9, 2500] {
            let (data, spec) = with_map(&pieces[..n], of);
            let svg = String::from_utf8(drawing(&data, &spec, &Look::default()).unwrap()).unwrap();
            well_formed(&svg);
            assert!(!svg.contains('🙂') && !svg.contains('\u{202e}'), "{of:?}");
            let found = Picture::decode(&picture(&data, &spec, &Look::default()).unwrap());
            assert!(found.width.max(found.height) <= 12_000, "{of:?} of {n}: {} × {}", found.width, found.height);
        }
    }
}

#[test]
fn cells_hold_their_numbers() {
    let pieces = ["a", "b", "c", "d"];
    for of in ALL {
        let (data, spec) = with_map(&pieces, of);
        let svg = String::from_utf8(drawing(&data, &spec, &Look::default()).unwrap()).unwrap();
        // 1 and −2 in layer 0, of which the first is nowhere with two columns, and half of them in layer 1.
        for number in ["−2.000", "+0.500", "−1.000"] {
            assert!(svg.contains(&format!(">{number}</text>")), "{of:?}: {number}");
        }
        assert!(!svg.contains("0…</text>"), "{of:?}: no number is cut");
    }
}
