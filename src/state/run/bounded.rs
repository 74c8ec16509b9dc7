use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

/// A cache of shared values, bounded in bytes: the oldest values are removed first. The newest value always stays,
/// however large.
#[derive(Clone, Debug)]
pub(in crate::state) struct Bounded<K, V> {
    most: usize,
    bytes: usize,
    /// The value, its bytes, and the time of its insertion.
    held: HashMap<K, (Arc<V>, usize, u64)>,
    order: BTreeMap<u64, K>,
    clock: u64,
}

impl<K: Copy + Eq + Hash, V> Bounded<K, V> {
    /// An empty cache of at most `most` bytes.
    pub fn new(most: usize) -> Self {
        Self { most, bytes: 0, held: HashMap::new(), order: BTreeMap::new(), clock: 0 }
    }

    /// The value of `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.held.get(key).map(|(value, ..)| &**value)
    }

    /// All values.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.held.values().map(|(value, ..)| &**value)
    }

    /// Inserts a value of `bytes` bytes; it replaces an earlier value.
    pub fn insert(&mut self, key: K, value: Arc<V>, bytes: usize) {
        self.remove(&key);
        self.clock += 1;
        self.bytes += bytes;
        self.held.insert(key, (value, bytes, self.clock));
        self.order.insert(self.clock, key);
        while self.bytes > self.most && self.held.len() > 1 {
            let Some((_, oldest)) = self.order.first_key_value() else { return };
            let oldest = *oldest;
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, key: &K) {
        if let Some((_, bytes, time)) = self.held.remove(key) {
            self.bytes -= bytes;
            self.order.remove(&time);
        }
    }

    /// Keeps the values for which `stays` is true.
    pub fn retain(&mut self, stays: impl Fn(&K, &V) -> bool) {
        let gone: Vec<K> =
            self.held.iter().filter(|(key, (value, ..))| !stays(key, value)).map(|(key, _)| *key).collect();
        gone.iter().for_each(|key| self.remove(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(cache: &Bounded<u32, u32>) -> Vec<u32> {
        let mut keys: Vec<u32> = cache.held.keys().copied().collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn the_oldest_goes_first_and_bytes_are_counted() {
        let mut cache = Bounded::new(100);
        for key in 1..=10 {
            cache.insert(key, Arc::new(key), 10);
        }
        assert_eq!((held(&cache).len(), cache.bytes), (10, 100));
        cache.insert(1, Arc::new(11), 20);
        assert_eq!(held(&cache), [1, 3, 4, 5, 6, 7, 8, 9, 10], "1 was renewed, so 2 is the oldest");
        assert_eq!((cache.get(&1), cache.get(&2), cache.bytes), (Some(&11), None, 100));
        cache.insert(12, Arc::new(12), 1000);
        assert_eq!((held(&cache), cache.bytes), (vec![12], 1000), "the newest stays even if it is too large");
        cache.insert(13, Arc::new(13), 50);
        cache.insert(14, Arc::new(14), 50);
        assert_eq!((held(&cache), cache.bytes), (vec![13, 14], 100));
        cache.retain(|key, _| *key != 13);
        assert_eq!((held(&cache), cache.bytes, cache.order.len()), (vec![14], 50, 1));
    }
}
