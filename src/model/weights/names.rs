//! The tensors of a model by name, in each kind of file, and the place of every part in them.

use crate::model::arch::{Arch, GateUp, Names, QkNorm};

/// A scheme of tensor names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// A tensor for each matrix of each expert, as in the first checkpoints of most families.
    Official,
    /// All experts of a layer in two tensors, as transformers 5 has them in memory.
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
    /// Bias of the query projection.
    QBias(usize),
    /// Bias of the key projection.
    KBias(usize),
    /// Bias of the value projection.
    VBias(usize),
    /// Bias of the output projection of attention.
    OBias(usize),
    /// Gain of the norm of queries.
    QNorm(usize),
    /// Gain of the norm of keys.
    KNorm(usize),
    /// Attention sinks, one for each head.
    Sinks(usize),
    /// Gain of the norm before the router and the experts.
    Ln2(usize),
    /// Router.
    Gate(usize),
    /// Bias of the router.
    GateBias(usize),
    /// A matrix of an expert, by layer and expert.
    Expert(usize, usize, Which),
    /// The bias of a matrix of an expert.
    ExpertBias(usize, usize, Which),
    /// A matrix of the shared expert.
    Shared(usize, Which),
    /// Gate of the shared expert.
    SharedGate(usize),
    /// A matrix of the MLP of a layer without a router.
    Dense(usize, Which),
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

impl Which {
    /// All three.
    pub const ALL: [Self; 3] = [Self::W1, Self::W2, Self::W3];
}

/// The place of a part in the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The tensor's name in the file.
    pub name: String,
    /// The whole tensor's row-major shape.
    pub shape: Vec<usize>,
    /// First row of the part, the tensor seen as rows of its last dimension. Of a part within a row, the first column.
    pub first: usize,
    /// Rows of the part.
    pub rows: usize,
    /// Columns of the part.
    pub cols: usize,
    /// Rows of the tensor from one row of the part to the next.
    pub step: usize,
    /// Head width, if rows of a head are stored as adjacent pairs.
    pub paired: Option<usize>,
}

/// Every part of a model of this architecture.
pub fn parts(arch: &Arch) -> Vec<Part> {
    let (d, attn) = (arch.dims, arch.attn);
    let mut all = vec![Part::Embed, Part::Norm];
    if !arch.tied {
        all.push(Part::Unembed);
    }
    for l in 0..d.layers {
        all.extend([Part::Ln1(l), Part::Q(l), Part::K(l), Part::V(l), Part::O(l)]);
        let optional = [
            (attn.qkv_bias, &[Part::QBias(l), Part::KBias(l), Part::VBias(l)][..]),
            (attn.o_bias, &[Part::OBias(l)]),
            (attn.qk_norm.is_some(), &[Part::QNorm(l), Part::KNorm(l)]),
            (attn.sinks, &[Part::Sinks(l)]),
        ];
        optional.into_iter().filter(|(has, _)| *has).for_each(|(_, parts)| all.extend(parts));
        all.push(Part::Ln2(l));
        if !d.has_router(l) {
            all.extend(Which::ALL.map(|which| Part::Dense(l, which)));
            continue;
        }
        all.push(Part::Gate(l));
        all.extend((0..d.experts).flat_map(|e| Which::ALL.map(|which| Part::Expert(l, e, which))));
        if arch.moe.bias {
            all.push(Part::GateBias(l));
            all.extend((0..d.experts).flat_map(|e| Which::ALL.map(|which| Part::ExpertBias(l, e, which))));
        }
        if d.d_shared > 0 {
            all.push(Part::SharedGate(l));
            all.extend(Which::ALL.map(|which| Part::Shared(l, which)));
        }
    }
    all
}

/// Rows and columns of a part; a vector has one row.
fn size(part: Part, arch: &Arch) -> (usize, usize) {
    let d = arch.dims;
    let (q, kv) = (d.heads * d.d_head, d.kv_heads * d.d_head);
    let mlp = |width: usize, which: Which| if which == Which::W2 { (d.d_model, width) } else { (width, d.d_model) };
    match part {
        Part::Embed | Part::Unembed => (d.vocab, d.d_model),
        Part::Norm | Part::Ln1(_) | Part::Ln2(_) | Part::OBias(_) | Part::SharedGate(_) => (1, d.d_model),
        Part::Q(_) => (q, d.d_model),
        Part::K(_) | Part::V(_) => (kv, d.d_model),
        Part::O(_) => (d.d_model, q),
        Part::QBias(_) => (1, q),
        Part::KBias(_) | Part::VBias(_) => (1, kv),
        Part::QNorm(_) => (1, if arch.attn.qk_norm == Some(QkNorm::Head) { d.d_head } else { q }),
        Part::KNorm(_) => (1, if arch.attn.qk_norm == Some(QkNorm::Head) { d.d_head } else { kv }),
        Part::Sinks(_) => (1, d.heads),
        Part::Gate(_) => (d.experts, d.d_model),
        Part::GateBias(_) => (1, d.experts),
        Part::Expert(_, _, which) => mlp(d.d_ff, which),
        Part::ExpertBias(_, _, which) => (1, mlp(d.d_ff, which).0),
        Part::Shared(_, which) => mlp(d.d_shared, which),
        Part::Dense(_, which) => mlp(d.d_dense, which),
    }
}

/// The place of `part` in files that use `naming`.
pub fn place(part: Part, arch: &Arch, naming: Naming) -> Place {
    let (d, (rows, cols)) = (arch.dims, size(part, arch));
    let is_matrix = matches!(part, Part::Embed | Part::Unembed | Part::Gate(_) | Part::Q(_) | Part::K(_) | Part::V(_))
        || matches!(part, Part::O(_) | Part::Expert(..) | Part::Shared(..) | Part::Dense(..));
    // transformers has a matrix of one row, ggml drops leading sizes of 1.
    let is_matrix = is_matrix || matches!((part, naming), (Part::SharedGate(_), Naming::Official | Naming::Fused));
    let shape = if is_matrix { vec![rows, cols] } else { vec![cols] };
    let whole = |name: String| Place { name, shape: shape.clone(), first: 0, rows, cols, step: 1, paired: None };
    match (naming, part) {
        (Naming::Official | Naming::Fused, Part::ExpertBias(l, e, which)) => {
            fused(&(part_name(arch.names, l, which) + "_bias"), (d.experts, e), which, (rows, cols), arch.names.gate_up)
        }
        (Naming::Fused, Part::Expert(l, e, which)) => {
            fused(&part_name(arch.names, l, which), (d.experts, e), which, (rows, cols), arch.names.gate_up)
        }
        (Naming::Official, other) => whole(official(other, arch.names, arch.names.block)),
        (Naming::Fused, other) => whole(official(other, arch.names, arch.names.fused_block)),
        (Naming::Gguf { split }, part) => {
            let place = whole(gguf(part, split, arch.names));
            match part {
                Part::Q(_) | Part::K(_) if arch.names.gguf_pairs => Place { paired: Some(d.d_head), ..place },
                Part::Expert(_, e, _) if !split => {
                    Place { shape: vec![d.experts, rows, cols], first: e * rows, ..place }
                }
                Part::ExpertBias(_, e, _) => Place { shape: vec![d.experts, cols], first: e, ..place },
                _ => place,
            }
        }
    }
}

/// The name of a fused tensor.
fn part_name(names: Names, l: usize, which: Which) -> String {
    let [gate_up, down] = names.fused;
    format!("model.layers.{l}.{}.{}", names.fused_block, if which == Which::W2 { down } else { gate_up })
}

/// The place of an expert's matrix `[rows, cols]`, or of its bias `[1, cols]`, in the tensor of all experts.
fn fused(
    name: &str,
    (experts, e): (usize, usize),
    which: Which,
    (rows, cols): (usize, usize),
    gate_up: GateUp,
) -> Place {
    let whole = |shape: Vec<usize>, first: usize| Place {
        name: name.to_owned(),
        shape,
        first,
        rows,
        cols,
        step: 1,
        paired: None,
    };
    let is_bias = name.ends_with("_bias");
    match (which, gate_up) {
        (Which::W2, _) if is_bias => whole(vec![experts, cols], e),
        (Which::W2, _) => whole(vec![experts, rows, cols], e * rows),
        // A row of numbers, one of gate and one of up in turn: as a matrix of one column.
        (_, _) if is_bias => {
            let up = usize::from(which == Which::W3);
            let first = e * 2 * cols + if gate_up == GateUp::Columns { up } else { up * cols };
            let step = if gate_up == GateUp::Columns { 2 } else { 1 };
            Place { shape: vec![experts, 2 * cols], first, rows: cols, cols: 1, step, ..whole(Vec::new(), 0) }
        }
        (_, GateUp::Halves) => {
            whole(vec![experts, 2 * rows, cols], e * 2 * rows + if which == Which::W3 { rows } else { 0 })
        }
        // Columns are made rows when a model is opened.
        (_, GateUp::Columns) => {
            let first = e * 2 * rows + usize::from(which == Which::W3);
            Place { step: 2, ..whole(vec![experts, 2 * rows, cols], first) }
        }
    }
}

fn official(part: Part, names: Names, block: &str) -> String {
    let of_layer = |l: usize, name: &str| format!("model.layers.{l}.{name}.weight");
    let in_block = |l: usize, name: &str| of_layer(l, &format!("{block}.{name}"));
    let bias = |l: usize, name: &str| format!("model.layers.{l}.{name}.bias");
    let matrix = |which: Which| {
        let [w1, w2, w3] = names.expert;
        match which {
            Which::W1 => w1,
            Which::W2 => w2,
            Which::W3 => w3,
        }
    };
    match part {
        Part::Embed => "model.embed_tokens.weight".to_owned(),
        Part::Norm => "model.norm.weight".to_owned(),
        Part::Unembed => "lm_head.weight".to_owned(),
        Part::Ln1(l) => of_layer(l, "input_layernorm"),
        Part::Q(l) => of_layer(l, "self_attn.q_proj"),
        Part::K(l) => of_layer(l, "self_attn.k_proj"),
        Part::V(l) => of_layer(l, "self_attn.v_proj"),
        Part::O(l) => of_layer(l, "self_attn.o_proj"),
        Part::QBias(l) => bias(l, "self_attn.q_proj"),
        Part::KBias(l) => bias(l, "self_attn.k_proj"),
        Part::VBias(l) => bias(l, "self_attn.v_proj"),
        Part::OBias(l) => bias(l, "self_attn.o_proj"),
        Part::QNorm(l) => of_layer(l, "self_attn.q_norm"),
        Part::KNorm(l) => of_layer(l, "self_attn.k_norm"),
        Part::Sinks(l) => format!("model.layers.{l}.self_attn.sinks"),
        Part::Ln2(l) => of_layer(l, "post_attention_layernorm"),
        Part::Gate(l) => in_block(l, names.router),
        Part::GateBias(l) => bias(l, &format!("{block}.{}", names.router)),
        Part::Expert(l, e, which) => in_block(l, &format!("experts.{e}.{}", matrix(which))),
        Part::ExpertBias(l, e, which) => bias(l, &format!("{block}.experts.{e}.{}", matrix(which))),
        Part::Shared(l, which) => in_block(l, &format!("shared_expert.{}", matrix(which))),
        Part::SharedGate(l) => in_block(l, "shared_expert_gate"),
        Part::Dense(l, which) => in_block(l, matrix(which)),
    }
}

fn gguf(part: Part, split: bool, names: Names) -> String {
    let of_layer = |l: usize, name: &str| format!("blk.{l}.{name}.weight");
    let bias = |l: usize, name: &str| format!("blk.{l}.{name}.bias");
    let matrix = |which: Which| match which {
        Which::W1 => "ffn_gate",
        Which::W2 => "ffn_down",
        Which::W3 => "ffn_up",
    };
    match part {
        Part::Embed => "token_embd.weight".to_owned(),
        Part::Norm => "output_norm.weight".to_owned(),
        Part::Unembed => "output.weight".to_owned(),
        Part::Ln1(l) => of_layer(l, "attn_norm"),
        Part::Q(l) => of_layer(l, "attn_q"),
        Part::K(l) => of_layer(l, "attn_k"),
        Part::V(l) => of_layer(l, "attn_v"),
        Part::O(l) => of_layer(l, "attn_output"),
        Part::QBias(l) => bias(l, "attn_q"),
        Part::KBias(l) => bias(l, "attn_k"),
        Part::VBias(l) => bias(l, "attn_v"),
        Part::OBias(l) => bias(l, "attn_output"),
        Part::QNorm(l) => of_layer(l, "attn_q_norm"),
        Part::KNorm(l) => of_layer(l, "attn_k_norm"),
        Part::Sinks(l) => of_layer(l, "attn_sinks"),
        Part::Ln2(l) => of_layer(l, names.gguf_ln2),
        Part::Gate(l) => of_layer(l, "ffn_gate_inp"),
        Part::GateBias(l) => bias(l, "ffn_gate_inp"),
        Part::Expert(l, e, which) if split => of_layer(l, &format!("{}.{e}", matrix(which))),
        Part::Expert(l, _, which) => of_layer(l, &format!("{}_exps", matrix(which))),
        Part::ExpertBias(l, _, which) => bias(l, &format!("{}_exps", matrix(which))),
        Part::Shared(l, which) => of_layer(l, &format!("{}_shexp", matrix(which))),
        Part::SharedGate(l) => of_layer(l, "ffn_gate_inp_shexp"),
        Part::Dense(l, which) => of_layer(l, matrix(which)),
    }
}
