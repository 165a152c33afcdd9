//! Features as byte ranks: the idea that makes every kernel of this crate fast.
//!
//! Each inner node becomes `x <= t` over integers that sort as the numbers do. The thresholds that a feature is compared
//! with are sorted into slots of at most 255; a feature's rank in a slot is the number of its thresholds below the
//! feature. Then `x <= t[i]` is `rank <= i`: one byte against one byte, computed once per row instead of once per node.
//!
//! NaN takes the lowest key where it counts as true and the highest where it counts as false, so a slot holds
//! thresholds of one NaN direction only.

use crate::ensemble::{Comparison, Ensemble, Node};
use crate::{Scalar, TreeError};

/// Thresholds in one slot; a rank is at most this, an index below it.
pub(crate) const SLOT_THRESHOLDS: usize = 255;
/// Keys in a pivot row, and in each part of a slot that a pivot stands for.
pub(crate) const FAN: usize = 16;
/// More features than this are left to ONNX Runtime.
const MAX_FEATURES: usize = 1 << 16;
/// More slots than this are left to ONNX Runtime.
pub(crate) const MAX_SLOTS: usize = 4096;

/// Ascending thresholds, aligned because a vector that crosses cache lines costs twice.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Thresholds<K>(pub(crate) [K; FAN]);

/// The sorted thresholds of all slots, and which key each slot ranks.
#[derive(Debug)]
pub(crate) struct RankTable<T: Scalar> {
    /// Columns read from a row.
    pub(crate) features: usize,
    /// For each slot, the place of its key in [`RankTable::keys`]' output.
    pub(crate) sources: Vec<u32>,
    /// For each slot, the last threshold of each of its 16 parts.
    pub(crate) pivots: Vec<Thresholds<T::Key>>,
    /// For each slot, 16 parts of 16 ascending thresholds; unused places hold the highest key.
    pub(crate) thresholds: Vec<Thresholds<T::Key>>,
}

/// A comparison as a slot and an index: true exactly when `rank[slot] <= index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RankTest {
    pub(crate) slot: u16,
    pub(crate) index: u8,
    /// The true and the false child change places.
    pub(crate) swapped: bool,
}

/// A comparison in the one form that ranks know.
struct Normal<T: Scalar> {
    /// Twice the feature, and one more where NaN counts as true.
    group: usize,
    key: T::Key,
    swapped: bool,
}

fn normal<T: Scalar>(
    feature: u32,
    comparison: Comparison,
    threshold: T,
    nan_is_true: bool,
) -> Option<Normal<T>> {
    let key = threshold.key();
    let (key, swapped) = match comparison {
        Comparison::LessOrEqual => (key, false),
        Comparison::Less => (T::key_below(key), false),
        Comparison::GreaterOrEqual => (T::key_below(key), true),
        Comparison::Greater => (key, true),
        Comparison::Equal | Comparison::NotEqual | Comparison::Member => return None,
    };
    // Turning the comparison round turns the answer for NaN round as well.
    let group = 2 * feature as usize + usize::from(nan_is_true != swapped);
    Some(Normal {
        group,
        key,
        swapped,
    })
}

impl<T: Scalar> RankTable<T> {
    /// Builds the slots, and the test of every node of the ensemble (`None` for leaves).
    pub(crate) fn build(
        ensemble: &Ensemble<T>,
    ) -> Result<(Self, Vec<Option<RankTest>>), TreeError> {
        let unsupported = |reason: String| TreeError::Unsupported {
            node: ensemble.name.clone(),
            reason,
        };
        if ensemble.features > MAX_FEATURES {
            let reason = format!(
                "it reads {} features, the fast path holds {MAX_FEATURES}",
                ensemble.features
            );
            return Err(unsupported(reason));
        }
        let mut normals: Vec<Option<Normal<T>>> = Vec::with_capacity(ensemble.nodes.len());
        // Two groups for each feature: one for each NaN direction.
        let mut groups: Vec<Vec<T::Key>> = vec![Vec::new(); 2 * ensemble.features];
        for node in &ensemble.nodes {
            let Node::Branch {
                feature,
                comparison,
                threshold,
                nan_is_true,
                ..
            } = *node
            else {
                normals.push(None);
                continue;
            };
            let normal = normal(feature, comparison, threshold, nan_is_true).ok_or_else(|| {
                unsupported("it has nodes that compare for equality or membership".to_owned())
            })?;
            groups[normal.group].push(normal.key);
            normals.push(Some(normal));
        }
        let mut table = Self {
            features: ensemble.features,
            sources: Vec::new(),
            pivots: Vec::new(),
            thresholds: Vec::new(),
        };
        let mut first_slots = Vec::with_capacity(groups.len());
        for (group, keys) in groups.iter_mut().enumerate() {
            keys.sort_unstable();
            keys.dedup();
            first_slots.push(table.sources.len());
            table.push_slots(group, keys);
        }
        if table.sources.len() > MAX_SLOTS {
            let found = table.sources.len();
            return Err(unsupported(format!(
                "it has {found} threshold slots, the fast path holds {MAX_SLOTS}"
            )));
        }
        let tests = normals.iter().map(|normal| {
            let normal = normal.as_ref()?;
            let place = groups[normal.group].binary_search(&normal.key).ok()?;
            let slot = first_slots[normal.group] + place / SLOT_THRESHOLDS;
            let index = (place % SLOT_THRESHOLDS) as u8;
            Some(RankTest {
                slot: slot as u16,
                index,
                swapped: normal.swapped,
            })
        });
        let tests = tests.collect();
        Ok((table, tests))
    }

    fn push_slots(&mut self, group: usize, keys: &[T::Key]) {
        let source = group / 2 + if group % 2 == 1 { self.features } else { 0 };
        for slot in keys.chunks(SLOT_THRESHOLDS) {
            let mut parts = [Thresholds([T::KEY_MAX; FAN]); FAN];
            for (at, &key) in slot.iter().enumerate() {
                parts[at / FAN].0[at % FAN] = key;
            }
            self.sources.push(source as u32);
            self.pivots
                .push(Thresholds(parts.map(|part| part.0[FAN - 1])));
            self.thresholds.extend_from_slice(&parts);
        }
    }

    /// This table, if its keys are those of `f32`.
    #[inline]
    pub(crate) fn as_f32(&self) -> Option<&RankTable<f32>> {
        (self as &dyn std::any::Any).downcast_ref()
    }

    /// Number of slots.
    pub(crate) fn slots(&self) -> usize {
        self.sources.len()
    }

    /// Writes the keys of a row: first with NaN above all thresholds, then with NaN below all.
    #[inline]
    pub(crate) fn keys(&self, row: &[T], keys: &mut [T::Key]) {
        let (high, low) = keys.split_at_mut(self.features);
        for ((&x, high), low) in row.iter().zip(high).zip(low) {
            let key = x.key();
            *high = if x.is_nan() { T::KEY_MAX } else { key };
            *low = if x.is_nan() { T::KEY_MIN } else { key };
        }
    }

    /// The rank of a key in a slot.
    #[inline]
    pub(crate) fn rank(&self, slot: usize, key: T::Key) -> u8 {
        let below = |keys: &Thresholds<T::Key>| {
            keys.0
                .iter()
                .map(|&threshold| u8::from(threshold < key))
                .sum::<u8>()
        };
        let part = below(&self.pivots[slot]);
        let fan = FAN as u8;
        // At most 255 thresholds leave the last pivot at the highest key, so `part` is at most 15.
        part * fan + below(&self.thresholds[slot * FAN + usize::from(part)])
    }
}
