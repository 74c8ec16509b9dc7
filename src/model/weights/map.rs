//! Mapped files: their share in memory, and reading ahead.

use anyhow::{Context, Result, bail};
use memmap2::{Advice, Mmap};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// Bytes that stay in place.
#[derive(Clone)]
pub enum Bytes {
    /// Part of the program.
    Static(&'static [u8]),
    /// A mapped file.
    Mapped(Arc<Mmap>),
    /// Made by the program.
    Owned(Arc<[u8]>),
}

/// A sample of pages, and how many of them were in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Residency {
    /// Pages in memory.
    pub resident: usize,
    /// Pages of the sample.
    pub sampled: usize,
}

impl Residency {
    /// Whether every page of the sample is in memory.
    pub fn is_whole(self) -> bool {
        self.resident == self.sampled
    }

    /// Both samples together.
    pub fn and(self, other: Self) -> Self {
        Self { resident: self.resident + other.resident, sampled: self.sampled + other.sampled }
    }
}

/// Pages that one question to the system covers. It looks at each of them, so larger ranges are sampled.
const FEW: usize = 256;
/// How many pages a sample has.
const SAMPLES: usize = 16;

impl Bytes {
    /// Maps a file.
    ///
    /// # Errors
    /// If it can't be opened or mapped, or is empty.
    pub fn map(path: &Path) -> Result<Self> {
        let name = path.display();
        let file = File::open(path).with_context(|| match std::fs::read_link(path) {
            Ok(to) => format!("{name} is a link to {}, which can't be opened; download it again", to.display()),
            Err(_) => format!("cannot open {name}"),
        })?;
        let about = file.metadata().with_context(|| format!("cannot read {name}"))?;
        if !about.is_file() {
            bail!("{name} is not a regular file");
        }
        if about.len() == 0 {
            bail!("{name} is empty; download it again");
        }
        // SAFETY: the map is only read. Another process that cuts the file short while it is mapped would raise SIGBUS,
        // as for every program that maps model files; docs/models.md says not to do that.
        let map = unsafe { Mmap::map(&file) }.with_context(|| format!("cannot map {name}"))?;
        Ok(Self::Mapped(Arc::new(map)))
    }

    /// All of them.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Static(bytes) => bytes,
            Self::Mapped(map) => map,
            Self::Owned(bytes) => bytes,
        }
    }

    /// A sample of the pages of a range: all of few, some of many.
    pub fn residency(&self, start: usize, len: usize) -> Residency {
        let Self::Mapped(map) = self else { return Residency::default() };
        let page = page_size();
        let (first, last) = (start / page, (start + len).div_ceil(page).min(map.len().div_ceil(page)));
        let pages = last.saturating_sub(first);
        if pages <= FEW {
            return Residency { resident: resident(map, first * page, pages), sampled: pages };
        }
        let found = (0..SAMPLES).map(|i| resident(map, (first + i * pages / SAMPLES) * page, 1)).sum();
        Residency { resident: found, sampled: SAMPLES }
    }

    /// Asks the system to read a range before it is used. It is a hint: a refusal changes nothing but speed.
    pub fn prefetch(&self, start: usize, len: usize) {
        if let Self::Mapped(map) = self {
            let page = page_size();
            let from = start / page * page;
            let _ = map.advise_range(Advice::WillNeed, from, start + len - from);
        }
    }
}

fn page_size() -> usize {
    // SAFETY: sysconf has no preconditions.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).ok().filter(|size| *size > 0).unwrap_or(4096)
}

/// How many of at most [`FEW`] pages from byte `at` on (a multiple of the page size; all inside the map) are in memory
/// according to the system, which says "yes" for files of other users. If it does not answer, all.
fn resident(map: &Mmap, at: usize, pages: usize) -> usize {
    let mut states = [0u8; FEW];
    let states = &mut states[..pages];
    let length = (pages * page_size()).min(map.len() - at);
    // SAFETY: `at` is page-aligned and the range inside the map, each page has its byte of `states`, and mincore only looks.
    let done = unsafe { libc::mincore(map.as_ptr().add(at).cast_mut().cast(), length, states.as_mut_ptr().cast()) };
    if done == 0 { states.iter().filter(|state| **state & 1 == 1).count() } else { pages }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_just_written_is_in_memory_and_static_bytes_have_no_pages() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&vec![7u8; 300_000]).unwrap();
        let bytes = Bytes::map(file.path()).unwrap();
        let all = bytes.residency(5000, 295_000);
        assert!(all.is_whole() && all.sampled > 16, "{all:?}");
        assert_eq!(bytes.residency(299_999, 1).sampled, 1);
        assert_eq!(bytes.residency(0, 0), Residency::default());
        bytes.prefetch(5001, 294_999);
        assert_eq!(Bytes::Static(b"abc").residency(0, 3), Residency::default());
        assert!(Residency::default().is_whole());
    }
}
