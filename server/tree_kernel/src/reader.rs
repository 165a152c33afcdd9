//! From a graph node's attributes to a checked [`Ensemble`].
//!
//! Source: the ONNX operator specifications `ai.onnx.ml` `TreeEnsembleRegressor` and `TreeEnsembleClassifier` (1 and 3)
//! and `TreeEnsemble` (5). Where they are silent, ONNX Runtime's behaviour decides, because bits are compared with it.

use std::collections::HashMap;

use crate::attributes::{Attributes, TensorElement};
use crate::ensemble::{
    Aggregate, AnyEnsemble, Comparison, Ensemble, Node, PostTransform, Task, Weight,
};
use crate::onnx_proto::{NodeProto, element_type};
use crate::reader_v5::read_v5;
use crate::{Scalar, TreeError};

/// The domain of the tree operators.
pub(crate) const ML_DOMAIN: &str = "ai.onnx.ml";

/// The three operators this crate knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TreeOperator {
    Regressor,
    Classifier,
    Ensemble,
}

impl TreeOperator {
    /// The operator of a node, if it is a tree ensemble.
    pub(crate) fn of(node: &NodeProto) -> Option<Self> {
        if node.domain() != ML_DOMAIN {
            return None;
        }
        match node.op_type() {
            "TreeEnsembleRegressor" => Some(Self::Regressor),
            "TreeEnsembleClassifier" => Some(Self::Classifier),
            "TreeEnsemble" => Some(Self::Ensemble),
            _ => None,
        }
    }
}

/// Reads and checks a tree node whose input has the given ONNX element type.
pub(crate) fn read_node(
    node: &NodeProto,
    operator: TreeOperator,
    input: i32,
) -> Result<AnyEnsemble, TreeError> {
    match input {
        element_type::FLOAT => read_typed(node, operator).map(AnyEnsemble::F32),
        element_type::DOUBLE => read_typed(node, operator).map(AnyEnsemble::F64),
        other => Err(Attributes::new(node).unsupported(format!(
            "its input has element type {other}, not float or double"
        ))),
    }
}

fn read_typed<T: Scalar + TensorElement>(
    node: &NodeProto,
    operator: TreeOperator,
) -> Result<Ensemble<T>, TreeError> {
    let attributes = Attributes::new(node);
    match operator {
        TreeOperator::Ensemble => read_v5(&attributes),
        TreeOperator::Regressor | TreeOperator::Classifier => {
            read_v3(&attributes, operator == TreeOperator::Classifier)
        }
    }
}

/// Values that come as floats (opset 1) or as a tensor (opset 3).
fn values<T: Scalar + TensorElement>(
    attributes: &Attributes,
    name: &str,
) -> Result<Vec<T>, TreeError> {
    let floats = attributes.floats(name);
    let tensor_name = format!("{name}_as_tensor");
    match attributes.tensor::<T>(&tensor_name)? {
        Some(_) if !floats.is_empty() => Err(attributes.malformed(
            name,
            format!("is given together with {tensor_name}; keep one of them"),
        )),
        Some(tensor) => Ok(tensor),
        None => Ok(floats.iter().map(|&value| T::from_f32(value)).collect()),
    }
}

fn comparison(
    attributes: &Attributes,
    at: usize,
    mode: &[u8],
) -> Result<Option<Comparison>, TreeError> {
    Ok(Some(match mode {
        b"LEAF" => return Ok(None),
        b"BRANCH_LEQ" => Comparison::LessOrEqual,
        b"BRANCH_LT" => Comparison::Less,
        b"BRANCH_GTE" => Comparison::GreaterOrEqual,
        b"BRANCH_GT" => Comparison::Greater,
        b"BRANCH_EQ" => Comparison::Equal,
        b"BRANCH_NEQ" => Comparison::NotEqual,
        other => {
            let other = String::from_utf8_lossy(other);
            let reason = format!("is `{other}`, no mode of the specification");
            return Err(attributes.malformed(format!("nodes_modes[{at}]"), reason));
        }
    }))
}

fn post_transform(attributes: &Attributes) -> Result<PostTransform, TreeError> {
    match attributes.text("post_transform", "NONE")?.as_str() {
        "NONE" => Ok(PostTransform::None),
        "LOGISTIC" => Ok(PostTransform::Logistic),
        "SOFTMAX" => Ok(PostTransform::Softmax),
        "SOFTMAX_ZERO" => Ok(PostTransform::SoftmaxZero),
        "PROBIT" => Ok(PostTransform::Probit),
        other => Err(attributes.malformed(
            "post_transform",
            format!("is `{other}`, no transform of the specification"),
        )),
    }
}

fn aggregate(attributes: &Attributes) -> Result<Aggregate, TreeError> {
    match attributes.text("aggregate_function", "SUM")?.as_str() {
        "SUM" => Ok(Aggregate::Sum),
        "AVERAGE" => Ok(Aggregate::Average),
        "MIN" => Ok(Aggregate::Min),
        "MAX" => Ok(Aggregate::Max),
        other => Err(attributes.malformed(
            "aggregate_function",
            format!("is `{other}`, no function of the specification"),
        )),
    }
}

/// One tree's part of the node lists, and how to find a node in it by its id.
struct TreeSpan {
    start: usize,
    /// Empty when ids count up from zero, as every exporter writes them.
    by_id: Vec<(i64, u32)>,
    len: usize,
}

impl TreeSpan {
    fn new(
        attributes: &Attributes,
        ids: &[i64],
        start: usize,
        end: usize,
    ) -> Result<Self, TreeError> {
        let own = &ids[start..end];
        let mut by_id = Vec::new();
        if own.iter().enumerate().any(|(at, &id)| id != at as i64) {
            by_id = own
                .iter()
                .enumerate()
                .map(|(at, &id)| (id, (start + at) as u32))
                .collect();
            by_id.sort_unstable();
            if let Some(pair) = by_id.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                let place = format!("nodes_nodeids[{}]", pair[1].1);
                return Err(attributes.malformed(
                    place,
                    format!("repeats node {} of the same tree", pair[1].0),
                ));
            }
        }
        Ok(Self {
            start,
            by_id,
            len: own.len(),
        })
    }

    fn find(&self, id: i64) -> Option<u32> {
        if self.by_id.is_empty() {
            return usize::try_from(id)
                .ok()
                .filter(|&id| id < self.len)
                .map(|id| (self.start + id) as u32);
        }
        let at = self.by_id.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        self.by_id.get(at).map(|(_, index)| *index)
    }
}

/// The trees of the node lists, in order, and each tree's place by its id.
fn spans(
    attributes: &Attributes,
    tree_ids: &[i64],
    node_ids: &[i64],
) -> Result<(Vec<TreeSpan>, HashMap<i64, u32>), TreeError> {
    let mut spans: Vec<TreeSpan> = Vec::new();
    let mut by_tree = HashMap::new();
    let mut start = 0;
    for run in tree_ids.chunk_by(|a, b| a == b) {
        let end = start + run.len();
        if by_tree.insert(run[0], spans.len() as u32).is_some() {
            let place = format!("nodes_treeids[{start}]");
            return Err(attributes.malformed(
                place,
                format!(
                    "returns to tree {}; a tree's nodes must be neighbours",
                    run[0]
                ),
            ));
        }
        spans.push(TreeSpan::new(attributes, node_ids, start, end)?);
        start = end;
    }
    Ok((spans, by_tree))
}

/// The node lists, all of one length.
struct NodeLists<'a, T> {
    tree_ids: &'a [i64],
    node_ids: &'a [i64],
    feature_ids: &'a [i64],
    true_ids: &'a [i64],
    false_ids: &'a [i64],
    missing: &'a [i64],
    modes: &'a [Vec<u8>],
    thresholds: Vec<T>,
}

impl<'a, T: Scalar + TensorElement> NodeLists<'a, T> {
    fn read(attributes: &Attributes<'a>) -> Result<Self, TreeError> {
        let lists = Self {
            tree_ids: attributes.ints("nodes_treeids"),
            node_ids: attributes.ints("nodes_nodeids"),
            feature_ids: attributes.ints("nodes_featureids"),
            true_ids: attributes.ints("nodes_truenodeids"),
            false_ids: attributes.ints("nodes_falsenodeids"),
            missing: attributes.ints("nodes_missing_value_tracks_true"),
            modes: attributes.strings("nodes_modes"),
            thresholds: values(attributes, "nodes_values")?,
        };
        let count = lists.tree_ids.len();
        if count == 0 {
            return Err(attributes.malformed("nodes_treeids", "is empty; an ensemble needs a tree"));
        }
        for (name, found) in [
            ("nodes_nodeids", lists.node_ids.len()),
            ("nodes_featureids", lists.feature_ids.len()),
            ("nodes_truenodeids", lists.true_ids.len()),
            ("nodes_falsenodeids", lists.false_ids.len()),
            ("nodes_modes", lists.modes.len()),
            ("nodes_values", lists.thresholds.len()),
        ] {
            attributes.same_length(name, found, "nodes_treeids", count)?;
        }
        if !lists.missing.is_empty() {
            let found = lists.missing.len();
            attributes.same_length(
                "nodes_missing_value_tracks_true",
                found,
                "nodes_treeids",
                count,
            )?;
        }
        Ok(lists)
    }

    /// The checked node at a place of the lists, within its tree; a leaf has no weights yet.
    fn node(
        &self,
        attributes: &Attributes,
        at: usize,
        span: &TreeSpan,
    ) -> Result<Node<T>, TreeError> {
        let feature = attributes.index("nodes_featureids", at, self.feature_ids[at])?;
        let Some(comparison) = comparison(attributes, at, &self.modes[at])? else {
            return Ok(Node::Leaf { first: 0, count: 0 });
        };
        let threshold = self.thresholds[at];
        if threshold.is_nan() {
            let place = format!("nodes_values[{at}]");
            return Err(attributes.malformed(place, "is NaN, which no feature compares with"));
        }
        let child = |name: &str, id: i64| {
            span.find(id).ok_or_else(|| {
                let reason = format!("is {id}, but tree {} has no such node", self.tree_ids[at]);
                attributes.malformed(format!("{name}[{at}]"), reason)
            })
        };
        Ok(Node::Branch {
            feature,
            comparison,
            threshold,
            nan_is_true: self.missing.get(at) == Some(&1),
            on_true: child("nodes_truenodeids", self.true_ids[at])?,
            on_false: child("nodes_falsenodeids", self.false_ids[at])?,
        })
    }

    /// A node in words.
    fn describe(&self, at: usize) -> String {
        format!("node {} of tree {}", self.node_ids[at], self.tree_ids[at])
    }
}

fn read_v3<T: Scalar + TensorElement>(
    attributes: &Attributes,
    classifier: bool,
) -> Result<Ensemble<T>, TreeError> {
    let lists = NodeLists::<T>::read(attributes)?;
    let (spans, by_tree) = spans(attributes, lists.tree_ids, lists.node_ids)?;
    let mut nodes = Vec::with_capacity(lists.tree_ids.len());
    for span in &spans {
        for at in span.start..span.start + span.len {
            nodes.push(lists.node(attributes, at, span)?);
        }
    }
    let prefix = if classifier { "class" } else { "target" };
    let (targets, labels) = targets_and_labels(attributes, classifier)?;
    let base_values = values::<T>(attributes, "base_values")?;
    check_base_values(attributes, classifier, targets, base_values.len())?;
    let entries = weight_entries::<T>(attributes, prefix, targets, |tree, node| {
        by_tree
            .get(&tree)
            .and_then(|&at| spans[at as usize].find(node))
    })?;
    let weights = place_weights(&mut nodes, &entries, targets);
    if let Some(at) = nodes
        .iter()
        .position(|node| matches!(node, Node::Leaf { count: 0, .. }))
    {
        let reason = format!("{} is a leaf without an entry there", lists.describe(at));
        return Err(attributes.malformed(format!("{prefix}_nodeids"), reason));
    }
    let roots: Vec<u32> = spans.iter().map(|span| span.start as u32).collect();
    let has_shared_nodes = check_acyclic(&nodes, &roots).map_err(|at| {
        let reason = format!("{} leads back to itself", lists.describe(at as usize));
        attributes.malformed(format!("nodes_truenodeids[{at}]"), reason)
    })?;
    Ok(Ensemble {
        name: attributes.label().to_owned(),
        features: lists
            .feature_ids
            .iter()
            .max()
            .map_or(0, |&feature| feature as usize + 1),
        targets,
        task: labels.map_or(Task::Regression, |labels| classification(labels, &entries)),
        aggregate: if classifier {
            Aggregate::Sum
        } else {
            aggregate(attributes)?
        },
        post_transform: post_transform(attributes)?,
        base_values,
        nodes,
        roots,
        weights,
        member_sets: Vec::new(),
        has_shared_nodes,
    })
}

/// The number of scores, and for a classifier its labels.
fn targets_and_labels(
    attributes: &Attributes,
    classifier: bool,
) -> Result<(usize, Option<Vec<i64>>), TreeError> {
    if !classifier {
        return Ok((targets(attributes)?, None));
    }
    if !attributes.strings("classlabels_strings").is_empty() {
        return Err(attributes.unsupported("its labels are strings"));
    }
    let labels = attributes.ints("classlabels_int64s").to_vec();
    if !(2..=MAX_TARGETS).contains(&labels.len()) {
        return Err(attributes.unsupported(format!(
            "it has {} labels, not 2 to {MAX_TARGETS}",
            labels.len()
        )));
    }
    Ok((labels.len(), Some(labels)))
}

/// The number of a regressor's scores.
pub(crate) fn targets(attributes: &Attributes) -> Result<usize, TreeError> {
    let targets = usize::try_from(attributes.int("n_targets", 0)).unwrap_or_default();
    if (1..=MAX_TARGETS).contains(&targets) {
        return Ok(targets);
    }
    Err(attributes.malformed(
        "n_targets",
        format!("is {targets}, must be from 1 to {MAX_TARGETS}"),
    ))
}

/// More scores than this are refused, so that a broken file cannot ask for endless memory.
const MAX_TARGETS: usize = 4096;

fn check_base_values(
    attributes: &Attributes,
    classifier: bool,
    targets: usize,
    found: usize,
) -> Result<(), TreeError> {
    if found == 0 || found == targets || (classifier && targets == 2 && found == 1) {
        return Ok(());
    }
    Err(attributes.malformed(
        "base_values",
        format!("has {found} entries, needs none or {targets}"),
    ))
}

/// A weight and the node it belongs to.
pub(crate) struct WeightEntry<T> {
    pub(crate) node: u32,
    pub(crate) weight: Weight<T>,
}

fn weight_entries<T: Scalar + TensorElement>(
    attributes: &Attributes,
    prefix: &str,
    targets: usize,
    find: impl Fn(i64, i64) -> Option<u32>,
) -> Result<Vec<WeightEntry<T>>, TreeError> {
    let name = |suffix: &str| format!("{prefix}_{suffix}");
    let (ids, node_ids) = (
        attributes.ints(&name("ids")),
        attributes.ints(&name("nodeids")),
    );
    let tree_ids = attributes.ints(&name("treeids"));
    let values = values::<T>(attributes, &name("weights"))?;
    attributes.same_length(&name("nodeids"), node_ids.len(), &name("ids"), ids.len())?;
    attributes.same_length(&name("treeids"), tree_ids.len(), &name("ids"), ids.len())?;
    attributes.same_length(&name("weights"), values.len(), &name("ids"), ids.len())?;
    let mut entries = Vec::with_capacity(ids.len());
    for (at, &value) in values.iter().enumerate() {
        let target = attributes.index(&name("ids"), at, ids[at])?;
        if target as usize >= targets {
            return Err(attributes.malformed(
                format!("{prefix}_ids[{at}]"),
                format!("is {target}, must be below {targets}"),
            ));
        }
        let node = find(tree_ids[at], node_ids[at]).ok_or_else(|| {
            let reason = format!(
                "is {}, but tree {} has no such node",
                node_ids[at], tree_ids[at]
            );
            attributes.malformed(format!("{prefix}_nodeids[{at}]"), reason)
        })?;
        entries.push(WeightEntry {
            node,
            weight: Weight { target, value },
        });
    }
    Ok(entries)
}

/// Sorts the weights by leaf, keeping their order within a leaf, and tells each leaf where its own are.
///
/// With one target ONNX Runtime uses a leaf's first weight only, so the others are dropped. Weights of inner nodes,
/// which old converters wrote, are ignored.
pub(crate) fn place_weights<T: Scalar>(
    nodes: &mut [Node<T>],
    entries: &[WeightEntry<T>],
    targets: usize,
) -> Vec<Weight<T>> {
    for entry in entries {
        if let Some(Node::Leaf { count, .. }) = nodes.get_mut(entry.node as usize)
            && (targets > 1 || *count == 0)
        {
            *count += 1;
        }
    }
    let mut total = 0;
    let mut next = vec![0_u32; nodes.len()];
    for (node, next) in nodes.iter_mut().zip(&mut next) {
        if let Node::Leaf { first, count } = node {
            *first = total;
            *next = total;
            total += *count;
        }
    }
    let mut weights = vec![
        Weight {
            target: 0,
            value: T::default()
        };
        total as usize
    ];
    for entry in entries {
        let at = entry.node as usize;
        if let Node::Leaf { first, count } = nodes[at]
            && next[at] < first + count
        {
            weights[next[at] as usize] = entry.weight;
            next[at] += 1;
        }
    }
    weights
}

fn classification<T: Scalar>(labels: Vec<i64>, entries: &[WeightEntry<T>]) -> Task {
    let first_class = entries.first().map(|entry| entry.weight.target);
    let one_class = entries
        .iter()
        .all(|entry| Some(entry.weight.target) == first_class);
    Task::Classification {
        one_score: labels.len() == 2 && one_class,
        positive: !entries
            .iter()
            .any(|entry| entry.weight.value < T::default()),
        labels,
    }
}

/// Whether any node is reached twice; the index of a node on a cycle is the error.
pub(crate) fn check_acyclic<T: Scalar>(nodes: &[Node<T>], roots: &[u32]) -> Result<bool, u32> {
    const NEW: u8 = 0;
    const OPEN: u8 = 1;
    const DONE: u8 = 2;
    let mut state = vec![NEW; nodes.len()];
    let mut reached = vec![false; nodes.len()];
    let mut shared = false;
    let mut reach = |at: u32| shared |= std::mem::replace(&mut reached[at as usize], true);
    let mut stack: Vec<u32> = Vec::new();
    for &root in roots {
        reach(root);
        stack.push(root);
        while let Some(&at) = stack.last() {
            let children = match nodes[at as usize] {
                Node::Branch {
                    on_true, on_false, ..
                } if state[at as usize] == NEW => [on_true, on_false],
                // A leaf, a node whose children are done, or one that another path has finished.
                _ => {
                    state[at as usize] = DONE;
                    stack.pop();
                    continue;
                }
            };
            state[at as usize] = OPEN;
            for child in children {
                reach(child);
                match state[child as usize] {
                    NEW => stack.push(child),
                    OPEN => return Err(at),
                    _ => {}
                }
            }
        }
    }
    Ok(shared)
}
