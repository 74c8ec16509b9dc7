//! A page as a PDF file: vectors, and text in subsets of the bundled fonts, which can be selected and searched.

use super::about::{About, SOFTWARE};
use super::font::{Face, File};
use super::page::Page;
use super::pen::{At, Mark, Rgb, Text};
use ab_glyph::Font;
use anyhow::{Context, Result, anyhow};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use pdf_writer::types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap};
use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref, Str, TextStr};
use std::collections::BTreeMap;
use std::io::Write;
use subsetter::GlyphRemapper;

/// How far a cell reaches below its neighbours, points: without it viewers leave hairlines between cells.
const OVERLAP: f64 = 0.4;
/// How characters are named in the fonts: by the numbers of their glyphs.
const SYSTEM: SystemInfo = SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };

const CATALOG: Ref = Ref::new(1);
const TREE: Ref = Ref::new(2);
const PAGE: Ref = Ref::new(3);
const CONTENT: Ref = Ref::new(4);
const INFO: Ref = Ref::new(5);
const XMP: Ref = Ref::new(6);
/// The first number of fonts and images.
const REST: i32 = 7;

/// The glyphs of a font that the page uses, with the character of each.
#[derive(Default)]
struct Used {
    glyphs: GlyphRemapper,
    /// By the number that the subset gives the glyph: its character and width in em.
    named: BTreeMap<u16, (char, f64)>,
}

/// Cells that are drawn as an image.
struct Image<'a> {
    columns: usize,
    cells: &'a [Rgb],
}

#[derive(Default)]
struct Resources<'a> {
    fonts: BTreeMap<File, Used>,
    images: Vec<Image<'a>>,
}

/// Writes a page as a PDF file.
///
/// # Errors
/// If a bundled font can't be read, which never happens in practice.
pub fn pdf(page: &Page) -> Result<Vec<u8>> {
    let (unit, (w, h)) = (page.size.unit, page.size.points);
    let size = Rect::new(0.0, 0.0, (w * unit) as f32, (h * unit) as f32);
    let mut used = Resources::default();
    let mut content = Content::new();
    // Marks are placed from the top left corner.
    content.transform([unit as f32, 0.0, 0.0, -unit as f32, 0.0, size.y2]);
    page.marks.iter().for_each(|mark| draw(&mut content, page.face, mark, &mut used));
    let content = deflate(content.finish().as_slice())?;

    let mut pdf = Pdf::new();
    pdf.catalog(CATALOG).pages(TREE).metadata(XMP);
    pdf.pages(TREE).kids([PAGE]).count(1);
    let fonts: Vec<(File, Ref)> =
        used.fonts.keys().enumerate().map(|(i, file)| (*file, Ref::new(REST + 5 * i as i32))).collect();
    let after = REST + 5 * fonts.len() as i32;
    let images: Vec<Ref> = (0..used.images.len()).map(|i| Ref::new(after + i as i32)).collect();
    {
        let mut leaf = pdf.page(PAGE);
        leaf.media_box(size).parent(TREE).contents(CONTENT);
        let mut resources = leaf.resources();
        let mut names = resources.fonts();
        fonts.iter().for_each(|(file, id)| {
            names.pair(Name(file.name().as_bytes()), *id);
        });
        names.finish();
        let mut names = resources.x_objects();
        images.iter().enumerate().for_each(|(i, id)| {
            names.pair(Name(format!("I{i}").as_bytes()), *id);
        });
    }
    pdf.stream(CONTENT, &content).filter(Filter::FlateDecode);
    for (file, id) in &fonts {
        embed(&mut pdf, *file, &used.fonts[file], *id)?;
    }
    for (image, id) in used.images.iter().zip(&images) {
        let samples: Vec<u8> = image.cells.iter().flat_map(|(r, g, b)| [*r, *g, *b]).collect();
        let samples = deflate(&samples)?;
        let mut object = pdf.image_xobject(*id, &samples);
        object.filter(Filter::FlateDecode);
        object.width(image.columns as i32).height((image.cells.len() / image.columns) as i32);
        object.color_space().device_rgb();
        object.bits_per_component(8).interpolate(false);
    }
    info(&mut pdf, &page.about);
    Ok(pdf.finish())
}

fn info(pdf: &mut Pdf, about: &About) {
    let recipe = about.lines();
    let mut info = pdf.document_info(INFO);
    info.creator(TextStr(SOFTWARE)).producer(TextStr(SOFTWARE));
    let texts = [("Title", &about.title), ("Subject", &about.caption), ("Keywords", &recipe)];
    for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        info.pair(Name(name.as_bytes()), TextStr(text));
    }
    info.finish();
    let packet = format!(
        "<?xpacket begin=\"\u{feff}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\n{}</x:xmpmeta>\n\
         <?xpacket end=\"r\"?>",
        about.rdf()
    );
    pdf.metadata(XMP, packet.as_bytes());
}

fn deflate(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// Writes a font with the glyphs that are used.
fn embed(pdf: &mut Pdf, file: File, used: &Used, id: Ref) -> Result<()> {
    let n = id.get();
    let [child, descriptor, data, cmap] = [1, 2, 3, 4].map(|i| Ref::new(n + i));
    let font = file.font().context("a bundled font can't be read")?;
    let unit = font.units_per_em().context("a bundled font has no em")?;
    let per_mille = |value: f32| value / unit * 1000.0;
    let bytes = subsetter::subset(file.bytes(), 0, &used.glyphs).map_err(|error| anyhow!("a bundled font: {error}"))?;
    let name = format!("{}+{}", tag(used), file.name());
    let name = Name(name.as_bytes());
    pdf.type0_font(id).base_font(name).encoding_predefined(Name(b"Identity-H")).descendant_font(child).to_unicode(cmap);
    let mut cid = pdf.cid_font(child);
    cid.subtype(CidFontType::Type2).base_font(name).system_info(SYSTEM).font_descriptor(descriptor).default_width(0.0);
    cid.cid_to_gid_map_predefined(Name(b"Identity"));
    let mut widths = cid.widths();
    for (glyph, (_, width)) in &used.named {
        widths.same(*glyph, *glyph, (width * 1000.0) as f32);
    }
    widths.finish();
    cid.finish();
    let (ascent, descent) = (per_mille(font.ascent_unscaled()), per_mille(font.descent_unscaled()));
    let flags = FontFlags::SYMBOLIC | if file == File::Mono { FontFlags::FIXED_PITCH } else { FontFlags::empty() };
    pdf.font_descriptor(descriptor)
        .name(name)
        .flags(flags)
        .bbox(Rect::new(-500.0, descent, 1500.0, ascent))
        .italic_angle(0.0)
        .ascent(ascent)
        .descent(descent)
        .cap_height(720.0)
        .stem_v(80.0)
        .font_file2(data);
    let packed = deflate(&bytes)?;
    pdf.stream(data, &packed).filter(Filter::FlateDecode).pair(Name(b"Length1"), bytes.len() as i32);
    let mut map = UnicodeCmap::new(Name(b"Custom"), SYSTEM);
    used.named.iter().for_each(|(glyph, (c, _))| map.pair(*glyph, *c));
    let packed = deflate(map.finish().as_slice())?;
    pdf.stream(cmap, &packed).filter(Filter::FlateDecode);
    Ok(())
}

/// Six letters that name a subset by its characters.
fn tag(used: &Used) -> String {
    let add = |hash: u64, c: char| (hash ^ u64::from(u32::from(c))).wrapping_mul(0x0000_0100_0000_01b3);
    let mut hash = used.named.values().fold(0xcbf2_9ce4_8422_2325, |hash, (c, _)| add(hash, *c));
    let letter = || {
        let letter = char::from(b'A' + (hash % 26) as u8);
        hash /= 26;
        letter
    };
    std::iter::repeat_with(letter).take(6).collect()
}

fn fill(content: &mut Content, (r, g, b): Rgb) {
    let of = |v: u8| (f32::from(v) / 255.0 * 1000.0).round() / 1000.0;
    content.set_fill_rgb(of(r), of(g), of(b));
}

/// Hundredths of a point are enough, and make smaller files.
fn short(value: f64) -> f32 {
    ((value * 100.0).round() / 100.0) as f32
}

fn draw<'a>(content: &mut Content, face: Face, mark: &'a Mark, used: &mut Resources<'a>) {
    match mark {
        Mark::Rect { from, to, colour, cell } => {
            let more = if *cell { OVERLAP } else { 0.0 };
            fill(content, *colour);
            let (w, h) = (to.0 - from.0 + more, to.1 - from.1 + more);
            content.rect(short(from.0), short(from.1), short(w), short(h)).fill_nonzero();
        }
        Mark::Polygon { corners, colour } => {
            fill(content, *colour);
            trace(content, corners);
            content.close_path().fill_nonzero();
        }
        Mark::Path { points, width, colour } => {
            let of = |v: u8| f32::from(v) / 255.0;
            content.save_state().set_line_width(short(*width));
            content.set_line_cap(pdf_writer::types::LineCapStyle::RoundCap);
            content.set_line_join(pdf_writer::types::LineJoinStyle::RoundJoin);
            content.set_stroke_rgb(of(colour.0), of(colour.1), of(colour.2));
            trace(content, points);
            content.stroke().restore_state();
        }
        Mark::Disc { centre: (x, y), radius, colour } => {
            // Four cubic curves are a circle within 0.03 %.
            let (r, k) = (*radius, radius * 0.552_285);
            fill(content, *colour);
            content.move_to(short(x + r), short(*y));
            let corners = [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0), (1.0, 0.0)];
            for pair in corners.windows(2) {
                let ((ax, ay), (bx, by)) = (pair[0], pair[1]);
                let (px, py) = (x + ax * r + bx * k, y + ay * r + by * k);
                let (qx, qy) = (x + bx * r + ax * k, y + by * r + ay * k);
                let (ex, ey) = (x + bx * r, y + by * r);
                content.cubic_to(short(px), short(py), short(qx), short(qy), short(ex), short(ey));
            }
            content.fill_nonzero();
        }
        Mark::Text(text) => letters(content, face, text, used),
        Mark::Pixels { from, to, columns, cells } => {
            let name = format!("I{}", used.images.len());
            used.images.push(Image { columns: *columns, cells });
            content.save_state();
            // An image fills the unit square, from its lower left corner upwards.
            let (w, h) = (to.0 - from.0, to.1 - from.1);
            content.transform([short(w), 0.0, 0.0, short(-h), short(from.0), short(to.1)]);
            content.x_object(Name(name.as_bytes())).restore_state();
        }
    }
}

fn trace(content: &mut Content, points: &[At]) {
    for (i, (x, y)) in points.iter().enumerate() {
        if i == 0 {
            content.move_to(short(*x), short(*y));
        } else {
            content.line_to(short(*x), short(*y));
        }
    }
}

fn letters(content: &mut Content, face: Face, text: &Text, used: &mut Resources) {
    fill(content, text.colour);
    content.begin_text();
    let (x, y) = (short(text.at.0), short(text.at.1));
    // Letters stand upright on a page whose y goes down.
    let matrix = if text.upward { [0.0, -1.0, -1.0, 0.0, x, y] } else { [1.0, 0.0, 0.0, -1.0, x, y] };
    content.set_text_matrix(matrix);
    let mut chars = text.text.chars().peekable();
    while let Some(first) = chars.peek() {
        // Neighbours from one font are one string.
        let file = face.glyph(*first).file;
        let font = used.fonts.entry(file).or_default();
        let mut shown = Vec::new();
        while let Some(c) = chars.next_if(|c| face.glyph(*c).file == file) {
            let glyph = face.glyph(c);
            let id = font.glyphs.remap(glyph.id);
            font.named.entry(id).or_insert((c, glyph.advance));
            shown.extend(id.to_be_bytes());
        }
        content.set_font(Name(file.name().as_bytes()), short(text.em)).show(Str(&shown));
    }
    content.end_text();
}
