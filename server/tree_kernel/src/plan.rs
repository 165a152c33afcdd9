//! An ensemble laid out for evaluation: ranks instead of thresholds, leaves numbered tree by tree.

use crate::compact::{CompactTree, CompactWalk};
use crate::ensemble::{Aggregate, Ensemble, Node};
use crate::rank::{RankTable, RankTest};
use crate::{Scalar, TreeError};

/// Trees whose leaves are found together before they are summed.
pub(crate) const CHUNK: usize = 64;
/// Trees, or rows, that the portable walk keeps in flight.
pub(crate) const FLIGHT: usize = 8;
/// Rows that the batch kernels take together.
pub(crate) const LANES: usize = 64;
/// A byte for each of 64 rows. Aligned, because a vector that crosses cache lines costs twice.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Lanes(pub(crate) [u8; LANES]);

/// Leaves that a byte can number.
pub(crate) const LANE_LEAVES: usize = 256;
/// Nested partial results of the batch kernels; deeper trees are walked.
pub(crate) const LANE_TEMPORARIES: usize = 64;

/// A node of the walk. Children are neighbours; a leaf leads to itself whatever the rank.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WalkNode {
    /// The child for a true test; the other one follows it.
    pub(crate) child: u32,
    pub(crate) slot: u16,
    pub(crate) index: u8,
}

/// One step of a batch kernel: `file[target] = rank[slot] <= index ? file[on_true] : file[on_false]`, for 64 rows.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct LaneStep {
    /// The index in each of four bytes.
    pub(crate) index: u32,
    pub(crate) slot: u16,
    pub(crate) on_true: u16,
    pub(crate) on_false: u16,
    pub(crate) target: u16,
}

/// One tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tree {
    /// Root in [`Plan::walk`].
    pub(crate) root: u32,
    /// Comparisons on the longest path.
    pub(crate) depth: u32,
    /// Number of its first leaf among all leaves.
    pub(crate) first_leaf: u32,
    /// How many leaves it has.
    pub(crate) leaves: u32,
    /// Its steps in [`Plan::lane_steps`]; equal bounds with more than one leaf mean that it is walked instead.
    pub(crate) lane_start: u32,
    pub(crate) lane_end: u32,
}

impl Tree {
    /// Whether the batch kernels hold it.
    pub(crate) fn has_lanes(&self) -> bool {
        self.leaves == 1 || self.lane_start != self.lane_end
    }
}

/// Up to eight trees of one chunk that are walked together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WalkGroup {
    /// Their places within the chunk; the last one is repeated.
    pub(crate) trees: [u8; FLIGHT],
    /// The deepest of them.
    pub(crate) depth: u32,
}

/// What the leaves hold, in the order of the leaf numbers.
#[derive(Debug)]
pub(crate) enum Leaves<T> {
    /// One target: a value for each leaf, and 64 zeros.
    One(Vec<T>),
    /// Each tree adds to one target: the targets by tree, a value for each leaf, and 64 zeros.
    PerTree(Vec<u32>, Vec<T>),
    /// Each leaf adds to every target: that many values for each leaf.
    Every(Vec<T>),
    /// Anything else: the leaf node of each leaf number, to look up in the ensemble.
    Nodes(Vec<u32>),
}

/// The layout.
#[derive(Debug)]
pub(crate) struct Plan<T: Scalar> {
    pub(crate) ranks: RankTable<T>,
    pub(crate) trees: Vec<Tree>,
    pub(crate) walk: Vec<WalkNode>,
    /// For each walk node that is a leaf, its leaf number.
    pub(crate) walk_leaf: Vec<u32>,
    /// The same nodes in four bytes each, where they fit and are walked.
    pub(crate) compact: Option<CompactWalk>,
    /// For each walk node that is a leaf, its value, where each leaf has one.
    pub(crate) walk_values: Vec<T>,
    pub(crate) lane_steps: Vec<LaneStep>,
    /// Rows of the value file that hold partial results.
    pub(crate) lane_temporaries: usize,
    pub(crate) leaves: Leaves<T>,
}

/// A tree while it is laid out: children by local index, leaves numbered depth first.
pub(crate) struct Shape {
    pub(crate) nodes: Vec<ShapeNode>,
    /// Ensemble node of each leaf, in leaf order.
    pub(crate) leaf_nodes: Vec<u32>,
    pub(crate) depth: u32,
}

#[derive(Clone, Copy)]
pub(crate) enum ShapeNode {
    Leaf(u32),
    Branch {
        test: RankTest,
        on_true: u32,
        on_false: u32,
    },
}

/// A node that has no number yet.
struct Open {
    node: u32,
    /// The numbered parent, and whether this is its child for a true test.
    parent: Option<(u32, bool)>,
    depth: u32,
}

impl Shape {
    /// Numbers the nodes so that children come after their parent; swapped tests are turned back.
    fn new<T: Scalar>(ensemble: &Ensemble<T>, tests: &[Option<RankTest>], root: u32) -> Self {
        let mut shape = Self {
            nodes: Vec::new(),
            leaf_nodes: Vec::new(),
            depth: 0,
        };
        let mut stack = vec![Open {
            node: root,
            parent: None,
            depth: 0,
        }];
        while let Some(Open {
            node: at,
            parent,
            depth,
        }) = stack.pop()
        {
            let number = shape.nodes.len() as u32;
            if let Some((parent, side)) = parent
                && let Some(ShapeNode::Branch {
                    on_true, on_false, ..
                }) = shape.nodes.get_mut(parent as usize)
            {
                *if side { on_true } else { on_false } = number;
            }
            shape.depth = shape.depth.max(depth);
            let branch = (ensemble.nodes[at as usize], tests[at as usize]);
            if let (
                Node::Branch {
                    on_true, on_false, ..
                },
                Some(test),
            ) = branch
            {
                let (on_true, on_false) = if test.swapped {
                    (on_false, on_true)
                } else {
                    (on_true, on_false)
                };
                shape.nodes.push(ShapeNode::Branch {
                    test,
                    on_true: 0,
                    on_false: 0,
                });
                stack.push(Open {
                    node: on_false,
                    parent: Some((number, false)),
                    depth: depth + 1,
                });
                stack.push(Open {
                    node: on_true,
                    parent: Some((number, true)),
                    depth: depth + 1,
                });
            } else {
                shape
                    .nodes
                    .push(ShapeNode::Leaf(shape.leaf_nodes.len() as u32));
                shape.leaf_nodes.push(at);
            }
        }
        shape
    }
}

impl<T: Scalar> Plan<T> {
    /// Lays the ensemble out; `visit` sees the shape of each tree, for the layouts of an instruction set.
    pub(crate) fn build(
        ensemble: &Ensemble<T>,
        mut visit: impl FnMut(&Shape),
    ) -> Result<Self, TreeError> {
        let unsupported = |reason: &str| TreeError::Unsupported {
            node: ensemble.name.clone(),
            reason: reason.to_owned(),
        };
        if ensemble.has_shared_nodes {
            return Err(unsupported("its trees share nodes"));
        }
        let (ranks, tests) = RankTable::build(ensemble)?;
        let mut plan = Self {
            ranks,
            trees: Vec::with_capacity(ensemble.roots.len()),
            walk: Vec::with_capacity(ensemble.nodes.len()),
            walk_leaf: Vec::with_capacity(ensemble.nodes.len()),
            compact: None,
            walk_values: Vec::new(),
            lane_steps: Vec::new(),
            lane_temporaries: 0,
            leaves: Leaves::Nodes(Vec::new()),
        };
        let mut leaf_nodes = Vec::new();
        for &root in &ensemble.roots {
            let shape = Shape::new(ensemble, &tests, root);
            let first_leaf = leaf_nodes.len() as u32;
            let lane_start = plan.lane_steps.len() as u32;
            plan.push_lanes(&shape);
            plan.trees.push(Tree {
                root: plan.walk.len() as u32,
                depth: shape.depth,
                first_leaf,
                leaves: shape.leaf_nodes.len() as u32,
                lane_start,
                lane_end: plan.lane_steps.len() as u32,
            });
            plan.push_walk(&shape, first_leaf);
            leaf_nodes.extend_from_slice(&shape.leaf_nodes);
            visit(&shape);
        }
        plan.leaves = leaves_of(ensemble, &plan.trees, leaf_nodes);
        Ok(plan)
    }

    /// Adds what only the kernels that walk read: the compact nodes, and the leaves' values beside them.
    pub(crate) fn add_compact(&mut self) {
        let trees = self.trees.iter().map(|tree| CompactTree {
            root: tree.root,
            depth: tree.depth,
        });
        self.compact = CompactWalk::new(&self.walk, trees);
        if let Leaves::One(values) | Leaves::PerTree(_, values) = &self.leaves {
            let value = |&leaf: &u32| values[leaf as usize];
            self.walk_values = self.walk_leaf.iter().map(value).collect();
        }
    }

    fn push_walk(&mut self, shape: &Shape, first_leaf: u32) {
        let start = self.walk.len() as u32;
        let mut order: Vec<u32> = vec![0];
        let mut at = 0;
        while at < order.len() {
            let own = start + at as u32;
            match shape.nodes[order[at] as usize] {
                ShapeNode::Leaf(number) => {
                    self.walk.push(WalkNode {
                        child: own,
                        slot: 0,
                        index: u8::MAX,
                    });
                    self.walk_leaf.push(first_leaf + number);
                }
                ShapeNode::Branch {
                    test,
                    on_true,
                    on_false,
                } => {
                    self.walk.push(WalkNode {
                        child: start + order.len() as u32,
                        slot: test.slot,
                        index: test.index,
                    });
                    self.walk_leaf.push(0);
                    order.extend([on_true, on_false]);
                }
            }
            at += 1;
        }
    }

    fn push_lanes(&mut self, shape: &Shape) {
        let start = self.lane_steps.len();
        if shape.leaf_nodes.len() > LANE_LEAVES {
            return;
        }
        // The children of a node have higher numbers, so going backwards meets them first. A node's result lives until
        // its parent has used it; its place is then free again.
        let mut place = vec![0_u16; shape.nodes.len()];
        let mut free: Vec<u16> = Vec::new();
        let mut used = 0;
        for (at, node) in shape.nodes.iter().enumerate().rev() {
            match *node {
                ShapeNode::Leaf(number) => place[at] = number as u16,
                ShapeNode::Branch {
                    test,
                    on_true,
                    on_false,
                } => {
                    let (on_true, on_false) = (place[on_true as usize], place[on_false as usize]);
                    free.extend(
                        [on_true, on_false]
                            .iter()
                            .filter(|&&child| usize::from(child) >= LANE_LEAVES),
                    );
                    let target = free.pop().unwrap_or_else(|| {
                        used += 1;
                        (LANE_LEAVES + used - 1) as u16
                    });
                    place[at] = target;
                    let index = u32::from(test.index) * 0x0101_0101;
                    self.lane_steps.push(LaneStep {
                        index,
                        slot: test.slot,
                        on_true,
                        on_false,
                        target,
                    });
                }
            }
        }
        if used > LANE_TEMPORARIES {
            self.lane_steps.truncate(start);
            return;
        }
        self.lane_temporaries = self.lane_temporaries.max(used);
    }
}

/// Groups of like depth, so that few trees wait for a deeper one. `places` are the chunk's trees to walk.
pub(crate) fn groups_of(trees: &[Tree], places: &[u8]) -> Vec<WalkGroup> {
    let mut order = places.to_vec();
    order.sort_by_key(|&at| trees[usize::from(at)].depth);
    let group = |places: &[u8]| {
        let last = places[places.len() - 1];
        let mut trees_of_group = [last; FLIGHT];
        trees_of_group[..places.len()].copy_from_slice(places);
        WalkGroup {
            trees: trees_of_group,
            depth: trees[usize::from(last)].depth,
        }
    };
    order.chunks(FLIGHT).map(group).collect()
}

fn leaves_of<T: Scalar>(ensemble: &Ensemble<T>, trees: &[Tree], leaf_nodes: Vec<u32>) -> Leaves<T> {
    if matches!(ensemble.aggregate, Aggregate::Min | Aggregate::Max) {
        return Leaves::Nodes(leaf_nodes);
    }
    // The vector kernels read full vectors from a tree's first leaf on.
    let pad = |mut values: Vec<T>| {
        values.resize(values.len() + LANES, T::default());
        values
    };
    let weights = |node: u32| match ensemble.nodes[node as usize] {
        Node::Leaf { first, count } => &ensemble.weights[first as usize..(first + count) as usize],
        Node::Branch { .. } => &[],
    };
    if leaf_nodes.iter().all(|&node| weights(node).len() == 1) {
        let values = leaf_nodes
            .iter()
            .map(|&node| weights(node)[0].value)
            .collect();
        if ensemble.targets == 1 {
            return Leaves::One(pad(values));
        }
        let target_of = |tree: &Tree| {
            let own =
                &leaf_nodes[tree.first_leaf as usize..(tree.first_leaf + tree.leaves) as usize];
            let target = weights(own[0])[0].target;
            own.iter()
                .all(|&node| weights(node)[0].target == target)
                .then_some(target)
        };
        if let Some(targets) = trees.iter().map(target_of).collect::<Option<Vec<u32>>>() {
            return Leaves::PerTree(targets, pad(values));
        }
        return Leaves::Nodes(leaf_nodes);
    }
    // Checked before the table is made, so that its size is bounded by the weights that the file holds.
    if !leaf_nodes
        .iter()
        .all(|&node| weights(node).len() == ensemble.targets)
    {
        return Leaves::Nodes(leaf_nodes);
    }
    let mut values = vec![T::default(); leaf_nodes.len() * ensemble.targets];
    for (&node, row) in leaf_nodes.iter().zip(values.chunks_mut(ensemble.targets)) {
        let own = weights(node);
        let mut seen = vec![false; ensemble.targets];
        for weight in own {
            row[weight.target as usize] = weight.value;
            seen[weight.target as usize] = true;
        }
        if seen.contains(&false) {
            return Leaves::Nodes(leaf_nodes);
        }
    }
    Leaves::Every(values)
}
