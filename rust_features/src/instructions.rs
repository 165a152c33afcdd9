//! The same code, compiled for the widest vectors that the processor has.
//!
//! Wider vectors change no bit: every operation is rounded as IEEE 754 says, none is fused or reordered on the
//! compiler's own account. `f64::mul_add` is rounded once everywhere; without the instruction it is only slow. This is
//! the crate's one file with `unsafe`: calling code that was compiled for more instructions than the build's baseline,
//! and asking for memory ahead of its use.

#![allow(unsafe_code)]

/// Work that gains from wide vectors. Mark `run`, and what it calls, `#[inline(always)]`: only what dissolves into
/// the compiled copies below uses their instructions.
pub(crate) trait Work {
    /// What the work gives.
    type Result;
    /// Does the work.
    fn run(self) -> Self::Result;
}

/// Runs `work` with the widest vectors of this processor.
#[inline]
pub(crate) fn with_widest_vectors<W: Work>(work: W) -> W::Result {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512vl")
            && std::arch::is_x86_feature_detected!("avx512dq")
            && std::arch::is_x86_feature_detected!("fma")
        {
            // SAFETY: the processor and the system support AVX-512F, which VL implies, VL, DQ and FMA: just checked.
            return unsafe { with_avx512(work) };
        }
    }
    with_half_vectors(work)
}

/// Runs `work` with vectors of at most 256 bits, beside which scalar operations keep their speed.
#[inline]
pub(crate) fn with_half_vectors<W: Work>(work: W) -> W::Result {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
        {
            // SAFETY: the processor and the system support AVX2 and FMA, as just checked.
            return unsafe { with_avx2(work) };
        }
    }
    work.run()
}

/// Whether [`ask_for`] does something.
pub(crate) const CAN_ASK: bool = cfg!(target_arch = "x86_64");

/// Asks for the cache line that a number lies in, and does not wait for it; changes nothing but the time that reading or
/// writing it takes.
#[inline(always)]
pub(crate) fn ask_for(number: &f64) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads and writes nothing and never fails, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(number).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = number;
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2<W: Work>(work: W) -> W::Result {
    work.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512vl,avx512dq,fma")]
fn with_avx512<W: Work>(work: W) -> W::Result {
    work.run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::{highest, lowest, mean_and_variance, sum};

    struct Statistics<'a>(&'a [f64]);

    impl Work for Statistics<'_> {
        type Result = [f64; 5];

        #[inline(always)]
        fn run(self) -> [f64; 5] {
            let (mean, variance) = mean_and_variance(self.0);
            [mean, variance, sum(self.0), highest(self.0), lowest(self.0)]
        }
    }

    #[test]
    fn wider_vectors_change_no_bit() {
        let values: Vec<f64> = (1..200)
            .map(|i| f64::from(i % 17).sqrt() + 1e6 / f64::from(i))
            .collect();
        for length in 0..values.len() {
            let window = &values[..length];
            let expected = Statistics(window).run().map(f64::to_bits);
            let mut results = vec![with_widest_vectors(Statistics(window))];
            #[cfg(target_arch = "x86_64")]
            {
                if std::arch::is_x86_feature_detected!("avx2")
                    && std::arch::is_x86_feature_detected!("fma")
                {
                    // SAFETY: just checked.
                    results.push(unsafe { with_avx2(Statistics(window)) });
                }
            }
            for result in results {
                assert_eq!(result.map(f64::to_bits), expected, "length {length}");
            }
        }
    }
}
