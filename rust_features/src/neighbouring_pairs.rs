//! What two series have in common in all windows of a tile, for batches: sums of distances from each window's newest
//! values.
//!
//! The newest values lie in the window: however far they are from the others, the squares lose no more digits by that
//! than the window has values. So one pass over a window is enough, and it has the same bits alone and beside others.

use crate::neighbours::TILE;

/// Sums of the distances of both series, of their squares and of their products.
const SUMS: usize = 5;

/// Sums of the squared distances from the mean, of each series, and of their products.
pub(crate) type Spread = [f64; 3];

/// The spread of a window of `count` pairs, the last of them `newest`.
#[inline(always)]
pub(crate) fn spread(
    pairs: impl Iterator<Item = (f64, f64)>,
    newest: (f64, f64),
    count: usize,
) -> Spread {
    let sums = pairs.fold([0.0; SUMS], |sums, (a, b)| {
        added(sums, a - newest.0, b - newest.1)
    });
    spread_of(sums, 1.0 / count as f64)
}

#[inline(always)]
fn added([x, y, xx, yy, xy]: [f64; SUMS], a: f64, b: f64) -> [f64; SUMS] {
    [
        x + a,
        y + b,
        a.mul_add(a, xx),
        b.mul_add(b, yy),
        a.mul_add(b, xy),
    ]
}

#[inline(always)]
fn spread_of([x, y, xx, yy, xy]: [f64; SUMS], share: f64) -> Spread {
    let (mean_x, mean_y) = (x * share, y * share);
    [
        (-mean_x).mul_add(x, xx),
        (-mean_y).mul_add(y, yy),
        (-mean_x).mul_add(y, xy),
    ]
}

/// The sums of a tile of windows.
#[repr(align(64))]
pub(crate) struct Pairs([[f64; TILE]; SUMS]);

impl Pairs {
    pub(crate) const ZEROS: Self = Self([[0.0; TILE]; SUMS]);

    /// Calls `each` with the number and the spread of the windows of `length` values that start at the first, second,
    /// … of both series, which hold one less than `length` more than there are `windows`, at most [`TILE`].
    #[inline(always)]
    pub(crate) fn measure(
        &mut self,
        x: &[f64],
        y: &[f64],
        length: usize,
        windows: usize,
        mut each: impl FnMut(usize, Spread),
    ) {
        for sums in &mut self.0 {
            sums[..windows].fill(0.0);
        }
        let mut done = 0;
        // Several at a time, for each time costs a pass over the sums.
        while done + 10 <= length {
            self.add::<10>(x, y, (done, length), windows);
            done += 10;
        }
        if done + 5 <= length {
            self.add::<5>(x, y, (done, length), windows);
            done += 5;
        }
        while done < length {
            self.add::<1>(x, y, (done, length), windows);
            done += 1;
        }
        let share = 1.0 / length as f64;
        let [xs, ys, xxs, yys, xys] = self.0.each_ref().map(|sums| &sums[..windows]);
        for at in 0..windows {
            each(
                at,
                spread_of([xs[at], ys[at], xxs[at], yys[at], xys[at]], share),
            );
        }
    }

    /// Adds `COUNT` values of each window, the first of them at the place `done`.
    #[inline(always)]
    fn add<const COUNT: usize>(
        &mut self,
        x: &[f64],
        y: &[f64],
        (done, length): (usize, usize),
        windows: usize,
    ) {
        let (mut own_x, mut own_y) = ([&x[..0]; COUNT], [&y[..0]; COUNT]);
        for place in 0..COUNT {
            own_x[place] = window_column(x, done + place, windows);
            own_y[place] = window_column(y, done + place, windows);
        }
        let newest_x = window_column(x, length - 1, windows);
        let newest_y = window_column(y, length - 1, windows);
        let [xs, ys, xxs, yys, xys] = self.0.each_mut().map(|sums| &mut sums[..windows]);
        for at in 0..windows {
            let mut sums = [xs[at], ys[at], xxs[at], yys[at], xys[at]];
            for place in 0..COUNT {
                let (a, b) = (own_x[place][at], own_y[place][at]);
                sums = added(sums, a - newest_x[at], b - newest_y[at]);
            }
            [xs[at], ys[at], xxs[at], yys[at], xys[at]] = sums;
        }
    }
}

/// The windows' values at a place.
#[inline(always)]
fn window_column(values: &[f64], place: usize, windows: usize) -> &[f64] {
    &values[place..][..windows]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone(x: &[f64], y: &[f64]) -> Spread {
        let pairs = x.iter().copied().zip(y.iter().copied());
        let newest = pairs.clone().next_back().unwrap();
        spread(pairs, newest, x.len())
    }

    #[test]
    fn side_by_side_has_the_bits_of_one_by_one() {
        let x: Vec<f64> = (0..400)
            .map(|i| 1e5 + f64::from(i * 7 % 31).sqrt())
            .collect();
        let y: Vec<f64> = (0..400)
            .map(|i| f64::from(i * 5 % 17).sqrt() - 2.0)
            .collect();
        let mut pairs = Pairs::ZEROS;
        for length in [1, 2, 4, 5, 6, 30, 44, 100] {
            for windows in [1, 7, 64, TILE] {
                let mut seen = 0;
                let given = windows + length - 1;
                pairs.measure(&x[..given], &y[..given], length, windows, |at, together| {
                    let own = alone(&x[at..][..length], &y[at..][..length]);
                    assert_eq!(together, own, "{length} from {at}");
                    seen += 1;
                });
                assert_eq!(seen, windows);
            }
        }
    }

    #[test]
    fn a_newest_value_far_from_the_others_costs_few_digits() {
        let mut x: Vec<f64> = (0..30).map(|i| f64::from(i * 7 % 11)).collect();
        x[29] = 1e9;
        let [variance, ..] = alone(&x, &x);
        let mean = x.iter().sum::<f64>() / 30.0;
        let expected: f64 = x.iter().map(|value| (value - mean).powi(2)).sum();
        assert!((variance / expected - 1.0).abs() < 1e-13);
    }
}
