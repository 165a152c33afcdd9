//! The AVX-512 kernels: ranks by two compares of sixteen thresholds, whole trees per vector for single rows, 64 rows
//! per vector for batches. All unsafe code of this instruction set is in this file.
#![allow(
    unsafe_code,
    reason = "vector loads and stores, and the call into code for another instruction set"
)]

use std::arch::x86_64::{
    __m512i, _CMP_UNORD_Q, _mm512_add_ps, _mm512_castps_si512, _mm512_cmp_ps_mask,
    _mm512_cmple_epu8_mask, _mm512_cmplt_epi32_mask, _mm512_cvtepu8_epi32,
    _mm512_extracti32x4_epi32, _mm512_i32gather_ps, _mm512_loadu_ps, _mm512_loadu_si512,
    _mm512_mask_blend_epi8, _mm512_mask_blend_ps, _mm512_mask_mov_epi32, _mm512_mask_storeu_epi32,
    _mm512_maskz_loadu_ps, _mm512_movepi8_mask, _mm512_or_si512, _mm512_permutex2var_epi8,
    _mm512_permutex2var_ps, _mm512_permutexvar_epi8, _mm512_permutexvar_ps, _mm512_set1_epi8,
    _mm512_set1_epi32, _mm512_setzero_ps, _mm512_srai_epi32, _mm512_srli_epi32, _mm512_storeu_ps,
    _mm512_storeu_si512, _mm512_ternarylogic_epi32, _mm512_test_epi32_mask,
    _mm512_testn_epi32_mask, _mm512_xor_si512, _pext_u64,
};

use crate::Instructions;
use crate::lanes::LaneFile;
use crate::plan::{CHUNK, LANES, LaneStep, Lanes, Tree};
use crate::rank::{FAN, MAX_SLOTS, RankTable, Thresholds};
use crate::vector_trees::{HEAP_EXITS, HeapLanes, PathPair, VECTOR_SLOTS, VectorChunk};

/// Proof that this machine has the instructions; without one, no kernel of this file can be called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512(());

/// Leaf values are read in full vectors, so this many extra places must follow the last one.
pub(crate) const VALUE_PADDING: usize = 64;

#[allow(
    clippy::unused_self,
    reason = "`self` is the proof that the machine has the instructions"
)]
impl Avx512 {
    /// The proof, if the machine has the instructions.
    pub(crate) fn detect() -> Option<Self> {
        (Instructions::detect() >= Instructions::Avx512).then_some(Self(()))
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

    /// Finds the leaf of one row in each vector tree of a chunk; `slots` are in use, at most [`VECTOR_SLOTS`].
    pub(crate) fn chunk(
        self,
        chunk: &VectorChunk,
        trees: &[Tree],
        slots: usize,
        ranks: &[u8; MAX_SLOTS],
        leaves: &mut [u32; CHUNK],
    ) {
        debug_assert!(slots <= VECTOR_SLOTS);
        // SAFETY: `self` proves the instructions.
        unsafe {
            match slots {
                0..=64 => row_of_chunk::<1>(chunk, trees, ranks, leaves),
                65..=128 => row_of_chunk::<2>(chunk, trees, ranks, leaves),
                _ => row_of_chunk::<4>(chunk, trees, ranks, leaves),
            }
        }
    }

    /// Finds the leaf value of one row in each tree of a chunk of heaps; `slots` as in [`Avx512::chunk`].
    pub(crate) fn heap_values(
        self,
        chunk: &VectorChunk,
        slots: usize,
        ranks: &[u8; MAX_SLOTS],
        values: &mut [f32; CHUNK],
    ) {
        debug_assert!(slots <= VECTOR_SLOTS);
        // SAFETY: `self` proves the instructions.
        unsafe {
            match slots {
                0..=64 => heap_values_of_row::<1>(chunk, ranks, values),
                65..=128 => heap_values_of_row::<2>(chunk, ranks, values),
                _ => heap_values_of_row::<4>(chunk, ranks, values),
            }
        }
    }

    /// See [`crate::lanes::tree`].
    pub(crate) fn tree(
        self,
        steps: &[LaneStep],
        ranks: &[Lanes],
        file: &mut LaneFile,
    ) -> [u8; LANES] {
        // SAFETY: `self` proves the instructions.
        unsafe { tree_of_lanes(steps, ranks, file) }
    }

    /// The leaf of each of 64 rows in a heap tree. `ranks` has at least [`VECTOR_SLOTS`] rows.
    pub(crate) fn heap_lanes(self, tree: &HeapLanes, ranks: &[Lanes]) -> [u8; LANES] {
        assert!(ranks.len() >= VECTOR_SLOTS);
        // SAFETY: `self` proves the instructions.
        unsafe { heap_of_lanes(tree, ranks) }
    }

    /// Adds to each row's score the value of its leaf; `values` starts at the tree's first leaf and has
    /// [`VALUE_PADDING`] places after the last.
    pub(crate) fn add_leaves(
        self,
        places: &[u8; LANES],
        leaves: usize,
        values: &[f32],
        scores: &mut [f32; LANES],
    ) {
        assert!(values.len() >= leaves + VALUE_PADDING && leaves <= 256);
        // SAFETY: `self` proves the instructions; a leaf's place is below 256 and so within the values and their padding
        // when there are more than 64 leaves, where single values are gathered.
        unsafe { add_leaves(places, leaves, values, scores) }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn keys_of_row(features: usize, row: &[f32], keys: &mut [i32]) {
    let (high, low) = keys.split_at_mut(features);
    for start in (0..features).step_by(16) {
        let left = (features - start).min(16);
        let mask = (0xffff_u32 >> (16 - left)) as u16;
        // SAFETY: the mask keeps the load and both stores within the `features` first places of each slice.
        unsafe {
            let x = _mm512_maskz_loadu_ps(mask, row.as_ptr().add(start));
            let is_nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x, x);
            let bits = _mm512_castps_si512(_mm512_add_ps(x, _mm512_setzero_ps()));
            let flip = _mm512_srli_epi32::<1>(_mm512_srai_epi32::<31>(bits));
            let key = _mm512_xor_si512(bits, flip);
            let above = _mm512_mask_mov_epi32(key, is_nan, _mm512_set1_epi32(i32::MAX));
            let below = _mm512_mask_mov_epi32(key, is_nan, _mm512_set1_epi32(i32::MIN));
            _mm512_mask_storeu_epi32(high.as_mut_ptr().add(start), mask, above);
            _mm512_mask_storeu_epi32(low.as_mut_ptr().add(start), mask, below);
        }
    }
}

/// Number of the sixteen thresholds below the key.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,popcnt")]
fn below(thresholds: &Thresholds<i32>, key: __m512i) -> u32 {
    // SAFETY: the array has sixteen elements.
    let thresholds = unsafe { _mm512_loadu_si512(thresholds.0.as_ptr().cast()) };
    u32::from(_mm512_cmplt_epi32_mask(thresholds, key)).count_ones()
}

#[target_feature(enable = "avx512f,avx512bw,popcnt")]
fn rank_row(table: &RankTable<f32>, keys: &[i32], ranks: &mut [u8; MAX_SLOTS]) {
    let parts = table.thresholds.as_chunks::<FAN>().0;
    for (((&source, pivots), parts), rank) in table
        .sources
        .iter()
        .zip(&table.pivots)
        .zip(parts)
        .zip(ranks)
    {
        let key = _mm512_set1_epi32(keys[source as usize]);
        let part = below(pivots, key);
        *rank = (part * FAN as u32 + below(&parts[part as usize % FAN], key)) as u8;
    }
}

#[target_feature(enable = "avx512f,avx512bw,popcnt")]
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
            let key = _mm512_set1_epi32(keys[source as usize]);
            let part = below(pivots, key);
            *rank = (part * FAN as u32 + below(&parts[part as usize % FAN], key)) as u8;
        }
    }
}

/// Up to 256 ranks in four registers (`N` of them in use), looked up by 64 slots at once.
#[derive(Clone, Copy)]
struct Ranks<const N: usize>([__m512i; 4]);

impl<const N: usize> Ranks<N> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn load(ranks: &[u8; MAX_SLOTS]) -> Self {
        // SAFETY: four vectors of 64 bytes lie within the array.
        Self(std::array::from_fn(|at| unsafe {
            _mm512_loadu_si512(ranks.as_ptr().add(at * 64).cast())
        }))
    }

    /// The 64 comparisons of a vector of tests, as bits.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn answers(self, slots: &[u8; 64], indices: &[u8; 64]) -> u64 {
        // SAFETY: both arrays have 64 elements.
        let (slots, indices) = unsafe {
            (
                _mm512_loadu_si512(slots.as_ptr().cast()),
                _mm512_loadu_si512(indices.as_ptr().cast()),
            )
        };
        let [a, b, c, d] = self.0;
        let ranks = match N {
            1 => _mm512_permutexvar_epi8(slots, a),
            2 => _mm512_permutex2var_epi8(a, slots, b),
            _ => {
                let (low, high) = (
                    _mm512_permutex2var_epi8(a, slots, b),
                    _mm512_permutex2var_epi8(c, slots, d),
                );
                _mm512_mask_blend_epi8(_mm512_movepi8_mask(slots), low, high)
            }
        };
        _mm512_cmple_epu8_mask(ranks, indices)
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi,bmi1,bmi2")]
fn row_of_chunk<const N: usize>(
    chunk: &VectorChunk,
    trees: &[Tree],
    ranks: &[u8; MAX_SLOTS],
    leaves: &mut [u32; CHUNK],
) {
    let ranks = Ranks::<N>::load(ranks);
    for (tree, &place) in chunk.heaps.iter().zip(&chunk.heap_places) {
        let exit = heap_exit(ranks.answers(&tree.slots, &tree.indices));
        let leaf = u32::from(tree.exits[exit]);
        leaves[usize::from(place) % CHUNK] = trees[usize::from(place)].first_leaf + leaf;
    }
    for (pair, &places) in chunk.pairs.iter().zip(&chunk.pair_places) {
        let answers = ranks.answers(&pair.slots, &pair.indices);
        for (half, place) in places.into_iter().enumerate() {
            let leaf = path_leaf(pair, half, (answers >> (32 * half)) as u32);
            leaves[usize::from(place) % CHUNK] = trees[usize::from(place)].first_leaf + leaf;
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi,bmi1,bmi2")]
fn heap_values_of_row<const N: usize>(
    chunk: &VectorChunk,
    ranks: &[u8; MAX_SLOTS],
    values: &mut [f32; CHUNK],
) {
    let ranks = Ranks::<N>::load(ranks);
    for ((tree, exits), value) in chunk.heaps.iter().zip(&chunk.exit_values).zip(values) {
        *value = exits.0[heap_exit(ranks.answers(&tree.slots, &tree.indices))];
    }
}

/// Which of a heap's 64 exits the answers lead to.
#[inline]
#[target_feature(enable = "bmi1,bmi2")]
fn heap_exit(answers: u64) -> usize {
    let top = HEAP_EXITS[_pext_u64(answers, 0x8080_8080_8080_8080) as usize & 127];
    let bottom = HEAP_EXITS[(answers >> (top * 8)) as usize & 127];
    usize::from(top * 8 + bottom) & 63
}

/// The one leaf whose path has the answers it wants.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,bmi1")]
fn path_leaf(pair: &PathPair, half: usize, answers: u32) -> u32 {
    let answers = _mm512_set1_epi32(answers.cast_signed());
    let matches = |at: usize| {
        let (care, want) = (&pair.care[half][at..at + 16], &pair.want[half][at..at + 16]);
        // SAFETY: both slices have sixteen elements.
        let (care, want) = unsafe {
            (
                _mm512_loadu_si512(care.as_ptr().cast()),
                _mm512_loadu_si512(want.as_ptr().cast()),
            )
        };
        // (answers ^ want) & care
        let wrong = _mm512_ternarylogic_epi32::<0x28>(answers, want, care);
        u32::from(_mm512_testn_epi32_mask(wrong, wrong))
    };
    (matches(0) | matches(16) << 16).trailing_zeros() & 31
}

#[target_feature(enable = "avx512f,avx512bw")]
fn tree_of_lanes(steps: &[LaneStep], ranks: &[Lanes], file: &mut LaneFile) -> [u8; LANES] {
    let load = |row: &Lanes| {
        // SAFETY: the array has 64 elements.
        unsafe { _mm512_loadu_si512(row.0.as_ptr().cast()) }
    };
    let rows = &mut file.rows[..];
    let mut result = 0;
    for step in steps {
        let index = _mm512_set1_epi32(step.index.cast_signed());
        let holds = _mm512_cmple_epu8_mask(load(&ranks[usize::from(step.slot)]), index);
        let on_false = load(&rows[usize::from(step.on_false)]);
        let chosen =
            _mm512_mask_blend_epi8(holds, on_false, load(&rows[usize::from(step.on_true)]));
        result = usize::from(step.target);
        // SAFETY: the array has 64 elements.
        unsafe { _mm512_storeu_si512(rows[result].0.as_mut_ptr().cast(), chosen) };
    }
    rows[result].0
}

/// Answers seven nodes of three levels for 64 rows: an exit from 0 to 7 in each byte.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn three_levels(holds: [u64; 7], exits: &[__m512i; 8]) -> __m512i {
    let choose =
        |node: usize, on_true, on_false| _mm512_mask_blend_epi8(holds[node], on_false, on_true);
    let [a, b] = [choose(3, exits[0], exits[1]), choose(4, exits[2], exits[3])];
    let [c, d] = [choose(5, exits[4], exits[5]), choose(6, exits[6], exits[7])];
    choose(0, choose(1, a, b), choose(2, c, d))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn heap_of_lanes(tree: &HeapLanes, ranks: &[Lanes]) -> [u8; LANES] {
    let holds = |lane: usize| {
        // The assertion of the caller makes this check vanish: a slot is a byte's value.
        let rank = &ranks[usize::from(tree.slots[lane]) % VECTOR_SLOTS];
        // SAFETY: the array has 64 elements.
        let rank = unsafe { _mm512_loadu_si512(rank.0.as_ptr().cast()) };
        _mm512_cmple_epu8_mask(rank, _mm512_set1_epi32(tree.indices[lane].cast_signed()))
    };
    let exits: [__m512i; 8] = std::array::from_fn(|exit| _mm512_set1_epi8(exit as i8));
    let bottoms: [__m512i; 8] = std::array::from_fn(|top| {
        let below = three_levels(std::array::from_fn(|node| holds(top * 8 + node)), &exits);
        _mm512_or_si512(below, _mm512_set1_epi8((top * 8) as i8))
    });
    let exit = three_levels(std::array::from_fn(|node| holds(node * 8 + 7)), &bottoms);
    // SAFETY: the array has 64 elements.
    let numbers = unsafe { _mm512_loadu_si512(tree.exits.as_ptr().cast()) };
    let leaves = _mm512_permutexvar_epi8(exit, numbers);
    let mut places = [0; LANES];
    // SAFETY: the array has 64 elements.
    unsafe { _mm512_storeu_si512(places.as_mut_ptr().cast(), leaves) };
    places
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq")]
unsafe fn add_leaves(
    places: &[u8; LANES],
    leaves: usize,
    values: &[f32],
    scores: &mut [f32; LANES],
) {
    // SAFETY: the caller gives VALUE_PADDING values after the last leaf, so four vectors can be read; gathers read at a
    // leaf's own place; the other arrays have 64 elements.
    unsafe {
        let places = _mm512_loadu_si512(places.as_ptr().cast());
        let table: [_; 4] = std::array::from_fn(|at| _mm512_loadu_ps(values.as_ptr().add(at * 16)));
        let quarters = [
            _mm512_extracti32x4_epi32::<0>(places),
            _mm512_extracti32x4_epi32::<1>(places),
            _mm512_extracti32x4_epi32::<2>(places),
            _mm512_extracti32x4_epi32::<3>(places),
        ];
        for (quarter, scores) in quarters.into_iter().zip(scores.as_chunks_mut::<16>().0) {
            let place = _mm512_cvtepu8_epi32(quarter);
            let value = match leaves {
                0..=16 => _mm512_permutexvar_ps(place, table[0]),
                17..=32 => _mm512_permutex2var_ps(table[0], place, table[1]),
                33..=64 => {
                    let low = _mm512_permutex2var_ps(table[0], place, table[1]);
                    let high = _mm512_permutex2var_ps(table[2], place, table[3]);
                    let is_high = _mm512_test_epi32_mask(place, _mm512_set1_epi32(32));
                    _mm512_mask_blend_ps(is_high, low, high)
                }
                _ => _mm512_i32gather_ps::<4>(place, values.as_ptr()),
            };
            let sum = _mm512_add_ps(_mm512_loadu_ps(scores.as_ptr()), value);
            _mm512_storeu_ps(scores.as_mut_ptr(), sum);
        }
    }
}
