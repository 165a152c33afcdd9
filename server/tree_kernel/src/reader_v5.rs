//! `TreeEnsemble` of `ai.onnx.ml` 5: leaves live in lists of their own.

use crate::attributes::{Attributes, TensorElement};
use crate::ensemble::{Aggregate, Comparison, Ensemble, Node, PostTransform, Task, Weight};
use crate::reader::{MAX_TARGETS, WeightEntry, check_acyclic, place_weights};
use crate::{Scalar, TreeError};

fn required<T: TensorElement>(attributes: &Attributes, name: &str) -> Result<Vec<T>, TreeError> {
    attributes.tensor(name)?.ok_or_else(|| attributes.malformed(name, "is missing"))
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
        other => return Err(attributes.malformed(format!("nodes_modes[{at}]"), format!("is {other}, must be from 0 to 6"))),
    })
}

/// One set for each [`Comparison::Member`] node, in node order; the file divides them by NaN.
fn member_sets<T: Scalar>(attributes: &Attributes, modes: &[u8], values: &[T]) -> Result<Vec<(u32, Vec<T>)>, TreeError> {
    let mut sets = values.split(|value| value.is_nan());
    let owners = modes.iter().enumerate().filter(|(_, mode)| **mode == 6).map(|(at, _)| at);
    owners
        .map(|at| match sets.next() {
            Some(set) if !set.is_empty() => Ok((at as u32, set.to_vec())),
            _ => Err(attributes.malformed("membership_values", format!("has no set for node {at}"))),
        })
        .collect()
}

pub(crate) fn read_v5<T: Scalar + TensorElement>(attributes: &Attributes) -> Result<Ensemble<T>, TreeError> {
    let feature_ids = attributes.ints("nodes_featureids");
    let count = feature_ids.len();
    let true_ids = attributes.ints("nodes_truenodeids");
    let false_ids = attributes.ints("nodes_falsenodeids");
    let true_leafs = attributes.ints("nodes_trueleafs");
    let false_leafs = attributes.ints("nodes_falseleafs");
    let missing = attributes.ints("nodes_missing_value_tracks_true");
    let modes = required::<u8>(attributes, "nodes_modes")?;
    let thresholds = required::<T>(attributes, "nodes_splits")?;
    for (name, found) in [
        ("nodes_truenodeids", true_ids.len()),
        ("nodes_falsenodeids", false_ids.len()),
        ("nodes_trueleafs", true_leafs.len()),
        ("nodes_falseleafs", false_leafs.len()),
        ("nodes_modes", modes.len()),
        ("nodes_splits", thresholds.len()),
    ] {
        attributes.same_length(name, found, "nodes_featureids", count)?;
    }
    if !missing.is_empty() {
        attributes.same_length("nodes_missing_value_tracks_true", missing.len(), "nodes_featureids", count)?;
    }
    let leaf_targets = attributes.ints("leaf_targetids");
    let leaf_values = required::<T>(attributes, "leaf_weights")?;
    attributes.same_length("leaf_weights", leaf_values.len(), "leaf_targetids", leaf_targets.len())?;
    let targets = usize::try_from(attributes.int("n_targets", 0)).ok().filter(|targets| (1..=MAX_TARGETS).contains(targets));
    let targets = targets.ok_or_else(|| attributes.malformed("n_targets", format!("must be from 1 to {MAX_TARGETS}")))?;

    let child = |name: &str, at: usize, id: i64, is_leaf: bool| {
        let limit = if is_leaf { leaf_values.len() } else { count };
        let id = attributes.index(name, at, id)?;
        if (id as usize) < limit {
            return Ok(if is_leaf { count as u32 + id } else { id });
        }
        let kind = if is_leaf { "leaves" } else { "nodes" };
        Err(attributes.malformed(format!("{name}[{at}]"), format!("is {id}, but there are {limit} {kind}")))
    };
    let mut features = 0;
    let mut nodes = Vec::with_capacity(count + leaf_values.len());
    for at in 0..count {
        let feature = attributes.index("nodes_featureids", at, feature_ids[at])?;
        features = features.max(feature as usize + 1);
        let comparison = comparison(attributes, at, modes[at])?;
        if comparison != Comparison::Member && thresholds[at].is_nan() {
            return Err(attributes.malformed(format!("nodes_splits[{at}]"), "is NaN, which no feature compares with"));
        }
        nodes.push(Node::Branch {
            feature,
            comparison,
            threshold: thresholds[at],
            nan_is_true: missing.get(at) == Some(&1),
            on_true: child("nodes_truenodeids", at, true_ids[at], true_leafs[at] != 0)?,
            on_false: child("nodes_falsenodeids", at, false_ids[at], false_leafs[at] != 0)?,
        });
    }
    nodes.resize(count + leaf_values.len(), Node::Leaf { first: 0, count: 0 });
    let mut entries = Vec::with_capacity(leaf_values.len());
    for (at, &value) in leaf_values.iter().enumerate() {
        let target = attributes.index("leaf_targetids", at, leaf_targets[at])?;
        if target as usize >= targets {
            return Err(attributes.malformed(format!("leaf_targetids[{at}]"), format!("is {target}, must be below {targets}")));
        }
        entries.push(WeightEntry { node: (count + at) as u32, weight: Weight { target, value } });
    }
    let weights = place_weights(&mut nodes, &entries, targets);

    let mut roots = Vec::new();
    for (at, &root) in attributes.ints("tree_roots").iter().enumerate() {
        let root = attributes.index("tree_roots", at, root)?;
        if root as usize >= count {
            return Err(attributes.malformed(format!("tree_roots[{at}]"), format!("is {root}, but there are {count} nodes")));
        }
        let slot = root as usize;
        if true_ids[slot] == false_ids[slot] && true_leafs[slot] != 0 && false_leafs[slot] != 0 {
            // ONNX Runtime takes the root's own number as the leaf's: the two readings differ.
            return Err(attributes.unsupported(format!("tree_roots[{at}] is a tree of one leaf")));
        }
        roots.push(root);
    }
    if roots.is_empty() {
        return Err(attributes.malformed("tree_roots", "is empty; an ensemble needs a tree"));
    }
    let membership = attributes.tensor::<T>("membership_values")?.unwrap_or_default();
    let has_shared_nodes = check_acyclic(&nodes, &roots)
        .map_err(|at| attributes.malformed(format!("nodes_truenodeids[{at}]"), "leads back to itself"))?;
    Ok(Ensemble {
        name: attributes.label().to_owned(),
        features,
        targets,
        task: Task::Regression,
        aggregate: match attributes.int("aggregate_function", 1) {
            0 => Aggregate::Average,
            1 => Aggregate::Sum,
            2 => Aggregate::Min,
            3 => Aggregate::Max,
            other => return Err(attributes.malformed("aggregate_function", format!("is {other}, must be from 0 to 3"))),
        },
        post_transform: match attributes.int("post_transform", 0) {
            0 => PostTransform::None,
            // The specification has softmax as 1 and logistic as 2; ONNX Runtime, whose bits count here, reads them so.
            1 => PostTransform::Logistic,
            2 => PostTransform::Softmax,
            3 => PostTransform::SoftmaxZero,
            4 => PostTransform::Probit,
            other => return Err(attributes.malformed("post_transform", format!("is {other}, must be from 0 to 4"))),
        },
        base_values: Vec::new(),
        member_sets: member_sets(attributes, &modes, &membership)?,
        nodes,
        roots,
        weights,
        has_shared_nodes,
    })
}
