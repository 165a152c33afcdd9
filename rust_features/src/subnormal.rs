//! Products and quotients of numbers near the lower end of the range, without the processor's slow way with them.
//!
//! A product or quotient that takes or gives a subnormal number costs a hundred times as much as any other; sums,
//! differences and comparisons do not. All subnormal numbers are whole multiples of the least one, the grid. *Lifted*
//! numbers are 2^600 times as large: exact, and normal. A result is rounded to the lifted grid where the plain one
//! would be subnormal, once and to even as the instruction rounds, so every function here has the bits of the plain
//! operation. Where a number is too large to be lifted, the plain operation is taken.

use crate::window::TINY;

/// Below this a number may be lifted, with room for any result; far above what needs it.
pub(crate) const NEAR: f64 = f64::from_bits((1023 - 960) << 52);
/// Exponents by which lifted numbers are larger.
const LIFT: u64 = 600 << 52;
/// The least normal number, lifted: whatever is added to it, up to itself, is rounded to the grid.
pub(crate) const LEAST_NORMAL: f64 = f64::from_bits(f64::MIN_POSITIVE.to_bits() + LIFT);
/// The least positive number, lifted.
const GRID: f64 = f64::from_bits(LEAST_NORMAL.to_bits() - (52 << 52));
/// Sizes that a factor of a lifted number must have for the result to be normal or below the grid.
const FACTORS: (f64, f64) = (
    f64::from_bits((1023 - 400) << 52),
    f64::from_bits((1023 + 400) << 52),
);
/// Lifted sums that start here are rounded to the grid by every addition, while they stay within [`ROUNDED`].
pub(crate) const ROUNDING: f64 = 1.5 * LEAST_NORMAL;
/// Half of the least normal number, lifted, less what roundings on the way may add.
pub(crate) const ROUNDED: f64 = 0.499 * LEAST_NORMAL;
const SIGN: u64 = 1 << 63;

/// Whether a number can be lifted; NaN cannot.
#[inline(always)]
pub(crate) fn is_near(value: f64) -> bool {
    value.abs() < NEAR
}

/// Whether a number can be lifted and is not zero, which no operation minds.
#[inline(always)]
pub(crate) const fn needs_lift(value: f64) -> bool {
    order(value) < const { order(NEAR) }
}

/// The order of sizes, with zero last.
#[inline(always)]
const fn order(value: f64) -> u64 {
    (value.to_bits() << 1).wrapping_sub(1)
}

/// Whether all of some numbers can be lifted, and one of them is not zero.
#[inline(always)]
pub(crate) fn all_near(values: &[f64]) -> bool {
    // Of usual numbers none needs a second look.
    if !values.first().copied().is_some_and(is_near) {
        return false;
    }
    let mut largest = 0;
    for value in values {
        // Signed, which every vector can compare.
        largest = (value.to_bits() & !SIGN).cast_signed().max(largest);
    }
    largest > 0 && largest < const { NEAR.to_bits().cast_signed() }
}

/// Whether every number can be lifted, zero too: one look at all of them, which vectors can take.
#[inline(always)]
pub(crate) fn each_near(values: &[f64]) -> bool {
    values
        .iter()
        .fold(true, |near, value| near & is_near(*value))
}

/// Whether every number is one that [`is_factor`] allows, as [`each_near`].
#[inline(always)]
pub(crate) fn all_factors(values: &[f64]) -> bool {
    values
        .iter()
        .fold(true, |all, value| all & is_factor(*value))
}

/// Whether [`crate::window::flush_tiny`] would make all of the values zero.
#[inline(always)]
pub(crate) fn all_tiny(values: &[f64]) -> bool {
    values
        .iter()
        .fold(true, |tiny, value| tiny & (value.abs() < TINY))
}

/// A number [`NEAR`] zero, lifted.
#[inline(always)]
pub(crate) fn lift(value: f64) -> f64 {
    let bits = value.to_bits();
    let (size, sign) = (bits & !SIGN, bits & SIGN);
    // Bits of a subnormal number are its multiple of the grid: as the mantissa of the least normal one they are added
    // to it.
    let multiple = f64::from_bits(size | LEAST_NORMAL.to_bits()) - LEAST_NORMAL;
    let is_subnormal = size < f64::MIN_POSITIVE.to_bits();
    let lifted = if is_subnormal {
        multiple.to_bits()
    } else {
        size.wrapping_add(LIFT)
    };
    f64::from_bits(lifted | sign)
}

/// A lifted number as it is, rounded to the grid.
#[inline(always)]
pub(crate) fn lower(lifted: f64) -> f64 {
    let size = lifted.abs();
    let multiple = (size + LEAST_NORMAL)
        .to_bits()
        .wrapping_sub(LEAST_NORMAL.to_bits());
    let lowered = if size < LEAST_NORMAL {
        multiple
    } else {
        size.to_bits().wrapping_sub(LIFT)
    };
    f64::from_bits(lowered | (lifted.to_bits() & SIGN))
}

/// Whether [`crate::window::flush_tiny`] would make a number zero, given the number lifted.
#[inline(always)]
pub(crate) fn is_lifted_tiny(lifted: f64) -> bool {
    lifted.abs() < const { f64::from_bits(TINY.to_bits() + LIFT) }
}

/// Whether no value is negative or normal.
#[inline(always)]
pub(crate) fn all_subnormal(values: &[f64]) -> bool {
    // Of usual numbers none needs a second look.
    let is_subnormal = |bits: u64| bits < f64::MIN_POSITIVE.to_bits();
    values
        .first()
        .is_none_or(|first| is_subnormal(first.to_bits()))
        && is_subnormal(values.iter().fold(0, |bits, value| bits | value.to_bits()))
}

/// A number that [`all_subnormal`] allows, lifted and a constant higher: distances of such numbers are those of lifted
/// ones, for a fraction of the work.
#[inline(always)]
pub(crate) fn raise(value: f64) -> f64 {
    f64::from_bits(value.to_bits() | LEAST_NORMAL.to_bits())
}

/// As [`lift`] of a number that [`all_subnormal`] allows.
#[inline(always)]
pub(crate) fn lift_subnormal(value: f64) -> f64 {
    raise(value) - LEAST_NORMAL
}

/// What was raised, as it is.
#[inline(always)]
pub(crate) fn lower_raised(raised: f64) -> f64 {
    f64::from_bits(raised.to_bits() ^ LEAST_NORMAL.to_bits())
}

/// Whether numbers are sums of as many that [`all_subnormal`] allows, given the largest of all their bits.
#[inline(always)]
pub(crate) fn are_sums_of_subnormals(largest: u64, count: f64) -> bool {
    largest < (count * f64::MIN_POSITIVE).to_bits()
}

/// A number of [`are_sums_of_subnormals`] divided by their count, with its `reciprocal`. The reciprocal's error moves no
/// quotient by more than half the grid, and what is left tells whether it was moved.
#[inline(always)]
pub(crate) fn subnormal_share(sum: f64, count: f64, reciprocal: f64) -> f64 {
    // As `lift`, without the sign that it does not have.
    let lifted = if sum < f64::MIN_POSITIVE {
        lift_subnormal(sum)
    } else {
        f64::from_bits(sum.to_bits().wrapping_add(LIFT))
    };
    let raised = lifted.mul_add(reciprocal, LEAST_NORMAL);
    f64::from_bits(corrected_multiple(raised, lifted, count))
}

/// The multiple of the grid that is nearest to `lifted / count`, given the quotient raised and rounded to the grid,
/// which is one too few or too many at most: what is left over is exact and tells. Of two that are as near the even one.
#[inline(always)]
fn corrected_multiple(raised: f64, lifted: f64, count: f64) -> u64 {
    let rest = (LEAST_NORMAL - raised).mul_add(count, lifted);
    let multiple = raised.to_bits().wrapping_sub(LEAST_NORMAL.to_bits());
    // What is left over is a multiple of the grid.
    let [even, odd] = [0.25, -0.25].map(|more| GRID * (0.5 * count + more));
    let half = if multiple & 1 == 0 { even } else { odd };
    multiple
        .wrapping_add(u64::from(rest > half))
        .wrapping_sub(u64::from(rest < -half))
}

/// Largest share for [`toward_raised`].
pub(crate) const RAISED_SHARE: f64 = 0.49;

/// [`toward`] of raised numbers, and a share of at most [`RAISED_SHARE`].
#[inline(always)]
pub(crate) fn toward_raised(from: f64, to: f64, share: f64) -> f64 {
    (from - ROUNDING) + (to - from).mul_add(share, ROUNDING)
}

/// As [`lower`] where the result is subnormal.
#[inline(always)]
pub(crate) fn lower_subnormal(lifted: f64) -> f64 {
    let multiple = (lifted.abs() + LEAST_NORMAL).to_bits() ^ LEAST_NORMAL.to_bits();
    f64::from_bits(multiple | (lifted.to_bits() & SIGN))
}

/// A lifted number rounded to the grid; exact results only, as it is a second rounding.
#[inline(always)]
pub(crate) fn snap(lifted: f64) -> f64 {
    let size = lifted.abs();
    if size < LEAST_NORMAL {
        ((size + LEAST_NORMAL) - LEAST_NORMAL).copysign(lifted)
    } else {
        lifted
    }
}

/// `lifted * factor`, lifted and rounded once.
#[inline(always)]
pub(crate) fn lifted_product(lifted: f64, factor: f64) -> f64 {
    let product = lifted * factor;
    let rounded = lifted.abs().mul_add(factor.abs(), LEAST_NORMAL) - LEAST_NORMAL;
    if product.abs() < LEAST_NORMAL {
        rounded.copysign(product)
    } else {
        product
    }
}

/// `lifted / count` for a whole number below 2^50 as it is, rounded once, given the quotient as it is rounded lifted.
#[inline(always)]
fn lowered_share(quotient: f64, lifted: f64, count: f64) -> f64 {
    // Rounded to the grid after it was rounded before, and corrected: a tie is exact already in the first. Whatever the
    // sizes of numbers, there is no branch.
    let size = quotient.abs();
    let multiple = corrected_multiple(size + LEAST_NORMAL, lifted.abs(), count);
    let lowered = if size < LEAST_NORMAL {
        multiple
    } else {
        size.to_bits().wrapping_sub(LIFT)
    };
    f64::from_bits(lowered | (lifted.to_bits() & SIGN))
}

/// Divides numbers [`NEAR`] zero by a whole one below 2^50, as [`share`], with its `reciprocal`.
#[inline(always)]
pub(crate) fn share_all(values: &mut [f64], count: f64, reciprocal: f64) {
    for value in values {
        let lifted = lift(*value);
        *value = lowered_share(corrected(lifted, count, reciprocal), lifted, count);
    }
}

/// `value / count` for a whole number below 2^52, given its reciprocal, with the bits of a division, which takes several
/// times as long; zero without its sign. The error of the product must be exact: neither the value nor that may be
/// near either end of the range.
///
/// Source: Markstein (1990), IBM J. Res. Dev. 34:1, theorem on correctly rounded quotients.
#[inline(always)]
pub(crate) fn corrected(value: f64, count: f64, reciprocal: f64) -> f64 {
    let quotient = value * reciprocal;
    quotient
        .mul_add(-count, value)
        .mul_add(reciprocal, quotient)
}

/// `dividend / divisor`.
#[inline(always)]
pub(crate) fn quotient(dividend: f64, divisor: f64) -> f64 {
    if needs_lift(divisor) {
        return near_quotient(dividend, divisor);
    }
    dividend / divisor
}

#[cold]
#[inline(never)]
fn near_quotient(dividend: f64, divisor: f64) -> f64 {
    if is_near(dividend) {
        lift(dividend) / lift(divisor)
    } else {
        dividend / divisor
    }
}

/// `dividend / divisor` of each pair; worth it where the first divisor tells the size of all numbers.
#[inline(always)]
pub(crate) fn quotients<const N: usize>(
    mut dividends: [f64; N],
    mut divisors: [f64; N],
) -> [f64; N] {
    if divisors.first().copied().is_some_and(needs_lift) {
        let mut near = true;
        for (dividend, divisor) in dividends.iter().zip(&divisors) {
            near &= is_near(*dividend) & is_near(*divisor);
        }
        if near {
            for (dividend, divisor) in dividends.iter_mut().zip(&mut divisors) {
                (*dividend, *divisor) = (lift(*dividend), lift(*divisor));
            }
        }
    }
    for (quotient, divisor) in dividends.iter_mut().zip(divisors) {
        *quotient /= divisor;
    }
    dividends
}

/// `value * factor`.
#[inline(always)]
pub(crate) fn product(value: f64, factor: f64) -> f64 {
    if needs_lift(value) {
        return near_product(value, factor);
    }
    value * factor
}

#[cold]
#[inline(never)]
fn near_product(value: f64, factor: f64) -> f64 {
    if is_factor(factor) {
        lower(lifted_product(lift(value), factor))
    } else {
        value * factor
    }
}

/// A number moved toward another by a share of their distance: rounded once, which is what a recursion waits for. Near
/// zero the product is rounded before, where that costs less than a subnormal number.
#[inline(always)]
pub(crate) fn toward(from: f64, to: f64, share: f64) -> f64 {
    let distance = to - from;
    if needs_two_roundings(distance) {
        return from + product(distance, share);
    }
    distance.mul_add(share, from)
}

/// Whether it may be the distance of two different numbers near zero.
#[inline(always)]
const fn needs_two_roundings(distance: f64) -> bool {
    order(distance) < const { order(2.0 * NEAR) }
}

/// Whether a lifted number can be multiplied by it.
#[inline(always)]
pub(crate) fn is_factor(factor: f64) -> bool {
    let size = factor.abs();
    let mut fits = size > FACTORS.0;
    fits &= size < FACTORS.1;
    fits |= size == 0.0;
    fits
}

/// `value / count` for a whole number below 2^50.
#[inline(always)]
pub(crate) fn share(value: f64, count: f64) -> f64 {
    if needs_lift(value) {
        return near_share(value, count);
    }
    value / count
}

#[cold]
#[inline(never)]
fn near_share(value: f64, count: f64) -> f64 {
    Lifted::share(value, count)
}

/// `a.midpoint(b)` of finite numbers.
#[inline(always)]
pub(crate) fn midpoint(a: f64, b: f64) -> f64 {
    let sum = a + b;
    if needs_lift(sum) {
        return near_product(sum, 0.5);
    }
    a.midpoint(b)
}

/// How the operations of a formula are carried out, with the same bits every way.
pub(crate) trait Arithmetic {
    /// `dividend / divisor`.
    fn quotient(dividend: f64, divisor: f64) -> f64;
    /// `value * factor`.
    fn product(value: f64, factor: f64) -> f64;
    /// `value / count` for a whole number below 2^50.
    fn share(value: f64, count: f64) -> f64;
    /// `a.midpoint(b)` of finite numbers.
    fn middle(a: f64, b: f64) -> f64;
}

/// Looks at each number before the operation: for steps.
pub(crate) struct Careful;

impl Arithmetic for Careful {
    #[inline(always)]
    fn quotient(dividend: f64, divisor: f64) -> f64 {
        quotient(dividend, divisor)
    }

    #[inline(always)]
    fn product(value: f64, factor: f64) -> f64 {
        product(value, factor)
    }

    #[inline(always)]
    fn share(value: f64, count: f64) -> f64 {
        share(value, count)
    }

    #[inline(always)]
    fn middle(a: f64, b: f64) -> f64 {
        midpoint(a, b)
    }
}

/// The processor's own: for loops that vectors can take.
pub(crate) struct Plain;

impl Arithmetic for Plain {
    #[inline(always)]
    fn quotient(dividend: f64, divisor: f64) -> f64 {
        dividend / divisor
    }

    #[inline(always)]
    fn product(value: f64, factor: f64) -> f64 {
        value * factor
    }

    #[inline(always)]
    fn share(value: f64, count: f64) -> f64 {
        value / count
    }

    #[inline(always)]
    fn middle(a: f64, b: f64) -> f64 {
        a.midpoint(b)
    }
}

/// Lifts each number: for loops over numbers that all are [`NEAR`] zero, with factors that [`is_factor`] allows.
pub(crate) struct Lifted;

impl Arithmetic for Lifted {
    #[inline(always)]
    fn quotient(dividend: f64, divisor: f64) -> f64 {
        lift(dividend) / lift(divisor)
    }

    #[inline(always)]
    fn product(value: f64, factor: f64) -> f64 {
        lower(lifted_product(lift(value), factor))
    }

    #[inline(always)]
    fn share(value: f64, count: f64) -> f64 {
        let lifted = lift(value);
        lowered_share(lifted / count, lifted, count)
    }

    #[inline(always)]
    fn middle(a: f64, b: f64) -> f64 {
        Self::product(a + b, 0.5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers around every edge: the grid, powers of two, the least normal number, those that can be lifted.
    fn numbers() -> Vec<f64> {
        let mut bits = vec![0, 1, 2, 3, 5, 7, 1 << 51, (1 << 52) - 1, 1 << 52, 3 << 51];
        let mut random = 1_u64;
        for shift in 0..64 {
            for _ in 0..4 {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                bits.push((random >> 12) >> (shift % 52));
                bits.push(((shift + 1) << 52) | (random >> 12));
            }
            bits.push((shift << 52).wrapping_sub(1) & (u64::MAX >> 1));
        }
        let sizes = bits.into_iter().map(f64::from_bits);
        let sizes: Vec<f64> = sizes.filter(|size| *size < NEAR).collect();
        sizes
            .iter()
            .map(|size| -size)
            .chain(sizes.clone())
            .collect()
    }

    #[test]
    fn sums_of_subnormal_numbers_are_divided_with_the_bits_of_a_division() {
        for count in 1..200_u32 {
            let count = f64::from(count);
            let most = (count * f64::MIN_POSITIVE).to_bits();
            let ends = [most - 1, most - 2, most - 3, most / 2, most / 2 + 1].map(f64::from_bits);
            for sum in numbers().into_iter().chain(ends) {
                if are_sums_of_subnormals(sum.to_bits(), count) {
                    let share = subnormal_share(sum, count, 1.0 / count);
                    assert_eq!(
                        share.to_bits(),
                        (sum / count).to_bits(),
                        "{sum:e} / {count}"
                    );
                }
            }
        }
    }

    #[test]
    fn lifted_numbers_come_back() {
        for value in numbers() {
            let expected = value * f64::from_bits((1023 + 600) << 52);
            assert_eq!(lift(value).to_bits(), expected.to_bits(), "{value:e}");
            assert_eq!(lower(lift(value)).to_bits(), value.to_bits(), "{value:e}");
        }
    }

    #[test]
    fn quotients_have_the_bits_of_the_plain_ones() {
        let numbers = numbers();
        for a in &numbers {
            for b in numbers.iter().step_by(7).chain(&[3e-200, 7.0, 1e300]) {
                let expected = (a / b).to_bits();
                if (a / b).is_nan() {
                    assert!(quotient(*a, *b).is_nan(), "{a:e} / {b:e}");
                    continue;
                }
                assert_eq!(quotient(*a, *b).to_bits(), expected, "{a:e} / {b:e}");
                assert_eq!(quotients([*a, 1.0], [*b, 2.0])[0].to_bits(), expected);
                if is_near(*b) {
                    assert_eq!(Lifted::quotient(*a, *b).to_bits(), expected);
                }
            }
        }
    }

    #[test]
    fn products_have_the_bits_of_the_plain_ones() {
        let thirds = (1..40).map(|count| 1.0 / f64::from(count));
        let others = [
            0.0, 0.015, 1e-15, 1.5, 7.25, 1e4, -0.4, -3.0, 1e-90, 1e90, 1e-200, 1e250,
        ];
        let factors: Vec<f64> = thirds.chain(others).collect();
        for value in numbers() {
            for factor in &factors {
                let expected = (value * factor).to_bits();
                assert_eq!(
                    product(value, *factor).to_bits(),
                    expected,
                    "{value:e} * {factor:e}"
                );
                if is_factor(*factor) {
                    assert_eq!(Lifted::product(value, *factor).to_bits(), expected);
                }
            }
        }
    }

    #[test]
    fn shares_have_the_bits_of_the_plain_ones() {
        for value in numbers() {
            for count in (1..100).chain([4096, 65_535, 99_999]).map(f64::from) {
                let expected = (value / count).to_bits();
                assert_eq!(
                    share(value, count).to_bits(),
                    expected,
                    "{value:e} / {count}"
                );
                let mut shared = [value];
                share_all(&mut shared, count, 1.0 / count);
                assert_eq!(shared[0].to_bits(), expected, "{value:e} / {count}");
            }
        }
    }

    #[test]
    fn middles_have_the_bits_of_the_plain_ones() {
        let numbers = numbers();
        for a in &numbers {
            for b in numbers.iter().step_by(5).chain(&[1.0, 1e308]) {
                let expected = a.midpoint(*b).to_bits();
                assert_eq!(midpoint(*a, *b).to_bits(), expected, "{a:e} {b:e}");
            }
        }
        assert_eq!(midpoint(1.6e308, 1.7e308), 1.6e308_f64.midpoint(1.7e308));
    }

    #[test]
    fn what_is_near_needs_a_number() {
        assert!(all_near(&[0.0, -1e-310]) && !all_near(&[0.0; 3]));
        assert!(!all_near(&[1e-310, f64::NAN]) && !all_near(&[1e-310, 1.0]));
        assert!(!needs_lift(0.0) && !needs_lift(f64::NAN) && needs_lift(-5e-324));
    }
}
