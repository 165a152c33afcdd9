//! A tree ensemble whose shape has been checked: what the reader gives and the kernels are built from.

use crate::Scalar;

/// How an inner node compares a feature `x` with its threshold `t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `x <= t`
    LessOrEqual,
    /// `x < t`
    Less,
    /// `x >= t`
    GreaterOrEqual,
    /// `x > t`
    Greater,
    /// `x == t`
    Equal,
    /// `x != t`
    NotEqual,
    /// `x` is one of a set of values
    Member,
}

/// How the leaves of one row become a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregate {
    /// Sum over the trees, in their order.
    Sum,
    /// The sum divided by the number of trees.
    Average,
    /// The smallest leaf.
    Min,
    /// The largest leaf.
    Max,
}

/// What is done with the scores of a row in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostTransform {
    /// Nothing.
    None,
    /// The logistic function of each score.
    Logistic,
    /// Softmax over the scores.
    Softmax,
    /// Softmax that leaves scores near zero out of the sum.
    SoftmaxZero,
    /// The probit function of each score.
    Probit,
}

/// A node of a tree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Node<T> {
    /// A comparison and where it leads.
    Branch {
        /// Column of the input.
        feature: u32,
        /// The comparison.
        comparison: Comparison,
        /// What the feature is compared with; never NaN.
        threshold: T,
        /// Whether NaN goes where a true comparison goes (else it follows the comparison itself).
        nan_is_true: bool,
        /// Index of the node for a true comparison.
        on_true: u32,
        /// Index of the node for a false comparison.
        on_false: u32,
    },
    /// An end, with `count` entries of [`Ensemble::weights`] from `first`.
    Leaf {
        /// Index of the first weight.
        first: u32,
        /// Number of weights, at least one.
        count: u32,
    },
}

/// What a leaf adds to one target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weight<T> {
    /// Target or class, below [`Ensemble::targets`].
    pub target: u32,
    /// The value.
    pub value: T,
}

/// What an ensemble gives for a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// The scores alone.
    Regression,
    /// A label and the scores.
    Classification {
        /// One label for each class.
        labels: Vec<i64>,
        /// Two labels, and weights for only one of them.
        one_score: bool,
        /// No weight is below zero: a score is a probability, and 0.5 divides the two classes.
        positive: bool,
    },
}

/// A checked tree ensemble: every index is in range, trees have no cycles, no threshold is NaN.
#[derive(Debug, Clone, PartialEq)]
pub struct Ensemble<T> {
    /// Name of the graph node, for messages.
    pub name: String,
    /// Least number of input columns.
    pub features: usize,
    /// Number of scores for each row.
    pub targets: usize,
    /// What it gives.
    pub task: Task,
    /// How leaves are joined.
    pub aggregate: Aggregate,
    /// What is done with the scores.
    pub post_transform: PostTransform,
    /// Added to the scores; empty, or as long as ONNX Runtime takes it.
    pub base_values: Vec<T>,
    /// All nodes.
    pub nodes: Vec<Node<T>>,
    /// The first node of each tree, in the order of the sum.
    pub roots: Vec<u32>,
    /// What the leaves hold.
    pub weights: Vec<Weight<T>>,
    /// The sets of [`Comparison::Member`] nodes, by node index.
    pub member_sets: Vec<(u32, Vec<T>)>,
    /// Some node is reached by two paths.
    pub has_shared_nodes: bool,
}

/// An ensemble of either element type.
#[derive(Debug, Clone, PartialEq)]
pub enum AnyEnsemble {
    /// Input, thresholds and leaves are `f32`.
    F32(Ensemble<f32>),
    /// Input, thresholds and leaves are `f64`.
    F64(Ensemble<f64>),
}

impl<T: Scalar> Ensemble<T> {
    /// Whether the comparison of the branch is true for `x`.
    #[inline]
    fn holds(
        &self,
        node: u32,
        comparison: Comparison,
        x: T,
        threshold: T,
        nan_is_true: bool,
    ) -> bool {
        let holds = match comparison {
            Comparison::LessOrEqual => x <= threshold,
            Comparison::Less => x < threshold,
            Comparison::GreaterOrEqual => x >= threshold,
            Comparison::Greater => x > threshold,
            Comparison::Equal => x == threshold,
            Comparison::NotEqual => x != threshold,
            Comparison::Member => {
                let set = self
                    .member_sets
                    .binary_search_by_key(&node, |(owner, _)| *owner);
                set.ok()
                    .and_then(|at| self.member_sets.get(at))
                    .is_some_and(|(_, set)| set.contains(&x))
            }
        };
        holds || (nan_is_true && x.is_nan())
    }

    /// Index of the leaf node that a row reaches in the tree that starts at `root`.
    ///
    /// This is the definition that every kernel is tested against.
    ///
    /// # Panics
    ///
    /// When `root` is no node or `row` is shorter than [`Ensemble::features`].
    #[inline]
    pub fn leaf_of(&self, root: u32, row: &[T]) -> u32 {
        let mut at = root;
        loop {
            match self.nodes[at as usize] {
                Node::Leaf { .. } => return at,
                Node::Branch {
                    feature,
                    comparison,
                    threshold,
                    nan_is_true,
                    on_true,
                    on_false,
                } => {
                    let x = row[feature as usize];
                    at = if self.holds(at, comparison, x, threshold, nan_is_true) {
                        on_true
                    } else {
                        on_false
                    };
                }
            }
        }
    }
}
