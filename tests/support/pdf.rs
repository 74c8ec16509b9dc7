//! Just enough of a PDF reader to check what this program writes.

use std::collections::BTreeMap;
use std::io::Read;

pub struct Pdf {
    bytes: Vec<u8>,
    /// Where each object begins and ends.
    objects: BTreeMap<usize, (usize, usize)>,
}

fn find(bytes: &[u8], what: &str, from: usize) -> Option<usize> {
    bytes[from..].windows(what.len()).position(|window| window == what.as_bytes()).map(|at| from + at)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Pdf {
    /// Reads a file by its cross-reference table, and fails if an entry does not point to its object.
    pub fn parse(bytes: &[u8]) -> Self {
        assert!(bytes.starts_with(b"%PDF-1.7\n"));
        let tail = text(&bytes[bytes.len() - 64..]);
        assert!(tail.trim_end().ends_with("%%EOF"), "{tail}");
        let start = tail.split("startxref").nth(1).unwrap().trim().lines().next().unwrap().parse::<usize>().unwrap();
        let table = text(&bytes[start..]);
        let mut lines = table.lines();
        assert_eq!(lines.next(), Some("xref"));
        let count: usize = lines.next().unwrap().strip_prefix("0 ").unwrap().parse().unwrap();
        let mut objects = BTreeMap::new();
        for (number, entry) in lines.take(count).enumerate() {
            if entry.trim_end().ends_with('f') {
                continue;
            }
            let at: usize = entry[..10].parse().unwrap();
            let head = format!("{number} 0 obj");
            assert!(
                bytes[at..].starts_with(head.as_bytes()),
                "entry {number} points to {:?}",
                text(&bytes[at..at + 12])
            );
            objects.insert(number, (at + head.len(), find(bytes, "endobj", at).unwrap()));
        }
        assert_eq!(objects.len() + 1, count, "every number has an object");
        Self { bytes: bytes.to_vec(), objects }
    }

    /// The dictionary of an object.
    pub fn object(&self, number: usize) -> String {
        let (from, to) = self.objects[&number];
        let end = find(&self.bytes, "stream\n", from).unwrap_or(to).min(to);
        text(&self.bytes[from..end])
    }

    /// The first object whose dictionary holds this, and all others after it.
    pub fn with(&self, what: &str) -> Vec<usize> {
        self.objects.keys().copied().filter(|number| self.object(*number).contains(what)).collect()
    }

    /// The number of the object that a key of a dictionary refers to.
    pub fn reference(dictionary: &str, key: &str) -> usize {
        let rest = dictionary.split(&format!("/{key} ")).nth(1).unwrap_or_else(|| panic!("{key} of {dictionary}"));
        rest.trim_start_matches('[').split_whitespace().next().unwrap().parse().unwrap()
    }

    /// The content of a stream, inflated.
    pub fn stream(&self, number: usize) -> Vec<u8> {
        let (from, _) = self.objects[&number];
        let dictionary = self.object(number);
        let start = find(&self.bytes, "stream\n", from).unwrap() + 7;
        let packed = &self.bytes[start..start + Self::reference(&dictionary, "Length")];
        if !dictionary.contains("/FlateDecode") {
            return packed.to_vec();
        }
        let mut out = Vec::new();
        flate2::read::ZlibDecoder::new(packed).read_to_end(&mut out).unwrap();
        out
    }

    /// Width and height of the page, 1/72 inch.
    pub fn page_size(&self) -> (f64, f64) {
        let page = self.object(self.with("/MediaBox")[0]);
        let numbers = page.split("/MediaBox [").nth(1).unwrap().split(']').next().unwrap();
        let numbers: Vec<f64> = numbers.split_whitespace().map(|number| number.parse().unwrap()).collect();
        (numbers[2] - numbers[0], numbers[3] - numbers[1])
    }

    /// The texts of the page, as a viewer copies them: glyphs become characters by the maps of their fonts.
    pub fn texts(&self) -> Vec<String> {
        let mut maps = BTreeMap::new();
        for number in self.with("/Type0") {
            let font = self.object(number);
            let name = font.split("/BaseFont /").nth(1).unwrap().split_whitespace().next().unwrap();
            let cmap = text(&self.stream(Self::reference(&font, "ToUnicode")));
            let hex = |text: &str| u32::from_str_radix(text.trim_matches(['<', '>']), 16).unwrap();
            let pairs =
                cmap.split("beginbfchar").skip(1).flat_map(|part| part.split("endbfchar").next().unwrap().lines());
            let pairs = pairs.filter_map(|line| line.split_once(' '));
            let map: BTreeMap<u32, char> =
                pairs.map(|(glyph, c)| (hex(glyph), char::from_u32(hex(c)).unwrap())).collect();
            maps.insert(name.split('+').nth(1).unwrap().to_owned(), map);
        }
        let page = self.object(self.with("/MediaBox")[0]);
        let content = self.stream(Self::reference(&page, "Contents"));
        let mut found = Vec::new();
        for block in text(&content).split("\nBT").skip(1) {
            let block = block.split("\nET").next().unwrap();
            let (mut font, mut out) = (String::new(), String::new());
            for line in block.lines() {
                if let Some(rest) = line.strip_suffix(" Tf") {
                    font = rest.trim_start_matches('/').split(' ').next().unwrap().to_owned();
                } else if let Some(shown) = line.strip_suffix(" Tj") {
                    let glyphs = string(shown);
                    let glyphs = glyphs.as_chunks::<2>().0.iter().map(|pair| u32::from(u16::from_be_bytes(*pair)));
                    out.extend(glyphs.map(|glyph| maps[&font][&glyph]));
                }
            }
            found.push(out);
        }
        found
    }
}

/// The bytes of a string, written in hex or as text with escapes.
fn string(written: &str) -> Vec<u8> {
    let written = written.trim();
    if let Some(hex) = written.strip_prefix('<') {
        let digits: Vec<u8> = hex.trim_end_matches('>').bytes().collect();
        return digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect();
    }
    let mut bytes = written.strip_prefix('(').unwrap().strip_suffix(')').unwrap().bytes().peekable();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next().unwrap() {
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'b' => out.push(8),
            b'f' => out.push(12),
            digit @ b'0'..=b'7' => {
                let mut value = u32::from(digit - b'0');
                for _ in 0..2 {
                    if let Some(next) = bytes.next_if(|next| (b'0'..=b'7').contains(next)) {
                        value = value * 8 + u32::from(next - b'0');
                    }
                }
                out.push(value as u8);
            }
            other => out.push(other),
        }
    }
    out
}
