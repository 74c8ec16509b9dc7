//! What a file is that is neither a safetensors file nor an array of NumPy, and how a vector in it is converted.

use crate::model::stand_in::stand_in;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The start of a file, in which its format is looked for, bytes.
const START: u64 = 4096;
/// What begins every array file of NumPy.
pub const NPY: &[u8] = b"\x93NUMPY";

/// A file in another format than safetensors.
pub struct Other {
    /// `it is …`
    pub what: String,
    /// How to make a file of a vector in it that can be read.
    pub convert: &'static str,
}

/// Formats by their first bytes: what the file is, and how its vector is converted.
const FORMATS: [(&[u8], &str, &str); 6] = [
    (b"PK\x03\x04", "it is a zip archive (PyTorch's .pt and .bin files are)", TORCH),
    (b"\x80\x02", "it is a Python pickle (PyTorch's old .pt and .bin files are)", TORCH),
    (b"\x80\x03", "it is a Python pickle", TORCH),
    (b"\x80\x04", "it is a Python pickle", TORCH),
    (b"\x80\x05", "it is a Python pickle", TORCH),
    (b"GGUF", "it is a GGUF file (llama.cpp's control vectors are)", GGUF),
];
const TORCH: &str = "save the vector in Python: safetensors.torch.save_file({'v': vector}, 'v.safetensors')";
const NPZ: &str = "save one array of it: numpy.save('v.npy', array)";
const GGUF: &str = "save one tensor of it: numpy.save('v.npy', gguf.GGUFReader(FILE).tensors[0].data)";
const TEXT: &str = "save its numbers: numpy.save('v.npy', numpy.loadtxt(FILE))";
const JSON: &str = "save its numbers: numpy.save('v.npy', numpy.array(json.load(open(FILE))))";

/// The first bytes of a file.
///
/// # Errors
/// If it can't be read.
pub fn start(path: &Path) -> Result<Vec<u8>> {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(START).read_to_end(&mut start));
    read.with_context(|| format!("cannot read {}", path.display()))?;
    Ok(start)
}

/// The format of the file that begins so, if it is known to be neither safetensors nor NumPy's.
pub fn of(start: &[u8]) -> Option<Other> {
    let other = |what: &str, convert| Some(Other { what: what.to_owned(), convert });
    // The length of a safetensors header may spell the first bytes of another format.
    if start.get(8) == Some(&b'{') && !start.starts_with(b"{") {
        return None;
    }
    // The first entry of an archive has its name at byte 30.
    let entry = start.get(26).zip(start.get(30..)).and_then(|(len, rest)| rest.get(..usize::from(*len)));
    if start.starts_with(b"PK") && entry.is_some_and(|name| name.ends_with(b".npy")) {
        return other("it is an archive of NumPy arrays (.npz)", NPZ);
    }
    if let Some((_, what, convert)) = FORMATS.iter().find(|(magic, ..)| start.starts_with(magic)) {
        return other(what, convert);
    }
    if let Some(other) = stand_in(start) {
        return Some(Other { what: other.to_string(), convert: "give the vector's own file" });
    }
    let text = String::from_utf8_lossy(start);
    // A letter may be cut at the end.
    let text = text.trim_end_matches('\u{fffd}');
    let is_text = !text.contains(|c: char| c == '\u{fffd}' || c.is_control() && !c.is_whitespace());
    match is_text {
        true if text.trim_start().starts_with(['{', '[']) => other("it is a JSON file", JSON),
        true => other("it is a text", TEXT),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_apart() {
        let npz = [&b"PK\x03\x04"[..], &[0; 22], &[7, 0, 0, 0], b"arr.npy"].concat();
        let header = br#"{"v":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        let sound = [&(header.len() as u64).to_le_bytes()[..], header, &[0; 4]].concat();
        // A header whose length spells the magic of a pickle.
        let spelled = [&0x0280u64.to_le_bytes()[..], header, &[b' '; 600]].concat();
        for (bytes, said) in [
            (&npz[..], "(.npz)"),
            (b"PK\x03\x04\0\0archive/data.pkl", "PyTorch"),
            (b"\x80\x05\x95", "pickle"),
            (b"GGUF\x03\0\0\0", "control vectors"),
            (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
            (b"0.5 1.5\n-2e-3\n", "it is a text"),
            ("0.5 # Größ\u{e9}".as_bytes(), "it is a text"),
            (b"[0.5, 1.5]", "JSON"),
            (b"", "it is empty"),
        ] {
            let found = of(bytes).map(|other| format!("{}; {}", other.what, other.convert)).unwrap_or_default();
            assert!(found.contains(said), "{bytes:?}: {found}");
        }
        for sound in [sound, spelled, vec![1, 200, 3, 0, 9]] {
            assert!(of(&sound).is_none(), "{sound:?}");
        }
    }
}
