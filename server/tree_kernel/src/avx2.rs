//! The AVX2 kernels: ranks by two compares of sixteen thresholds, 32 rows per vector for batches. Single rows take the
//! portable walk over these ranks. All unsafe code of this instruction set is in this file.
#![allow(
    unsafe_code,
    reason = "vector loads and stores, and the call into code for another instruction set"
)]

use std::arch::x86_64::{
    __m256i, _CMP_UNORD_Q, _mm_loadl_epi64, _mm256_add_ps, _mm256_blendv_epi8, _mm256_castps_si256,
    _mm256_castsi256_ps, _mm256_cmp_ps, _mm256_cmpeq_epi8, _mm256_cmpgt_epi32,
    _mm256_cvtepu8_epi32, _mm256_i32gather_ps, _mm256_loadu_ps, _mm256_loadu_si256,
    _mm256_max_epu8, _mm256_movemask_ps, _mm256_set1_epi32, _mm256_setzero_ps, _mm256_srai_epi32,
    _mm256_srli_epi32, _mm256_storeu_ps, _mm256_storeu_si256, _mm256_xor_si256,
};

use crate::compact::{self, CompactWalk, OCTET, OctetRanks};
use crate::lanes::LaneFile;
use crate::plan::{FLIGHT, LANES, LaneStep, Lanes, WalkGroup};
use crate::rank::{FAN, MAX_SLOTS, RankTable, Thresholds};
use crate::tail::logistic;
use crate::{Instructions, Scalar};

/// Proof that this machine has the instructions; without one, no kernel of this file can be called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2(());

#[allow(
    clippy::unused_self,
    reason = "`self` is the proof that the machine has the instructions"
)]
impl Avx2 {
    /// The proof, if the machine has the instructions.
    pub(crate) fn detect() -> Option<Self> {
        (Instructions::detect() >= Instructions::Avx2).then_some(Self(()))
    }

    /// See [`logistic`].
    pub(crate) fn logistic(self, numbers: &[f32], results: &mut [f32]) {
        // SAFETY: `self` proves the instructions.
        unsafe { logistic_of_each(numbers, results) }
    }

    /// See [`RankTable::keys`].
    pub(crate) fn keys(self, features: usize, row: &[f32], keys: &mut [i32]) {
        assert!(row.len() >= features && keys.len() >= 2 * features);
        // SAFETY: `self` proves the instructions; the lengths were checked.
        unsafe { keys_of_row(features, row, keys) }
    }

    /// See [`crate::walk::rank_row`].
    pub(crate) fn rank_row(
        self,
        table: &RankTable<f32>,
        keys: &[i32],
        ranks: &mut [u8; MAX_SLOTS],
    ) {
        // SAFETY: `self` proves the instructions.
        unsafe { rank_row(table, keys, ranks) }
    }

    /// See [`crate::lanes::rank`].
    pub(crate) fn rank_lanes(
        self,
        table: &RankTable<f32>,
        keys: &[i32],
        count: usize,
        ranks: &mut [Lanes],
    ) {
        // SAFETY: `self` proves the instructions.
        unsafe { rank_lanes(table, keys, count, ranks) }
    }

    /// See [`compact::rank_octet`].
    pub(crate) fn rank_octet(self, table: &RankTable<f32>, keys: &[i32], ranks: &mut OctetRanks) {
        // SAFETY: `self` proves the instructions.
        unsafe { rank_octet(table, keys, ranks) }
    }

    /// See [`compact::octet`].
    pub(crate) fn octet(self, walk: &CompactWalk, tree: usize, ranks: &OctetRanks) -> [u32; OCTET] {
        // SAFETY: `self` proves the instructions.
        unsafe { octet(walk, tree, ranks) }
    }

    /// See [`compact::flight`].
    pub(crate) fn flight(
        self,
        walk: &CompactWalk,
        group: &WalkGroup,
        first: usize,
        ranks: &[u8; MAX_SLOTS],
    ) -> [u32; FLIGHT] {
        // SAFETY: `self` proves the instructions.
        unsafe { flight(walk, group, first, ranks) }
    }

    /// See [`crate::lanes::tree`]; the second half of the rows is left out when `count` does not reach it.
    pub(crate) fn tree(
        self,
        steps: &[LaneStep],
        count: usize,
        ranks: &[Lanes],
        file: &mut LaneFile,
    ) -> [u8; LANES] {
        // SAFETY: `self` proves the instructions.
        unsafe {
            if count <= LANES / 2 {
                tree_of_lanes::<1>(steps, ranks, file)
            } else {
                tree_of_lanes::<2>(steps, ranks, file)
            }
        }
    }

    /// Adds to each row's score the value of its leaf; `values` starts at the tree's first leaf.
    pub(crate) fn add_leaves(
        self,
        places: &[u8; LANES],
        values: &[f32],
        scores: &mut [f32; LANES],
    ) {
        assert!(
            places
                .iter()
                .all(|&place| usize::from(place) < values.len())
        );
        // SAFETY: `self` proves the instructions; every place was checked to lie within the values.
        unsafe { add_leaves(places, values, scores) }
    }
}

#[target_feature(enable = "avx2,fma")]
fn logistic_of_each(numbers: &[f32], results: &mut [f32]) {
    for (result, number) in results.iter_mut().zip(numbers) {
        *result = logistic(*number);
    }
}

#[target_feature(enable = "avx2")]
unsafe fn keys_of_row(features: usize, row: &[f32], keys: &mut [i32]) {
    let (high, low) = keys.split_at_mut(features);
    let whole = features / 8 * 8;
    for start in (0..whole).step_by(8) {
        // SAFETY: eight elements from `start` on lie within the `features` first places of each slice.
        unsafe {
            let x = _mm256_loadu_ps(row.as_ptr().add(start));
            let is_nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(x, x));
            let bits = _mm256_castps_si256(_mm256_add_ps(x, _mm256_setzero_ps()));
            let flip = _mm256_srli_epi32::<1>(_mm256_srai_epi32::<31>(bits));
            let key = _mm256_xor_si256(bits, flip);
            let above = _mm256_blendv_epi8(key, _mm256_set1_epi32(i32::MAX), is_nan);
            let below = _mm256_blendv_epi8(key, _mm256_set1_epi32(i32::MIN), is_nan);
            _mm256_storeu_si256(high.as_mut_ptr().add(start).cast(), above);
            _mm256_storeu_si256(low.as_mut_ptr().add(start).cast(), below);
        }
    }
    for ((&x, high), low) in row.iter().zip(high).zip(low).skip(whole) {
        let key = x.key();
        *high = if x.is_nan() { f32::KEY_MAX } else { key };
        *low = if x.is_nan() { f32::KEY_MIN } else { key };
    }
}

/// Number of the sixteen thresholds below the key.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn below(thresholds: &Thresholds<i32>, key: __m256i) -> u32 {
    let half = |at: usize| {
        // SAFETY: eight elements from 0 or from 8 on lie within the sixteen of the array.
        let thresholds = unsafe { _mm256_loadu_si256(thresholds.0.as_ptr().add(at).cast()) };
        _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(key, thresholds))).cast_unsigned()
    };
    (half(0) | half(8) << 8).count_ones()
}

#[target_feature(enable = "avx2,popcnt")]
fn rank_row(table: &RankTable<f32>, keys: &[i32], ranks: &mut [u8; MAX_SLOTS]) {
    let parts = table.thresholds.as_chunks::<FAN>().0;
    for (((&source, pivots), parts), rank) in table
        .sources
        .iter()
        .zip(&table.pivots)
        .zip(parts)
        .zip(ranks)
    {
        let key = _mm256_set1_epi32(keys[source as usize]);
        let part = below(pivots, key);
        *rank = (part * FAN as u32 + below(&parts[part as usize % FAN], key)) as u8;
    }
}

#[target_feature(enable = "avx2,popcnt")]
fn rank_lanes(table: &RankTable<f32>, keys: &[i32], count: usize, ranks: &mut [Lanes]) {
    let width = 2 * table.features;
    let parts = table.thresholds.as_chunks::<FAN>().0;
    for (((&source, pivots), parts), ranks) in table
        .sources
        .iter()
        .zip(&table.pivots)
        .zip(parts)
        .zip(ranks)
    {
        for (keys, rank) in keys.chunks_exact(width).zip(&mut ranks.0[..count]) {
            let key = _mm256_set1_epi32(keys[source as usize]);
            let part = below(pivots, key);
            *rank = (part * FAN as u32 + below(&parts[part as usize % FAN], key)) as u8;
        }
    }
}

#[target_feature(enable = "avx2,popcnt")]
fn rank_octet(table: &RankTable<f32>, keys: &[i32], ranks: &mut OctetRanks) {
    let width = 2 * table.features;
    let parts = table.thresholds.as_chunks::<FAN>().0;
    for (((&source, pivots), parts), ranks) in table
        .sources
        .iter()
        .zip(&table.pivots)
        .zip(parts)
        .zip(ranks)
    {
        for (keys, rank) in keys.chunks_exact(width).zip(ranks) {
            let key = _mm256_set1_epi32(keys[source as usize]);
            let part = below(pivots, key);
            *rank = (part * FAN as u32 + below(&parts[part as usize % FAN], key)) as u8;
        }
    }
}

/// The node at a place that a walk has come to.
///
/// # Safety
///
/// `at` is a root of the walk, or where [`compact::step`] led from such a place.
#[inline]
unsafe fn node_at(walk: &CompactWalk, at: u32) -> u32 {
    // SAFETY: roots lie within the nodes and no step leaves them, see `CompactWalk`.
    unsafe { *walk.nodes().get_unchecked(at as usize) }
}

#[target_feature(enable = "bmi1,bmi2")]
fn octet(walk: &CompactWalk, tree: usize, ranks: &OctetRanks) -> [u32; OCTET] {
    let tree = walk.trees()[tree];
    let mut at = [tree.root; OCTET];
    for _ in 0..tree.depth {
        for (row, at) in at.iter_mut().enumerate() {
            // SAFETY: the walk began at one of its roots.
            let node = unsafe { node_at(walk, *at) };
            *at = compact::step(*at, node, ranks[compact::slot(node)][row]);
        }
    }
    at
}

#[target_feature(enable = "bmi1,bmi2")]
fn flight(
    walk: &CompactWalk,
    group: &WalkGroup,
    first: usize,
    ranks: &[u8; MAX_SLOTS],
) -> [u32; FLIGHT] {
    let mut at = group
        .trees
        .map(|place| walk.trees()[first + usize::from(place)].root);
    for _ in 0..group.depth {
        for at in &mut at {
            // SAFETY: the walk began at its roots.
            let node = unsafe { node_at(walk, *at) };
            *at = compact::step(*at, node, ranks[compact::slot(node)]);
        }
    }
    at
}

#[target_feature(enable = "avx2")]
fn tree_of_lanes<const HALVES: usize>(
    steps: &[LaneStep],
    ranks: &[Lanes],
    file: &mut LaneFile,
) -> [u8; LANES] {
    const { assert!(HALVES <= 2) }
    let load = |row: &Lanes, half: usize| {
        // SAFETY: 32 bytes from 0 or from 32 on lie within the array.
        unsafe { _mm256_loadu_si256(row.0.as_ptr().add(half * 32).cast()) }
    };
    let rows = &mut file.rows[..];
    let mut result = 0;
    for step in steps {
        let index = _mm256_set1_epi32(step.index.cast_signed());
        result = usize::from(step.target);
        for half in 0..HALVES {
            let rank = load(&ranks[usize::from(step.slot)], half);
            let holds = _mm256_cmpeq_epi8(_mm256_max_epu8(rank, index), index);
            let on_false = load(&rows[usize::from(step.on_false)], half);
            let on_true = load(&rows[usize::from(step.on_true)], half);
            let chosen = _mm256_blendv_epi8(on_false, on_true, holds);
            // SAFETY: 32 bytes from 0 or from 32 on lie within the array.
            unsafe {
                _mm256_storeu_si256(rows[result].0.as_mut_ptr().add(half * 32).cast(), chosen);
            };
        }
    }
    let mut places = rows[result].0;
    // Rows that were left out keep what another tree left there; leaf 0 is in every tree.
    places[HALVES * 32..].fill(0);
    places
}

#[target_feature(enable = "avx2")]
unsafe fn add_leaves(places: &[u8; LANES], values: &[f32], scores: &mut [f32; LANES]) {
    for (places, scores) in places
        .as_chunks::<8>()
        .0
        .iter()
        .zip(scores.as_chunks_mut::<8>().0)
    {
        // SAFETY: the caller checked every place; the other arrays have eight elements.
        unsafe {
            let place = _mm256_cvtepu8_epi32(_mm_loadl_epi64(places.as_ptr().cast()));
            let value = _mm256_i32gather_ps::<4>(values.as_ptr(), place);
            let sum = _mm256_add_ps(_mm256_loadu_ps(scores.as_ptr()), value);
            _mm256_storeu_ps(scores.as_mut_ptr(), sum);
        }
    }
}
