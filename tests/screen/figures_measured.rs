//! Pictures and tables as the screen has them: the measure, the heads together, the order, layers upwards.

use crate::support;
use crate::support::cli::{Run, assert_fails, mixscope, stderr};
use crate::support::figures::{Picture, colour, data, spec};
use mixscope::analysis::tables::TokenText;
use mixscope::analysis::view::{View, ViewData, ViewSpec};
use mixscope::analysis::{LensMeasure, Measure, Pick};
use mixscope::export::{Look, drawing, picture, table};
use mixscope::trace::{HookKind, HookValues, LensCell, LensKey, LensSite, Row};
use std::sync::Arc;

fn svg(data: &ViewData, spec: &ViewSpec) -> String {
    String::from_utf8(drawing(data, spec, &Look::default()).unwrap()).unwrap()
}

/// What is written in it, in the order of its writing.
fn texts(svg: &str) -> Vec<&str> {
    let texts = svg.split("<text").skip(1).map(|text| text.split_once('>').unwrap().1.split_once("</text>").unwrap().0);
    texts.map(str::trim).collect()
}

/// Two tokens whose cells have numbers of their own: KL 0.25 · (1 + layer) + pos, twice that as entropy, ranks 1 to 8.
fn measured() -> ViewData {
    let mut data = data(&["a", "b"]);
    for (key, cell) in &mut data.lens {
        let at = 0.25 * (1 + key.layer) as f32 + key.pos as f32;
        let rank = 1 + 4 * key.pos as u32 + 2 * key.layer as u32 + key.site as u32;
        *cell = Arc::new(LensCell { kl: at, entropy: 2.0 * at, final_rank: rank, ..(**cell).clone() });
    }
    data
}

fn lens(lens: LensMeasure) -> ViewSpec {
    ViewSpec { lens, ..spec(View::LensGrid) }
}

#[test]
fn the_lens_shows_the_measure_in_colours_numbers_title_and_legend() {
    let data = measured();
    // Of 8 tokens; the scale of nats ends at the next round number.
    let (most, end) = (8f32.ln(), 2.5);
    let cell = |layer: usize, pos: usize| {
        let key = LensKey { pos, layer, site: LensSite::ResidPost };
        &*data.lens.iter().find(|(at, _)| *at == key).unwrap().1
    };
    type Case = (LensMeasure, &'static str, [&'static str; 2], fn(&LensCell) -> String);
    let measures: [Case; 3] = [
        (LensMeasure::Kl, "KL(final ‖ lens), nats", ["0", "2.5"], |cell| format!("{:.2}", cell.kl)),
        (LensMeasure::Entropy, "entropy, nats", ["0", "2.5"], |cell| format!("{:.2}", cell.entropy)),
        (LensMeasure::Rank, "rank of the final answer", ["8", "1"], |cell| cell.final_rank.to_string()),
    ];
    for (measure, name, ends, number) in measures {
        let svg = svg(&data, &lens(measure));
        let texts = texts(&svg);
        assert!(texts[0].starts_with(&format!("Logit lens of resid_post: {name}")), "{texts:?}");
        let legend = texts.iter().rposition(|text| text.starts_with(name)).unwrap();
        assert_eq!(texts[legend + 1..legend + 3], ends, "{measure:?}");
        // Row by row, the last layer on top.
        let numbers = [(1, 0), (1, 1), (0, 0), (0, 1)].map(|(layer, pos)| number(cell(layer, pos)));
        assert_eq!(texts[legend + 3..legend + 7], numbers, "{measure:?}");
        let shade = |cell: &LensCell| match measure {
            LensMeasure::Kl => cell.kl / end,
            LensMeasure::Entropy => (cell.entropy / end).min(1.0),
            _ => 1.0 - (cell.final_rank as f32).ln() / most,
        };
        let picture = Picture::decode(&picture(&data, &lens(measure), &Look::default()).unwrap());
        let colours = [(1, 0), (1, 1), (0, 0), (0, 1)].map(|(layer, pos)| colour(shade(cell(layer, pos))));
        // A cell is 54 × 16 points; its corners are free, and the legend's ramp is narrower.
        let is = |x: usize, y: usize, colour| {
            [(0, 0), (8, 0), (0, 2), (8, 2)].iter().all(|(dx, dy)| picture.at(x + dx, y + dy) == colour)
        };
        let all = || (84..picture.height - 20).flat_map(|y| (0..picture.width - 120).map(move |x| (x, y)));
        let fits = |(x, y): &(usize, usize)| {
            is(*x, *y, colours[0])
                && is(x + 54, *y, colours[1])
                && is(*x, y + 16, colours[2])
                && is(x + 54, y + 16, colours[3])
        };
        assert!(all().any(|at| fits(&at)), "{measure:?}: {colours:?}");
    }
    let top = svg(&data, &lens(LensMeasure::Top));
    assert!(top.contains("Logit lens of resid_post: best next token"), "{:?}", texts(&top));
}

#[test]
fn both_residuals_are_rows_of_one_picture() {
    let data = measured();
    let both = ViewSpec { site: None, ..lens(LensMeasure::Rank) };
    let svg = svg(&data, &both);
    let texts = texts(&svg);
    assert!(texts[0].starts_with("Logit lens of resid_mid and resid_post: rank"), "{texts:?}");
    let labels: Vec<&&str> = texts.iter().filter(|text| text.ends_with(" mid") || text.ends_with(" post")).collect();
    assert_eq!(labels, [&"1 post", &"1 mid", &"0 post", &"0 mid"]);
    let rows = |spec: &ViewSpec| String::from_utf8(table(&data, spec, TokenText::Exact).unwrap()).unwrap();
    assert_eq!(
        rows(&both),
        "position,layer,site,final_rank,final_prob,entropy,kl\r\n0,0,resid_mid,1,0.25,0.5,0.25\r\n\
         0,0,resid_post,2,0.25,0.5,0.25\r\n0,1,resid_mid,3,0.25,1.0,0.5\r\n0,1,resid_post,4,0.25,1.0,0.5\r\n\
         1,0,resid_mid,5,0.25,2.5,1.25\r\n1,0,resid_post,6,0.25,2.5,1.25\r\n1,1,resid_mid,7,0.25,3.0,1.5\r\n\
         1,1,resid_post,8,0.25,3.0,1.5\r\n"
    );
    assert_eq!(rows(&lens(LensMeasure::Kl)).lines().count(), 5, "one site");
    let plot = ViewSpec { lens: LensMeasure::Kl, ..spec(View::LensTargets) };
    assert_eq!(rows(&plot).lines().count(), 5, "both sites of one position");
    assert!(self::svg(&data, &plot).contains("Logit lens at token 1 ‘b’: KL(final ‖ lens), nats"));
}

#[test]
fn thumbnails_have_their_figures_and_the_order_of_the_screen() {
    let data = data(&["a", "b", "c"]);
    let captions = |sorted: bool, measure: Measure| {
        let svg = svg(&data, &ViewSpec { sorted, measure, ..spec(View::AttentionGrid) });
        let found = texts(&svg).into_iter().filter(|text| text.starts_with("L0H0 ") || text.starts_with("L1H0 "));
        let title = if sorted { format!("by {measure}, best first") } else { format!("by {measure}") };
        assert_eq!(texts(&svg)[0], format!("Attention of all heads {title}"));
        found.map(str::to_owned).collect::<Vec<_>>()
    };
    // Layer 1 has the lower entropy; unsorted, layers go upwards.
    assert_eq!(captions(false, Measure::Entropy), ["L1H0 0.50", "L0H0 1.50"]);
    assert_eq!(captions(true, Measure::Entropy), ["L1H0 0.50", "L0H0 1.50"]);
    assert_eq!(captions(true, Measure::Induction), ["L1H0 -", "L0H0 -"], "no token occurs twice");
    let mut turned = data.clone();
    turned.heads[1].1.previous = Some(0.125);
    turned.heads[0].1.previous = Some(0.5);
    let spec = ViewSpec { sorted: true, measure: Measure::Previous, ..spec(View::AttentionGrid) };
    let order: Vec<String> =
        texts(&svg(&turned, &spec)).into_iter().filter(|t| t.contains("H0 .")).map(str::to_owned).collect();
    assert_eq!(order, ["L0H0 .50", "L1H0 .12"]);
    let rows = String::from_utf8(
        table(&turned, &ViewSpec { measure: Measure::Entropy, ..spec.clone() }, TokenText::Exact).unwrap(),
    )
    .unwrap();
    assert!(rows.lines().nth(1).unwrap().starts_with("1,0,0.5,"), "the table is in the order of the picture: {rows}");
}

#[test]
fn heads_together_are_named() {
    let data = data(&["a", "b", "c"]);
    for (pick, name) in [(Pick::Mean, "mean"), (Pick::Max, "max")] {
        let spec = ViewSpec { head: pick, ..spec(View::AttentionHead) };
        let rows = String::from_utf8(table(&data, &spec, TokenText::Exact).unwrap()).unwrap();
        assert!(
            rows.lines().skip(1).all(|row| row.starts_with(&format!("1,{name},"))) && rows.lines().count() == 7,
            "{rows}"
        );
        let svg = svg(&data, &spec);
        assert!(texts(&svg)[0].starts_with(&format!("Attention of layer 1: {name}")), "{:?}", texts(&svg));
        assert!(!svg.contains("means over queries"), "what is measured of one head is not of several");
    }
}

#[test]
fn layers_go_upwards() {
    let mut data = data(&["a", "b", "c"]);
    // In layer 1 alone all choose expert 3.
    for token in &mut data.trace.tokens {
        let token = Arc::make_mut(token);
        let mut values = HookValues::clone(&token.values);
        values.insert(HookKind::ExpertIndices.at(1), Row::U32([3, 1].into()));
        values.insert(HookKind::ExpertWeights.at(1), Row::F32([0.0, 0.25, 0.0, 0.75].into()));
        token.values = Arc::new(values);
    }
    for kind in [View::RoutingToken, View::RoutingMap, View::RoutingUsage, View::LensGrid] {
        let svg = svg(&data, &spec(kind));
        // Labels of rows come after the cells, before those of columns.
        let texts = texts(&svg);
        let upward = texts.windows(2).any(|pair| pair == ["1", "0"]);
        assert!(upward, "{kind}: {texts:?}");
    }
    let svg = svg(&data, &spec(View::RoutingToken));
    let texts = texts(&svg);
    let cells: Vec<&&str> = texts.iter().filter(|text| text.len() == 5 && text.starts_with("0.")).collect();
    assert_eq!(cells, [&"0.000", &"0.250", &"0.000", &"0.750", &"0.500", &"0.125", &"0.250", &"0.125"]);
}

#[test]
fn titles_quote_tokens_and_mark_a_cut_prompt() {
    let data = data(&["<s>", "▁n"]);
    let title = |kind| texts(&svg(&data, &spec(kind)))[0].to_owned();
    assert_eq!(title(View::Next), "Next token after token 1 ‘·n’");
    assert_eq!(title(View::RoutingToken), "Routing of token 1 ‘·n’: probability of each expert by layer");
    assert_eq!(title(View::LensTargets), "Logit lens at token 1 ‘·n’: targets, by layer");
    for (len, cut) in [(59, false), (60, false), (61, true), (200, true)] {
        // The first blank is not shown, so that it is not counted.
        let pieces: Vec<&str> =
            std::iter::once("<s>").chain(std::iter::once("▁x")).chain((1..len).map(|_| "x")).collect();
        let svg = svg(&support::figures::data(&pieces), &spec(View::RoutingUsage));
        let want = if cut { format!("“{}…”", "x".repeat(59)) } else { format!("“{}”", "x".repeat(len)) };
        assert!(texts(&svg)[1..3].join(" ").contains(&want), "{len}: {:?}", &texts(&svg)[..4]);
    }
}

#[test]
fn the_command_line_measures_sorts_and_puts_together() {
    let run = Run::ok(&["--prompt", "drum apple seven | drum apple", "--steps", "2", "--format", "csv,trace"]);
    let temp = tempfile::tempdir().unwrap();
    let trace = temp.path().join("trace.safetensors").to_str().unwrap().to_owned();
    std::fs::write(&trace, &run.files["trace.safetensors"]).unwrap();
    let export = |args: &[&str]| mixscope([&["export", &trace, "-o", "-"], args].concat());
    let csv = |args: &[&str]| {
        let output = export(&[args, &["--format", "csv"]].concat());
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let file = |name: &str| String::from_utf8(run.files[name].clone()).unwrap();
    let of_site = |text: String, site: &str| -> String {
        text.split_inclusive("\r\n").filter(|row| row.starts_with("position") || row.contains(site)).collect()
    };
    for measure in ["kl", "entropy", "rank"] {
        assert_eq!(csv(&["--view", "lens", "--measure", measure]), of_site(file("lens_summary.csv"), "resid_post"));
        assert_eq!(csv(&["--view", "lens", "--measure", measure, "--site", "both"]), file("lens_summary.csv"));
    }
    assert_eq!(csv(&["--view", "lens", "--measure", "token", "--site", "both"]), file("lens.csv"));
    let pictures: Vec<Vec<u8>> = ["token", "kl", "entropy", "rank"]
        .map(|measure| export(&["--view", "lens", "--format", "png", "--measure", measure]).stdout)
        .into();
    assert!((0..4).all(|i| !pictures[i].is_empty() && (0..i).all(|j| pictures[i] != pictures[j])));

    let weights = |text: &str| -> Vec<f32> {
        text.lines().skip(1).map(|row| row.rsplit(',').next().unwrap().parse().unwrap()).collect()
    };
    let head = |head: &str| csv(&["--view", "attention.head", "--layer", "5", "--head", head]);
    let heads: Vec<Vec<f32>> = (0..8).map(|h| weights(&head(&h.to_string()))).collect();
    let (mean, max) = (weights(&head("mean")), weights(&head("max")));
    for at in 0..mean.len() {
        let of_heads = heads.iter().map(|weights| weights[at]);
        assert!((mean[at] - of_heads.clone().sum::<f32>() / 8.0).abs() < 1e-6, "{at}");
        assert_eq!(max[at], of_heads.fold(0.0, f32::max), "{at}");
    }
    assert!(head("max").lines().nth(1).unwrap().starts_with("5,max,0,0,"));

    let column = |text: &str, at: usize| -> Vec<f32> {
        text.lines().skip(1).map(|row| row.split(',').nth(at).unwrap().parse().unwrap()).collect()
    };
    let by_place = csv(&["--view", "attention.grid"]);
    let sorted = csv(&["--view", "attention.grid", "--measure", "induction", "--sort"]);
    assert!(column(&sorted, 5).is_sorted_by(|a, b| a >= b) && !column(&by_place, 5).is_sorted_by(|a, b| a >= b));
    let (mut a, mut b): (Vec<&str>, Vec<&str>) = (by_place.lines().collect(), sorted.lines().collect());
    a.sort_unstable();
    b.sort_unstable();
    assert_eq!(a, b, "the same rows");
    assert_eq!(a.len(), 1 + 48);

    for (args, said) in [
        (["--view", "lens", "--measure", "induction"], "token, kl, entropy, rank"),
        (["--view", "attention.grid", "--measure", "kl"], "entropy, previous, first, induction, duplicate"),
        (["--view", "next", "--measure", "kl"], "--view next has no measures"),
        (["--view", "attention.head", "--head", "median"], "mean or max"),
        (["--view", "attention.scores", "--on", "words"], "text, random"),
        (["--view", "attention.scores", "--model", "demo"], "--on random only"),
        (["--view", "lens", "--on", "random"], "it applies to --view attention.grid, attention.scores"),
        (["--view", "lens", "--site", "resid_pre"], "resid_mid, resid_post, both"),
    ] {
        assert_fails(&export(&[&args[..], &["--format", "csv"]].concat()), 2, said);
    }
}
