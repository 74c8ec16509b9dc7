//! Views as files: tables byte by byte, pictures by their size and by sampled cells, and what hostile tokens make of them.

use crate::support;
use crate::support::cli::{Run, assert_fails, mixscope, stderr};
use crate::support::figures::{DIMS, Picture, colour, csv, data, spec, well_formed};
use mixscope::analysis::colour_map::EXPERTS;
use mixscope::analysis::tables::{TokenText, routing, write_csv};
use mixscope::analysis::view::{View, ViewData};
use mixscope::export::{Cell, Look, Screen, drawing, picture, screen_ansi, screen_png, screen_svg};
use mixscope::trace::HookValues;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The views that are drawn from a run alone.
fn of_runs() -> impl Iterator<Item = View> {
    View::ALL.into_iter().filter(|view| !view.needs_model())
}

#[test]
fn tables_are_these_bytes() {
    let data = data(&["a", "=b", "c\nd"]);
    let golden: [(View, &str); 7] = [
        (
            View::RoutingToken,
            "position,layer,expert,logit,prob,rank,weight\r\n1,0,0,2.0,0.5,1,0.75\r\n1,0,1,-0.5,0.125,3,0.0\r\n\
             1,0,2,1.0,0.25,2,0.25\r\n1,0,3,-0.5,0.125,4,0.0\r\n1,1,0,2.0,0.5,1,0.75\r\n1,1,1,-0.5,0.125,3,0.0\r\n\
             1,1,2,1.0,0.25,2,0.25\r\n1,1,3,-0.5,0.125,4,0.0\r\n",
        ),
        (
            View::RoutingUsage,
            "layer,expert,first_share,share,mean_weight\r\n0,0,0.6666666666666666,0.5,0.5833333333333334\r\n\
             0,1,0.0,0.16666666666666666,0.25\r\n0,2,0.0,0.16666666666666666,0.25\r\n\
             0,3,0.3333333333333333,0.16666666666666666,0.75\r\n1,0,0.6666666666666666,0.5,0.5833333333333334\r\n\
             1,1,0.0,0.16666666666666666,0.25\r\n1,2,0.0,0.16666666666666666,0.25\r\n\
             1,3,0.3333333333333333,0.16666666666666666,0.75\r\n",
        ),
        (
            View::RoutingPairs,
            "layer,expert,with,together,share\r\n1,0,1,1,0.3333333333333333\r\n1,0,2,1,0.3333333333333333\r\n\
             1,0,3,1,0.3333333333333333\r\n1,1,0,1,1.0\r\n1,1,2,0,0.0\r\n1,1,3,0,0.0\r\n1,2,0,1,1.0\r\n1,2,1,0,0.0\r\n\
             1,2,3,0,0.0\r\n1,3,0,1,1.0\r\n1,3,1,0,0.0\r\n1,3,2,0,0.0\r\n",
        ),
        (
            View::AttentionHead,
            "layer,head,query,key,weight\r\n1,0,0,0,0.04950495\r\n1,0,1,0,0.41584158\r\n1,0,1,1,0.5247525\r\n\
             1,0,2,0,0.7821782\r\n1,0,2,1,0.8910891\r\n1,0,2,2,0.0\r\n",
        ),
        (
            View::LensGrid,
            "position,layer,site,k,token_id,token,logit,prob,text\r\n0,0,resid_post,1,5,<b>&,1.0,0.5,<b>&\r\n\
             0,1,resid_post,1,5,<b>&,0.75,0.375,<b>&\r\n1,0,resid_post,1,5,+x,1.0,0.5,+x\r\n1,1,resid_post,1,5,+x,0.75,0.375,+x\r\n\
             2,0,resid_post,1,5,+x,1.0,0.5,+x\r\n2,1,resid_post,1,5,+x,0.75,0.375,+x\r\n",
        ),
        (
            View::LensTargets,
            "token_id,token,layer,site,rank,prob,text\r\n5,@sum,0,resid_mid,40,0.125,@sum\r\n5,@sum,0,resid_post,3,0.25,@sum\r\n\
             5,@sum,1,resid_mid,1,0.5,@sum\r\n6,▁b,0,resid_mid,40,0.125, b\r\n6,▁b,0,resid_post,3,0.25, b\r\n6,▁b,1,resid_mid,1,0.5, b\r\n",
        ),
        (
            View::Next,
            "position,k,token_id,token,logit,prob,text\r\n1,1,3,=1+1,1.25,0.625,=1+1\r\n1,2,4,\"say \"\"hi\"\", 你\",0.5,0.25,\"say \"\"hi\"\", 你\"\r\n",
        ),
    ];
    for (kind, want) in golden {
        assert_eq!(csv(&data, kind, TokenText::Exact), want, "{kind}");
    }
    // One layer and all of the run: what the run's own file holds of them.
    let mut whole = Vec::new();
    let places = (0..data.trace.tokens.len()).flat_map(|pos| [(pos, 0), (pos, 1)]);
    let rows = places.flat_map(|(pos, layer)| routing(&data.trace.tokens[pos], pos, layer).unwrap());
    write_csv(rows, &mut whole).unwrap();
    assert_eq!(csv(&data, View::RoutingMap, TokenText::Exact), String::from_utf8(whole.clone()).unwrap());
    let whole = String::from_utf8(whole).unwrap();
    let of_layer: String =
        whole.split_inclusive("\r\n").filter(|row| row.starts_with('p') || &row[2..3] == "1").collect();
    assert_eq!(csv(&data, View::RoutingLayer, TokenText::Exact), of_layer);
    let grid = csv(&data, View::AttentionGrid, TokenText::Exact);
    let rows: Vec<&str> = grid.lines().collect();
    assert_eq!(rows[0], "layer,head,entropy,previous,first,induction,duplicate");
    assert!(rows[1].starts_with("0,0,1.5,0.") && rows[2].starts_with("1,0,0.5,0.") && rows.len() == 3, "{grid}");
    assert!(rows[1].ends_with(",,"), "no token occurs twice: {grid}");
}

#[test]
fn formulas_are_disarmed_on_request_and_numbers_are_not_touched() {
    let data = data(&["a", "=b", "c"]);
    let safe = |kind| csv(&data, kind, TokenText::SpreadsheetSafe);
    assert!(safe(View::Next).contains("1,1,3,'=1+1,1.25,0.625,'=1+1\r\n"));
    assert!(safe(View::LensGrid).contains("resid_post,1,5,'+x,"));
    assert!(safe(View::LensTargets).contains("5,'@sum,0"));
    let exact = csv(&data, View::RoutingMap, TokenText::Exact);
    assert_eq!(safe(View::RoutingMap), format!("\u{feff}{exact}"), "-0.5 is a number");
}

#[test]
fn cells_of_a_head_have_the_palettes_colours_in_their_places() {
    let data = data(&["a", "b", "c", "d", "e"]);
    let weights = data.pattern.as_ref().unwrap();
    let pairs: Vec<(usize, usize)> = (0..5).flat_map(|query| (0..=query).map(move |key| (query, key))).collect();
    let colours: Vec<_> = pairs.iter().map(|(query, key)| colour(weights.row(*query)[*key])).collect();
    // A cell is 26 points wide and holds its value in the middle: its corners are free.
    for (look, cell) in [(Look::default(), 26), (Look { scale: 2.0, dark: true, ..Look::default() }, 52)] {
        let picture = Picture::of(&data, View::AttentionHead, &look);
        let mut corners = BTreeMap::new();
        for ((query, key), colour) in pairs.iter().zip(&colours) {
            let rows = (0..picture.height).flat_map(|y| (0..picture.width).map(move |x| (x, y)));
            // Three pixels in a row and in a column exclude the legend's ramp.
            let is = |x: usize, y: usize| picture.at(x, y) == *colour;
            let found = rows.into_iter().find(|(x, y)| {
                let (x, y) = (*x, *y);
                x + 9 < picture.width && y + 9 < picture.height && (0..9).all(|d| is(x + d, y) && is(x, y + d))
            });
            corners.insert((*query, *key), found.unwrap_or_else(|| panic!("no cell of query {query} key {key}")));
        }
        let (x0, y0) = corners[&(0, 0)];
        for ((query, key), corner) in corners {
            assert_eq!(corner, (x0 + key * cell, y0 + query * cell), "query {query} key {key}");
            let future = (x0 + 4 * cell + cell / 2, y0 + cell / 2);
            assert_eq!(picture.at(future.0, future.1), picture.at(1, 1), "the future is blank");
        }
    }
}

#[test]
fn a_map_shows_first_choices_above_second_ones() {
    let data = data(&["a", "b", "c"]);
    let picture = Picture::of(&data, View::RoutingMap, &Look::default());
    let near = |side| picture.squares(&EXPERTS[..4], side);
    // Expert 0 is the first choice of the first tokens, and 1, 2, 0 are the second ones below it.
    let found: Vec<(usize, usize)> = near(3).into_iter().map(Option::unwrap).collect();
    let [zero, one, two, three] = found[..] else { panic!("four experts") };
    assert!(zero.1 < one.1 && one.1 == two.1, "{found:?}");
    assert!(one.0 < two.0 && two.0 < three.0 && three.1 < two.1, "{found:?}");
    assert!((two.0 - one.0).abs_diff(15) <= 1 && (three.0 - one.0).abs_diff(30) <= 1, "{found:?}");
}

#[test]
fn the_same_data_gives_the_same_bytes_and_the_look_changes_them() {
    let data = data(&["a", "b", "c", "d"]);
    for kind in of_runs() {
        let draw = |look: &Look| picture(&data, &spec(kind), look).unwrap_or_else(|error| panic!("{kind}: {error:#}"));
        let (light, dark) = (draw(&Look::default()), draw(&Look { dark: true, ..Look::default() }));
        assert!(light == draw(&Look::default()), "{kind}: the same picture twice");
        assert!(light != dark, "{kind}");
        let (light, dark) = (Picture::decode(&light), Picture::decode(&dark));
        assert_eq!((light.at(0, 0), dark.at(0, 0)), ((0xff, 0xff, 0xff), (0x16, 0x18, 0x1d)), "{kind}");
        let twice = Picture::decode(&draw(&Look { scale: 2.0, ..Look::default() }));
        assert!(twice.width.abs_diff(2 * light.width) <= 1 && twice.height.abs_diff(2 * light.height) <= 1, "{kind}");
        let svg = |look: &Look| drawing(&data, &spec(kind), look).unwrap();
        assert!(svg(&Look::default()) == svg(&Look::default()), "{kind}");
        well_formed(std::str::from_utf8(&svg(&Look::default())).unwrap());
    }
}

#[test]
fn hostile_and_foreign_tokens_are_drawn_escaped() {
    let long = "x".repeat(5000);
    let hostile = [
        "<script>alert(1)</script>",
        "]]>&amp;\"'",
        "\0\u{1b}[31m\u{7}",
        "\u{202e}abc",
        "\u{fffe}\u{ffff}",
        "🙂",
        "你好",
        "e\u{301}",
        "",
        " ",
        "\n\t\r",
        "=1+1",
        "▁",
        "<0x0A>",
        "<0xFF>",
        "عربى",
        &long,
        "</text></svg>",
    ];
    let mut data = data(&hostile);
    for way in &mut data.trajectories {
        Arc::make_mut(way).piece = "<a href='http://x'>🙂\u{1}".into();
    }
    for (_, cell) in &mut data.lens {
        Arc::make_mut(cell).top[0].piece = "<&\">\u{8}你".into();
    }
    for kind in of_runs() {
        let svg = drawing(&data, &spec(kind), &Look::default()).unwrap_or_else(|error| panic!("{kind}: {error:#}"));
        let svg = String::from_utf8(svg).unwrap();
        well_formed(&svg);
        assert!(!svg.contains("<script") && !svg.contains('🙂') && !svg.contains('\u{202e}'), "{kind}");
        Picture::of(&data, kind, &Look::default());
    }
    let map = String::from_utf8(drawing(&data, &spec(View::RoutingMap), &Look::default()).unwrap()).unwrap();
    for shown in ["\\u{1F642} 5", "\\u{4F60}…", "\\u{202E}abc 3", "e\\u{301} 7", "↵ 13", "‹FF› 14", "∅ 8"] {
        assert!(map.contains(shown), "{shown}");
    }
}

#[test]
fn long_runs_are_legible_pooled_and_bounded() {
    let text: Vec<String> = (0..3000).map(|i| format!("▁t{i}")).collect();
    let pieces: Vec<&str> = text.iter().map(String::as_str).collect();
    for (n, pooled) in [(512, false), (3000, true)] {
        let data = data(&pieces[..n]);
        for kind in of_runs() {
            let picture = Picture::of(&data, kind, &Look::default());
            assert!(
                picture.width.max(picture.height) <= 12_000,
                "{kind} of {n}: {} × {}",
                picture.width,
                picture.height
            );
        }
        let head = Picture::of(&data, View::AttentionHead, &Look::default());
        assert!(head.width >= 1024 && head.height >= 1024, "cells of at least two pixels");
        let svg = String::from_utf8(drawing(&data, &spec(View::AttentionHead), &Look::default()).unwrap()).unwrap();
        assert_eq!(svg.contains("pooled: each cell is the largest weight of 3 × 3"), pooled, "{n}");
        assert!(svg.contains("·t0 0") && !svg.contains("·t1 1\n"), "labels are thinned");
    }
    let huge = picture(&data(&["a", "b"]), &spec(View::RoutingToken), &Look { scale: 100.0, ..Look::default() });
    assert!(huge.unwrap_err().to_string().contains("the scale can be at most"));
    for scale in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(
            picture(&data(&["a", "b"]), &spec(View::RoutingToken), &Look { scale, ..Look::default() }).is_err(),
            "{scale}"
        );
    }
}

#[test]
fn what_a_run_lacks_is_named() {
    let mut data = data(&["a", "b"]);
    data = ViewData::of(data.trace);
    for token in &mut data.trace.tokens {
        Arc::make_mut(token).values = Arc::new(HookValues::new(DIMS.layers));
    }
    let has_its_own = |kind: &View| matches!(kind, View::Next | View::FidelityValidated);
    for kind in View::ALL.into_iter().filter(|kind| !has_its_own(kind)) {
        let error = picture(&data, &spec(kind), &Look::default()).unwrap_err();
        let lacking = match kind {
            View::FidelityFlips | View::FidelityLoss | View::Compare => "there is no second run to compare with",
            kind if kind.needs_model() => "computed",
            View::FidelityLab => "no precision lab was run",
            _ => "in this run",
        };
        assert!(format!("{error:#}").contains(lacking), "{kind}: {error:#}");
    }
    data.against = Some(support::figures::baseline(&["a", "b"]));
    let error = picture(&data, &spec(View::FidelityFlips), &Look::default()).unwrap_err();
    assert_eq!(error.to_string(), "no layer's routing is in this run");
    data.against = Some(support::figures::baseline(&["a"]));
    let error = picture(&data, &spec(View::FidelityLoss), &Look::default()).unwrap_err();
    assert_eq!(error.to_string(), "the two runs are not of the same tokens");
    data.trace.tokens.clear();
    for kind in View::ALL {
        assert!(picture(&data, &spec(kind), &Look::default()).is_err(), "{kind}");
    }
}

#[test]
fn a_screen_is_drawn_cell_by_cell() {
    let cell = |symbol: &str, bg| Cell { symbol: symbol.into(), bg, ..Cell::default() };
    let red = Some((200, 0, 0));
    let mut cells =
        vec![cell("a", None), cell(" ", red), cell("🙂", None), cell(" ", None), cell("\u{1b}", None), cell("▀", red)];
    cells[5].fg = Some((0, 0, 200));
    cells[0].underline = true;
    let screen = Screen { width: 3, cells, ..Screen::default() };
    let look = Look { dark: true, ..Look::default() };
    let picture = Picture::decode(&screen_png(&screen, &look).unwrap());
    assert_eq!((picture.width, picture.height), (3 * 9 + 16, 2 * 18 + 16));
    assert_eq!(picture.at(8 + 9 + 4, 8 + 9), (200, 0, 0));
    assert_eq!(picture.at(8 + 18 + 4, 8 + 18 + 4), (0, 0, 200), "the upper half");
    assert_eq!(picture.at(8 + 18 + 4, 8 + 18 + 14), (200, 0, 0), "the lower half");
    let svg = String::from_utf8(screen_svg(&screen, &look).unwrap()).unwrap();
    well_formed(&svg);
    let ansi = String::from_utf8(screen_ansi(&screen)).unwrap();
    assert_eq!(ansi.lines().count(), 2);
    assert!(ansi.starts_with("\x1b[0;4ma\x1b[0;48;2;200;0;0m "), "{ansi:?}");
    assert!(!ansi.contains("\x1b\x1b") && ansi.contains("38;2;0;0;200"), "{ansi:?}");
}

#[test]
fn export_writes_the_bytes_that_the_run_wrote() {
    let run =
        Run::ok(&["--prompt", "drum apple seven blue owl key | drum apple seven", "--steps", "3", "--heads", "5.2"]);
    let temp = tempfile::tempdir().unwrap();
    let path = |name: &str| temp.path().join(name).to_str().unwrap().to_owned();
    let trace = path("trace.safetensors");
    std::fs::write(&trace, &run.files["trace.safetensors"]).unwrap();
    let export = |args: &[&str]| mixscope([&["export", &trace], args].concat());
    let head = ["--view", "attention.head", "--layer", "5", "--head", "2"];
    let same: [(&[&str], &str); 5] = [
        (&["--view", "routing.map"], "routing.png"),
        (&["--view", "lens"], "lens.png"),
        (&head, "attention-L05H02.png"),
        (&["--view", "routing.map"], "routing.csv"),
        (&head, "attention.csv"),
    ];
    for (args, file) in same {
        let out = path(file);
        let output = export(&[args, &["-o", &out]].concat());
        assert_eq!(output.status.code(), Some(0), "{file}: {}", stderr(&output));
        assert!(std::fs::read(&out).unwrap() == run.files[file], "{file} differs");
        let stdout = export(&[args, &["-o", "-", "--format", &out[out.len() - 3..]]].concat()).stdout;
        assert!(stdout == run.files[file], "{file} differs on stdout");
    }
    let kept = std::fs::read(path("lens.png")).unwrap();
    assert_fails(&export(&["--view", "lens", "-o", &path("lens.png"), "--dark"]), 1, "--force");
    assert_eq!(std::fs::read(path("lens.png")).unwrap(), kept);
    assert_eq!(export(&["--view", "lens", "-o", &path("lens.png"), "--dark", "--force"]).status.code(), Some(0));
    assert_ne!(std::fs::read(path("lens.png")).unwrap(), kept);
    let all = export(&["--view", "next", "--format", "png,svg,csv", "-o", &path("next")]);
    assert_eq!(all.status.code(), Some(0), "{}", stderr(&all));
    well_formed(&std::fs::read_to_string(path("next.svg")).unwrap());
    assert!(
        !path("next.png").is_empty() && std::fs::read_to_string(path("next.csv")).unwrap().starts_with("position,k,")
    );
}

#[test]
fn wrong_exports_are_refused_by_name() {
    let run = Run::ok(&["--prompt-ids", "1,5,9", "--format", "trace", "--capture", "routing", "--layers", "2..4"]);
    let temp = tempfile::tempdir().unwrap();
    let trace = temp.path().join("t.safetensors").to_str().unwrap().to_owned();
    std::fs::write(&trace, &run.files["trace.safetensors"]).unwrap();
    let out = temp.path().join("x.png").to_str().unwrap().to_owned();
    let export = |args: &[&str]| mixscope([&["export", &trace], args].concat());
    assert_fails(&export(&["--view", "routing", "-o", &out]), 2, "--view");
    assert_fails(&export(&["--view", "lens", "-o", "x.docx"]), 2, "--format");
    assert_fails(&export(&["--view", "lens", "-o", &out, "--format", "svg"]), 2, "x.png");
    assert_fails(&export(&["--view", "lens", "-o", "-", "--format", "png,csv"]), 2, "stdout");
    assert_fails(&export(&["--view", "lens", "-o", &out, "--scale", "0"]), 2, "--scale");
    assert_fails(
        &export(&["--view", "routing.token", "--token", "9", "-o", &out]),
        2,
        "--token: expected a position from 0 to ",
    );
    assert_fails(
        &export(&["--view", "routing.layer", "--layer", "7", "-o", &out]),
        2,
        "--layer: expected a layer from 0 to ",
    );
    assert_fails(&export(&["--view", "routing.layer", "--layer", "0", "-o", &out]), 1, "layer 0");
    assert_fails(&export(&["--view", "attention.head", "--layer", "2", "-o", &out]), 1, "attention.head");
    assert_fails(&mixscope(["export", "absent.safetensors", "--view", "lens", "-o", &out]), 1, "absent");
    assert!(!std::path::Path::new(&out).exists());
    let map = export(&["--view", "routing.map", "-o", &out]);
    assert_eq!(map.status.code(), Some(0), "only the layers that were kept: {}", stderr(&map));
}

#[test]
fn two_runs_are_compared_cell_by_cell() {
    let data = data(&["a", "=b", "c"]);
    let head = "policy_a,policy_b,position,token_id,token,layer,flipped,experts_a,experts_b,margin_a,margin_b,near_tie,exact_tie,text\r\n";
    let row = |pos: usize, token: &str, layer: usize, rest: &str| {
        format!("hf,f32,{pos},{pos},{token},{layer},{rest},{token}\r\n")
    };
    let of = |pos, token, rest| row(pos, token, 0, rest) + &row(pos, token, 1, rest);
    let flips =
        [of(0, "a", "0,0 1,0 1,1.5,1.5,,"), of(1, "=b", "0,2 0,0 2,1.5,1.5,,"), of(2, "c", "1,3 1,3 0,1.5,1.5,0,0")];
    assert_eq!(csv(&data, View::FidelityFlips, TokenText::Exact), head.to_owned() + &flips.concat());

    let head = "policy_a,policy_b,position,token_id,token,nll_a,nll_b,difference,flips,next_id_a,next_a,next_id_b,next_b,\
        text,next_text_a,next_text_b\r\n";
    let row = |pos: usize, token: &str, flips: usize| {
        format!("hf,f32,{pos},{pos},{token},1.25,1.5,0.25,{flips},3,'=1+1,3,'=1+1,{token},'=1+1,'=1+1\r\n")
    };
    let losses = format!("\u{feff}{head}") + &row(0, "a", 0) + &row(1, "'=b", 0) + &row(2, "c", 2);
    assert_eq!(csv(&data, View::FidelityLoss, TokenText::SpreadsheetSafe), losses);

    // One of two experts exchanged is the middle of the colours, none the beginning.
    let picture = Picture::of(&data, View::FidelityFlips, &Look::default());
    let (none, one) = (colour(0.0), colour(0.5));
    let (x, y) = picture.squares(&[none], 8)[0].unwrap();
    for (layer, pos) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
        let seen = picture.at(x + 15 * pos + 2, y + 16 * layer + 2);
        assert_eq!(seen, if pos == 2 { one } else { none }, "layer {layer}, token {pos}");
    }
    let validated = csv(&data, View::FidelityValidated, TokenText::Exact);
    assert!(validated.starts_with("level,subject,expected,found,advice\r\nok,"), "{validated}");
    let lab = csv(&data, View::FidelityLab, TokenText::Exact);
    assert!(lab.starts_with("policy,mean_loss,loss_change,flips,") && lab.lines().count() == 3, "{lab}");
}
