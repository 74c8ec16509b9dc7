/// Share of tokens that share an expert with the token before, as in Mixtral of Experts (arXiv 2401.04088, table 5).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Repeats {
    /// Same first choice as the token before.
    pub first: f32,
    /// At least one of the chosen experts was chosen for the token before.
    pub either: f32,
    /// Pairs of neighbouring tokens that were counted.
    pub pairs: usize,
}

/// The [`Repeats`] to expect if experts were drawn uniformly at random: first choice, either choice.
pub fn repeats_at_random(experts: usize, k: usize) -> (f32, f32) {
    // P(no overlap) of two random k-subsets: C(E-k, k) / C(E, k).
    let none = (0..k).map(|i| experts.saturating_sub(k + i) as f64 / experts.saturating_sub(i).max(1) as f64);
    (1.0 / experts.max(1) as f32, 1.0 - none.product::<f64>() as f32)
}

/// The chance that a given expert is chosen together with another chosen one, if experts were drawn uniformly at random:
/// (k - 1) / (E - 1).
pub fn together_at_random(experts: usize, k: usize) -> f32 {
    k.saturating_sub(1) as f32 / experts.saturating_sub(1).max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn baselines_are_those_of_the_paper() {
        let (first, either) = repeats_at_random(8, 2);
        assert!((first - 0.125).abs() < 1e-6);
        assert!((either - 0.464).abs() < 1e-3);
        assert_eq!(repeats_at_random(16, 1), (1.0 / 16.0, 1.0 / 16.0));
        assert_eq!(repeats_at_random(4, 4), (0.25, 1.0));
        // Of 560 triples of 16 experts, 286 share none with a given one.
        assert!((repeats_at_random(16, 3).1 - (1.0 - 286.0 / 560.0)).abs() < 1e-6);
        assert_eq!(
            [together_at_random(8, 2), together_at_random(16, 1), together_at_random(1, 1)],
            [1.0 / 7.0, 0.0, 0.0]
        );
    }
}
