//! The portable kernel for few rows: eight trees of one row, or eight rows of one tree, go down together.
//!
//! There is no branch on data. A leaf leads to itself, so every walk takes as many steps as the deepest needs, and the
//! processor overlaps eight chains of loads.

use crate::Scalar;
use crate::plan::{CHUNK, FLIGHT, LANES, Lanes, Plan, Tree, WalkGroup, WalkNode};
use crate::rank::{MAX_SLOTS, RankTable};

/// Ranks one row's keys.
pub(crate) fn rank_row<T: Scalar>(
    table: &RankTable<T>,
    keys: &[T::Key],
    ranks: &mut [u8; MAX_SLOTS],
) {
    for (slot, (&source, rank)) in table.sources.iter().zip(ranks.iter_mut()).enumerate() {
        *rank = table.rank(slot, keys[source as usize]);
    }
}

#[inline]
fn step(node: WalkNode, rank: u8) -> u32 {
    node.child + u32::from(rank > node.index)
}

/// Finds the leaf of one row in each tree of some groups of a chunk.
#[inline]
pub(crate) fn chunk<T: Scalar>(
    plan: &Plan<T>,
    groups: &[WalkGroup],
    trees: &[Tree],
    ranks: &[u8; MAX_SLOTS],
    leaves: &mut [u32; CHUNK],
) {
    for group in groups {
        let mut at: [u32; FLIGHT] = group.trees.map(|place| trees[usize::from(place)].root);
        for _ in 0..group.depth {
            for at in &mut at {
                let node = plan.walk[*at as usize];
                *at = step(node, ranks[usize::from(node.slot) % MAX_SLOTS]);
            }
        }
        for (&place, &at) in group.trees.iter().zip(&at) {
            leaves[usize::from(place) % CHUNK] = plan.walk_leaf[at as usize];
        }
    }
}

/// Finds the leaf of each of `count` rows in one tree.
pub(crate) fn rows<T: Scalar>(
    plan: &Plan<T>,
    tree: &Tree,
    count: usize,
    ranks: &[Lanes],
    leaves: &mut [u32; LANES],
) {
    for start in (0..count.min(LANES)).step_by(FLIGHT) {
        let mut at = [tree.root; FLIGHT];
        for _ in 0..tree.depth {
            for (row, at) in at.iter_mut().enumerate() {
                let node = plan.walk[*at as usize];
                *at = step(node, ranks[usize::from(node.slot)].0[start + row]);
            }
        }
        for (leaf, &at) in leaves[start..].iter_mut().zip(&at) {
            *leaf = plan.walk_leaf[at as usize];
        }
    }
}
