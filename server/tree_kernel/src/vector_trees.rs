//! Whole trees per vector: the layouts that the AVX-512 kernel for single rows reads.
//!
//! A tree of at most six levels fills the 63 places of a full heap, so one permute and one compare answer all of its
//! comparisons. A deeper tree of at most 32 leaves takes half a vector, and each leaf knows which answers lead to it.

use crate::plan::{CHUNK, Shape, ShapeNode, Tree};

/// Levels of a heap tree.
const HEAP_DEPTH: u32 = 6;
/// Comparisons and leaves of a path tree.
const PATH_LEAVES: usize = 32;
/// An index that makes every rank compare true.
const ALWAYS: u8 = u8::MAX;
/// Slots that one byte numbers.
pub(crate) const VECTOR_SLOTS: usize = 256;

/// A tree of at most six levels.
///
/// Byte `s` of the 64 answers holds, in bits 0 to 6, the heap of three levels under exit `s` of the top three levels;
/// bit 7 of byte `i` holds node `i` of the top heap.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(crate) struct HeapTree {
    pub(crate) slots: [u8; 64],
    pub(crate) indices: [u8; 64],
    /// The leaf number at each of the 64 exits.
    pub(crate) exits: [u8; 64],
}

/// A heap tree again, for batches. Apart, so that single rows read no more memory than they need.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(crate) struct HeapLanes {
    pub(crate) slots: [u16; 64],
    /// The indices, each in all four bytes.
    pub(crate) indices: [u32; 64],
    pub(crate) exits: [u8; 64],
}

/// The leaf value at each of a heap tree's exits.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(crate) struct ExitValues(pub(crate) [f32; 64]);

/// Two trees of at most 32 leaves, one in each half.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(crate) struct PathPair {
    pub(crate) slots: [u8; 64],
    pub(crate) indices: [u8; 64],
    /// For each leaf, the answers on its path.
    pub(crate) care: [[u32; PATH_LEAVES]; 2],
    /// For each leaf, what those answers must be.
    pub(crate) want: [[u32; PATH_LEAVES]; 2],
}

/// The vector trees of one chunk; the numbers are places within the chunk.
#[derive(Debug, Default)]
pub(crate) struct VectorChunk {
    pub(crate) heap_places: Vec<u8>,
    pub(crate) heaps: Vec<HeapTree>,
    pub(crate) heap_lanes: Vec<HeapLanes>,
    /// Two places for each pair; an odd one out is there twice.
    pub(crate) pair_places: Vec<[u8; 2]>,
    pub(crate) pairs: Vec<PathPair>,
    /// The trees that are neither.
    pub(crate) rest: Vec<u8>,
    /// The values at the exits of each heap, when all trees of the chunk are heaps and each leaf has one value.
    pub(crate) exit_values: Vec<ExitValues>,
    /// For each place, its heap, if it has one.
    pub(crate) heap_of: Vec<Option<u8>>,
}

/// Collects trees in their order.
#[derive(Debug, Default)]
pub(crate) struct VectorTrees {
    pub(crate) chunks: Vec<VectorChunk>,
    trees: usize,
    /// The last pair has room for another tree.
    half: bool,
}

impl VectorTrees {
    /// Writes the leaf values beside the heaps, so that a row needs no look at the leaves; `values` are by leaf number.
    pub(crate) fn set_exit_values(&mut self, trees: &[Tree], values: &[f32]) {
        for (chunk, trees) in self.chunks.iter_mut().zip(trees.chunks(CHUNK)) {
            if chunk.heaps.len() == trees.len() {
                let values_of = |(heap, tree): (&HeapTree, &Tree)| {
                    ExitValues(
                        heap.exits
                            .map(|leaf| values[tree.first_leaf as usize + usize::from(leaf)]),
                    )
                };
                chunk.exit_values = chunk.heaps.iter().zip(trees).map(values_of).collect();
            }
        }
    }

    /// The heap of a tree, if it has one.
    #[inline]
    pub(crate) fn heap(&self, tree: usize) -> Option<&HeapLanes> {
        let chunk = self.chunks.get(tree / CHUNK)?;
        chunk
            .heap_lanes
            .get(usize::from((*chunk.heap_of.get(tree % CHUNK)?)?))
    }

    pub(crate) fn push(&mut self, shape: &Shape) {
        let place = (self.trees % CHUNK) as u8;
        if place == 0 {
            self.chunks.push(VectorChunk::default());
            self.half = false;
        }
        self.trees += 1;
        let Some(chunk) = self.chunks.last_mut() else {
            return;
        };
        let is_heap = shape.depth <= HEAP_DEPTH;
        chunk
            .heap_of
            .push(is_heap.then_some(chunk.heaps.len() as u8));
        if is_heap {
            chunk.heap_places.push(place);
            let heap = HeapTree::new(shape);
            chunk.heap_lanes.push(heap.lanes());
            chunk.heaps.push(heap);
        } else if shape.leaf_nodes.len() <= PATH_LEAVES {
            let half = usize::from(self.half);
            if let (1, Some(places)) = (half, chunk.pair_places.last_mut()) {
                places[1] = place;
            } else {
                chunk.pair_places.push([place; 2]);
                chunk.pairs.push(PathPair::new());
            }
            self.half = !self.half;
            if let Some(pair) = chunk.pairs.last_mut() {
                pair.fill(shape, half);
                if half == 0 {
                    // Until another tree comes, the second half repeats the first.
                    pair.fill(shape, 1);
                }
            }
        } else {
            chunk.rest.push(place);
        }
    }
}

impl HeapTree {
    fn new(shape: &Shape) -> Self {
        let mut tree = Self {
            slots: [0; 64],
            indices: [ALWAYS; 64],
            exits: [0; 64],
        };
        tree.fill(shape, 0, 0, 0);
        tree
    }

    fn lanes(&self) -> HeapLanes {
        HeapLanes {
            slots: self.slots.map(u16::from),
            indices: self.indices.map(|index| u32::from(index) * 0x0101_0101),
            exits: self.exits,
        }
    }

    /// Puts a node at a heap number of its level; `path` is the number's distance from the level's first.
    fn fill(&mut self, shape: &Shape, node: u32, level: u32, path: u32) {
        match shape.nodes[node as usize] {
            ShapeNode::Leaf(number) => {
                let width = 1 << (HEAP_DEPTH - level);
                let first = (path * width) as usize;
                self.exits[first..first + width as usize].fill(number as u8);
            }
            ShapeNode::Branch {
                test,
                on_true,
                on_false,
            } => {
                let lane = heap_lane(level, path);
                self.slots[lane] = test.slot as u8;
                self.indices[lane] = test.index;
                self.fill(shape, on_true, level + 1, path * 2);
                self.fill(shape, on_false, level + 1, path * 2 + 1);
            }
        }
    }
}

/// The byte lane of a heap node; see [`HeapTree`]. Lane `8 s + b` gives bit `b` of answer byte `s`.
fn heap_lane(level: u32, path: u32) -> usize {
    let half = HEAP_DEPTH / 2;
    let number = |level: u32, path: u32| (1 << level) - 1 + path;
    let lane = if level < half {
        number(level, path) * 8 + 7
    } else {
        let below = level - half;
        (path >> below) * 8 + number(below, path & ((1 << below) - 1))
    };
    lane as usize
}

/// Where seven answers of a three-level heap lead: exit 0 when all are true on the way.
pub(crate) const HEAP_EXITS: [u8; 128] = {
    let mut exits = [0; 128];
    let mut answers = 0;
    while answers < 128 {
        let (mut at, mut exit, mut level) = (0, 0, 0);
        while level < HEAP_DEPTH / 2 {
            let is_false = (answers >> at) & 1 ^ 1;
            at = 2 * at + 1 + is_false;
            exit = 2 * exit + is_false;
            level += 1;
        }
        exits[answers] = exit as u8;
        answers += 1;
    }
    exits
};

impl PathPair {
    fn new() -> Self {
        let empty = [[0; PATH_LEAVES]; 2];
        Self {
            slots: [0; 64],
            indices: [ALWAYS; 64],
            care: empty,
            want: empty,
        }
    }

    fn fill(&mut self, shape: &Shape, half: usize) {
        let start = half * PATH_LEAVES;
        self.slots[start..start + PATH_LEAVES].fill(0);
        self.indices[start..start + PATH_LEAVES].fill(ALWAYS);
        // A place without a leaf wants what no answer gives: the last lane is never used and always true.
        self.care[half] = [1 << (PATH_LEAVES - 1); PATH_LEAVES];
        self.want[half] = [0; PATH_LEAVES];
        let mut lane = 0_u32;
        let mut stack = vec![(0_u32, 0_u32, 0_u32)];
        while let Some((node, care, want)) = stack.pop() {
            match shape.nodes[node as usize] {
                ShapeNode::Leaf(number) => {
                    self.care[half][number as usize] = care;
                    self.want[half][number as usize] = want;
                }
                ShapeNode::Branch {
                    test,
                    on_true,
                    on_false,
                } => {
                    self.slots[start + lane as usize] = test.slot as u8;
                    self.indices[start + lane as usize] = test.index;
                    let own = 1 << lane;
                    lane += 1;
                    stack.push((on_false, care | own, want));
                    stack.push((on_true, care | own, want | own));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{HEAP_EXITS, heap_lane};
    use std::collections::HashSet;

    #[test]
    fn heap_nodes_have_lanes_of_their_own() {
        let lanes: HashSet<usize> = (0..6)
            .flat_map(|level| (0..1 << level).map(move |path| heap_lane(level, path)))
            .collect();
        assert_eq!(lanes.len(), 63);
        assert!(lanes.iter().all(|&lane| lane < 64));
    }

    #[test]
    fn exits_follow_the_answers() {
        assert_eq!(HEAP_EXITS[0b000_0111_usize | 0b1000], 0);
        assert_eq!(HEAP_EXITS[127], 0);
        assert_eq!(HEAP_EXITS[0], 7);
        // Root true, its true child false, that one's false child (heap node 4) true: exit 2.
        assert_eq!(HEAP_EXITS[0b001_0001], 2);
    }
}
