//! The logistic function as ONNX Runtime computes it.

/// Inputs beyond these give the value at them.
const RANGE: f32 = 18.0;

/// Odd powers of the numerator, the highest first.
const NUMERATOR: [f32; 5] = [
    4.370_31e-11,
    1.156_273_2e-7,
    6.085_749e-5,
    8.513_771e-3,
    2.482_879_5e-1,
];

/// Even powers of the denominator, the highest first.
const DENOMINATOR: [f32; 6] = [
    6.102_473_7e-13,
    5.761_021_4e-9,
    6.291_068e-6,
    1.701_988_2e-3,
    1.168_176_5e-1,
    9.931_519e-1,
];

/// 1 / (1 + e^-x) with the bits of ONNX Runtime's kernel for processors that fuse multiplication and addition.
///
/// Source: the rational approximation of Eigen's logistic functor, which ONNX Runtime's MLAS took over
/// (`MlasLogisticConstants`).
#[inline]
pub(crate) fn logistic(x: f32) -> f32 {
    let x = if x < -RANGE { -RANGE } else { x };
    let x = if x > RANGE { RANGE } else { x };
    let square = x * x;
    let polynomial = |first: f32, rest: &[f32]| {
        let next = |sum: f32, factor: &f32| sum.mul_add(square, *factor);
        rest.iter().fold(first, next)
    };
    let [first, rest @ ..] = NUMERATOR;
    let above = polynomial(first, &rest) * x;
    let [first, rest @ ..] = DENOMINATOR;
    let below = polynomial(first, &rest);
    let value = above / below + 0.5;
    let value = if value < 0.0 { 0.0 } else { value };
    if value > 1.0 { 1.0 } else { value }
}
