use super::*;
use std::collections::BTreeSet;

/// Heads of 144 bytes each, read in the order of their numbers.
fn cache(heads: usize) -> HeadCache {
    let mut cache = HeadCache::default();
    for head in 0..heads {
        let mut grown = Grown { used: head as u64, ..Grown::default() };
        (1..=8).for_each(|keys| grown.pooled.push(&vec![0.5; keys]));
        assert_eq!(grown.bytes(), 144);
        cache.grown.insert((0, Pick::One(head)), grown);
    }
    cache
}

fn left(cache: &HeadCache) -> Vec<usize> {
    let number = |(_, pick): &(usize, Pick)| if let Pick::One(head) = pick { *head } else { usize::MAX };
    BTreeSet::from_iter(cache.grown.keys().map(number)).into_iter().collect()
}

fn maps(heads: std::ops::Range<usize>) -> Derive {
    Derive::HeadMaps { maps: heads.map(|head| (0, Pick::One(head), 8)).collect() }
}

#[test]
fn heads_of_a_screen_that_is_read_in_parts_survive_each_other() {
    let mut cache = cache(10);
    cache.expect([maps(4..10)].iter(), 16);
    cache.make_room(&[(0, Pick::One(4))], 2 * 144, 100 * 144);
    assert_eq!(left(&cache), [4, 5, 6, 7, 8, 9], "only what is not asked for goes");
    cache.make_room(&[(0, Pick::One(4))], 2 * 144, 4 * 144);
    assert_eq!(left(&cache), [4, 5, 6, 7], "beyond the bound some stay for the next time around");
}

#[test]
fn what_was_used_last_stays_and_nothing_goes_while_there_is_room() {
    let mut cache = cache(6);
    cache.make_room(&[], 6 * 144, 0);
    assert_eq!(left(&cache).len(), 6);
    cache.make_room(&[(0, Pick::One(0))], 3 * 144, 3 * 144);
    assert_eq!(left(&cache), [0, 4, 5]);
}

#[test]
fn a_column_of_all_heads_asks_for_each() {
    let mut cache = HeadCache::default();
    cache.expect([Derive::HeadColumns { layer: 3, pick: Pick::Mean, key: 0 }, maps(0..2)].iter(), 4);
    assert_eq!(cache.requested.len(), 6);
    cache.expect([Derive::HeadColumns { layer: 3, pick: Pick::One(1), key: 0 }].iter(), 4);
    assert_eq!(cache.requested, HashSet::from([(3, Pick::One(1))]));
}
