//! Every activation of a prompt by name, and the experts that read each token: `cargo run --release --example capture`.

fn main() -> anyhow::Result<()> {
    let model = mixscope::open("demo")?;
    let prompt = "The cat sat on the mat.";
    let (logits, cache) = model.run_with_cache(prompt)?;
    println!("logits {:?}, {} activations", logits.shape, cache.hooks().len());
    println!("pattern of layer 0 {:?}", cache.get("blocks.0.attn.hook_pattern")?.shape);

    let chosen = cache.ids("blocks.3.mlp.hook_expert_indices")?;
    let weights = cache.get("blocks.3.mlp.hook_mixing_weights")?;
    println!("experts of layer 3:");
    for (pos, id) in model.tokens(prompt)?.into_iter().enumerate() {
        println!("  {:<10} {:?} with weights {:.2?}", model.piece(id), chosen.row(pos), weights.row(pos));
    }
    Ok(())
}
