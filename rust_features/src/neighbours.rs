//! Moments of many overlapping windows at once, for batches.
//!
//! Neighbouring bars' windows are summed side by side, one vector lane per bar; each sum has the order, and so the
//! bits, of the functions of [`crate::window`].

use crate::instructions::{Work, with_widest_vectors};
use crate::window::{LANES, fold_lanes};

/// Windows summed side by side.
pub(crate) const WINDOWS: usize = 64;

/// Aligned to a cache line, so that no vector of it straddles two.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Row(pub(crate) [f64; WINDOWS]);

const ZEROS: Row = Row([0.0; WINDOWS]);

/// Means and variances of neighbouring windows, and room to compute them.
#[derive(Debug)]
pub(crate) struct Neighbours {
    pub(crate) means: Row,
    pub(crate) variances: Row,
    differences: Row,
    lanes: [Row; LANES],
}

impl Neighbours {
    pub(crate) fn new() -> Box<Self> {
        Box::new(Self {
            means: ZEROS,
            variances: ZEROS,
            differences: ZEROS,
            lanes: [ZEROS; LANES],
        })
    }

    /// Computes the means of the windows of `length` values that start at the first, second, … of `values`, which
    /// holds `length + WINDOWS - 1` values; and the variances when `variances` is set.
    #[inline(never)]
    pub(crate) fn compute(&mut self, values: &[f64], length: usize, variances: bool) {
        with_widest_vectors(Moments {
            room: self,
            values,
            length,
            variances,
        });
    }
}

struct Moments<'a> {
    room: &'a mut Neighbours,
    values: &'a [f64],
    length: usize,
    variances: bool,
}

impl Work for Moments<'_> {
    type Result = ();

    #[inline(always)]
    fn run(self) {
        let Neighbours {
            means,
            variances,
            differences,
            lanes,
        } = self.room;
        let (values, length, count) = (self.values, self.length, self.length as f64);
        sum(
            lanes,
            means,
            values,
            length,
            |sum, value, _| sum + value,
            &ZEROS,
        );
        for mean in &mut means.0 {
            *mean /= count;
        }
        if !self.variances {
            return;
        }
        sum(
            lanes,
            differences,
            values,
            length,
            |sum, value, mean| sum + (value - mean),
            means,
        );
        let square = |sum, value, mean| sum + (value - mean) * (value - mean);
        sum(lanes, variances, values, length, square, means);
        for (variance, difference) in variances.0.iter_mut().zip(&differences.0) {
            let corrected = (*variance - *difference * *difference / count) / count;
            *variance = if corrected > 0.0 { corrected } else { 0.0 };
        }
    }
}

/// Adds every window into `sums`, in the order of [`crate::window::sum_of`].
#[inline(always)]
fn sum(
    lanes: &mut [Row; LANES],
    sums: &mut Row,
    values: &[f64],
    length: usize,
    add: impl Fn(f64, f64, f64) -> f64,
    means: &Row,
) {
    *lanes = [ZEROS; LANES];
    let in_chunks = length - length % LANES;
    for (at, lane) in lanes.iter_mut().enumerate() {
        let mut first = at;
        while first < in_chunks {
            accumulate(lane, &values[first..], &add, means);
            first += LANES;
        }
    }
    for window in 0..WINDOWS {
        sums.0[window] = fold_lanes([
            lanes[0].0[window],
            lanes[1].0[window],
            lanes[2].0[window],
            lanes[3].0[window],
            lanes[4].0[window],
            lanes[5].0[window],
            lanes[6].0[window],
            lanes[7].0[window],
        ]);
    }
    for first in in_chunks..length {
        accumulate(sums, &values[first..], &add, means);
    }
}

#[inline(always)]
fn accumulate(sums: &mut Row, values: &[f64], add: &impl Fn(f64, f64, f64) -> f64, means: &Row) {
    let Some(values) = values.first_chunk::<WINDOWS>() else {
        return;
    };
    for ((sum, value), mean) in sums.0.iter_mut().zip(values).zip(&means.0) {
        *sum = add(*sum, *value, *mean);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::mean_and_variance;

    #[test]
    fn side_by_side_has_the_bits_of_one_by_one() {
        let values: Vec<f64> = (0..200)
            .map(|i| 1e5 + f64::from(i * 7 % 31).sqrt())
            .collect();
        let mut room = Neighbours::new();
        for length in 1..100 {
            room.compute(&values[..length + WINDOWS - 1], length, true);
            for window in 0..WINDOWS {
                let expected = mean_and_variance(&values[window..][..length]);
                let given = (room.means.0[window], room.variances.0[window]);
                assert_eq!(given, expected, "{length} from {window}");
            }
        }
    }
}
