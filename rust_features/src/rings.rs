//! A kernel's own past values where nothing moves: rings, read as one slice, and delays, of which one value is read.

use std::ops::Range;

use crate::neighbours::Row;

/// Numbers of `window` that a [`ring`] of `length` values takes.
pub(crate) const fn ring_len(length: usize) -> usize {
    2 * length + 1
}

/// Drops the oldest of a ring's values, appends `value` and returns them all, oldest first; zeros at first.
///
/// The ring is written twice, so that its values always lie side by side somewhere; nothing moves.
#[inline(always)]
pub(crate) fn ring(ring: &mut [f64], value: f64) -> &[f64] {
    let Some((position, values)) = ring.split_first_mut() else {
        return &[];
    };
    ring_at(values, position, value)
}

/// As [`ring`] of many series, aligned `count` values ago; their positions are neither read nor kept.
#[inline(always)]
pub(crate) fn ring_of_each(ring: &mut [Row], count: u64, value: Row) -> &[Row] {
    let Some((_, values)) = ring.split_first_mut() else {
        return &[];
    };
    let mut position = position_after(count, values.len() / 2);
    ring_at(values, &mut position, value)
}

/// The position of a ring or delay of so many places, aligned `count` values ago.
fn position_after(count: u64, places: usize) -> f64 {
    (count % places.max(1) as u64) as f64
}

/// As [`align_ring`], but the position stays for [`turn_back`].
pub(crate) fn turn_ring(ring: &mut [f64]) {
    let position = ring.first().copied();
    align_ring(ring);
    if let (Some(first), Some(position)) = (ring.first_mut(), position) {
        *first = position;
    }
}

/// Makes a ring that [`turn_ring`] took `count` values ago what it would be without.
pub(crate) fn turn_back(ring: &mut [f64], count: u64) {
    if let Some((position, values)) = ring.split_first_mut() {
        let length = values.len() / 2;
        let at = *position as usize;
        let at = if at < length { at } else { 0 };
        for values in values.chunks_exact_mut(length.max(1)) {
            values.rotate_right(at);
        }
        *position = position_after(at as u64 + count, length);
    }
}

/// Makes a ring that was aligned `count` values ago know its position.
pub(crate) fn place_ring(ring: &mut [f64], count: u64) {
    if let Some((position, values)) = ring.split_first_mut() {
        *position = position_after(count, values.len() / 2);
    }
}

/// Makes a delay that was aligned `count` values ago know its position.
pub(crate) fn place_delay(memory: &mut [f64], count: u64) {
    if let Some((position, values)) = memory.split_first_mut() {
        *position = position_after(count, values.len());
    }
}

/// Of the rows of a ring that was aligned, and begins at `first`, tells those that the value after `count` others needs: both
/// its places, and all other values.
pub(crate) fn ring_rows(
    first: usize,
    length: usize,
    count: u64,
    tell: &mut dyn FnMut(Range<usize>),
) {
    let at = first + 1 + (count % length.max(1) as u64) as usize;
    tell(at..at + length + 1);
}

#[inline(always)]
fn ring_at<'a, T: Copy>(values: &'a mut [T], position: &mut f64, value: T) -> &'a [T] {
    let length = values.len() / 2;
    // A restored snapshot may hold any position.
    let at = *position as usize;
    let at = if at < length { at } else { 0 };
    let next = at + 1;
    *position = if next < length { next as f64 } else { 0.0 };
    for place in [at, at + length] {
        if let Some(cell) = values.get_mut(place) {
            *cell = value;
        }
    }
    values.get(next..next + length).unwrap_or_default()
}

/// Turns a ring's values so that the oldest comes first.
pub(crate) fn align_ring(ring: &mut [f64]) {
    if let Some((position, values)) = ring.split_first_mut() {
        let length = values.len() / 2;
        let at = std::mem::take(position) as usize;
        for values in values.chunks_exact_mut(length.max(1)) {
            values.rotate_left(if at < length { at } else { 0 });
        }
    }
}

/// Turns a delay's values so that the next is kept in the first place.
pub(crate) fn align_delay(memory: &mut [f64]) {
    if let Some((position, values)) = memory.split_first_mut() {
        let at = std::mem::take(position) as usize;
        values.rotate_left(if at < values.len() { at } else { 0 });
    }
}

/// A ring's values, oldest first.
#[inline(always)]
pub(crate) fn ring_values(ring: &[f64]) -> &[f64] {
    let Some((position, values)) = ring.split_first() else {
        return &[];
    };
    let length = values.len() / 2;
    let at = *position as usize;
    let at = if at < length { at } else { 0 };
    values.get(at..at + length).unwrap_or_default()
}

/// As [`ring`] for each of `added`, without looking at what only passes through.
#[inline(always)]
pub(crate) fn ring_extend(memory: &mut [f64], added: &[f64]) {
    let Some((position, values)) = memory.split_first_mut() else {
        return;
    };
    let length = values.len() / 2;
    if length == 0 {
        return;
    }
    let passing = added.len().saturating_sub(length);
    // As in `ring`, but for the place of the next value, which is read and written once.
    let first = *position as usize;
    let first = if first < length { first } else { 0 };
    let mut at = (first + passing) % length;
    for value in &added[passing..] {
        for place in [at, at + length] {
            if let Some(cell) = values.get_mut(place) {
                *cell = *value;
            }
        }
        at = if at + 1 < length { at + 1 } else { 0 };
    }
    *position = at as f64;
}

/// Numbers of `window` that a [`delay`] of `values` takes.
pub(crate) const fn delay_len(values: usize) -> usize {
    values + 2
}

/// Keeps `value`; the one that was kept as many values before as [`delay_len`] says, zero at first.
#[inline(always)]
pub(crate) fn delay(memory: &mut [f64], value: f64) -> f64 {
    let Some((position, values)) = memory.split_first_mut() else {
        return 0.0;
    };
    delay_at(values, position, value).unwrap_or_default()
}

/// As [`delay`] of many series, aligned `count` values ago; their positions are neither read nor kept.
#[inline(always)]
pub(crate) fn delay_of_each(memory: &mut [Row], count: u64, value: Row) -> Row {
    let (_, values) = memory.split_at_mut(memory.len().min(1));
    let [kept] = delays_of_each(values, count, [value]);
    kept
}

/// Rows that [`delays_of_each`] takes.
pub(crate) const fn delays_rows<const N: usize>(values: usize) -> usize {
    N * (values + 1)
}

/// As [`delay_of_each`] of some delays that are as long, without a row for a position.
#[inline(always)]
pub(crate) fn delays_of_each<const N: usize>(
    memory: &mut [Row],
    count: u64,
    added: [Row; N],
) -> [Row; N] {
    let mut kept = [Row::ZEROS; N];
    let places = (memory.len() / N).max(1);
    let delays = memory.chunks_exact_mut(places);
    for ((kept, values), value) in kept.iter_mut().zip(delays).zip(added) {
        let mut position = position_after(count, places);
        *kept = delay_at(values, &mut position, value).unwrap_or(Row::ZEROS);
    }
    kept
}

/// Places, among the values of a delay that keeps `values` and was aligned, of the one that the value after `count` others
/// is put in and of the one it reads.
pub(crate) fn delay_places(values: usize, count: u64) -> [usize; 2] {
    [count, count + 1].map(|count| (count % (values as u64 + 1)) as usize)
}

#[inline(always)]
fn delay_at<T: Copy>(values: &mut [T], position: &mut f64, value: T) -> Option<T> {
    let at = *position as usize;
    let at = if at < values.len() { at } else { 0 };
    let next = if at + 1 < values.len() { at + 1 } else { 0 };
    *position = next as f64;
    if let Some(cell) = values.get_mut(at) {
        *cell = value;
    }
    values.get(next).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neighbours::WINDOWS;
    use crate::window::slide;

    #[test]
    fn a_ring_holds_the_newest_values_in_order() {
        for length in 1..20 {
            let mut memory = vec![0.0; ring_len(length)];
            let mut expected = vec![0.0; length];
            for i in 0..60 {
                slide(&mut expected, f64::from(i));
                assert_eq!(ring(&mut memory, f64::from(i)), &expected[..]);
            }
        }
        assert_eq!(ring(&mut [f64::NAN, 0.0, 0.0], 7.0), &[7.0]);
        assert_eq!(ring(&mut [1e300, 0.0, 0.0], 7.0), &[7.0]);
        assert!(ring(&mut [], 7.0).is_empty());
    }

    #[test]
    fn a_ring_extended_at_once_is_the_ring_appended_to() {
        for length in 1..20 {
            let (mut once, mut each) = (vec![0.0; ring_len(length)], vec![0.0; ring_len(length)]);
            for count in [1, 3, 20, 64, 7] {
                let added: Vec<f64> = (0..count).map(|i| f64::from(i * count)).collect();
                ring_extend(&mut once, &added);
                for value in added {
                    ring(&mut each, value);
                }
                assert_eq!(once, each, "{length} by {count}");
                assert_eq!(ring_values(&once), ring_values(&each));
            }
        }
    }

    #[test]
    fn a_delay_gives_what_was_kept_as_many_values_before() {
        for ago in 0..20 {
            let mut memory = vec![0.0; delay_len(ago)];
            for i in 0..60 {
                let expected = i64::from(i) - ago as i64;
                let expected = if expected < 0 { 0.0 } else { expected as f64 };
                assert_eq!(delay(&mut memory, f64::from(i)), expected, "{ago} at {i}");
            }
        }
        assert_eq!(delay(&mut [f64::NAN, 0.0], 7.0), 7.0);
        assert_eq!(delay(&mut [1e300, 0.0, 5.0], 7.0), 5.0);
        assert_eq!(delay(&mut [], 7.0), 0.0);
    }

    #[test]
    fn rings_side_by_side_are_those_of_each_and_where_they_say() {
        for length in [1, 2, 9] {
            let mut rows = vec![Row::ZEROS; ring_len(length)];
            let mut alone = vec![0.0; ring_len(length)];
            for count in 0..30_u32 {
                let value = f64::from(count) + 1.0;
                let expected = ring(&mut alone, value).to_vec();
                let first = rows.as_ptr().addr();
                let newest = ring_of_each(&mut rows, count.into(), Row([value; WINDOWS]));
                let found: Vec<f64> = newest.iter().map(|row| row.0[5]).collect();
                assert_eq!(found, expected);
                let place = (newest.as_ptr().addr() - first) / size_of::<Row>();
                ring_rows(0, length, count.into(), &mut |needed| {
                    assert_eq!(needed, place - 1..place + length);
                });
                for turned in 0..length as u64 {
                    let mut ring = alone.clone();
                    turn_ring(&mut ring);
                    for value in 0..turned {
                        // Where rows would have it.
                        let at = value as usize % length;
                        (ring[1 + at], ring[1 + length + at]) = (value as f64, value as f64);
                    }
                    turn_back(&mut ring, turned);
                    let mut expected = alone.clone();
                    for value in 0..turned {
                        super::ring(&mut expected, value as f64);
                    }
                    assert_eq!(ring, expected);
                }
                let mut placed: Vec<f64> = rows.iter().map(|row| row.0[5]).collect();
                place_ring(&mut placed, u64::from(count) + 1);
                assert_eq!(placed, alone);
            }
        }
    }

    #[test]
    fn delays_together_are_those_of_each_and_where_they_say() {
        for ago in [1, 2, 9] {
            let mut rows = vec![Row::ZEROS; delays_rows::<2>(ago)];
            let mut alone = vec![0.0; delay_len(ago)];
            for count in 0..30_u32 {
                let value = f64::from(count) + 1.0;
                let expected = delay(&mut alone, value);
                let added = [value, -value].map(|own| Row([own; WINDOWS]));
                let kept = delays_of_each(&mut rows, count.into(), added);
                assert_eq!([kept[0].0[0], kept[1].0[5]], [expected, -expected]);
                let [written, read] = delay_places(ago, count.into());
                for (delay, sign) in [(0, 1.0), (1, -1.0)] {
                    let place = |at: usize| rows[delay * (ago + 1) + at].0[0] * sign;
                    assert_eq!([place(written), place(read)], [value, expected]);
                }
            }
        }
        assert_eq!(delays_of_each::<1>(&mut [], 0, [Row::ZEROS])[0].0[0], 0.0);
    }

    #[test]
    fn aligned_rings_and_delays_go_on_as_they_were() {
        for length in [1, 2, 5] {
            let (mut own, mut kept) = (vec![0.0; ring_len(length)], vec![0.0; delay_len(length)]);
            let mut plain = (own.clone(), kept.clone());
            for i in 1..40_i32 {
                let value = f64::from(i);
                let expected = ring(&mut plain.0, value).to_vec();
                assert_eq!(ring(&mut own, value), expected);
                assert_eq!(delay(&mut kept, value), delay(&mut plain.1, value));
                if i % 3 == 0 {
                    align_ring(&mut own);
                    align_delay(&mut kept);
                    assert_eq!((own[0].to_bits(), kept[0].to_bits()), (0, 0));
                }
            }
            // A snapshot may hold anything.
            (own[0], kept[0]) = (f64::NAN, 1e300);
            align_ring(&mut own);
            align_delay(&mut kept);
        }
        align_ring(&mut []);
        align_ring(&mut [2.0]);
        align_delay(&mut [2.0]);
    }
}
