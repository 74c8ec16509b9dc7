//! The logit lens: the next token as every layer would predict it. `cargo run --release --example lens`.

use mixscope::model::Distribution;

fn main() -> anyhow::Result<()> {
    let model = mixscope::open("demo")?;
    let (logits, cache) = model.run_with_cache("Once upon a")?;
    let last = logits.shape[0] - 1;
    for layer in 0..model.dims().layers {
        let resid = cache.get(&format!("blocks.{layer}.hook_resid_post"))?;
        let lens = model.lens(resid.row(last))?;
        let next = Distribution::of(lens.row(0));
        let best = next.top(3);
        let words: Vec<String> =
            best.iter().map(|id| format!("{} {:.0} %", model.piece(*id as u32), 100.0 * next.prob(*id))).collect();
        println!("after layer {layer}: {}", words.join(", "));
    }
    Ok(())
}
