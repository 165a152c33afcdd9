//! The portable kernel for many rows: a byte for each of 64 rows, every node of a tree, no branches.
//!
//! A node compares 64 ranks with its index at once and takes, row by row, the result of one of its children. A result is
//! the number of a leaf within its tree. Compilers turn these byte loops into vector instructions on every target.

use crate::Scalar;
use crate::plan::{LANE_LEAVES, LANES, LaneStep, Lanes};
use crate::rank::RankTable;

/// Rows of 64 bytes: first one for each leaf number, then partial results.
#[derive(Debug, Default)]
pub(crate) struct LaneFile {
    pub(crate) rows: Vec<Lanes>,
}

impl LaneFile {
    /// Makes room for this many partial results.
    pub(crate) fn prepare(&mut self, temporaries: usize) {
        if self.rows.is_empty() {
            self.rows
                .extend((0..LANE_LEAVES).map(|number| Lanes([number as u8; LANES])));
        }
        if self.rows.len() < LANE_LEAVES + temporaries {
            self.rows
                .resize(LANE_LEAVES + temporaries, Lanes([0; LANES]));
        }
    }
}

/// Ranks the keys of `count` rows; `keys` is row-major, `ranks` has a row for each slot.
pub(crate) fn rank<T: Scalar>(
    table: &RankTable<T>,
    keys: &[T::Key],
    count: usize,
    ranks: &mut [Lanes],
) {
    let width = 2 * table.features;
    for (slot, (&source, ranks)) in table.sources.iter().zip(ranks).enumerate() {
        for (row, rank) in ranks.0.iter_mut().enumerate().take(count) {
            *rank = table.rank(slot, keys[row * width + source as usize]);
        }
    }
}

/// Runs a tree's steps; the number of each row's leaf within the tree.
#[inline]
pub(crate) fn tree(steps: &[LaneStep], ranks: &[Lanes], file: &mut LaneFile) -> [u8; LANES] {
    let rows = &mut file.rows[..];
    let mut result = 0;
    for step in steps {
        let ranks = &ranks[usize::from(step.slot)].0;
        let (on_true, on_false) = (
            &rows[usize::from(step.on_true)].0,
            &rows[usize::from(step.on_false)].0,
        );
        let index = step.index as u8;
        let mut chosen = [0; LANES];
        for (((chosen, &rank), &on_true), &on_false) in
            chosen.iter_mut().zip(ranks).zip(on_true).zip(on_false)
        {
            // All ones or all zeros. A plain choice becomes a branch here, and ranks are as good as random.
            let holds = u8::from(rank <= index).wrapping_neg();
            *chosen = (on_true & holds) | (on_false & !holds);
        }
        result = usize::from(step.target);
        rows[result].0 = chosen;
    }
    rows[result].0
}
