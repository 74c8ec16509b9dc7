//! The small model that is part of the program.

/// bf16 weights, 6 layers of 8 experts.
pub static WEIGHTS: &[u8] = include_bytes!("../../../assets/demo/model.safetensors");
/// Its configuration.
pub static CONFIG: &[u8] = include_bytes!("../../../assets/demo/config.json");
/// Its tokenizer.
pub static TOKENIZER: &[u8] = include_bytes!("../../../assets/demo/tokenizer.json");
