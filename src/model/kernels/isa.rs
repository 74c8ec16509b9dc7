//! The instruction sets that kernels are compiled for, and the one that this process uses.

use anyhow::{Result, bail};
use std::fmt;
use std::sync::OnceLock;

/// The environment variable that forces an instruction set down, by name.
pub const FORCED: &str = "MIXSCOPE_ISA";

/// Instruction sets of the kernels, each with all that its machine has of those before. All give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// What every machine has.
    Portable,
    /// x86-64 with AVX2, FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F and BW.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX-512 with DQ and VNNI: sums of products of bytes.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    /// AVX-512 with BF16 too: sums of products of bf16 numbers.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
    /// aarch64, which always has NEON.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// NEON with sums of products of bytes (`dotprod`).
    #[cfg(target_arch = "aarch64")]
    NeonDot,
}

impl Isa {
    /// All of this architecture, the smallest first.
    const ALL: &[Self] = &[
        Self::Portable,
        #[cfg(target_arch = "x86_64")]
        Self::Avx2,
        #[cfg(target_arch = "x86_64")]
        Self::Avx512,
        #[cfg(target_arch = "x86_64")]
        Self::Avx512Vnni,
        #[cfg(target_arch = "x86_64")]
        Self::Avx512Bf16,
        #[cfg(target_arch = "aarch64")]
        Self::Neon,
        #[cfg(target_arch = "aarch64")]
        Self::NeonDot,
    ];

    /// The name in [`FORCED`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => "avx512-vnni",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 => "avx512-bf16",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "neon",
            #[cfg(target_arch = "aarch64")]
            Self::NeonDot => "neon-dot",
        }
    }

    /// Whether this machine has it.
    fn is_here(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2.is_here() && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => {
                Self::Avx512.is_here() && is_x86_feature_detected!("avx512dq") && is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 => Self::Avx512Vnni.is_here() && is_x86_feature_detected!("avx512bf16"),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => true,
            #[cfg(target_arch = "aarch64")]
            Self::NeonDot => std::arch::is_aarch64_feature_detected!("dotprod"),
        }
    }

    /// Those of this machine, the smallest first.
    pub fn supported() -> impl DoubleEndedIterator<Item = Self> {
        Self::ALL.iter().copied().filter(|isa| isa.is_here())
    }

    /// The one that this process uses: the widest of this machine, or the one that [`FORCED`] names.
    ///
    /// # Errors
    /// If the variable names none, or one that this machine lacks.
    pub fn chosen() -> Result<Self> {
        let widest = Self::supported().next_back().unwrap_or(Self::Portable);
        match std::env::var_os(FORCED) {
            None => Ok(widest),
            Some(name) => Self::forced(&name.to_string_lossy()),
        }
    }

    fn forced(name: &str) -> Result<Self> {
        let names = |all: &mut dyn Iterator<Item = Self>| all.map(Self::name).collect::<Vec<_>>().join(", ");
        let here = names(&mut Self::supported());
        match Self::ALL.iter().copied().find(|isa| isa.name() == name) {
            Some(isa) if isa.is_here() => Ok(isa),
            Some(isa) => bail!("{FORCED} is {isa}, which this CPU lacks; it has {here}"),
            None => bail!("{FORCED} is `{name}`, which is not an instruction set; this CPU has {here}"),
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// [`Isa::chosen`], asked once. Opening a model fails if [`FORCED`] is wrong, so this falls back on what every machine has.
pub(super) fn isa() -> Isa {
    static ISA: OnceLock<Isa> = OnceLock::new();
    *ISA.get_or_init(|| Isa::chosen().unwrap_or(Isa::Portable))
}

/// Compiles a function once for each instruction set, and one that calls that of `Isa`. On aarch64 once: whatever is
/// compiled for it uses NEON.
macro_rules! per_isa {
    ($name:ident / $avx2:ident / $avx512:ident: ($($arg:ident: $ty:ty),*) -> $out:ty = $body:expr) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        fn $avx2($($arg: $ty),*) -> $out {
            $body
        }

        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512bw")]
        fn $avx512($($arg: $ty),*) -> $out {
            $body
        }

        pub(super) fn $name(isa: Isa, $($arg: $ty),*) -> $out {
            match isa {
                #[cfg(not(target_arch = "aarch64"))]
                Isa::Portable => $body,
                #[cfg(target_arch = "aarch64")]
                Isa::Portable | Isa::Neon | Isa::NeonDot => $body,
                // SAFETY: callers pass an `Isa` that `isa()` or `supported()` found on this machine.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => unsafe { $avx2($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 | Isa::Avx512Vnni | Isa::Avx512Bf16 => unsafe { $avx512($($arg),*) },
            }
        }
    };
}

pub(super) use per_isa;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The instruction sets of this machine.
    pub fn supported() -> Vec<Isa> {
        Isa::supported().collect()
    }

    #[test]
    fn a_name_forces_an_instruction_set_that_is_here() {
        for isa in supported() {
            assert_eq!(Isa::forced(isa.name()).unwrap(), isa);
        }
        let error = Isa::forced("sse9").unwrap_err().to_string();
        assert!(error.starts_with("MIXSCOPE_ISA is `sse9`, which is not an instruction set; this CPU has portable"));
        assert!(Isa::ALL.is_sorted());
    }
}
