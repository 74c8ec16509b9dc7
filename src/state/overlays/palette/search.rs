//! Fuzzy search: the score of a few typed letters in a sentence.

/// Score of a letter that fits.
const FITS: i32 = 16;
/// Extra score of a letter that begins a word.
const WORD_START: i32 = 12;
/// Extra score of a letter right after the previous one.
const CONSECUTIVE: i32 = 14;
/// Score of each skipped letter between them.
const GAP: i32 = -1;

/// The score of `query` in `text`, and the indices of the characters that fit; `None` if it does not fit. Every word of
/// `query` has to be a subsequence of `text`, in any order of the words; case does not matter. An empty query fits
/// every text with the same score.
pub fn fuzzy(query: &str, text: &str) -> Option<(i32, Vec<usize>)> {
    let text: Vec<char> = text.chars().map(fold).collect();
    let (mut sum, mut places) = (0, Vec::new());
    for word in query.split_whitespace() {
        let word: Vec<char> = word.chars().map(fold).collect();
        let (score, found) = best(&word, &text)?;
        sum += score;
        places.extend(found);
    }
    places.sort_unstable();
    places.dedup();
    Some((sum, places))
}

/// Score of the word with which an action's sentence begins, of a word that is one of its own words, that is in its sentence, and of the beginnings of such words.
const FIRST: i32 = 4_500;
const WHOLE: [i32; 2] = [4_000, 3_000];
const BEGINNING: [i32; 2] = [2_000, 1_500];

/// The score of a query of whole words, and the indices of the characters of `text` that fit: every word of the query is one
/// of the action's own words, or a word of its sentence `text`, or the beginning of one. `None` if one is not, or if
/// the query is empty.
pub fn words(query: &str, own: &[&str], text: &str) -> Option<(i32, Vec<usize>)> {
    let parts = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| c != '-' && !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    };
    let own: Vec<String> = own.iter().flat_map(|words| parts(words)).collect();
    let sentence = parts(text);
    let wanted = parts(query);
    if wanted.is_empty() {
        return None;
    }
    let (mut sum, mut places) = (0, Vec::new());
    for word in &wanted {
        let whole = |among: &[String]| among.iter().any(|other| other == word);
        let begins = |among: &[String]| among.iter().any(|other| other.starts_with(word.as_str()));
        sum += match () {
            () if sentence.first() == Some(word) => FIRST,
            () if whole(&own) => WHOLE[0],
            () if whole(&sentence) => WHOLE[1],
            () if begins(&own) => BEGINNING[0],
            () if begins(&sentence) => BEGINNING[1],
            () => return None,
        };
        places.extend(place_of(word, text));
    }
    // A word near the start of the sentence says what the action is about.
    let first = places.iter().min().map_or(0, |at| i32::try_from(*at).unwrap_or(i32::MAX).min(99));
    places.sort_unstable();
    places.dedup();
    Some((sum - first, places))
}

/// The indices of the characters of `word` where it begins a word of `text`.
fn place_of(word: &str, text: &str) -> std::ops::Range<usize> {
    let (word, text): (Vec<char>, Vec<char>) = (word.chars().collect(), text.chars().map(fold).collect());
    let begins = |at: &usize| text[*at..].starts_with(&word) && (*at == 0 || !text[*at - 1].is_alphanumeric());
    (0..text.len()).find(begins).map_or(0..0, |at| at..at + word.len())
}

fn fold(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

/// The best match of `word` in `text`: the best score of its first `i` letters with the `i`-th letter at each place,
/// and the place of the letter before it.
fn best(word: &[char], text: &[char]) -> Option<(i32, Vec<usize>)> {
    let mut rows: Vec<Vec<Option<(i32, usize)>>> = Vec::with_capacity(word.len());
    for (i, letter) in word.iter().enumerate() {
        let mut row = vec![None; text.len()];
        // Best score of the previous letters, less the letters skipped since.
        let mut before: Option<(i32, usize)> = None;
        for (at, c) in text.iter().enumerate() {
            let previous = (i > 0 && at > 0).then(|| rows[i - 1][at - 1]).flatten();
            if c == letter {
                let is_start = at == 0 || !text[at - 1].is_alphanumeric();
                let own = FITS + if is_start { WORD_START } else { 0 };
                row[at] = match (i, previous, before) {
                    (0, ..) => Some((own, at)),
                    (_, Some((score, _)), far) => {
                        let near = (score + CONSECUTIVE + own, at - 1);
                        let far = far.map(|(score, from)| (score + own, from));
                        Some(far.filter(|far| far.0 > near.0).unwrap_or(near))
                    }
                    (_, None, far) => far.map(|(score, from)| (score + own, from)),
                };
            }
            before = before.map(|(score, from)| (score + GAP, from));
            if let Some((score, _)) = previous
                && before.is_none_or(|(far, _)| score + GAP > far)
            {
                before = Some((score + GAP, at - 1));
            }
        }
        rows.push(row);
    }
    let last = rows.last()?;
    let (mut at, score) = last
        .iter()
        .enumerate()
        .filter_map(|(at, cell)| cell.map(|(score, _)| (at, score)))
        .max_by_key(|(at, score)| (*score, std::cmp::Reverse(*at)))?;
    let mut places = vec![at];
    for row in rows.iter().skip(1).rev() {
        at = row[at]?.1;
        places.push(at);
    }
    Some((score, places))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn better_fits_score_higher() {
        let score = |query: &str, text: &str| fuzzy(query, text).map(|(score, _)| score);
        for (query, better, worse) in [
            ("exp", "next expert", "edit the prompt"),
            ("ns", "next step", "runs"),
            ("gen", "generate one token", "the last green"),
            ("pal", "command palette", "prompt and layers"),
        ] {
            assert!(score(query, better) > score(query, worse), "{query}: {better} before {worse}");
        }
        assert_eq!(score("xyz", "next expert"), None);
        assert_eq!(score("", "anything"), Some(0));
        assert_eq!(score("token gen", "Generate one token"), score("gen token", "generate one token"));
        assert_eq!(fuzzy("nx", "next expert"), Some((2 * FITS + WORD_START + GAP, vec![0, 2])));
    }

    proptest! {
        #[test]
        fn what_fits_is_where_it_says(query in "[a-c ]{0,6}", text in "[a-cA-C ]{0,12}") {
            let letters: Vec<char> = text.to_lowercase().chars().collect();
            if let Some((_, places)) = fuzzy(&query, &text) {
                prop_assert!(places.iter().all(|at| query.contains(letters[*at])), "{:?}", places);
            }
            let word = query.replace(' ', "");
            let mut rest = letters.iter();
            let is_there = word.chars().all(|c| rest.any(|l| *l == c));
            prop_assert_eq!(fuzzy(&word, &text).is_some(), is_there);
            if let Some((_, places)) = fuzzy(&word, &text) {
                let found: String = places.iter().map(|at| letters[*at]).collect();
                prop_assert_eq!(found, word);
            }
        }
    }
}
