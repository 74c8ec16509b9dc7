//! Weights of types that can't be read: what is said of each.

use super::*;

const Q: &str = "model.layers.0.self_attn.q_proj.weight";

#[test]
fn every_dtype_that_cannot_be_read_gets_advice_that_fits() {
    let fits = "expected F32, F16 or BF16, found ";
    for (dtype, bytes, parts) in [
        (Dtype::F64, 8, [fits, "F64", "convert the weights to F32 or BF16", "save_pretrained"]),
        (Dtype::I64, 8, [fits, "I64", "integers are codes", "the original weights or a GGUF file"]),
        (Dtype::I8, 1, [fits, "I8", "integers are codes", "the original weights or a GGUF file"]),
        (Dtype::U8, 1, [fits, "U8", "integers are codes", "the original weights or a GGUF file"]),
        (Dtype::U32, 4, [fits, "U32", "integers are codes", "the original weights or a GGUF file"]),
        (Dtype::BOOL, 1, [fits, "BOOL", "weights are floating-point numbers", "the original weights"]),
        (Dtype::C64, 8, [fits, "C64", "weights are floating-point numbers", "convert the model again"]),
        (Dtype::F8_E4M3, 1, ["quantised to F8_E4M3", Q, "the original weights", "a GGUF"]),
        (Dtype::F8_E5M2, 1, ["quantised to F8_E5M2", Q, "the original weights", "a GGUF"]),
    ] {
        let mut model = Model::new();
        let (of, shape, data) = model.tensors.get_mut(Q).unwrap();
        *of = dtype;
        *data = vec![0; shape.iter().product::<usize>() * bytes];
        model.save();
        let message = model.refused();
        says(&message, &parts);
        assert!(!message.contains("quantised otherwise") && !message.contains("Q4_0"), "{message}");
        assert_eq!(message.contains("quantised to"), matches!(dtype, Dtype::F8_E4M3 | Dtype::F8_E5M2), "{message}");
    }
}
