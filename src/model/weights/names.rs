//! The tensors of a Mixtral by name, in each kind of file, and the place of every part in them.

use crate::model::arch::Arch;

/// A scheme of tensor names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// That of the official checkpoints, which transformers writes.
    Official,
    /// That of transformers 5 in memory: all experts of a layer in two tensors.
    Fused,
    /// That of llama.cpp.
    Gguf {
        /// Whether every expert has tensors of its own (files from before 2024-04).
        split: bool,
    },
}

/// One matrix or vector of a model, named after its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Token embeddings.
    Embed,
    /// Gain of the final norm.
    Norm,
    /// Unembedding.
    Unembed,
    /// Gain of the norm before attention, by layer.
    Ln1(usize),
    /// Query projection.
    Q(usize),
    /// Key projection.
    K(usize),
    /// Value projection.
    V(usize),
    /// Output projection of attention.
    O(usize),
    /// Gain of the norm before the router and the experts.
    Ln2(usize),
    /// Router.
    Gate(usize),
    /// A matrix of an expert, by layer and expert.
    Expert(usize, usize, Which),
}

/// The matrices of an expert: `w2(silu(w1 x) * (w3 x))`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Gate.
    W1,
    /// Down.
    W2,
    /// Up.
    W3,
}

/// The place of a part in the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The tensor's name in the file.
    pub name: String,
    /// The whole tensor's row-major shape.
    pub shape: Vec<usize>,
    /// First row of the part, the tensor seen as rows of its last dimension.
    pub first: usize,
    /// Rows of the part.
    pub rows: usize,
    /// Columns of the part.
    pub cols: usize,
    /// Head width, if rows of a head are stored as adjacent pairs.
    pub paired: Option<usize>,
}

/// Every part of a model of this architecture.
pub fn parts(arch: &Arch) -> Vec<Part> {
    let d = arch.dims;
    let mut all = vec![Part::Embed, Part::Norm];
    if !arch.tied {
        all.push(Part::Unembed);
    }
    for l in 0..d.layers {
        all.extend([Part::Ln1(l), Part::Q(l), Part::K(l), Part::V(l), Part::O(l), Part::Ln2(l), Part::Gate(l)]);
        all.extend((0..d.experts).flat_map(|e| [Which::W1, Which::W2, Which::W3].map(|w| Part::Expert(l, e, w))));
    }
    all
}

/// The place of `part` in files that use `naming`.
pub fn place(part: Part, arch: &Arch, naming: Naming) -> Place {
    let d = arch.dims;
    let (rows, cols) = match part {
        Part::Embed | Part::Unembed => (d.vocab, d.d_model),
        Part::Norm | Part::Ln1(_) | Part::Ln2(_) => (1, d.d_model),
        Part::Q(_) => (d.heads * d.d_head, d.d_model),
        Part::K(_) | Part::V(_) => (d.kv_heads * d.d_head, d.d_model),
        Part::O(_) => (d.d_model, d.heads * d.d_head),
        Part::Gate(_) => (d.experts, d.d_model),
        Part::Expert(_, _, Which::W2) => (d.d_model, d.d_ff),
        Part::Expert(..) => (d.d_ff, d.d_model),
    };
    let is_vector = matches!(part, Part::Norm | Part::Ln1(_) | Part::Ln2(_));
    let shape = if is_vector { vec![cols] } else { vec![rows, cols] };
    let whole = |name: String| Place { name, shape: shape.clone(), first: 0, rows, cols, paired: None };
    match naming {
        Naming::Official => whole(official(part)),
        Naming::Fused => match part {
            Part::Gate(l) => whole(format!("model.layers.{l}.mlp.gate.weight")),
            // transformers 5 holds w1 and w3 of all experts in one tensor, gate first.
            Part::Expert(l, e, which) => {
                let (name, of_expert, skip) = match which {
                    Which::W1 => ("gate_up_proj", 2 * rows, 0),
                    Which::W3 => ("gate_up_proj", 2 * rows, rows),
                    Which::W2 => ("down_proj", rows, 0),
                };
                let name = format!("model.layers.{l}.mlp.experts.{name}");
                let first = e * of_expert + skip;
                Place { name, shape: vec![d.experts, of_expert, cols], first, rows, cols, paired: None }
            }
            other => whole(official(other)),
        },
        Naming::Gguf { split } => {
            let place = whole(gguf(part, split));
            match part {
                Part::Q(_) | Part::K(_) => Place { paired: Some(d.d_head), ..place },
                Part::Expert(_, e, _) if !split => {
                    Place { shape: vec![d.experts, rows, cols], first: e * rows, ..place }
                }
                _ => place,
            }
        }
    }
}

fn official(part: Part) -> String {
    let of_layer = |l: usize, name: &str| format!("model.layers.{l}.{name}.weight");
    match part {
        Part::Embed => "model.embed_tokens.weight".to_owned(),
        Part::Norm => "model.norm.weight".to_owned(),
        Part::Unembed => "lm_head.weight".to_owned(),
        Part::Ln1(l) => of_layer(l, "input_layernorm"),
        Part::Q(l) => of_layer(l, "self_attn.q_proj"),
        Part::K(l) => of_layer(l, "self_attn.k_proj"),
        Part::V(l) => of_layer(l, "self_attn.v_proj"),
        Part::O(l) => of_layer(l, "self_attn.o_proj"),
        Part::Ln2(l) => of_layer(l, "post_attention_layernorm"),
        Part::Gate(l) => of_layer(l, "block_sparse_moe.gate"),
        Part::Expert(l, e, which) => {
            let w = match which {
                Which::W1 => "w1",
                Which::W2 => "w2",
                Which::W3 => "w3",
            };
            of_layer(l, &format!("block_sparse_moe.experts.{e}.{w}"))
        }
    }
}

fn gguf(part: Part, split: bool) -> String {
    let of_layer = |l: usize, name: &str| format!("blk.{l}.{name}.weight");
    match part {
        Part::Embed => "token_embd.weight".to_owned(),
        Part::Norm => "output_norm.weight".to_owned(),
        Part::Unembed => "output.weight".to_owned(),
        Part::Ln1(l) => of_layer(l, "attn_norm"),
        Part::Q(l) => of_layer(l, "attn_q"),
        Part::K(l) => of_layer(l, "attn_k"),
        Part::V(l) => of_layer(l, "attn_v"),
        Part::O(l) => of_layer(l, "attn_output"),
        Part::Ln2(l) => of_layer(l, "ffn_norm"),
        Part::Gate(l) => of_layer(l, "ffn_gate_inp"),
        Part::Expert(l, e, which) => {
            let name = match which {
                Which::W1 => "ffn_gate",
                Which::W2 => "ffn_down",
                Which::W3 => "ffn_up",
            };
            if split { of_layer(l, &format!("{name}.{e}")) } else { of_layer(l, &format!("{name}_exps")) }
        }
    }
}
