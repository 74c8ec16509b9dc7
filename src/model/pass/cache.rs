//! Keys and values of the positions read so far.

use std::sync::Arc;

/// Positions of one page.
const PAGE: usize = 32;

/// KV cache in pages that branches share. Cloning copies pointers; writing copies a page only while another branch
/// holds it; truncating drops pages.
#[derive(Clone)]
pub struct KvCache {
    /// `[layer][page]`
    pages: Vec<Vec<Arc<Page>>>,
    len: usize,
    width: usize,
}

/// Keys and values of up to [`PAGE`] positions in one layer, each `[PAGE, kv_heads × d_head]`.
#[derive(Clone)]
struct Page {
    keys: Box<[f32]>,
    values: Box<[f32]>,
}

impl KvCache {
    /// An empty cache; `width` = kv_heads × d_head.
    pub fn new(layers: usize, width: usize) -> Self {
        Self { pages: vec![Vec::new(); layers], len: 0, width }
    }

    /// Number of positions.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no position.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Drops all positions from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        for pages in &mut self.pages {
            pages.truncate(self.len.div_ceil(PAGE));
        }
    }

    /// Drops all positions from `len` on in the layers from `layer` on. The layers below keep theirs, which count again as
    /// the run is read again from that layer on.
    pub fn rewind(&mut self, len: usize, layer: usize) {
        self.len = self.len.min(len);
        for pages in self.pages.iter_mut().skip(layer) {
            pages.truncate(self.len.div_ceil(PAGE));
        }
    }

    /// Bytes of the pages that `other` does not share, and of the pointers to all pages.
    pub fn bytes_beyond(&self, other: &KvCache) -> usize {
        let page = 2 * PAGE * self.width * size_of::<f32>();
        let count = |(mine, theirs): (&Vec<Arc<Page>>, &Vec<Arc<Page>>)| {
            let shared = mine.iter().zip(theirs).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
            (mine.len() - shared) * page + mine.len() * size_of::<Arc<Page>>()
        };
        self.pages.iter().zip(&other.pages).map(count).sum()
    }

    /// Writes keys and values `[rows, width]` of `layer` after the last position. They count only after
    /// [`KvCache::advance`], so that an interrupted pass leaves the cache as it was.
    pub(super) fn write(&mut self, layer: usize, keys: &[f32], values: &[f32]) {
        let width = self.width;
        let pages = &mut self.pages[layer];
        for (row, (key, value)) in keys.chunks_exact(width).zip(values.chunks_exact(width)).enumerate() {
            let (page, slot) = ((self.len + row) / PAGE, (self.len + row) % PAGE);
            if page == pages.len() {
                let blank = || vec![0f32; PAGE * width].into_boxed_slice();
                pages.push(Arc::new(Page { keys: blank(), values: blank() }));
            }
            let page = Arc::make_mut(&mut pages[page]);
            page.keys[slot * width..][..width].copy_from_slice(key);
            page.values[slot * width..][..width].copy_from_slice(value);
        }
    }

    /// Counts `rows` positions that were written.
    pub(super) fn advance(&mut self, rows: usize) {
        self.len += rows;
    }

    /// The keys of one kv head in `layer`.
    pub(in crate::model) fn keys(&self, layer: usize, kv_head: usize, d_head: usize) -> Keys<'_> {
        Keys { pages: &self.pages[layer], offset: kv_head * d_head, width: self.width, d_head }
    }
}

/// Keys and values of one kv head, by position.
#[derive(Clone, Copy)]
pub(in crate::model) struct Keys<'a> {
    pages: &'a [Arc<Page>],
    offset: usize,
    width: usize,
    d_head: usize,
}

impl Keys<'_> {
    /// Rotated key of a position `[d_head]`.
    pub fn key(&self, pos: usize) -> &[f32] {
        &self.pages[pos / PAGE].keys[pos % PAGE * self.width + self.offset..][..self.d_head]
    }

    /// Value of a position `[d_head]`.
    pub fn value(&self, pos: usize) -> &[f32] {
        &self.pages[pos / PAGE].values[pos % PAGE * self.width + self.offset..][..self.d_head]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_share_pages_until_one_writes() {
        let mut trunk = KvCache::new(1, 2);
        for pos in 0..40u8 {
            let row = [f32::from(pos), 0.5];
            trunk.write(0, &row, &row);
            trunk.advance(1);
        }
        let mut branch = trunk.clone();
        assert!(Arc::ptr_eq(&trunk.pages[0][1], &branch.pages[0][1]));
        branch.truncate(35);
        branch.write(0, &[-1.0, -1.0], &[-1.0, -1.0]);
        branch.advance(1);
        assert!(Arc::ptr_eq(&trunk.pages[0][0], &branch.pages[0][0]));
        assert_eq!(trunk.keys(0, 0, 2).key(35), [35.0, 0.5]);
        assert_eq!(branch.keys(0, 0, 2).key(35), [-1.0, -1.0]);
        assert_eq!(branch.keys(0, 0, 2).value(34), [34.0, 0.5]);
        let (page, pointers) = (2 * PAGE * 2 * 4, 2 * size_of::<usize>());
        assert_eq!(branch.bytes_beyond(&trunk), page + pointers, "one page of two was copied");
        assert_eq!(trunk.bytes_beyond(&trunk.clone()), pointers);
        branch.truncate(3);
        assert_eq!((branch.len(), trunk.len()), (3, 40));
    }
}
