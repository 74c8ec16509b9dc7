//! One prompt under two precision policies: where the routing flips, and how far the predictions part.
//! `cargo run --release --example compare`.

use mixscope::model::Distribution;
use mixscope::trace::Policy;
use mixscope::{OpenOptions, open_with};

fn main() -> anyhow::Result<()> {
    let open = |policy: Policy| open_with("demo", OpenOptions { policy, ..OpenOptions::default() });
    let (baseline, variant) = (open(Policy::F32)?, open(Policy::Hf)?);
    let prompt = "Once upon a time there was a little dog. The dog had a big red ball.";
    let ((a, a_cache), (b, b_cache)) = (baseline.run_with_cache(prompt)?, variant.run_with_cache(prompt)?);

    for layer in 0..baseline.dims().layers {
        let name = format!("blocks.{layer}.mlp.hook_expert_indices");
        let (a, b) = (a_cache.ids(&name)?, b_cache.ids(&name)?);
        let set = |row: &[u32]| row.iter().copied().collect::<std::collections::BTreeSet<u32>>();
        let flips = (0..a.shape[0]).filter(|pos| set(a.row(*pos)) != set(b.row(*pos))).count();
        println!("layer {layer}: {flips} of {} tokens have other experts", a.shape[0]);
    }
    let kl = |pos: usize| Distribution::of(a.row(pos)).kl(&Distribution::of(b.row(pos)));
    let most = (0..a.shape[0]).map(kl).fold(0.0, f32::max);
    println!("largest KL(f32 ‖ bf16) of a prediction: {most:.4} nats");
    Ok(())
}
