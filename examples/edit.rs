//! An intervention: an expert is banned from one layer, and the loss of the prompt shows its effect.
//! `cargo run --release --example edit`.

use mixscope::model::{Activation, Distribution, at};
use mixscope::trace::HookKind;

fn main() -> anyhow::Result<()> {
    let model = mixscope::open("demo")?;
    let ids = model.tokens("Tom has a red ball. He likes to play with the ball.")?;
    println!("loss without an edit: {:.3} nats", loss(&ids, &model.run(&ids[..])?));

    let layer = 3;
    for expert in 0..model.dims().experts {
        // Top-k is taken from these scores. The mixing weights of the experts that are chosen instead stay their own.
        let mut ban = at(HookKind::ChoiceScores.at(layer), |scores, _| {
            scores.chunks_exact_mut(model.dims().experts).for_each(|row| row[expert] = f32::NEG_INFINITY);
        });
        let logits = model.run_with_hooks(&ids[..], &mut ban)?;
        println!("without expert {expert} in layer {layer}: {:.3} nats", loss(&ids, &logits));
    }
    Ok(())
}

/// Mean negative log-likelihood of all tokens but the first.
fn loss(ids: &[u32], logits: &Activation<f32>) -> f64 {
    let nll = |pos: usize| -Distribution::of(logits.row(pos - 1)).log_prob(ids[pos] as usize);
    (1..ids.len()).map(nll).sum::<f64>() / (ids.len() - 1) as f64
}
