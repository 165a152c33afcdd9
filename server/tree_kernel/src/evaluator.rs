//! Rows in, scores out: picks the kernel and joins what it finds.

use crate::compact::{CompactWalk, OCTET, OctetRanks};
use crate::ensemble::{Ensemble, PostTransform, Task};
use crate::instructions::Instructions;
use crate::join::{join_lanes, join_octet, join_row, join_values};
use crate::kernels::Kernels;
use crate::lanes::LaneFile;
use crate::plan::{CHUNK, LANES, Lanes, Leaves, Plan};
use crate::rank::MAX_SLOTS;
use crate::vector_trees::VECTOR_SLOTS;
use crate::{Output, Scalar, TreeError, walk};

/// From this many rows on, eight together cost less than one by one.
const LEAST_OF_OCTET: usize = 4;

/// An ensemble ready to evaluate rows. Immutable: threads share it, each with a [`Scratch`] of its own.
#[derive(Debug)]
pub struct Evaluator<T: Scalar> {
    ensemble: Ensemble<T>,
    plan: Plan<T>,
    kernels: Kernels,
    /// Which targets some leaf speaks of, where that does not depend on the row.
    has: Vec<bool>,
    /// From this many rows on, the batch kernel is faster than the kernels for few rows.
    lane_rows: usize,
}

/// Memory that evaluations reuse; any scratch serves any evaluator.
#[derive(Debug)]
pub struct Scratch<T: Scalar> {
    keys: Vec<T::Key>,
    ranks: Box<[u8; MAX_SLOTS]>,
    lane_keys: Vec<T::Key>,
    lane_ranks: Vec<Lanes>,
    file: LaneFile,
    scores: Vec<[T; LANES]>,
    has: Vec<bool>,
    row_scores: Vec<T>,
    row_has: Vec<bool>,
    octet_ranks: Box<OctetRanks>,
    octet_scores: Vec<[T; OCTET]>,
}

impl<T: Scalar> Default for Scratch<T> {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            ranks: Box::new([0; MAX_SLOTS]),
            lane_keys: Vec::new(),
            lane_ranks: Vec::new(),
            file: LaneFile::default(),
            scores: Vec::new(),
            has: Vec::new(),
            row_scores: Vec::new(),
            row_has: Vec::new(),
            octet_ranks: Box::new([[0; OCTET]; 256]),
            octet_scores: Vec::new(),
        }
    }
}

impl<T: Scalar> Evaluator<T> {
    /// Lays an ensemble out for the fastest instructions of this machine.
    ///
    /// # Errors
    ///
    /// [`TreeError::Unsupported`] when the fast path does not hold the ensemble.
    pub fn new(ensemble: Ensemble<T>) -> Result<Self, TreeError> {
        Self::with_instructions(ensemble, Instructions::detect())
    }

    /// Like [`Evaluator::new`] with a chosen instruction set, lowered to what the machine has.
    ///
    /// # Errors
    ///
    /// [`TreeError::Unsupported`] when the fast path does not hold the ensemble.
    pub fn with_instructions(
        ensemble: Ensemble<T>,
        instructions: Instructions,
    ) -> Result<Self, TreeError> {
        let (kernels, plan) = Kernels::build(instructions, |visit| Plan::build(&ensemble, visit))?;
        let mut has = vec![false; ensemble.targets];
        ensemble
            .weights
            .iter()
            .for_each(|weight| has[weight.target as usize] = true);
        refuse_undefined(&ensemble, &plan.leaves, &has)?;
        let lane_rows = kernels.lane_rows(&plan);
        Ok(Self {
            ensemble,
            plan,
            kernels,
            has,
            lane_rows,
        })
    }

    /// The ensemble.
    pub fn ensemble(&self) -> &Ensemble<T> {
        &self.ensemble
    }

    /// The instruction set in use.
    pub fn instructions(&self) -> Instructions {
        self.kernels.instructions()
    }

    /// Evaluates `rows`, row-major with `columns` features each, into `scores` (rows x targets) and, for a classifier,
    /// `labels` (rows). A row's bits do not depend on the rows beside it.
    ///
    /// # Errors
    ///
    /// [`TreeError::Shape`] when the lengths do not fit.
    pub fn run<O: Output>(
        &self,
        rows: &[T],
        columns: usize,
        scratch: &mut Scratch<T>,
        scores: &mut [O],
        labels: Option<&mut [i64]>,
    ) -> Result<(), TreeError> {
        let count = self.check(rows, columns, scores.len(), labels.as_deref())?;
        self.prepare(scratch);
        let mut labels = labels;
        let mut start = 0;
        while start < count {
            let taken = (count - start).min(LANES);
            let taken_rows = &rows[start * columns..(start + taken) * columns];
            let out =
                &mut scores[start * self.ensemble.targets..(start + taken) * self.ensemble.targets];
            let labels = labels
                .as_deref_mut()
                .map(|labels| &mut labels[start..start + taken]);
            if taken < self.lane_rows {
                self.run_few(taken_rows, columns, scratch, out, labels);
            } else {
                self.run_lanes(taken_rows, columns, scratch, out, labels);
            }
            start += taken;
        }
        Ok(())
    }

    /// Fewer rows than the batch kernel pays for: eight at a time where the walk is compact, then one by one.
    fn run_few<O: Output>(
        &self,
        mut rows: &[T],
        columns: usize,
        scratch: &mut Scratch<T>,
        mut out: &mut [O],
        mut labels: Option<&mut [i64]>,
    ) {
        let targets = self.ensemble.targets;
        while let Some(walk) = self.octets() {
            let taken = (rows.len() / columns).min(OCTET);
            if taken < LEAST_OF_OCTET {
                break;
            }
            let (rows_now, rows_left) = rows.split_at(taken * columns);
            let (out_now, out_left) = out.split_at_mut(taken * targets);
            let (labels_now, labels_left) = labels
                .map(|labels| labels.split_at_mut(taken))
                .map_or((None, None), |(now, left)| (Some(now), Some(left)));
            self.run_octet(walk, rows_now, columns, scratch, out_now, labels_now);
            (rows, out, labels) = (rows_left, out_left, labels_left);
        }
        self.run_rows(rows, columns, scratch, out, labels);
    }

    /// The walk that takes eight rows at a time, if that is this ensemble's best way for few rows.
    fn octets(&self) -> Option<&CompactWalk> {
        if self.kernels.has_vectors() || matches!(self.plan.leaves, Leaves::Nodes(_)) {
            return None;
        }
        self.plan.compact.as_ref()
    }

    fn check(
        &self,
        rows: &[T],
        columns: usize,
        scores: usize,
        labels: Option<&[i64]>,
    ) -> Result<usize, TreeError> {
        let shape = |field, reason| Err(TreeError::Shape { field, reason });
        if columns < self.ensemble.features || columns == 0 {
            return shape(
                "columns",
                format!(
                    "{columns} given, the ensemble reads {}",
                    self.ensemble.features
                ),
            );
        }
        if !rows.len().is_multiple_of(columns) {
            return shape(
                "rows",
                format!(
                    "{} values are no whole number of rows of {columns}",
                    rows.len()
                ),
            );
        }
        let count = rows.len() / columns;
        if scores != count * self.ensemble.targets {
            return shape(
                "scores",
                format!(
                    "holds {scores}, needs {count} rows of {}",
                    self.ensemble.targets
                ),
            );
        }
        match (labels, &self.ensemble.task) {
            (Some(labels), _) if labels.len() != count => {
                shape("labels", format!("holds {}, needs {count}", labels.len()))
            }
            (Some(_), Task::Regression) => shape("labels", "a regressor gives none".to_owned()),
            _ => Ok(count),
        }
    }

    fn prepare(&self, scratch: &mut Scratch<T>) {
        let targets = self.ensemble.targets;
        scratch
            .keys
            .resize(2 * self.plan.ranks.features, T::KEY_MIN);
        scratch.row_scores.resize(targets, T::default());
        scratch.row_has.resize(targets, false);
    }

    fn run_rows<O: Output>(
        &self,
        rows: &[T],
        columns: usize,
        scratch: &mut Scratch<T>,
        out: &mut [O],
        mut labels: Option<&mut [i64]>,
    ) {
        let targets = self.ensemble.targets;
        let Scratch {
            keys,
            ranks,
            row_scores,
            row_has,
            ..
        } = scratch;
        let keys = &mut keys[..2 * self.plan.ranks.features];
        let (scores, has) = (&mut row_scores[..targets], &mut row_has[..targets]);
        let rows = rows
            .chunks_exact(columns)
            .zip(out.chunks_exact_mut(targets));
        for (at, (row, out)) in rows.enumerate() {
            self.kernels.keys(&self.plan.ranks, row, keys);
            self.kernels.rank_row(&self.plan.ranks, keys, ranks);
            scores.fill(T::default());
            if matches!(self.plan.leaves, Leaves::Nodes(_)) {
                has.fill(false);
            } else {
                has.copy_from_slice(&self.has);
            }
            let mut leaves = [0_u32; CHUNK];
            let mut values = [0.0_f32; CHUNK];
            for (chunk, trees) in self.plan.trees.chunks(CHUNK).enumerate() {
                let first = chunk * CHUNK;
                if let Some(scores) = T::as_f32_slice_mut(scores)
                    && self
                        .kernels
                        .chunk_values(&self.plan, chunk, ranks, &mut values)
                {
                    let targets = match &self.plan.leaves {
                        Leaves::PerTree(targets, _) => &targets[first..first + trees.len()],
                        _ => &[],
                    };
                    join_values(&values[..trees.len()], targets, scores);
                    continue;
                }
                self.kernels
                    .chunk(&self.plan, chunk, trees, ranks, &mut leaves);
                let found = &leaves[..trees.len()];
                join_row(&self.ensemble, &self.plan.leaves, first, found, scores, has);
            }
            let label = self.ensemble.finish(scores, has, out);
            if let Some(labels) = labels.as_deref_mut() {
                labels[at] = label;
            }
        }
    }

    /// Up to eight rows, tree after tree.
    fn run_octet<O: Output>(
        &self,
        walk: &CompactWalk,
        rows: &[T],
        columns: usize,
        scratch: &mut Scratch<T>,
        out: &mut [O],
        mut labels: Option<&mut [i64]>,
    ) {
        let targets = self.ensemble.targets;
        let table = &self.plan.ranks;
        let width = 2 * table.features;
        let Scratch {
            lane_keys,
            octet_ranks,
            octet_scores,
            row_scores,
            ..
        } = scratch;
        if width > 0 {
            lane_keys.resize(lane_keys.len().max(width * OCTET), T::KEY_MIN);
            let keys = &mut lane_keys[..width * (rows.len() / columns)];
            for (row, keys) in rows.chunks_exact(columns).zip(keys.chunks_exact_mut(width)) {
                self.kernels.keys(table, row, keys);
            }
            self.kernels.rank_octet(table, keys, octet_ranks);
        }
        octet_scores.clear();
        octet_scores.resize(targets, [T::default(); OCTET]);
        for tree in 0..walk.trees().len() {
            let found = self.kernels.octet(walk, tree, octet_ranks);
            join_octet(&self.plan, tree, found, octet_scores);
        }
        let row_scores = &mut row_scores[..targets];
        for (row, out) in out.chunks_exact_mut(targets).enumerate() {
            for (score, scores) in row_scores.iter_mut().zip(&*octet_scores) {
                *score = scores[row];
            }
            let label = self.ensemble.finish(row_scores, &self.has, out);
            if let Some(labels) = labels.as_deref_mut() {
                labels[row] = label;
            }
        }
    }

    fn run_lanes<O: Output>(
        &self,
        rows: &[T],
        columns: usize,
        scratch: &mut Scratch<T>,
        out: &mut [O],
        mut labels: Option<&mut [i64]>,
    ) {
        let targets = self.ensemble.targets;
        let count = rows.len() / columns;
        self.rank_lanes(rows, columns, scratch);
        let Scratch {
            lane_ranks,
            file,
            scores,
            has,
            row_scores,
            row_has,
            ..
        } = scratch;
        file.prepare(self.plan.lane_temporaries);
        scores.clear();
        scores.resize(targets, [T::default(); LANES]);
        has.clear();
        has.resize(targets * LANES, false);
        for (number, tree) in self.plan.trees.iter().enumerate() {
            let mut found = [0_u32; LANES];
            if tree.has_lanes() {
                let places = self
                    .kernels
                    .tree(&self.plan, number, count, lane_ranks, file);
                match &self.plan.leaves {
                    Leaves::One(values) => {
                        self.kernels
                            .add_leaves(tree, &places, values, &mut scores[0]);
                        continue;
                    }
                    Leaves::PerTree(targets, values) => {
                        let scores = &mut scores[targets[number] as usize];
                        self.kernels.add_leaves(tree, &places, values, scores);
                        continue;
                    }
                    _ => found = places.map(|place| tree.first_leaf + u32::from(place)),
                }
            } else {
                walk::rows(&self.plan, tree, count, lane_ranks, &mut found);
            }
            join_lanes(
                &self.ensemble,
                &self.plan.leaves,
                number,
                &found[..count],
                scores,
                has,
            );
        }
        let dynamic = matches!(self.plan.leaves, Leaves::Nodes(_));
        row_has[..targets].copy_from_slice(&self.has);
        for (row, out) in out.chunks_exact_mut(targets).enumerate() {
            for target in 0..targets {
                row_scores[target] = scores[target][row];
                if dynamic {
                    row_has[target] = has[target * LANES + row];
                }
            }
            let label = self
                .ensemble
                .finish(&mut row_scores[..targets], &row_has[..targets], out);
            if let Some(labels) = labels.as_deref_mut() {
                labels[row] = label;
            }
        }
    }

    /// Ranks up to 64 rows. Lanes without a row keep what was there: any rank leads to some leaf, and nobody reads it.
    fn rank_lanes(&self, rows: &[T], columns: usize, scratch: &mut Scratch<T>) {
        let Scratch {
            lane_keys,
            lane_ranks,
            ..
        } = scratch;
        let table = &self.plan.ranks;
        let width = 2 * table.features;
        lane_ranks.resize(
            lane_ranks.len().max(table.slots()).max(VECTOR_SLOTS),
            Lanes([0; LANES]),
        );
        if width == 0 {
            return;
        }
        lane_keys.resize(lane_keys.len().max(width * LANES), T::KEY_MIN);
        for (row, keys) in rows
            .chunks_exact(columns)
            .zip(lane_keys.chunks_exact_mut(width))
        {
            self.kernels.keys(table, row, keys);
        }
        let count = rows.len() / columns;
        self.kernels
            .rank_lanes(table, &mut lane_keys[..width * count], count, lane_ranks);
    }
}

/// Refuses the classifiers whose second score ONNX Runtime leaves unwritten.
fn refuse_undefined<T: Scalar>(
    ensemble: &Ensemble<T>,
    leaves: &Leaves<T>,
    has: &[bool],
) -> Result<(), TreeError> {
    let Task::Classification {
        labels, one_score, ..
    } = &ensemble.task
    else {
        return Ok(());
    };
    let both = has[1] || ensemble.base_values.len() == 2;
    let probit = !both && ensemble.post_transform == PostTransform::Probit;
    let sparse = !*one_score && matches!(leaves, Leaves::Nodes(_));
    if labels.len() == 2 && (probit || sparse) {
        return Err(TreeError::Unsupported {
            node: ensemble.name.clone(),
            reason: "ONNX Runtime leaves the second of its two scores undefined for some rows"
                .to_owned(),
        });
    }
    Ok(())
}
