//! Makes a model of random weights, by default a Mixtral as wide as Mixtral-8x7B with two layers:
//! `cargo run --release --example make_model -- OUT [--gguf q4_k] [--tokenizer DIR]`.
//! For measurements and tests; one seed gives the same weights in every format.

mod gguf;
#[path = "../../tests/support/gguf_writer.rs"]
mod gguf_writer;
mod hf;
mod tokenizer;
mod weights;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

const RMS_NORM_EPS: f64 = 1e-5;
const ROPE_THETA: f64 = 1e6;

#[derive(Parser)]
#[command(about = "Makes a model of random weights")]
struct Args {
    /// The directory to make, or the file with --gguf
    out: PathBuf,
    #[command(flatten)]
    dims: weights::Dims,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Type of the safetensors
    #[arg(long, value_enum, default_value = "bf16", conflicts_with = "gguf")]
    dtype: hf::Dtype,
    /// Make a GGUF file of this type: q8_0, q4_k (mixed with q6_k as in Q4_K_M), f16, …
    #[arg(long, value_name = "TYPE", value_parser = gguf::Kind::parse)]
    gguf: Option<gguf::Kind>,
    /// A tokenizer.json, or a directory with one [default: the model takes ids only]
    #[arg(long, value_name = "DIR_OR_JSON")]
    tokenizer: Option<PathBuf>,
    /// Largest size of the tensors in one file of the directory
    #[arg(long, value_name = "BYTES", default_value_t = 4_000_000_000)]
    shard_bytes: usize,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let start = Instant::now();
    args.dims.check()?;
    ensure!(
        args.gguf.is_some() || args.dims.family == weights::Family::Mixtral,
        "only a Mixtral is written as safetensors: give --gguf TYPE"
    );
    let tokenizer = args.tokenizer.as_deref().map(tokenizer::locate);
    let tokens = tokenizer.as_ref().map(|file| tokenizer::read(file, args.dims.vocab)).transpose()?;

    let mut partial = args.out.clone().into_os_string();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    for path in [&args.out, &partial] {
        ensure!(!path.exists(), "{} exists already", path.display());
    }
    let made = match args.gguf {
        Some(kind) => gguf::write(&partial, &args.dims, args.seed, kind, tokens.as_ref()),
        None => fs::create_dir(&partial).map_err(Into::into).and_then(|()| {
            hf::write(&partial, &args.dims, args.seed, args.dtype, args.shard_bytes, tokenizer.as_deref())
        }),
    };
    made.with_context(|| format!("cannot make {}", partial.display()))?;
    fs::rename(&partial, &args.out).with_context(|| format!("cannot rename to {}", args.out.display()))?;
    eprintln!("{} in {:.1} s", args.out.display(), start.elapsed().as_secs_f64());
    Ok(())
}
