use crate::trace::TokenRecord;
use std::sync::Arc;

/// Mean negative log-likelihood over the tokens that were predicted (all but the first), nats; `None` if there is none.
pub fn mean_loss(tokens: &[Arc<TokenRecord>]) -> Option<f64> {
    let nll = tokens.iter().filter_map(|token| token.score).map(|score| f64::from(score.nll));
    let (sum, count) = nll.fold((0.0, 0usize), |(sum, count), x| (sum + x, count + 1));
    (count > 0).then(|| sum / count as f64)
}
