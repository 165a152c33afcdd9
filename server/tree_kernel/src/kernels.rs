//! One face over the kernels of all instruction sets. Keys and sums of `f64` take the portable form everywhere; finding
//! leaves by ranks knows no element type.

use crate::Scalar;
#[cfg(target_arch = "x86_64")]
use crate::avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use crate::avx512::Avx512;
use crate::compact::{self, CompactWalk, OCTET, OctetRanks};
use crate::instructions::Instructions;
use crate::lanes::{self, LaneFile};
use crate::plan::{CHUNK, FLIGHT, LANES, Lanes, Leaves, Plan, Shape, Tree, WalkGroup, groups_of};
use crate::rank::{MAX_SLOTS, RankTable};
use crate::vector_trees::{VECTOR_SLOTS, VectorTrees};
use crate::walk;

/// From this many steps on, a heap tree is evaluated as a full heap.
const HEAP_STEPS: usize = 20;

/// The chosen instruction set, with the proof that the machine has it.
#[derive(Debug, Clone, Copy)]
enum Chosen {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

/// The kernels, and the layouts that only some of them read.
#[derive(Debug)]
pub(crate) struct Kernels {
    chosen: Chosen,
    vectors: VectorTrees,
    /// For each chunk, the trees that are walked.
    groups: Vec<Vec<WalkGroup>>,
}

impl Kernels {
    /// The kernels for some instructions, or for the best that the machine has if that is less; `ensemble` lays out the
    /// plan and shows each tree's shape on the way.
    pub(crate) fn build<T: Scalar, E>(
        instructions: Instructions,
        plan: impl FnOnce(&mut dyn FnMut(&Shape)) -> Result<Plan<T>, E>,
    ) -> Result<(Self, Plan<T>), E> {
        let chosen = Chosen::new(instructions);
        let mut vectors = VectorTrees::default();
        let wants_vectors = chosen.instructions() == Instructions::Avx512;
        let mut plan = plan(&mut |shape| {
            if wants_vectors {
                vectors.push(shape);
            }
        })?;
        if plan.ranks.slots() > VECTOR_SLOTS {
            vectors = VectorTrees::default();
        }
        if vectors.chunks.is_empty() {
            plan.add_compact();
        }
        if let Leaves::One(values) | Leaves::PerTree(_, values) = &plan.leaves
            && let Some(values) = T::as_f32_slice(values)
        {
            vectors.set_exit_values(&plan.trees, values);
        }
        let all: Vec<u8> = (0..CHUNK as u8).collect();
        let walked = |(chunk, trees): (usize, &[Tree])| match vectors.chunks.get(chunk) {
            Some(vectors) => groups_of(trees, &vectors.rest),
            None => groups_of(trees, &all[..trees.len()]),
        };
        let groups = plan.trees.chunks(CHUNK).enumerate().map(walked).collect();
        Ok((
            Self {
                chosen,
                vectors,
                groups,
            },
            plan,
        ))
    }

    /// The instruction set in use.
    pub(crate) fn instructions(&self) -> Instructions {
        self.chosen.instructions()
    }

    /// Whether single rows are evaluated in whole trees a vector.
    pub(crate) fn has_vectors(&self) -> bool {
        !self.vectors.chunks.is_empty()
    }

    /// From about this many rows on, the batch kernel is faster than the kernels for few rows.
    ///
    /// The batch kernel takes every step of a tree for a whole vector of rows, a walk takes the depth of the tree for
    /// each row; the factors are measured.
    pub(crate) fn lane_rows<T: Scalar>(&self, plan: &Plan<T>) -> usize {
        let depth: usize = plan.trees.iter().map(|tree| tree.depth as usize).sum();
        let ratio = plan.lane_steps.len() as f64 / depth.max(1) as f64;
        match self.chosen {
            Chosen::Portable => ((5.0 * ratio) as usize).clamp(16, 56),
            #[cfg(target_arch = "x86_64")]
            Chosen::Avx2(_) => ((2.5 * ratio) as usize).clamp(9, 32),
            #[cfg(target_arch = "x86_64")]
            Chosen::Avx512(_) => 20,
        }
    }

    /// See [`RankTable::keys`].
    #[inline]
    pub(crate) fn keys<T: Scalar>(&self, table: &RankTable<T>, row: &[T], keys: &mut [T::Key]) {
        match (self.chosen, T::as_f32_slice(row)) {
            #[cfg(target_arch = "x86_64")]
            (Chosen::Avx2(kernel), Some(row)) => {
                if let Some(keys) = T::keys_as_i32(keys) {
                    kernel.keys(table.features, row, keys);
                }
            }
            #[cfg(target_arch = "x86_64")]
            (Chosen::Avx512(kernel), Some(row)) => {
                if let Some(keys) = T::keys_as_i32(keys) {
                    kernel.keys(table.features, row, keys);
                }
            }
            _ => table.keys(row, keys),
        }
    }

    /// See [`walk::rank_row`].
    #[inline]
    pub(crate) fn rank_row<T: Scalar>(
        &self,
        table: &RankTable<T>,
        keys: &mut [T::Key],
        ranks: &mut [u8; MAX_SLOTS],
    ) {
        match (self.chosen, table.as_f32(), T::keys_as_i32(keys)) {
            #[cfg(target_arch = "x86_64")]
            (Chosen::Avx2(kernel), Some(table), Some(keys)) => kernel.rank_row(table, keys, ranks),
            #[cfg(target_arch = "x86_64")]
            (Chosen::Avx512(kernel), Some(table), Some(keys)) => {
                kernel.rank_row(table, keys, ranks);
            }
            _ => walk::rank_row(table, keys, ranks),
        }
    }

    /// See [`lanes::rank`].
    pub(crate) fn rank_lanes<T: Scalar>(
        &self,
        table: &RankTable<T>,
        keys: &mut [T::Key],
        count: usize,
        ranks: &mut [Lanes],
    ) {
        match (self.chosen, table.as_f32(), T::keys_as_i32(keys)) {
            #[cfg(target_arch = "x86_64")]
            (Chosen::Avx2(kernel), Some(table), Some(keys)) => {
                kernel.rank_lanes(table, keys, count, ranks);
            }
            #[cfg(target_arch = "x86_64")]
            (Chosen::Avx512(kernel), Some(table), Some(keys)) => {
                kernel.rank_lanes(table, keys, count, ranks);
            }
            _ => lanes::rank(table, keys, count, ranks),
        }
    }

    /// Finds the leaf of one row in each tree of a chunk.
    #[inline]
    pub(crate) fn chunk<T: Scalar>(
        &self,
        plan: &Plan<T>,
        chunk: usize,
        trees: &[Tree],
        ranks: &[u8; MAX_SLOTS],
        leaves: &mut [u32; CHUNK],
    ) {
        #[cfg(target_arch = "x86_64")]
        if let (Chosen::Avx512(kernel), Some(vectors)) =
            (self.chosen, self.vectors.chunks.get(chunk))
        {
            kernel.chunk(vectors, trees, plan.ranks.slots(), ranks, leaves);
        }
        walk::chunk(plan, &self.groups[chunk], trees, ranks, leaves);
    }

    /// See [`compact::rank_octet`].
    pub(crate) fn rank_octet<T: Scalar>(
        &self,
        table: &RankTable<T>,
        keys: &mut [T::Key],
        ranks: &mut OctetRanks,
    ) {
        match (self.chosen, table.as_f32(), T::keys_as_i32(keys)) {
            #[cfg(target_arch = "x86_64")]
            (Chosen::Avx2(kernel), Some(table), Some(keys)) => {
                kernel.rank_octet(table, keys, ranks);
            }
            _ => compact::rank_octet(table, keys, ranks),
        }
    }

    /// See [`compact::octet`].
    #[inline]
    pub(crate) fn octet(
        &self,
        walk: &CompactWalk,
        tree: usize,
        ranks: &OctetRanks,
    ) -> [u32; OCTET] {
        match self.chosen {
            #[cfg(target_arch = "x86_64")]
            Chosen::Avx2(kernel) => kernel.octet(walk, tree, ranks),
            _ => compact::octet(walk, tree, ranks),
        }
    }

    /// See [`compact::flight`].
    #[inline]
    fn flight(
        &self,
        walk: &CompactWalk,
        group: &WalkGroup,
        first: usize,
        ranks: &[u8; MAX_SLOTS],
    ) -> [u32; FLIGHT] {
        match self.chosen {
            #[cfg(target_arch = "x86_64")]
            Chosen::Avx2(kernel) => kernel.flight(walk, group, first, ranks),
            _ => compact::flight(walk, group, first, ranks),
        }
    }

    /// Finds the leaf value of one row in each tree of a chunk, where the kernel has a way that skips the leaves.
    #[inline]
    pub(crate) fn chunk_values<T: Scalar>(
        &self,
        plan: &Plan<T>,
        chunk: usize,
        ranks: &[u8; MAX_SLOTS],
        values: &mut [f32; CHUNK],
    ) -> bool {
        #[cfg(target_arch = "x86_64")]
        let slots = plan.ranks.slots();
        #[cfg(target_arch = "x86_64")]
        if let (Chosen::Avx512(kernel), Some(vectors)) =
            (self.chosen, self.vectors.chunks.get(chunk))
            && !vectors.exit_values.is_empty()
        {
            kernel.heap_values(vectors, slots, ranks, values);
            return true;
        }
        let (false, Some(walk), Some(leaf_values)) = (
            self.has_vectors(),
            &plan.compact,
            T::as_f32_slice(&plan.walk_values),
        ) else {
            return false;
        };
        if leaf_values.is_empty() {
            return false;
        }
        for group in &self.groups[chunk] {
            let found = self.flight(walk, group, chunk * CHUNK, ranks);
            for (&place, at) in group.trees.iter().zip(found) {
                values[usize::from(place) % CHUNK] = leaf_values[at as usize];
            }
        }
        true
    }

    /// The number of the leaf of each of `count` rows within a tree that has lanes; see [`lanes::tree`].
    #[inline]
    pub(crate) fn tree<T: Scalar>(
        &self,
        plan: &Plan<T>,
        number: usize,
        count: usize,
        ranks: &[Lanes],
        file: &mut LaneFile,
    ) -> [u8; LANES] {
        let tree = &plan.trees[number];
        let steps = &plan.lane_steps[tree.lane_start as usize..tree.lane_end as usize];
        match self.chosen {
            Chosen::Portable => lanes::tree(steps, ranks, file),
            #[cfg(target_arch = "x86_64")]
            Chosen::Avx2(kernel) => kernel.tree(steps, count, ranks, file),
            #[cfg(target_arch = "x86_64")]
            Chosen::Avx512(kernel) => match self.vectors.heap(number) {
                // A full heap costs its 63 nodes whatever the tree uses of them, at less than half the price a node.
                Some(heap) if steps.len() >= HEAP_STEPS => kernel.heap_lanes(heap, ranks),
                _ => kernel.tree(steps, ranks, file),
            },
        }
    }

    /// Adds to each row's score the value of its leaf in one tree.
    #[inline]
    pub(crate) fn add_leaves<T: Scalar>(
        &self,
        tree: &Tree,
        places: &[u8; LANES],
        values: &[T],
        scores: &mut [T; LANES],
    ) {
        let values = &values[tree.first_leaf as usize..];
        match (
            self.chosen,
            T::as_f32_slice(values),
            T::as_f32_slice_mut(scores).and_then(|all| all.first_chunk_mut()),
        ) {
            #[cfg(target_arch = "x86_64")]
            (Chosen::Avx2(kernel), Some(values), Some(scores)) => {
                kernel.add_leaves(places, values, scores);
            }
            #[cfg(target_arch = "x86_64")]
            (Chosen::Avx512(kernel), Some(values), Some(scores)) => {
                kernel.add_leaves(places, tree.leaves as usize, values, scores);
            }
            _ => {
                for (score, &place) in scores.iter_mut().zip(places) {
                    *score = *score + values[usize::from(place)];
                }
            }
        }
    }
}

impl Chosen {
    fn new(instructions: Instructions) -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let (Instructions::Avx512, Some(kernel)) = (instructions, Avx512::detect()) {
                return Self::Avx512(kernel);
            }
            if let (Instructions::Avx2 | Instructions::Avx512, Some(kernel)) =
                (instructions, Avx2::detect())
            {
                return Self::Avx2(kernel);
            }
        }
        let _ = instructions;
        Self::Portable
    }

    fn instructions(self) -> Instructions {
        match self {
            Self::Portable => Instructions::Portable,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => Instructions::Avx2,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => Instructions::Avx512,
        }
    }
}
