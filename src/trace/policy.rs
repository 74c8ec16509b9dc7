use super::Device;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The named precision policies: those for everyday work, then those of the precision lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Round where Hugging Face transformers rounds, in the weights' dtype.
    Hf,
    /// Round nowhere: everything in f32.
    F32,
    /// Round what products read as llama.cpp's code for CPUs does, and nothing else.
    Ggml,
    /// As `hf`, with the router's matrix product kept in f32.
    F32Router,
    /// As `hf` would round a model of bf16 weights, whatever the weights are.
    Bf16,
    /// As `hf`, with the router's softmax, choice and renormalisation in bf16.
    RouterSoftmaxBf16,
    /// As `hf`, with the frequencies and angles of RoPE in bf16.
    RopeBf16,
    /// As `hf`, with the router's weights as a Q8_0 file would hold them.
    RouterQ8,
    /// As `hf`, with the router's weights as a Q4_0 file would hold them.
    RouterQ4,
    /// As `hf`, with the experts' outputs added one by one in the weights' dtype (transformers 5,
    /// `experts_implementation="eager"`).
    EagerExperts,
    /// As `eager-experts`, with the mixing weights rounded first (transformers 4).
    Hf4,
}

const POLICIES: [(Policy, &str); 11] = [
    (Policy::Hf, "hf"),
    (Policy::F32, "f32"),
    (Policy::F32Router, "f32-router"),
    (Policy::Ggml, "ggml"),
    (Policy::Bf16, "bf16"),
    (Policy::RouterSoftmaxBf16, "router-softmax-bf16"),
    (Policy::RopeBf16, "rope-bf16"),
    (Policy::RouterQ8, "router-q8"),
    (Policy::RouterQ4, "router-q4"),
    (Policy::EagerExperts, "eager-experts"),
    (Policy::Hf4, "hf4"),
];

impl Policy {
    /// All policies, those for everyday work first.
    pub fn all() -> impl Iterator<Item = Policy> {
        POLICIES.into_iter().map(|(policy, _)| policy)
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        POLICIES.iter().find(|(policy, _)| *policy == self).map_or("", |(_, name)| name)
    }

    /// Where it rounds, as a clause.
    pub fn about(self) -> &'static str {
        match self {
            Self::Hf => "rounded where transformers rounds, in the weights' dtype",
            Self::F32 => "rounded nowhere",
            Self::Ggml => "what products read rounded as llama.cpp does on a CPU: to 8 bits for quantised weights",
            Self::F32Router => "as hf, the router's matrix product in f32",
            Self::Bf16 => "as hf on bf16 weights, whatever the weights are",
            Self::RouterSoftmaxBf16 => "as hf, the router's softmax, choice and renormalisation in bf16",
            Self::RopeBf16 => "as hf, RoPE's frequencies and angles in bf16",
            Self::RouterQ8 => "as hf, the router's weights as Q8_0",
            Self::RouterQ4 => "as hf, the router's weights as Q4_0",
            Self::EagerExperts => {
                "as hf, the experts' outputs added one by one, each sum rounded (transformers 5, eager)"
            }
            Self::Hf4 => "as eager-experts, the mixing weights rounded first (transformers 4)",
        }
    }

    /// Whether activations keep all that f32 has.
    pub fn keeps_f32(self) -> bool {
        matches!(self, Self::F32 | Self::Ggml)
    }

    /// Checks that products on `device` can be rounded so.
    ///
    /// # Errors
    /// If they can't.
    pub fn check_on(self, device: Device) -> anyhow::Result<()> {
        anyhow::ensure!(
            self != Self::Ggml || device == Device::Cpu,
            "the precision ggml is only computed on the device cpu, not on {device}: leave out the device, or choose f32"
        );
        Ok(())
    }

    /// Whether the router's logits stay f32 although activations are rounded.
    pub fn keeps_router_f32(self) -> bool {
        self == Self::F32Router
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Policy {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        POLICIES.iter().find(|(_, n)| *n == name).map(|(policy, _)| *policy).ok_or_else(|| {
            let all: Vec<&str> = POLICIES.iter().map(|(_, name)| *name).collect();
            anyhow::anyhow!("`{name}` is not one of {}", all.join(", "))
        })
    }
}
