//! The walk again in nodes of four bytes, for few rows: half the memory to read, and eight rows go down a tree together.

use crate::Scalar;
use crate::plan::{FLIGHT, WalkGroup, WalkNode};
use crate::rank::{MAX_SLOTS, RankTable};

/// Rows that go down a tree together.
pub(crate) const OCTET: usize = 8;
/// Slots that a node can name.
const COMPACT_SLOTS: usize = 256;
/// Ranks of eight rows for each slot; a slot's byte cannot leave the array.
pub(crate) type OctetRanks = [[u8; OCTET]; COMPACT_SLOTS];

/// Where a tree begins and how many comparisons its longest path has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CompactTree {
    pub(crate) root: u32,
    pub(crate) depth: u32,
}

/// The nodes of all trees, at the places of [`crate::plan::Plan::walk`].
///
/// A node is `distance << 16 | slot << 8 | index`: the child for a true test is `distance` further on, the other one
/// follows it, and a leaf has distance 0 and index 255. No step from any node leaves the list: [`CompactWalk::new`]
/// checks it, and nothing changes a node afterwards.
#[derive(Debug)]
pub(crate) struct CompactWalk {
    nodes: Vec<u32>,
    trees: Vec<CompactTree>,
}

impl CompactWalk {
    /// The nodes, unless a slot or a distance is too large.
    pub(crate) fn new(walk: &[WalkNode], trees: impl Iterator<Item = CompactTree>) -> Option<Self> {
        let compact = |(at, node): (usize, &WalkNode)| {
            let distance = u16::try_from(node.child.checked_sub(at as u32)?).ok()?;
            let slot = u8::try_from(node.slot).ok()?;
            let furthest = at + usize::from(distance) + usize::from(node.index != u8::MAX);
            (furthest < walk.len())
                .then_some(u32::from(distance) << 16 | u32::from(slot) << 8 | u32::from(node.index))
        };
        let nodes: Option<Vec<u32>> = walk.iter().enumerate().map(compact).collect();
        let trees: Vec<CompactTree> = trees.collect();
        let within = trees.iter().all(|tree| (tree.root as usize) < walk.len());
        Some(Self {
            nodes: nodes.filter(|_| within)?,
            trees,
        })
    }

    /// All nodes.
    #[inline]
    pub(crate) fn nodes(&self) -> &[u32] {
        &self.nodes
    }

    /// All trees.
    #[inline]
    pub(crate) fn trees(&self) -> &[CompactTree] {
        &self.trees
    }
}

/// One step: from the place of `node`, whose slot has this rank.
#[inline]
pub(crate) fn step(at: u32, node: u32, rank: u8) -> u32 {
    at + (node >> 16) + u32::from(rank > node as u8)
}

/// The slot that a node's test reads.
#[inline]
pub(crate) fn slot(node: u32) -> usize {
    usize::from((node >> 8) as u8)
}

/// Ranks the keys of at most eight rows; `keys` is row-major.
pub(crate) fn rank_octet<T: Scalar>(table: &RankTable<T>, keys: &[T::Key], ranks: &mut OctetRanks) {
    let width = 2 * table.features;
    for (slot, (&source, ranks)) in table.sources.iter().zip(ranks).enumerate() {
        for (keys, rank) in keys.chunks_exact(width).zip(ranks) {
            *rank = table.rank(slot, keys[source as usize]);
        }
    }
}

/// The node at which each of eight rows ends in one tree.
pub(crate) fn octet(walk: &CompactWalk, tree: usize, ranks: &OctetRanks) -> [u32; OCTET] {
    let tree = walk.trees[tree];
    let mut at = [tree.root; OCTET];
    for _ in 0..tree.depth {
        for (row, at) in at.iter_mut().enumerate() {
            let node = walk.nodes[*at as usize];
            *at = step(*at, node, ranks[slot(node)][row]);
        }
    }
    at
}

/// The node at which one row ends in each tree of a group; `first` is the first tree of its chunk.
pub(crate) fn flight(
    walk: &CompactWalk,
    group: &WalkGroup,
    first: usize,
    ranks: &[u8; MAX_SLOTS],
) -> [u32; FLIGHT] {
    let mut at = group
        .trees
        .map(|place| walk.trees[first + usize::from(place)].root);
    for _ in 0..group.depth {
        for at in &mut at {
            let node = walk.nodes[*at as usize];
            *at = step(*at, node, ranks[slot(node)]);
        }
    }
    at
}
