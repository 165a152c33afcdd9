//! `TreeEnsemble` of `ai.onnx.ml` 5: leaves live in lists of their own.

use crate::attributes::{Attributes, TensorElement};
use crate::ensemble::{Aggregate, Comparison, Ensemble, Node, PostTransform, Task, Weight};
use crate::reader::{WeightEntry, check_acyclic, place_weights, targets};
use crate::{Scalar, TreeError};

fn required<T: TensorElement>(attributes: &Attributes, name: &str) -> Result<Vec<T>, TreeError> {
    attributes
        .tensor(name)?
        .ok_or_else(|| attributes.malformed(name, "is missing"))
}

fn comparison(attributes: &Attributes, at: usize, mode: u8) -> Result<Comparison, TreeError> {
    Ok(match mode {
        0 => Comparison::LessOrEqual,
        1 => Comparison::Less,
        2 => Comparison::GreaterOrEqual,
        3 => Comparison::Greater,
        4 => Comparison::Equal,
        5 => Comparison::NotEqual,
        6 => Comparison::Member,
        other => {
            return Err(attributes.malformed(
                format!("nodes_modes[{at}]"),
                format!("is {other}, must be from 0 to 6"),
            ));
        }
    })
}

/// One set for each [`Comparison::Member`] node, in node order; the file divides them by NaN.
fn member_sets<T: Scalar>(
    attributes: &Attributes,
    modes: &[u8],
    values: &[T],
) -> Result<Vec<(u32, Vec<T>)>, TreeError> {
    let mut sets = values.split(|value| value.is_nan());
    let owners = modes
        .iter()
        .enumerate()
        .filter(|(_, mode)| **mode == 6)
        .map(|(at, _)| at);
    owners
        .map(|at| match sets.next() {
            Some(set) if !set.is_empty() => Ok((at as u32, set.to_vec())),
            _ => {
                Err(attributes.malformed("membership_values", format!("has no set for node {at}")))
            }
        })
        .collect()
}

/// The inner nodes' lists, all of one length.
struct Branches<'a, T> {
    features: &'a [i64],
    on_true: &'a [i64],
    on_false: &'a [i64],
    true_is_leaf: &'a [i64],
    false_is_leaf: &'a [i64],
    missing: &'a [i64],
    modes: Vec<u8>,
    thresholds: Vec<T>,
}

impl<'a, T: Scalar + TensorElement> Branches<'a, T> {
    fn read(attributes: &Attributes<'a>) -> Result<Self, TreeError> {
        let branches = Self {
            features: attributes.ints("nodes_featureids"),
            on_true: attributes.ints("nodes_truenodeids"),
            on_false: attributes.ints("nodes_falsenodeids"),
            true_is_leaf: attributes.ints("nodes_trueleafs"),
            false_is_leaf: attributes.ints("nodes_falseleafs"),
            missing: attributes.ints("nodes_missing_value_tracks_true"),
            modes: required(attributes, "nodes_modes")?,
            thresholds: required(attributes, "nodes_splits")?,
        };
        let count = branches.features.len();
        for (name, found) in [
            ("nodes_truenodeids", branches.on_true.len()),
            ("nodes_falsenodeids", branches.on_false.len()),
            ("nodes_trueleafs", branches.true_is_leaf.len()),
            ("nodes_falseleafs", branches.false_is_leaf.len()),
            ("nodes_modes", branches.modes.len()),
            ("nodes_splits", branches.thresholds.len()),
        ] {
            attributes.same_length(name, found, "nodes_featureids", count)?;
        }
        if !branches.missing.is_empty() {
            let found = branches.missing.len();
            attributes.same_length(
                "nodes_missing_value_tracks_true",
                found,
                "nodes_featureids",
                count,
            )?;
        }
        Ok(branches)
    }

    /// The checked node at a place; leaves are numbered behind all inner nodes.
    fn node(
        &self,
        attributes: &Attributes,
        at: usize,
        leaves: usize,
    ) -> Result<Node<T>, TreeError> {
        let count = self.features.len();
        let child = |name: &str, id: i64, is_leaf: bool| {
            let limit = if is_leaf { leaves } else { count };
            let id = attributes.index(name, at, id)?;
            if (id as usize) < limit {
                return Ok(if is_leaf { count as u32 + id } else { id });
            }
            let kind = if is_leaf { "leaves" } else { "nodes" };
            Err(attributes.malformed(
                format!("{name}[{at}]"),
                format!("is {id}, but there are {limit} {kind}"),
            ))
        };
        let comparison = comparison(attributes, at, self.modes[at])?;
        let threshold = self.thresholds[at];
        if comparison != Comparison::Member && threshold.is_nan() {
            let place = format!("nodes_splits[{at}]");
            return Err(attributes.malformed(place, "is NaN, which no feature compares with"));
        }
        Ok(Node::Branch {
            feature: attributes.index("nodes_featureids", at, self.features[at])?,
            comparison,
            threshold,
            nan_is_true: self.missing.get(at) == Some(&1),
            on_true: child(
                "nodes_truenodeids",
                self.on_true[at],
                self.true_is_leaf[at] != 0,
            )?,
            on_false: child(
                "nodes_falsenodeids",
                self.on_false[at],
                self.false_is_leaf[at] != 0,
            )?,
        })
    }

    fn roots(&self, attributes: &Attributes) -> Result<Vec<u32>, TreeError> {
        let count = self.features.len();
        let mut roots = Vec::new();
        for (at, &root) in attributes.ints("tree_roots").iter().enumerate() {
            let root = attributes.index("tree_roots", at, root)?;
            let slot = root as usize;
            if slot >= count {
                let reason = format!("is {root}, but there are {count} nodes");
                return Err(attributes.malformed(format!("tree_roots[{at}]"), reason));
            }
            let both_leaves = self.true_is_leaf[slot] != 0 && self.false_is_leaf[slot] != 0;
            if both_leaves && self.on_true[slot] == self.on_false[slot] {
                // ONNX Runtime takes the root's own number as the leaf's: the two readings differ.
                return Err(
                    attributes.unsupported(format!("tree_roots[{at}] is a tree of one leaf"))
                );
            }
            roots.push(root);
        }
        if roots.is_empty() {
            return Err(attributes.malformed("tree_roots", "is empty; an ensemble needs a tree"));
        }
        Ok(roots)
    }
}

/// The weights of the leaves, which are numbered from `first_leaf` on.
fn leaf_entries<T: Scalar + TensorElement>(
    attributes: &Attributes,
    first_leaf: usize,
    targets: usize,
) -> Result<Vec<WeightEntry<T>>, TreeError> {
    let target_ids = attributes.ints("leaf_targetids");
    let values = required::<T>(attributes, "leaf_weights")?;
    attributes.same_length(
        "leaf_weights",
        values.len(),
        "leaf_targetids",
        target_ids.len(),
    )?;
    let entry = |(at, &value): (usize, &T)| {
        let target = attributes.index("leaf_targetids", at, target_ids[at])?;
        if target as usize >= targets {
            let reason = format!("is {target}, must be below {targets}");
            return Err(attributes.malformed(format!("leaf_targetids[{at}]"), reason));
        }
        Ok(WeightEntry {
            node: (first_leaf + at) as u32,
            weight: Weight { target, value },
        })
    };
    values.iter().enumerate().map(entry).collect()
}

fn aggregate(attributes: &Attributes) -> Result<Aggregate, TreeError> {
    match attributes.int("aggregate_function", 1) {
        0 => Ok(Aggregate::Average),
        1 => Ok(Aggregate::Sum),
        2 => Ok(Aggregate::Min),
        3 => Ok(Aggregate::Max),
        other => Err(attributes.malformed(
            "aggregate_function",
            format!("is {other}, must be from 0 to 3"),
        )),
    }
}

fn post_transform(attributes: &Attributes) -> Result<PostTransform, TreeError> {
    match attributes.int("post_transform", 0) {
        0 => Ok(PostTransform::None),
        // The specification has softmax as 1 and logistic as 2; ONNX Runtime, whose bits count here, reads them so.
        1 => Ok(PostTransform::Logistic),
        2 => Ok(PostTransform::Softmax),
        3 => Ok(PostTransform::SoftmaxZero),
        4 => Ok(PostTransform::Probit),
        other => {
            Err(attributes.malformed("post_transform", format!("is {other}, must be from 0 to 4")))
        }
    }
}

pub(crate) fn read_v5<T: Scalar + TensorElement>(
    attributes: &Attributes,
) -> Result<Ensemble<T>, TreeError> {
    let branches = Branches::<T>::read(attributes)?;
    let count = branches.features.len();
    let targets = targets(attributes)?;
    let entries = leaf_entries::<T>(attributes, count, targets)?;
    let node = |at| branches.node(attributes, at, entries.len());
    let mut nodes = (0..count).map(node).collect::<Result<Vec<_>, _>>()?;
    nodes.resize(count + entries.len(), Node::Leaf { first: 0, count: 0 });
    let weights = place_weights(&mut nodes, &entries, targets);
    let roots = branches.roots(attributes)?;
    let membership = attributes
        .tensor::<T>("membership_values")?
        .unwrap_or_default();
    let has_shared_nodes = check_acyclic(&nodes, &roots).map_err(|at| {
        attributes.malformed(format!("nodes_truenodeids[{at}]"), "leads back to itself")
    })?;
    Ok(Ensemble {
        name: attributes.label().to_owned(),
        features: branches
            .features
            .iter()
            .max()
            .map_or(0, |&feature| feature as usize + 1),
        targets,
        task: Task::Regression,
        aggregate: aggregate(attributes)?,
        post_transform: post_transform(attributes)?,
        base_values: Vec::new(),
        member_sets: member_sets(attributes, &branches.modes, &membership)?,
        nodes,
        roots,
        weights,
        has_shared_nodes,
    })
}
