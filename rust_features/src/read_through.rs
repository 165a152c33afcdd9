//! Memory that has left the caches, read from end to end before it is needed here and there.
//!
//! A processor fetches one long stretch several times faster than as many short ones between other work: it sees where
//! the reading goes, and no calculation waits for it.

use crate::neighbours::Row;

/// Numbers of a cache line.
pub(crate) const LINE: usize = 8;

/// Reads a number of each cache line.
#[inline]
pub(crate) fn read_through<T: Copy>(numbers: &[T], bits: impl Fn(T) -> u64) {
    let mut seen = [0; 4];
    for lines in numbers.as_chunks::<{ 4 * LINE }>().0 {
        for (seen, number) in seen.iter_mut().zip(lines.iter().step_by(LINE)) {
            *seen |= bits(*number);
        }
    }
    std::hint::black_box(seen);
}

/// As [`read_through`].
pub(crate) fn read_rows_through(rows: &[Row]) {
    for row in rows {
        read_through(&row.0, f64::to_bits);
    }
}
