//! Joining pieces where none is better than another.

use std::collections::HashMap;

/// Which neighbours are one token together, where all tokens have the same score.
///
/// SentencePiece joins the pair with the best score first, and the leftmost of equal ones, as llama.cpp does. With equal
/// scores that is the leftmost pair each time, which a list of merges can't say: it ranks one pair above another.
pub struct Leftmost {
    joined: HashMap<(u32, u32), u32>,
}

impl Leftmost {
    /// From pairs of neighbours and the token that each makes.
    pub fn new(pairs: impl Iterator<Item = ((u32, u32), u32)>) -> Self {
        Self { joined: pairs.collect() }
    }

    /// Joins the tokens of single characters. Tokens that are in no pair, such as those of bytes, stay as they are.
    pub fn join(&self, ids: &[u32]) -> Vec<u32> {
        let mut joined: Vec<u32> = Vec::with_capacity(ids.len());
        for id in ids {
            // What is to the left can't be joined, so the leftmost pair is the last one here, or it is still to come.
            let mut last = *id;
            while let Some(one) = joined.last().and_then(|left| self.joined.get(&(*left, last))) {
                joined.pop();
                last = *one;
            }
            joined.push(last);
        }
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Joins the leftmost pair until there is none.
    fn by_definition(pairs: &Leftmost, ids: &[u32]) -> Vec<u32> {
        let mut ids = ids.to_vec();
        let pair = |ids: &[u32]| ids.windows(2).position(|pair| pairs.joined.contains_key(&(pair[0], pair[1])));
        while let Some(at) = pair(&ids) {
            ids[at] = pairs.joined[&(ids[at], ids[at + 1])];
            ids.remove(at + 1);
        }
        ids
    }

    #[test]
    fn the_leftmost_pair_is_joined_first() {
        // 3 = ab, 4 = bc, 5 = abc by way of ab or bc, 6 = abcabc.
        let pairs = Leftmost::new([((0, 1), 3), ((1, 2), 4), ((3, 2), 5), ((0, 4), 5), ((5, 5), 6)].into_iter());
        assert_eq!(pairs.join(&[0, 1, 2, 0, 1, 2, 9, 1, 2]), [6, 9, 4]);
        assert_eq!(pairs.join(&[]), [] as [u32; 0]);
        for text in 0..3u32.pow(8) {
            let ids: Vec<u32> = (0..8).map(|place| text / 3u32.pow(place) % 3).collect();
            assert_eq!(pairs.join(&ids), by_definition(&pairs, &ids), "{ids:?}");
        }
    }
}
