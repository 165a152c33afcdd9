//! Sums, moments and extremes of a window of values, oldest first.
//!
//! Each is computed afresh from the window, in an order that depends on nothing but the window's length: the result
//! cannot drift, forgets an outlier the moment it leaves, and has the same bits in batch, stream and panel.

use crate::subnormal::{needs_lift, share};

/// Partial sums of a window.
pub(crate) const LANES: usize = 8;

/// Magnitude below which a decaying average counts as zero.
///
/// Far below any price move, far above the subnormal numbers that make arithmetic tens of times slower.
pub(crate) const TINY: f64 = 1e-300;

#[inline(always)]
pub(crate) fn fold_lanes(lanes: [f64; LANES]) -> f64 {
    ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6]))
        + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))
}

/// Sum of `term` over the window.
///
/// The last values, too few for a chunk, come as four, two and one of them, each added by halves: so neighbouring
/// windows share what they add, and a window alone waits for few additions.
#[inline(always)]
pub(crate) fn sum_of(values: &[f64], term: impl Fn(f64) -> f64) -> f64 {
    let (chunks, mut rest) = values.as_chunks::<LANES>();
    let mut total = 0.0;
    if !chunks.is_empty() {
        let mut lanes = [0.0; LANES];
        for chunk in chunks {
            for (lane, value) in lanes.iter_mut().zip(chunk) {
                *lane += term(*value);
            }
        }
        total = fold_lanes(lanes);
    }
    if let Some((four, after)) = rest.split_first_chunk::<4>() {
        let [a, b, c, d] = four.map(&term);
        total += (a + c) + (b + d);
        rest = after;
    }
    if let Some((two, after)) = rest.split_first_chunk::<2>() {
        let [a, b] = two.map(&term);
        total += a + b;
        rest = after;
    }
    if let [last] = rest {
        total += term(*last);
    }
    total
}

/// Sum of the window.
#[inline(always)]
pub(crate) fn sum(values: &[f64]) -> f64 {
    sum_of(values, |value| value)
}

/// Mean of the window; NaN when it is empty.
#[inline(always)]
pub(crate) fn mean(values: &[f64]) -> f64 {
    share(sum(values), values.len() as f64)
}

/// Sum of `term` over bars, each given as one value of every column; longer columns are cut.
///
/// The last values, too few for a vector of their own, come as the newest full vector with the values counted before
/// left out.
#[inline(always)]
pub(crate) fn sum_over<const N: usize>(
    columns: [&[f64]; N],
    term: impl Fn([f64; N]) -> f64,
) -> f64 {
    let length = columns
        .iter()
        .fold(usize::MAX, |least, column| least.min(column.len()));
    let columns = columns.map(|column| &column[..length]);
    if length < LANES {
        return (0..length).fold(0.0, |total, bar| {
            total + term(columns.map(|column| column[bar]))
        });
    }
    let chunks = columns.map(|column| column.as_chunks::<LANES>().0);
    let mut lanes = [0.0; LANES];
    for place in 0..length / LANES {
        let chunk = chunks.map(|column| &column[place]);
        for (lane, total) in lanes.iter_mut().enumerate() {
            *total += term(chunk.map(|values| values[lane]));
        }
    }
    let counted = LANES - length % LANES;
    if counted < LANES {
        let newest = columns.map(|column| column.last_chunk::<LANES>().unwrap_or(&[0.0; LANES]));
        for (lane, total) in lanes.iter_mut().enumerate() {
            let value = term(newest.map(|values| values[lane]));
            *total += if lane < counted { 0.0 } else { value };
        }
    }
    fold_lanes(lanes)
}

/// Sum of `term` over pairs of values; the longer slice is cut.
#[inline(always)]
pub(crate) fn sum_of_pairs(left: &[f64], right: &[f64], term: impl Fn(f64, f64) -> f64) -> f64 {
    sum_over([left, right], |[left, right]| term(left, right))
}

/// Sum of weight times distance from `origin`: exactly zero when every value is the origin.
#[inline(always)]
pub(crate) fn weighted_deviation(values: &[f64], weights: &[f64], origin: f64) -> f64 {
    if needs_lift(origin)
        && let Some(sum) = crate::subnormal_windows::weighted_deviation(values, weights, origin)
    {
        return sum;
    }
    plain_weighted_deviation(values, weights, origin)
}

#[inline(always)]
pub(crate) fn plain_weighted_deviation(values: &[f64], weights: &[f64], origin: f64) -> f64 {
    let add = |total: f64, value: f64, weight: f64| (value - origin).mul_add(weight, total);
    let length = values.len().min(weights.len());
    let (values, weights) = (&values[..length], &weights[..length]);
    let (Some(last_values), Some(last_weights)) =
        (values.last_chunk::<LANES>(), weights.last_chunk::<LANES>())
    else {
        let pairs = values.iter().zip(weights);
        return pairs.fold(0.0, |total, (value, weight)| add(total, *value, *weight));
    };
    let mut lanes = [0.0; LANES];
    let chunks = values.as_chunks::<LANES>().0.iter();
    for (values, weights) in chunks.zip(weights.as_chunks::<LANES>().0) {
        for (lane, total) in lanes.iter_mut().enumerate() {
            *total = add(*total, values[lane], weights[lane]);
        }
    }
    // As in `sum_over`.
    let counted = LANES - length % LANES;
    if counted < LANES {
        for (lane, total) in lanes.iter_mut().enumerate() {
            let with = add(*total, last_values[lane], last_weights[lane]);
            *total = if lane < counted { *total } else { with };
        }
    }
    fold_lanes(lanes)
}

/// Mean and population variance of the window.
#[inline(always)]
pub(crate) fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    if values.first().copied().is_some_and(needs_lift)
        && let Some(both) = crate::subnormal_windows::mean_and_variance(values)
    {
        return both;
    }
    plain_mean_and_variance(values)
}

#[inline(always)]
pub(crate) fn plain_mean_and_variance(values: &[f64]) -> (f64, f64) {
    let (spread, length) = (Spread::of(values), values.len());
    (spread.mean(length), spread.variance(length))
}

/// Population variance of the window, as [`Spread::of`] finds it.
#[inline(always)]
pub(crate) fn variance(values: &[f64]) -> f64 {
    Spread::of(values).variance(values.len())
}

/// Mean, less the left one, and sum of squared distances from the mean, of two values.
#[inline(always)]
pub(crate) fn paired(left: f64, right: f64) -> (f64, f64) {
    let distance = right - left;
    (0.5 * distance, distance * distance * 0.5)
}

/// The same of two blocks of twice `half` values each: of the distance of their means, the left one's mean less its
/// first value, and the squares within both.
#[inline(always)]
pub(crate) fn merged(distance: f64, left: f64, within: f64, half: f64) -> (f64, f64) {
    (
        distance.mul_add(0.5, left),
        (distance * distance).mul_add(half, within),
    )
}

/// Means, less the block's first value, and sums of squared distances from the mean, of blocks of as many values each.
struct Level<const N: usize> {
    offsets: [f64; N],
    within: [f64; N],
}

impl<const N: usize> Level<N> {
    /// Blocks of one value.
    const SINGLE: Self = Self {
        offsets: [0.0; N],
        within: [0.0; N],
    };

    /// Blocks of two values, `stride` apart.
    #[inline(always)]
    fn pairs(values: &[f64], stride: usize) -> Self {
        let mut level = Self::SINGLE;
        let (left, right) = (&values[..N], &values[stride..][..N]);
        for at in 0..N {
            (level.offsets[at], level.within[at]) = paired(left[at], right[at]);
        }
        level
    }

    /// Blocks of two blocks of `lower`, `stride` apart, of twice `half` values each.
    #[inline(always)]
    fn merge<const M: usize>(lower: &Level<M>, values: &[f64], stride: usize, half: f64) -> Self {
        let mut level = Self::SINGLE;
        let (first, second) = (&values[..N], &values[stride..][..N]);
        let (left, right) = (&lower.offsets[..N], &lower.offsets[stride..][..N]);
        let (own, other) = (&lower.within[..N], &lower.within[stride..][..N]);
        for at in 0..N {
            let distance = (second[at] - first[at]) + (right[at] - left[at]);
            (level.offsets[at], level.within[at]) =
                merged(distance, left[at], own[at] + other[at], half);
        }
        level
    }
}

/// What the variance of a window is made of.
#[derive(Default)]
struct Spread {
    /// First value of the first block, and its mean less that.
    origin: Option<(f64, f64)>,
    /// Squared distances from each block's own mean.
    within: f64,
    /// Distances of the blocks' means from the first one's, and their squares, times the blocks' values.
    deviations: f64,
    squares: f64,
}

impl Spread {
    /// Merges halves of blocks of 16, 8, 4, 2 and 1 values.
    ///
    /// Nothing but distances is added or squared, so neither large values nor an outlier cost digits, and a constant
    /// window has a variance of exactly zero. Source: Chan, Golub and `LeVeque` (1983), Algorithms for Computing the
    /// Sample Variance.
    #[inline(always)]
    fn of(values: &[f64]) -> Self {
        let mut spread = Spread::default();
        let (sixteens, mut rest) = values.as_chunks::<16>();
        for block in sixteens {
            let eights = Level::<8>::pairs(block, 8);
            let fours = Level::<4>::merge(&eights, block, 4, 1.0);
            let twos = Level::<2>::merge(&fours, block, 2, 2.0);
            spread.add(&Level::merge(&twos, block, 1, 4.0), block[0], 16.0);
        }
        if let Some((block, after)) = rest.split_first_chunk::<8>() {
            let fours = Level::<4>::pairs(block, 4);
            let twos = Level::<2>::merge(&fours, block, 2, 1.0);
            spread.add(&Level::merge(&twos, block, 1, 2.0), block[0], 8.0);
            rest = after;
        }
        if let Some((block, after)) = rest.split_first_chunk::<4>() {
            let twos = Level::<2>::pairs(block, 2);
            spread.add(&Level::merge(&twos, block, 1, 1.0), block[0], 4.0);
            rest = after;
        }
        if let Some((block, after)) = rest.split_first_chunk::<2>() {
            spread.add(&Level::pairs(block, 1), block[0], 2.0);
            rest = after;
        }
        if let [single] = rest {
            spread.add(&Level::SINGLE, *single, 1.0);
        }
        spread
    }

    #[inline(always)]
    fn mean(&self, length: usize) -> f64 {
        self.origin.map_or(f64::NAN, |(first, offset)| {
            first + (self.deviations * (1.0 / length as f64) + offset)
        })
    }

    #[inline(always)]
    fn variance(&self, length: usize) -> f64 {
        let share = 1.0 / length as f64;
        let between = self.squares - self.deviations * self.deviations * share;
        let variance = (self.within + between) * share;
        if variance > 0.0 { variance } else { 0.0 }
    }

    #[inline(always)]
    fn add(&mut self, block: &Level<1>, first: f64, count: f64) {
        self.within += block.within[0];
        let Some((origin, offset)) = self.origin else {
            self.origin = Some((first, block.offsets[0]));
            return;
        };
        let deviation = (first - origin) + (block.offsets[0] - offset);
        let weighted = count * deviation;
        self.deviations += weighted;
        self.squares = weighted.mul_add(deviation, self.squares);
    }
}

/// Highest value of the window; minus infinity when it is empty.
#[inline(always)]
pub(crate) fn highest(values: &[f64]) -> f64 {
    extreme(values, f64::NEG_INFINITY, |a, b| if a > b { a } else { b })
}

/// Lowest value of the window; infinity when it is empty.
#[inline(always)]
pub(crate) fn lowest(values: &[f64]) -> f64 {
    extreme(values, f64::INFINITY, |a, b| if a < b { a } else { b })
}

#[inline(always)]
fn extreme(values: &[f64], start: f64, pick: impl Fn(f64, f64) -> f64) -> f64 {
    // What does not fill a chunk comes as the newest chunk: values that count twice change no extreme.
    let Some(newest) = values.last_chunk::<LANES>() else {
        return values.iter().fold(start, |best, value| pick(best, *value));
    };
    let mut lanes = *newest;
    for chunk in values.as_chunks::<LANES>().0 {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = pick(*lane, *value);
        }
    }
    for half in [LANES / 2, LANES / 4] {
        for lane in 0..half {
            lanes[lane] = pick(lanes[lane], lanes[lane + half]);
        }
    }
    pick(lanes[0], lanes[1])
}

/// Drops the oldest value of the window and appends `value`.
#[inline(always)]
pub(crate) fn slide(window: &mut [f64], value: f64) {
    match window {
        [] => {}
        [only] => *only = value,
        // A few values move faster than the call to move many takes.
        [a, b, c] => (*a, *b, *c) = (*b, *c, value),
        [a, b, c, d, e] => (*a, *b, *c, *d, *e) = (*b, *c, *d, *e, value),
        [.., _] => {
            window.copy_within(1.., 0);
            if let Some(newest) = window.last_mut() {
                *newest = value;
            }
        }
    }
}

/// The value, or zero once it has decayed below [`TINY`].
#[inline(always)]
pub(crate) fn flush_tiny(value: f64) -> f64 {
    if value.abs() < TINY {
        // Zero is usual in a flat market: no call for it.
        return if value == 0.0 { 0.0 } else { decayed() };
    }
    value
}

/// Whether [`flush_tiny`] would change one of the values.
#[inline(always)]
pub(crate) fn any_tiny(values: &[f64]) -> bool {
    /// The bits without their sign in the order of signed integers, which AVX2 compares; zero comes last.
    const fn place(value: f64) -> i64 {
        (value.to_bits() & (u64::MAX >> 1))
            .cast_signed()
            .wrapping_add(i64::MAX)
    }
    let mut tiny = 0;
    for value in values {
        tiny |= i64::from(place(*value) < const { place(TINY) });
    }
    tiny != 0
}

/// Whether all of the numbers looked at were finite, for loops that vectors can take.
#[derive(Default)]
pub(crate) struct Finite {
    /// The highest bit tells whether one was not.
    seen: u64,
}

impl Finite {
    #[inline(always)]
    pub(crate) fn look(&mut self, value: f64) {
        // An exponent of ones, and no other, carries into the place of the sign: three operations of integers, which
        // cost a vector less than a comparison.
        let size = value.to_bits() & (u64::MAX >> 1);
        self.seen |= size + const { 1 << (f64::MANTISSA_DIGITS - 1) };
    }

    #[inline(always)]
    pub(crate) fn all(&self) -> bool {
        self.seen <= u64::MAX >> 1
    }
}

/// Whether every value is a finite number.
#[inline(always)]
pub(crate) fn all_finite(values: &[f64]) -> bool {
    let mut finite = Finite::default();
    for value in values {
        finite.look(*value);
    }
    finite.all()
}

/// Whether a sum of the values is finite; then each of them is. Half the work of [`all_finite`], and no proof against
/// finite values whose sum is infinite.
#[inline(always)]
pub(crate) fn is_sum_finite(values: &[f64]) -> bool {
    sum(values).is_finite()
}

/// From here on two numbers differ by nothing or by more than [`TINY`]: a last digit is worth 1e-296 or more.
const LEAST_PLAIN: f64 = 1e-280;

/// Whether every value is positive and far above [`TINY`], as prices are; a NaN or infinity may count as such.
///
/// Then neither a value, nor a difference of two, nor an average of them that decays, is tiny.
#[inline(always)]
pub(crate) fn all_plain(values: &[f64]) -> bool {
    let mut small = 0;
    for value in values {
        let bits = value.to_bits().cast_signed();
        small |= i64::from(bits < const { LEAST_PLAIN.to_bits().cast_signed() });
    }
    small == 0
}

/// What an average of Wilder's keeps of itself in a bar, and the share that it takes of a value.
#[inline(always)]
pub(crate) fn wilder_shares(period: usize) -> (f64, f64) {
    let length = period as f64;
    ((length - 1.0) / length, 1.0 / length)
}

/// Kept out of line, and its value from the compiler, so that the check stays a predicted branch: a selection would
/// add to a recursion's latency.
#[cold]
#[inline(never)]
fn decayed() -> f64 {
    std::hint::black_box(0.0)
}

#[cfg(test)]
mod tests;
