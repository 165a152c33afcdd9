//! Places on a circle.

use std::f64::consts::TAU;

/// Sine and cosine of a fraction of a circle.
#[inline(always)]
pub(super) fn sine_and_cosine(fraction: f64) -> [f64; 2] {
    let angle = TAU * fraction;
    [libm::sin(angle), libm::cos(angle)]
}

/// Sine and cosine of each of `N` places on a circle.
pub(super) fn places<const N: usize>() -> [[f64; 2]; N] {
    std::array::from_fn(|place| sine_and_cosine(place as f64 / N as f64))
}
