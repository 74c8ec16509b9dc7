//! PNG, SVG and PDF of the same page: structure, sizes, fonts, and what they say about themselves.

use crate::support::cli::{Run, assert_fails, mixscope, stderr};
use crate::support::figures::{Picture, data, spec, well_formed};
use crate::support::pdf::Pdf;
use mixscope::analysis::UsageMeasure;
use mixscope::analysis::view::{View, ViewSpec};
use mixscope::export::{Look, LookOptions, Style, caption, document, drawing, picture};
use sha2::{Digest, Sha256};

fn of_runs() -> impl Iterator<Item = View> {
    View::ALL.into_iter().filter(|view| !view.needs_model())
}

fn paper(width: &str) -> Look {
    LookOptions { style: Some("paper"), width: Some(width), ..LookOptions::default() }.look().unwrap()
}

/// An attribute of the root of an SVG.
fn attribute<'a>(svg: &'a str, name: &str) -> &'a str {
    let root = svg.split("<svg ").nth(1).unwrap().split('>').next().unwrap();
    root.split(&format!(" {name}=\"")).nth(1).unwrap().split('"').next().unwrap()
}

/// Names and values of the text chunks of a PNG.
fn chunks(bytes: &[u8]) -> Vec<(String, String)> {
    let reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
    let info = reader.info();
    let latin = info.uncompressed_latin1_text.iter().map(|chunk| (chunk.keyword.clone(), chunk.text.clone()));
    let utf8 = info.utf8_text.iter().map(|chunk| (chunk.keyword.clone(), chunk.get_text().unwrap()));
    latin.chain(utf8).collect()
}

#[test]
fn a_pdf_embeds_its_fonts_and_its_text_can_be_copied() {
    let data = data(&["a", "▁Жук", "↵c", "<&\">", "🙂"]);
    for kind in of_runs() {
        for look in [Look::default(), paper("column"), Look { dark: true, ..paper("page") }] {
            let bytes = document(&data, &spec(kind), &look).unwrap_or_else(|error| panic!("{kind}: {error:#}"));
            assert!(bytes == document(&data, &spec(kind), &look).unwrap(), "{kind}: the same bytes twice");
            let pdf = Pdf::parse(&bytes);
            let fonts = pdf.with("/FontDescriptor\n");
            let descriptors = pdf.with("/FontFile2");
            assert!(!descriptors.is_empty() && !fonts.is_empty(), "{kind}");
            for number in descriptors {
                let descriptor = pdf.object(number);
                let name = descriptor.split("/FontName /").nth(1).unwrap().split_whitespace().next().unwrap();
                assert!(name.len() > 7 && name.as_bytes()[6] == b'+', "a subset: {name}");
                let font = pdf.stream(Pdf::reference(&descriptor, "FontFile2"));
                assert!(font.starts_with(&[0, 1, 0, 0]) && font.len() < 60_000, "{kind}: {} bytes", font.len());
            }
            // The texts of the page are those of the drawing.
            let svg = String::from_utf8(drawing(&data, &spec(kind), &look).unwrap()).unwrap();
            let unescape = |text: &str| {
                text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
            };
            let drawn: Vec<String> = svg
                .split("<text")
                .skip(1)
                .map(|text| unescape(text.split_once('>').unwrap().1.split_once("</text>").unwrap().0))
                .collect();
            assert_eq!(pdf.texts(), drawn, "{kind}");
        }
    }
}

#[test]
fn on_paper_every_format_has_the_width_that_was_requested() {
    let data = data(&["a", "b", "c", "d", "e"]);
    for (width, cm, pixels) in [("column", 8.5, 1004), ("page", 17.5, 2067), ("10cm", 10.0, 1182), ("3in", 7.62, 900)] {
        for kind in of_runs() {
            let look = paper(width);
            let png = picture(&data, &spec(kind), &look).unwrap();
            let found = Picture::decode(&png);
            assert_eq!(found.width, pixels, "{kind} at {width}");
            let reader = png::Decoder::new(std::io::Cursor::new(&png)).read_info().unwrap();
            assert_eq!(reader.info().pixel_dims.map(|dims| dims.xppu), Some(11811), "300 dpi");
            let svg = String::from_utf8(drawing(&data, &spec(kind), &look).unwrap()).unwrap();
            well_formed(&svg);
            assert_eq!(attribute(&svg, "width"), format!("{cm}cm"));
            let high: f64 = attribute(&svg, "height").strip_suffix("cm").unwrap().parse().unwrap();
            let (w, h) = Pdf::parse(&document(&data, &spec(kind), &look).unwrap()).page_size();
            assert!((w / 72.0 * 2.54 - cm).abs() < 1e-4, "{kind}: {w}");
            assert!((h / 72.0 * 2.54 - high).abs() < 1e-3, "{kind}: {h}, {high} cm");
            assert!((found.height as f64 / 300.0 * 2.54 - high).abs() < 0.01, "{kind}: {} pixels", found.height);
        }
    }
    let dpi = LookOptions { style: Some("paper"), dpi: Some(600), ..LookOptions::default() }.look().unwrap();
    assert_eq!(Picture::of(&data, View::RoutingMap, &dpi).width, 2008);
}

#[test]
fn on_paper_nothing_reaches_beyond_the_page() {
    let text: Vec<String> = (0..2100).map(|i| format!("▁tök{i}")).collect();
    let pieces: Vec<&str> = text.iter().map(String::as_str).collect();
    for n in [1, 3, 40, 300, 2100] {
        let data = data(&pieces[..n]);
        for (kind, width) in of_runs().flat_map(|kind| [(kind, "column"), (kind, "page"), (kind, "4cm")]) {
            let spec = ViewSpec { pos: n.min(2) - 1, ..spec(kind) };
            if n == 1 && kind == View::FidelityLoss {
                continue;
            }
            let svg = drawing(&data, &spec, &paper(width)).unwrap_or_else(|error| panic!("{kind} of {n}: {error:#}"));
            let svg = String::from_utf8(svg).unwrap();
            let bounds: Vec<f64> = attribute(&svg, "viewBox").split(' ').map(|v| v.parse().unwrap()).collect();
            let number = |tag: &str, name: &str| -> f64 {
                tag.split(&format!(" {name}=\"")).nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
            };
            let marks = svg.split("<rect").skip(2).chain(svg.split("<image").skip(1));
            for mark in marks {
                let tag = mark.split('>').next().unwrap();
                let (x, y) = (number(tag, "x"), number(tag, "y"));
                let (right, bottom) = (x + number(tag, "width"), y + number(tag, "height"));
                let is_inside = x >= -0.5 && y >= -0.5 && right <= bounds[2] + 0.5 && bottom <= bounds[3] + 0.5;
                // Labels alone may be wider than 4 cm.
                assert!(is_inside || width == "4cm", "{kind} of {n} at {width}: {tag} outside {bounds:?}");
            }
        }
    }
}

#[test]
fn paper_has_no_title_and_a_proportional_font() {
    let data = data(&["a", "b", "c"]);
    let svg = |kind, look: &Look| String::from_utf8(drawing(&data, &spec(kind), look).unwrap()).unwrap();
    for kind in of_runs().filter(|kind| *kind != View::FidelityValidated) {
        let (screen, paper) = (svg(kind, &Look::default()), svg(kind, &paper("column")));
        let said = caption(&data, &spec(kind)).unwrap();
        let title = said.split(". ").next().unwrap();
        let escaped = title.replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        // The title is drawn on the screen, perhaps on two lines, and is only in the metadata on paper.
        let texts = |svg: &str| svg.split("<g ").nth(1).unwrap().to_owned();
        let first = escaped.split(' ').take(3).collect::<Vec<_>>().join(" ");
        assert!(texts(&screen).contains(&first), "{kind}: {first}");
        assert!(!texts(&paper).contains(&first) && paper.contains(&first), "{kind}: {first}");
        assert!(screen.contains("<g font-family=\"DejaVu Sans Mono,") && paper.contains("<g font-family=\"Arimo,"));
        assert!(said.contains("“abc”"), "{said}");
    }
    // Plots of the same positions have one axis, below the last of them.
    for (kind, name) in
        [(View::FidelityLoss, "token and its position"), (View::LensTargets, "layer (mid: after attention)")]
    {
        for look in [Look::default(), paper("column")] {
            assert_eq!(svg(kind, &look).matches(&format!(">{name}</text>")).count(), 1, "{kind}");
        }
    }
    assert_eq!(paper("column").style, Style::Paper { width: "8.5cm".parse().unwrap(), dpi: 300 });
}

#[test]
fn every_picture_says_how_to_make_it_again() {
    let mut data = data(&["<s>", "▁b", "c"]);
    let hash: String = Sha256::digest("0,1,2").iter().map(|byte| format!("{byte:02x}")).collect();
    let look = Look { dark: true, ..paper("page") };
    let spec = ViewSpec { usage: Some(UsageMeasure::Weight), ..spec(View::RoutingUsage) };
    let png = chunks(&picture(&data, &spec, &look).unwrap());
    let of = |name: &str| &png.iter().find(|(keyword, _)| keyword == name).unwrap_or_else(|| panic!("{name}")).1;
    assert_eq!(of("Software"), concat!("mixscope ", env!("CARGO_PKG_VERSION")));
    assert_eq!(of("Title"), "Routing: usage of the experts over the run");
    assert_eq!(*of("Description"), caption(&data, &spec).unwrap());
    assert!(of("Model").starts_with("hand-made (") && of("Precision").starts_with("f32 "));
    assert_eq!(*of("Prompt"), format!("3 tokens, sha256 of their ids {hash}"));
    let command = "mixscope run hand-made --prompt-ids IDS --precision f32 --out RUN; mixscope export RUN --view routing.load \
                   --measure weight --style paper --width page --dark";
    assert_eq!(of("Command"), command);
    let svg = String::from_utf8(drawing(&data, &spec, &look).unwrap()).unwrap();
    let pdf = document(&data, &spec, &look).unwrap();
    let pdf = Pdf::parse(&pdf);
    let xmp = String::from_utf8(pdf.stream(Pdf::reference(&pdf.object(pdf.with("/Catalog")[0]), "Metadata"))).unwrap();
    for (text, what) in [(&svg, "svg"), (&xmp, "xmp")] {
        assert!(text.contains(&format!("<mixscope:command>{command}</mixscope:command>")), "{what}: {text}");
        assert!(text.contains(&hash) && text.contains("<dc:title>"), "{what}");
    }
    let info = pdf.object(pdf.with("/Keywords")[0]);
    assert!(info.contains("/Title (Routing: usage of the experts over the run)"), "{info}");
    assert!(info.contains("/Creator (mixscope ") && !info.contains("Date"), "{info}");

    // The folders of a model and of the files of edits are nobody's business.
    let meta = std::sync::Arc::make_mut(&mut data.trace.meta);
    meta.name = "/home/somebody/secret/My Model/".into();
    meta.edits = ["add L1.resid_post /home/somebody/v.safetensors:x 2.0".parse().unwrap()].into();
    for kind in of_runs() {
        let svg = String::from_utf8(drawing(&data, &crate::support::figures::spec(kind), &look).unwrap()).unwrap();
        assert!(!svg.contains("somebody"), "{kind}");
    }
    let svg = String::from_utf8(drawing(&data, &spec, &look).unwrap()).unwrap();
    assert!(svg.contains("mixscope run 'My Model' --prompt-ids IDS"), "{svg:.3000}");
}

#[test]
fn the_command_line_has_styles_widths_and_a_caption() {
    let run = Run::ok(&["--prompt", "Once upon a time", "--steps", "2", "--format", "trace"]);
    let temp = tempfile::tempdir().unwrap();
    let path = |name: &str| temp.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("trace.safetensors"), &run.files["trace.safetensors"]).unwrap();
    let export = |args: &[&str]| mixscope([&["export", &path("trace.safetensors")], args].concat());
    let out = export(&["--view", "routing.map", "--style", "paper", "--format", "png,svg,pdf,csv", "-o", &path("map")]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let said = stderr(&out);
    let captions: Vec<&str> = said.lines().filter(|line| line.starts_with("caption: ")).collect();
    assert_eq!(captions.len(), 1, "once, not for each file: {said}");
    assert!(
        captions[0].starts_with("caption: Routing: the 2 experts chosen, first choice on top, by layer and token. ")
    );
    let pdf = Pdf::parse(&std::fs::read(path("map.pdf")).unwrap());
    assert!((pdf.page_size().0 / 72.0 * 2.54 - 8.5).abs() < 1e-4);
    assert!(pdf.texts().iter().any(|text| text == "layer"));
    let wide = export(&["--view", "next", "--style", "paper", "--width", "120mm", "-o", &path("next.pdf")]);
    assert_eq!(wide.status.code(), Some(0), "{}", stderr(&wide));
    let stdout = export(&["--view", "next", "--style", "paper", "--format", "pdf", "-o", "-"]);
    assert!(stdout.stdout.starts_with(b"%PDF-") && stdout.stdout.trim_ascii_end().ends_with(b"%%EOF"));
    let usage = export(&["--view", "routing.load", "--measure", "chosen", "--format", "svg", "-o", "-"]);
    let usage = String::from_utf8(usage.stdout).unwrap();
    assert!(usage.contains("share of all choices (uniform") && !usage.contains("share of first choices (uniform"));

    let target = path("x.pdf");
    for (args, said) in [
        (&["--style", "poster"][..], "expected screen or paper, found `poster`"),
        (
            &["--style", "paper", "--width", "wide"],
            "expected column, page, or a length such as 8.5cm, 85mm or 3.35in, found `wide`",
        ),
        (&["--style", "paper", "--width", "2cm"], "expected a width from 4 to 60 cm, found `2cm`"),
        (&["--style", "paper", "--scale", "2"], "--scale: it applies to the style screen; paper has width and dpi"),
        (&["--width", "page"], "--width: it applies to the style paper; screen has scale"),
        (&["--style", "paper", "--dpi", "300"], "--dpi: it applies to png, and none is written"),
        (&["--style", "paper", "--dpi", "9"], "expected a whole number from 50 to 1200, found `9`"),
    ] {
        assert_fails(&export(&[&["--view", "routing.map", "-o", &target], args].concat()), 2, said);
    }
    let large = ["--view", "routing.map", "--style", "paper", "--width", "60cm", "--dpi", "1200", "-o", &path("x.png")];
    assert_fails(&export(&large), 1, "the resolution can be at most 508 dpi for it");
    let table = export(&["--view", "routing.map", "--style", "paper", "-o", &path("x.csv")]);
    assert_fails(&table, 2, "--style: it applies to pictures (png, svg, pdf), and none is written");
    assert!(!std::path::Path::new(&target).exists());
}
