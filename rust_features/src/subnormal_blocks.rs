//! Quotients of blocks of numbers near zero, with the bits of the plain ones: out of line, so that every kernel has the
//! widest vectors for them, and none has a copy.

use crate::instructions::{Work, with_widest_vectors};
use crate::neighbours::{WINDOWS, parts};
use crate::subnormal::{
    Arithmetic, Lifted, Plain, all_near, are_sums_of_subnormals, each_near, share_all,
    subnormal_share,
};

/// Divides numbers near zero by a whole one below 2^50; false, with nothing changed, where they are not, or all zero.
#[cold]
#[inline(never)]
pub(crate) fn divide(values: &mut [f64], count: f64) -> bool {
    with_widest_vectors(Divide { values, count })
}

struct Divide<'a> {
    values: &'a mut [f64],
    count: f64,
}

impl Work for Divide<'_> {
    type Result = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let Self { values, count } = self;
        let share = 1.0 / count;
        let bits = values.iter().map(|value| value.to_bits());
        if are_sums_of_subnormals(bits.fold(0, u64::max), count) {
            for value in values {
                *value = subnormal_share(*value, count, share);
            }
            return true;
        }
        let near = all_near(values);
        if near {
            share_all(values, count, share);
        }
        near
    }
}

/// Divides numbers by as many others, of which many may be near zero.
#[cold]
#[inline(never)]
pub(crate) fn divide_by_each(values: &mut [f64], divisors: &[f64]) {
    with_widest_vectors(DivideByEach { values, divisors });
}

struct DivideByEach<'a> {
    values: &'a mut [f64],
    divisors: &'a [f64],
}

impl Work for DivideByEach<'_> {
    type Result = ();

    #[inline(always)]
    fn run(self) {
        let blocks = self.values.chunks_mut(WINDOWS);
        for (values, divisors) in blocks.zip(self.divisors.chunks(WINDOWS)) {
            if each_near(divisors) && each_near(values) {
                quotients_by::<Lifted>(values, divisors);
            } else {
                quotients_by::<Plain>(values, divisors);
            }
        }
    }
}

#[inline(always)]
fn quotients_by<A: Arithmetic>(values: &mut [f64], divisors: &[f64]) {
    for (value, divisor) in values.iter_mut().zip(divisors) {
        *value = A::quotient(*value, *divisor);
    }
}

/// As [`ratio_by`] of each value and average, of which many may be near zero.
#[cold]
#[inline(never)]
pub(crate) fn ratios(values: &[f64], averages: &[f64], cells: &mut [f64]) {
    with_widest_vectors(Ratios {
        values,
        averages,
        cells,
    });
}

struct Ratios<'a> {
    values: &'a [f64],
    averages: &'a [f64],
    cells: &'a mut [f64],
}

impl Work for Ratios<'_> {
    type Result = ();

    #[inline(always)]
    fn run(self) {
        for own in parts(self.cells.len(), WINDOWS) {
            let (values, averages) = (&self.values[own.clone()], &self.averages[own.clone()]);
            let cells = &mut self.cells[own];
            if all_near(averages) && each_near(values) {
                ratios_by::<Lifted>(values, averages, cells);
            } else {
                ratios_by::<Plain>(values, averages, cells);
            }
        }
    }
}

/// As [`ratio_by`] of each value and average.
#[inline(always)]
pub(crate) fn ratios_by<A: Arithmetic>(values: &[f64], averages: &[f64], cells: &mut [f64]) {
    for ((cell, value), average) in cells.iter_mut().zip(values).zip(averages) {
        *cell = ratio_by::<A>(*value, *average);
    }
}

/// Distance of a value from its average, as a fraction of the average; 0 where that is 0.
#[inline(always)]
pub(crate) fn ratio_by<A: Arithmetic>(value: f64, average: f64) -> f64 {
    if average == 0.0 {
        0.0
    } else {
        A::quotient(value, average) - 1.0
    }
}
