//! The instruction sets that kernels exist for.

use std::fmt;
use std::str::FromStr;

/// An instruction set, from the slowest to the fastest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Instructions {
    /// Plain Rust; whatever the target's compiler makes of it.
    Portable,
    /// x86-64 with AVX2, FMA, BMI1, BMI2 and POPCNT.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ, VL and VBMI.
    Avx512,
}

impl Instructions {
    /// All of them, slowest first.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// The fastest that this machine runs.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("popcnt")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vbmi");
            if avx2 && avx512 {
                return Self::Avx512;
            }
            if avx2 {
                return Self::Avx2;
            }
        }
        Self::Portable
    }

    /// Trees from which on an ensemble gains in a session at every batch size; fewer are as fast or faster in ONNX
    /// Runtime's own operators, whose calls cost less (measured with depths 1 to 6, `docs/tree_kernel.md`).
    pub fn least_trees(self) -> usize {
        match self {
            Self::Portable => 60,
            Self::Avx2 => 40,
            Self::Avx512 => 12,
        }
    }

    /// The name that [`FromStr`] reads.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

impl fmt::Display for Instructions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// No instruction set has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("instructions: `{0}` is not one of portable, avx2, avx512")]
pub struct UnknownInstructions(String);

impl FromStr for Instructions {
    type Err = UnknownInstructions;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL
            .into_iter()
            .find(|instructions| instructions.name() == name);
        found.ok_or_else(|| UnknownInstructions(name.to_owned()))
    }
}
