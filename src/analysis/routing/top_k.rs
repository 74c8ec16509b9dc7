//! The experts with the highest scores, where scores may be equal.
//!
//! Which of equal scores `torch.topk` takes is not documented, but on a CPU it always takes the same. transformers' router
//! calls it, so that is the model's choice, and it is followed here: ATen (`topk_impl_loop` in
//! `aten/src/ATen/native/TopKImpl.h`) calls `std::partial_sort` where 64 k ≤ n, and elsewhere `std::nth_element` and then
//! `std::sort` on all but the last of the k. Its builds for Linux use libstdc++, whose versions of these have not changed in
//! decades: a quickselect by the median of three, insertion sort for what is short, and a heap.

/// A score and its index.
type Entry = (f32, u32);

/// Ranges up to this length are not divided any more: by the selection, and by the sort.
const SHORT: [usize; 2] = [3, 16];

/// The indices of the `k` highest of `scores`, highest first, NaN before everything; among equal ones those that
/// `torch.topk` takes on a CPU, in its order. All indices if there are fewer.
pub fn top_k(scores: &[f32], k: usize) -> Vec<u32> {
    let mut all: Vec<Entry> = scores.iter().copied().zip(0..).collect();
    let k = k.min(all.len());
    if k > 0 && 64 * k <= all.len() {
        heap_select(&mut all, k);
        sort_heap(&mut all[..k]);
    } else if k > 0 {
        select(&mut all, k - 1);
        sort(&mut all[..k - 1]);
    }
    all[..k].iter().map(|(_, index)| *index).collect()
}

/// Whether `a` comes before `b`.
fn is_first(a: Entry, b: Entry) -> bool {
    a.0.is_nan() && !b.0.is_nan() || a.0 > b.0
}

/// How often a range of `n` is divided before a heap takes over.
fn depth(n: usize) -> usize {
    2 * n.checked_ilog2().unwrap_or(0) as usize
}

/// Puts the entry of rank `nth` in its place, and those before it to its left.
fn select(all: &mut [Entry], nth: usize) {
    let (mut from, mut to, mut depth) = (0, all.len(), depth(all.len()));
    while to - from > SHORT[0] {
        if depth == 0 {
            heap_select(&mut all[from..to], nth + 1 - from);
            return all.swap(from, nth);
        }
        depth -= 1;
        let cut = from + divide(&mut all[from..to]);
        *(if cut <= nth { &mut from } else { &mut to }) = cut;
    }
    insertion_sort(&mut all[from..to]);
}

fn sort(all: &mut [Entry]) {
    divide_all(all, depth(all.len()));
    insertion_sort(all);
}

/// Sorts so far that no entry is more than a short range away from its place.
fn divide_all(mut all: &mut [Entry], mut depth: usize) {
    while all.len() > SHORT[1] {
        if depth == 0 {
            let len = all.len();
            heap_select(all, len);
            return sort_heap(all);
        }
        depth -= 1;
        let cut = divide(all);
        let (left, right) = all.split_at_mut(cut);
        divide_all(right, depth);
        all = left;
    }
}

/// Divides at the median of the second, the middle and the last entry: the entries before the returned place don't come after
/// those from it on. There are at least four.
fn divide(all: &mut [Entry]) -> usize {
    let [a, b, c] = [1, all.len() / 2, all.len() - 1];
    let before = |i: usize, j: usize| is_first(all[i], all[j]);
    let median = match (before(a, b), before(b, c), before(a, c)) {
        (true, true, _) | (false, false, false) => b,
        (true, false, true) | (false, true, false) => c,
        (true, false, false) | (false, _, true) => a,
    };
    all.swap(0, median);
    let pivot = all[0];
    let (mut left, mut right) = (1, all.len());
    loop {
        // The other two of the three stop both searches.
        while is_first(all[left], pivot) {
            left += 1;
        }
        right -= 1;
        while is_first(pivot, all[right]) {
            right -= 1;
        }
        if left >= right {
            return left;
        }
        all.swap(left, right);
        left += 1;
    }
}

fn insertion_sort(all: &mut [Entry]) {
    for end in 1..all.len() {
        let new = all[end];
        let place = match is_first(new, all[0]) {
            true => 0,
            false => 1 + all[..end].iter().rposition(|old| !is_first(new, *old)).unwrap_or(0),
        };
        all[place..=end].rotate_right(1);
    }
}

/// Puts the first `k` in rank into the first `k` places, as a heap with the last in rank on top.
fn heap_select(all: &mut [Entry], k: usize) {
    let (heap, rest) = all.split_at_mut(k);
    for hole in (0..k / 2).rev() {
        sink(heap, hole, heap[hole]);
    }
    for entry in rest {
        if let Some(last) = heap.first().copied().filter(|last| is_first(*entry, *last)) {
            let new = std::mem::replace(entry, last);
            sink(heap, 0, new);
        }
    }
}

fn sort_heap(heap: &mut [Entry]) {
    for end in (1..heap.len()).rev() {
        let last = heap[end];
        heap[end] = heap[0];
        sink(&mut heap[..end], 0, last);
    }
}

/// Fills the `hole` with its children down to the bottom, and lets `entry` rise from there.
fn sink(heap: &mut [Entry], hole: usize, entry: Entry) {
    let (top, mut hole) = (hole, hole);
    loop {
        let (left, right) = (2 * hole + 1, 2 * hole + 2);
        let child = match (heap.get(left), heap.get(right)) {
            (Some(a), Some(b)) => {
                if is_first(*b, *a) {
                    left
                } else {
                    right
                }
            }
            (Some(_), None) => left,
            (None, _) => break,
        };
        heap[hole] = heap[child];
        hole = child;
    }
    while hole > top {
        let parent = (hole - 1) / 2;
        if !is_first(heap[parent], entry) {
            break;
        }
        heap[hole] = heap[parent];
        hole = parent;
    }
    heap[hole] = entry;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// Scores in steps, as recorded by `tools/record_topk.py`, and what torch chose.
    const RECORDED: &str = include_str!("../../../tests/fixtures/topk.json");

    #[test]
    fn equal_scores_are_chosen_as_torch_chooses_them() {
        let all: Value = serde_json::from_str(RECORDED).unwrap();
        let rows = all["rows"].as_array().unwrap();
        let ints = |value: &Value| value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect();
        let mut open = 0;
        for row in rows {
            let (scores, want): (Vec<u32>, Vec<u32>) = (ints(&row[0]), ints(&row[1]));
            // 255 stands for NaN.
            let scores: Vec<f32> = scores.iter().map(|s| if *s == 255 { f32::NAN } else { *s as f32 / 16.0 }).collect();
            assert_eq!(top_k(&scores, want.len()), want, "{scores:?}");
            let by_index = crate::analysis::routing::ranked(&scores);
            open += usize::from(by_index.iter().zip(&want).any(|(a, b)| *a != *b as usize));
        }
        assert!(
            rows.len() >= 300 && open > rows.len() / 4,
            "{open} of {} are ties that torch decides otherwise",
            rows.len()
        );
    }

    proptest! {
        #[test]
        fn the_highest_are_chosen_highest_first(scores in prop::collection::vec(0..40u8, 0..300), k in 0..40usize) {
            let scores: Vec<f32> = scores.into_iter().map(f32::from).collect();
            let chosen: Vec<f32> = top_k(&scores, k).into_iter().map(|e| scores[e as usize]).collect();
            let mut sorted = scores.clone();
            sorted.sort_by(|a, b| b.total_cmp(a));
            sorted.truncate(k);
            prop_assert_eq!(chosen, sorted);
        }
    }
}
