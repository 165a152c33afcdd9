//! The rows of features that a call writes, and how many of them are in the caches already.

use std::cell::Cell;

use crate::instructions::{CAN_ASK, ask_for};
use crate::read_through::{LINE, read_through};

/// Rows of features, one for each bar of a call, in order.
pub(crate) struct Output<'a> {
    pub(crate) cells: &'a mut [f64],
    /// Cells from the first on that were read or asked for.
    near: usize,
}

/// Cells that come next, to be asked for one cache line at a time.
///
/// A kernel that takes series one after the other waits on arithmetic, not on memory: a line that is asked for at each of
/// them costs little of its time. Between kernels that sum rows the same costs about as much as it saves.
#[derive(Debug)]
pub(crate) struct Ahead<'a> {
    cells: &'a [f64],
    asked: Cell<usize>,
}

impl<'a> Output<'a> {
    pub(crate) fn new(cells: &'a mut [f64]) -> Self {
        Self { cells, near: 0 }
    }

    /// Reads what is far of the cells that end here.
    pub(crate) fn bring_nearer(&mut self, end: usize, cells: usize) {
        let first = self.near.max(end.saturating_sub(cells));
        if let Some(far) = self.cells.get(first..end) {
            read_through(far, f64::to_bits);
        }
    }

    /// The cells before `end`, which are about to be written, and as many as `cells` behind them to ask for.
    pub(crate) fn split(&mut self, end: usize, cells: usize) -> (&mut [f64], Ahead<'_>) {
        let (own, behind) = self.cells.split_at_mut(end);
        let cells = if CAN_ASK { cells.min(behind.len()) } else { 0 };
        let ahead = Ahead {
            cells: &behind[..cells],
            asked: Cell::new(0),
        };
        (own, ahead)
    }

    /// Notes how far the cells are near.
    pub(crate) fn note(&mut self, near: usize) {
        self.near = near;
    }
}

impl Ahead<'_> {
    /// Asks for the next line, if there is one.
    #[inline(always)]
    pub(crate) fn ask(&self) {
        let asked = self.asked.get();
        if let Some(cell) = self.cells.get(asked) {
            ask_for(cell);
            self.asked.set(asked + LINE);
        }
    }

    /// Cells asked for.
    pub(crate) fn asked(&self) -> usize {
        self.asked.get().min(self.cells.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_is_not_read_again() {
        let mut cells = vec![0.0; 1_000];
        let mut output = Output::new(&mut cells);
        output.bring_nearer(512, 512);
        let (own, ahead) = output.split(512, 512);
        assert_eq!(
            (own.len(), ahead.cells.len()),
            (512, if CAN_ASK { 488 } else { 0 })
        );
        for _ in 0..3 {
            ahead.ask();
        }
        let asked = ahead.asked();
        assert_eq!(asked, if CAN_ASK { 3 * LINE } else { 0 });
        for _ in 0..100 {
            ahead.ask();
        }
        assert_eq!(ahead.asked(), ahead.cells.len(), "no more than there are");
        output.note(512 + asked);
        assert_eq!(output.near, 512 + asked);
        output.bring_nearer(1_000, 512);
        assert_eq!(
            output.split(1_000, 512).1.cells.len(),
            0,
            "nothing comes next"
        );
    }
}
