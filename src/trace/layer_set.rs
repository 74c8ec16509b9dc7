use serde::{Serialize, Serializer};
use std::fmt;

/// Words of 64 layers each.
const WORDS: usize = 4;

/// Some decoder layers of a model, below [`LayerSet::MOST`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerSet([u64; WORDS]);

impl LayerSet {
    /// Layers that it can tell apart. Layers from here on are never in a set.
    pub const MOST: usize = WORDS * 64;
    /// No layer.
    pub const NONE: Self = Self([0; WORDS]);

    /// Whether `layer` is in it.
    pub fn has(self, layer: usize) -> bool {
        self.0.get(layer / 64).is_some_and(|word| word >> (layer % 64) & 1 == 1)
    }

    /// Whether it has no layer.
    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    /// Whether it has no layer, by reference.
    pub(super) fn none(&self) -> bool {
        self.is_empty()
    }

    /// Its layers, ascending.
    pub fn layers(self) -> impl Iterator<Item = usize> {
        (0..Self::MOST).filter(move |layer| self.has(*layer))
    }
}

/// As `0, 2, 3`.
impl fmt::Display for LayerSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.layers().map(|layer| layer.to_string()).collect();
        f.pad(&numbers.join(", "))
    }
}

impl FromIterator<usize> for LayerSet {
    fn from_iter<I: IntoIterator<Item = usize>>(layers: I) -> Self {
        let mut set = Self::NONE;
        for layer in layers.into_iter().filter(|layer| *layer < Self::MOST) {
            set.0[layer / 64] |= 1 << (layer % 64);
        }
        set
    }
}

/// As a list of layers.
impl Serialize for LayerSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.layers())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_the_layers_that_it_was_made_of() {
        let set: LayerSet = [0, 63, 64, 255, 256].into_iter().collect();
        assert_eq!(set.layers().collect::<Vec<_>>(), [0, 63, 64, 255]);
        assert!(!set.has(1) && !set.has(256) && !set.has(1 << 40));
        assert!(LayerSet::default().is_empty());
    }
}
