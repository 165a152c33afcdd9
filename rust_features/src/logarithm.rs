//! Logarithms: of a ratio of prices, exact to the last digits for the small moves that markets make; of several numbers.

use crate::instructions::{Work, with_widest_vectors};
use crate::neighbours::{Row, TILE};
use crate::subnormal::{all_near, lift, quotient, quotients};

/// Below this `(a - b) / (a + b)`, a move of about 6 %, the series converges in a few terms.
const SMALL: f64 = 1.0 / 32.0;

/// `ln(a / b)` of two prices above zero.
///
/// Dividing first would round a small move away: of 1e9 against 1e9 + 0.01 it leaves five digits. The difference of
/// two near prices is exact, and `ln(a / b) = 2 atanh((a - b) / (a + b))`.
#[inline(always)]
pub(crate) fn log_ratio(a: f64, b: f64) -> f64 {
    let z = quotient(a - b, a + b);
    if z.abs() >= SMALL {
        return of_large_move(a, b);
    }
    of_small_move(z)
}

/// As [`log_ratio`] for several pairs, side by side.
#[inline(always)]
pub(crate) fn log_ratios<const N: usize>(above: [f64; N], below: [f64; N]) -> [f64; N] {
    let (mut differences, mut sums) = ([0.0; N], [0.0; N]);
    for (at, (a, b)) in above.into_iter().zip(below).enumerate() {
        (differences[at], sums[at]) = (a - b, a + b);
    }
    let places = quotients(differences, sums);
    let small = (places.iter()).fold(true, |small, z| small & (z.abs() < SMALL));
    let mut logarithms = [0.0; N];
    if small {
        for (logarithm, z) in logarithms.iter_mut().zip(places) {
            *logarithm = of_small_move(z);
        }
    } else {
        for ((logarithm, a), b) in logarithms.iter_mut().zip(above).zip(below) {
            *logarithm = log_ratio(a, b);
        }
    }
    logarithms
}

/// As [`log_ratio`] of each value and the one before it, from the second on: a change fewer than there are values.
pub(crate) fn log_changes(values: &[f64], changes: &mut [f64]) {
    if let [_, later @ ..] = values {
        log_ratios_of(later, values, changes);
    }
}

/// As [`log_ratio`] of each of many pairs; longer columns are cut.
pub(crate) fn log_ratios_of(above: &[f64], below: &[f64], logarithms: &mut [f64]) {
    with_widest_vectors(LogRatios {
        above,
        below,
        logarithms,
    });
}

struct LogRatios<'a> {
    above: &'a [f64],
    below: &'a [f64],
    logarithms: &'a mut [f64],
}

impl Work for LogRatios<'_> {
    type Result = ();

    #[inline(always)]
    fn run(self) {
        let tiles = self.logarithms.chunks_mut(TILE);
        let pairs = self.above.chunks(TILE).zip(self.below.chunks(TILE));
        for (cells, (above, below)) in tiles.zip(pairs) {
            let bars = cells.len().min(above.len()).min(below.len());
            let (above, below, cells) = (&above[..bars], &below[..bars], &mut cells[..bars]);
            let mut room = [[0.0; TILE]; 2];
            if all_near(above) && all_near(below) {
                for (lifted, values) in room.iter_mut().zip([above, below]) {
                    for (lifted, value) in lifted.iter_mut().zip(values) {
                        *lifted = lift(*value);
                    }
                }
                Self::fill([&room[0][..bars], &room[1][..bars]], cells);
            } else {
                Self::fill([above, below], cells);
            }
        }
    }
}

impl LogRatios<'_> {
    #[inline(always)]
    fn fill([above, below]: [&[f64]; 2], cells: &mut [f64]) {
        let (cells, last_cells) = cells.as_chunks_mut::<8>();
        let ((above, last_above), (below, last_below)) =
            (above.as_chunks::<8>(), below.as_chunks::<8>());
        for ((cells, above), below) in cells.iter_mut().zip(above).zip(below) {
            *cells = log_ratios(*above, *below);
        }
        for ((cell, above), below) in last_cells.iter_mut().zip(last_above).zip(last_below) {
            *cell = log_ratio(*above, *below);
        }
    }
}

/// As [`log_ratio`] of each series' pair.
#[inline(always)]
pub(crate) fn log_ratios_of_each(above: &Row, below: &Row) -> Row {
    let (mut logarithms, mut places) = (Row::ZEROS, Row::ZEROS);
    let mut large = 0;
    for (at, place) in places.0.iter_mut().enumerate() {
        let (a, b) = (above.0[at], below.0[at]);
        *place = (a - b) / (a + b);
        large |= i64::from(place.abs() >= SMALL);
        logarithms.0[at] = of_small_move(*place);
    }
    if large != 0 {
        for (at, place) in places.0.iter().enumerate() {
            if place.abs() >= SMALL {
                logarithms.0[at] = of_large_move(above.0[at], below.0[at]);
            }
        }
    }
    logarithms
}

/// `2 atanh(z)` of a small number.
#[inline(always)]
fn of_small_move(z: f64) -> f64 {
    let w = z * z;
    let tail =
        w * (1.0 / 3.0 + w * (1.0 / 5.0 + w * (1.0 / 7.0 + w * (1.0 / 9.0 + w * (1.0 / 11.0)))));
    let twice = z + z;
    twice + twice * tail
}

#[inline(never)]
fn of_large_move(a: f64, b: f64) -> f64 {
    let ratio = quotient(a, b);
    if ratio > f64::MIN_POSITIVE && ratio < f64::MAX {
        libm::log(ratio)
    } else {
        libm::log(a) - libm::log(b)
    }
}

/// Bits of `sqrt(0.5)`: mantissas between it and `sqrt(2)` lie nearest to one.
const ROOT_HALF: u64 = std::f64::consts::FRAC_1_SQRT_2.to_bits();
/// `ln 2` in two parts; the first has room for any exponent.
const LN_2_HIGH: f64 = f64::from_bits(std::f64::consts::LN_2.to_bits() & !0xffff_ffff);
const LN_2_LOW: f64 = 4.749_325_039_031_672_6e-7;

/// Of the series of `atanh(z) / z - 1` in `z^2`, highest power first.
const COEFFICIENTS: [f64; 10] = [
    1.0 / 21.0,
    1.0 / 19.0,
    1.0 / 17.0,
    1.0 / 15.0,
    1.0 / 13.0,
    1.0 / 11.0,
    1.0 / 9.0,
    1.0 / 7.0,
    1.0 / 5.0,
    1.0 / 3.0,
];

/// Natural logarithms of several normal numbers above zero, side by side where one call each would wait in line.
#[inline(always)]
pub(crate) fn log_each<const N: usize>(values: [f64; N]) -> [f64; N] {
    // Loops, not `map`: they dissolve into the caller.
    let mut logarithms = [0.0; N];
    for (logarithm, value) in logarithms.iter_mut().zip(values) {
        let bits = value.to_bits();
        // An arithmetic shift, so that numbers below sqrt(0.5) have negative exponents.
        let exponent = bits.wrapping_sub(ROOT_HALF).cast_signed() >> 52;
        let mantissa = f64::from_bits(bits.wrapping_sub((exponent << 52).cast_unsigned()));
        let z = (mantissa - 1.0) / (mantissa + 1.0);
        let w = z * z;
        let mut tail = 0.0;
        for coefficient in COEFFICIENTS {
            tail = w * (tail + coefficient);
        }
        let exponent = exponent as f64;
        let twice = z + z;
        *logarithm = exponent * LN_2_HIGH + (twice + (twice * tail + exponent * LN_2_LOW));
    }
    logarithms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_agree_where_they_meet() {
        for step in 0..2000 {
            let move_size = f64::from(step) * 1e-4;
            for (a, b) in [(1.0 + move_size, 1.0), (1.0, 1.0 + move_size)] {
                let expected = (a - b) / a.min(b);
                let expected = if a > b {
                    libm::log1p(expected)
                } else {
                    -libm::log1p(-expected)
                };
                let error = (log_ratio(a, b) - expected).abs();
                assert!(error <= 1.2e-15 * expected.abs(), "{a} / {b}: {error}");
            }
        }
    }

    #[test]
    fn changes_of_a_series_are_those_of_its_pairs() {
        let step = |i: u32| f64::from(i * 7 % 31).sqrt() * f64::from(1 + i % 5 / 4);
        let usual: Vec<f64> = (0..40).map(|i| 20.0 + step(i)).collect();
        let small = usual.iter().map(|value| value * 1e-312).collect();
        for values in [usual, small] {
            for length in 1..values.len() {
                let values = &values[..length];
                let mut changes = vec![0.0; length - 1];
                log_changes(values, &mut changes);
                let pairs = values.windows(2).map(|pair| log_ratio(pair[1], pair[0]));
                let expected: Vec<u64> = pairs.map(f64::to_bits).collect();
                let changes: Vec<u64> = changes.into_iter().map(f64::to_bits).collect();
                assert_eq!(changes, expected, "{length}");
            }
        }
    }

    #[test]
    fn a_small_move_on_a_large_price_keeps_its_digits() {
        let expected = 0.007_812_5 / 1e9 - 0.5 * (0.007_812_5_f64 / 1e9).powi(2);
        let error = log_ratio(1e9 + 0.007_812_5, 1e9) / expected - 1.0;
        assert!(error.abs() < 1e-15, "{error}");
    }

    #[test]
    fn several_logarithms_equal_single_ones() {
        assert_eq!(LN_2_HIGH + LN_2_LOW, std::f64::consts::LN_2);
        for step in -3000..3000 {
            let value = libm::exp(f64::from(step) * 0.237_1);
            if !(value.is_normal()) {
                continue;
            }
            let near_one = 1.0 + f64::from(step) * 1e-5;
            for (got, value) in log_each([value, near_one])
                .into_iter()
                .zip([value, near_one])
            {
                let expected = libm::log(value);
                let error = (got - expected).abs();
                assert!(error <= 5e-16 * expected.abs(), "{value}: {got} {expected}");
            }
        }
        assert_eq!(log_each([1.0, f64::MIN_POSITIVE])[0], 0.0);
    }

    #[test]
    fn several_ratios_have_the_bits_of_single_ones() {
        for (above, below) in [
            ([1.0, 1.02, 0.98, 7.0], [1.0, 1.0, 1.0, 7.1]),
            ([1.0, 2.0, 0.98, 1e300], [1.0, 1.0, 1.0, 1e-300]),
            ([1e9 + 0.007_812_5; 4], [1e9; 4]),
        ] {
            let expected: [f64; 4] = std::array::from_fn(|at| log_ratio(above[at], below[at]));
            assert_eq!(
                log_ratios(above, below).map(f64::to_bits),
                expected.map(f64::to_bits)
            );
        }
    }

    #[test]
    fn ratios_of_many_series_have_the_bits_of_single_ones() {
        let scales = [1.0, 1e-310, 1e300, 3e-200];
        for large in [0.0, 1.0] {
            let below = Row(std::array::from_fn(|at| scales[at % 4] * (1.0 + at as f64)));
            let above = Row(std::array::from_fn(|at| {
                below.0[at] * (0.97 + at as f64 * 1e-3 + large * (at % 3) as f64)
            }));
            let together = log_ratios_of_each(&above, &below);
            for (at, logarithm) in together.0.iter().enumerate() {
                let alone = log_ratio(above.0[at], below.0[at]);
                assert_eq!(logarithm.to_bits(), alone.to_bits(), "{at}");
            }
        }
    }

    #[test]
    fn no_two_prices_give_infinity() {
        for (a, b) in [(1e300, 1e-300), (1e-300, 1e300), (5e-324, 1e308)] {
            let value = log_ratio(a, b);
            assert!(value.is_finite() && (value > 0.0) == (a > b), "{a} {b}");
        }
        assert_eq!(log_ratio(7.0, 7.0), 0.0);
    }
}
