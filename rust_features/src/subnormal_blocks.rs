//! Quotients of blocks of numbers near zero, with the bits of the plain ones: out of line, so that every kernel has the
//! widest vectors for them, and none has a copy.

use crate::instructions::{Work, with_widest_vectors};
use crate::subnormal::{
    Arithmetic, Lifted, all_near, are_sums_of_subnormals, each_near, share_all, subnormal_share,
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

/// Divides numbers near zero by as many others; false, with nothing changed, where one is not.
#[cold]
#[inline(never)]
pub(crate) fn divide_by_each(values: &mut [f64], divisors: &[f64]) -> bool {
    with_widest_vectors(DivideByEach { values, divisors })
}

struct DivideByEach<'a> {
    values: &'a mut [f64],
    divisors: &'a [f64],
}

impl Work for DivideByEach<'_> {
    type Result = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let near = each_near(self.divisors) && each_near(self.values);
        if near {
            for (value, divisor) in self.values.iter_mut().zip(self.divisors) {
                *value = Lifted::quotient(*value, *divisor);
            }
        }
        near
    }
}

/// Distances of numbers near zero from their averages, as fractions of those, 0 where one is 0; false, with nothing
/// changed, where a number is not near zero or no average is anything else.
#[cold]
#[inline(never)]
pub(crate) fn ratios(values: &[f64], averages: &[f64], cells: &mut [f64]) -> bool {
    with_widest_vectors(Ratios {
        values,
        averages,
        cells,
    })
}

struct Ratios<'a> {
    values: &'a [f64],
    averages: &'a [f64],
    cells: &'a mut [f64],
}

impl Work for Ratios<'_> {
    type Result = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let near = all_near(self.averages) && each_near(self.values);
        if near {
            let pairs = self.values.iter().zip(self.averages);
            for (cell, (value, average)) in self.cells.iter_mut().zip(pairs) {
                *cell = ratio_by::<Lifted>(*value, *average);
            }
        }
        near
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
