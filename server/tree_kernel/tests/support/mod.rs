//! Random ensembles as ONNX models, rows that sit on their thresholds, and ONNX Runtime as the judge.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each test binary uses a part"
)]

pub mod onnx_writer;

use std::path::PathBuf;
use std::sync::OnceLock;

use onnx_writer::{Attribute, Graph, Node, floats, int, ints, model, tensor, text, texts, value};
use ort::environment::Environment;
use ort::session::Session;
use ort::value::Tensor;

/// A small deterministic generator (`SplitMix64`), so that a failing case is its seed.
#[derive(Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Uniform in [-1, 1).
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / 8_388_608.0 - 1.0
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// About normal: the sum of four uniform numbers.
    pub fn normal(&mut self) -> f32 {
        (0..4).map(|_| self.unit()).sum::<f32>() * 0.87
    }
}

/// What a random ensemble should look like.
#[derive(Debug, Clone)]
pub struct Wish {
    pub seed: u64,
    pub operator: Operator,
    pub double: bool,
    pub trees: usize,
    pub depth: usize,
    /// Percent of places above the depth limit where a tree ends early.
    pub early_leaves: usize,
    pub features: usize,
    pub targets: usize,
    pub modes: Vec<&'static str>,
    /// Distinct thresholds for each feature.
    pub thresholds: usize,
    pub nan_tracks: bool,
    pub leaves: LeafKind,
    pub base_values: usize,
    pub post_transform: &'static str,
    pub aggregate: &'static str,
    pub positive: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Regressor,
    Classifier,
    Ensemble,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeafKind {
    /// Tree `i` speaks of target `i % targets`.
    PerTree,
    /// All leaves speak of this target.
    Fixed(usize),
    /// Every leaf speaks of all targets.
    Every,
    /// Each leaf speaks of a random target.
    Mixed,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            seed: 1,
            operator: Operator::Regressor,
            double: false,
            trees: 20,
            depth: 4,
            early_leaves: 0,
            features: 8,
            targets: 1,
            modes: vec!["BRANCH_LEQ"],
            thresholds: 40,
            nan_tracks: false,
            leaves: LeafKind::PerTree,
            base_values: 0,
            post_transform: "NONE",
            aggregate: "SUM",
            positive: false,
        }
    }
}

/// A random ensemble and what is needed to ask both sides about it.
pub struct Case {
    pub wish: Wish,
    pub model: Vec<u8>,
    /// Thresholds by feature, to place rows on.
    pub thresholds: Vec<Vec<f32>>,
}

#[derive(Default)]
struct Lists {
    tree: Vec<i64>,
    node: Vec<i64>,
    feature: Vec<i64>,
    mode: Vec<&'static str>,
    value: Vec<f32>,
    on_true: Vec<i64>,
    on_false: Vec<i64>,
    missing: Vec<i64>,
    weight_tree: Vec<i64>,
    weight_node: Vec<i64>,
    weight_target: Vec<i64>,
    weight: Vec<f32>,
}

impl Lists {
    fn push(&mut self, tree: usize, node: usize, mode: &'static str) -> usize {
        self.tree.push(tree as i64);
        self.node.push(node as i64);
        self.feature.push(0);
        self.mode.push(mode);
        self.value.push(0.0);
        self.on_true.push(0);
        self.on_false.push(0);
        self.missing.push(0);
        self.mode.len() - 1
    }
}

/// Values that break careless comparisons.
pub const SPECIAL: [f32; 8] = [
    f32::INFINITY,
    f32::NEG_INFINITY,
    0.0,
    -0.0,
    1e-45,
    -1e-45,
    f32::MAX,
    f32::MIN,
];

impl Case {
    pub fn new(wish: Wish) -> Self {
        let mut random = Random(wish.seed);
        let thresholds: Vec<Vec<f32>> = (0..wish.features)
            .map(|_| {
                let one = |random: &mut Random| {
                    if random.chance(5) {
                        SPECIAL[random.below(SPECIAL.len())]
                    } else {
                        random.normal()
                    }
                };
                (0..wish.thresholds.max(1))
                    .map(|_| one(&mut random))
                    .collect()
            })
            .collect();
        let mut lists = Lists::default();
        for tree in 0..wish.trees {
            grow(&wish, &thresholds, &mut random, &mut lists, tree);
        }
        let model = write(&wish, lists, &mut random);
        Self {
            wish,
            model,
            thresholds,
        }
    }

    /// Random rows, one in four features on a threshold or beside it, some NaN, infinite or tiny.
    pub fn rows(&self, count: usize, seed: u64) -> Vec<f32> {
        let mut random = Random(seed);
        let mut rows = Vec::with_capacity(count * self.wish.features);
        for _ in 0..count {
            for thresholds in &self.thresholds {
                let threshold = thresholds[random.below(thresholds.len())];
                rows.push(match random.below(16) {
                    0 | 1 => threshold,
                    2 => threshold.next_up(),
                    3 => threshold.next_down(),
                    4 => SPECIAL[random.below(SPECIAL.len())],
                    5 => f32::NAN,
                    _ => random.normal(),
                });
            }
        }
        rows
    }
}

fn grow(wish: &Wish, thresholds: &[Vec<f32>], random: &mut Random, lists: &mut Lists, tree: usize) {
    let start = lists.mode.len();
    let mut next = 1;
    let mut stack = vec![(lists.push(tree, 0, "LEAF"), 0)];
    // ONNX Runtime takes a V5 tree of one leaf otherwise than the specification; the reader refuses it.
    let must_branch = wish.operator == Operator::Ensemble;
    while let Some((at, depth)) = stack.pop() {
        let root = at == start;
        let ends = depth >= wish.depth
            || lists.mode.len() - start > 4000
            || random.chance(wish.early_leaves);
        if ends && !(root && must_branch) {
            leaf(wish, random, lists, tree, at - start, at);
            continue;
        }
        let feature = random.below(wish.features);
        lists.mode[at] = wish.modes[random.below(wish.modes.len())];
        lists.feature[at] = feature as i64;
        lists.value[at] = thresholds[feature][random.below(thresholds[feature].len())];
        lists.missing[at] = i64::from(wish.nan_tracks && random.chance(50));
        lists.on_true[at] = next;
        lists.on_false[at] = next + 1;
        for child in [next, next + 1] {
            let place = lists.push(tree, child as usize, "LEAF");
            stack.push((place, depth + 1));
        }
        next += 2;
    }
}

fn leaf(wish: &Wish, random: &mut Random, lists: &mut Lists, tree: usize, node: usize, _at: usize) {
    let targets = match wish.leaves {
        LeafKind::PerTree => vec![tree % wish.targets],
        LeafKind::Fixed(target) => vec![target],
        LeafKind::Every => (0..wish.targets).collect(),
        LeafKind::Mixed => vec![random.below(wish.targets)],
    };
    for target in targets {
        let weight = random.normal();
        lists.weight_tree.push(tree as i64);
        lists.weight_node.push(node as i64);
        lists.weight_target.push(target as i64);
        lists.weight.push(if wish.positive {
            weight.abs() / wish.trees as f32
        } else {
            weight
        });
    }
}

fn write(wish: &Wish, lists: Lists, random: &mut Random) -> Vec<u8> {
    let element = if wish.double { 11 } else { 1 };
    let base: Vec<f32> = (0..wish.base_values).map(|_| random.unit()).collect();
    let (op_type, outputs, attributes) = match wish.operator {
        Operator::Ensemble => ("TreeEnsemble", vec!["scores"], attributes_v5(wish, &lists)),
        Operator::Regressor => (
            "TreeEnsembleRegressor",
            vec!["scores"],
            attributes_v3(wish, lists, base),
        ),
        Operator::Classifier => (
            "TreeEnsembleClassifier",
            vec!["label", "scores"],
            attributes_v3(wish, lists, base),
        ),
    };
    let score_type = if wish.operator == Operator::Ensemble {
        element
    } else {
        1
    };
    let node = Node {
        input: vec!["features".to_owned()],
        output: outputs.iter().map(|&name| name.to_owned()).collect(),
        name: "trees".to_owned(),
        op_type: op_type.to_owned(),
        attribute: attributes,
        domain: "ai.onnx.ml".to_owned(),
    };
    let output = |name: &&str| match *name {
        "label" => value("label", 7, &[None]),
        name => value(name, score_type, &[None, Some(wish.targets as i64)]),
    };
    let graph = Graph {
        node: vec![node],
        name: "case".to_owned(),
        input: vec![value(
            "features",
            element,
            &[None, Some(wish.features as i64)],
        )],
        output: outputs.iter().map(output).collect(),
        ..Graph::default()
    };
    model(
        graph,
        if wish.operator == Operator::Ensemble {
            5
        } else {
            3
        },
    )
}

/// Numbers as a float attribute, or as a double tensor when the model is double.
fn numbers(wish: &Wish, name: &str, values: Vec<f32>) -> Attribute {
    if !wish.double {
        return floats(name, values);
    }
    let raw = values
        .iter()
        .flat_map(|&value| f64::from(value).to_le_bytes())
        .collect();
    tensor(&format!("{name}_as_tensor"), 11, values.len(), raw)
}

fn attributes_v3(wish: &Wish, lists: Lists, base: Vec<f32>) -> Vec<Attribute> {
    let prefix = if wish.operator == Operator::Classifier {
        "class"
    } else {
        "target"
    };
    let mut attributes = vec![
        ints("nodes_treeids", lists.tree),
        ints("nodes_nodeids", lists.node),
        ints("nodes_featureids", lists.feature),
        texts("nodes_modes", &lists.mode),
        numbers(wish, "nodes_values", lists.value),
        ints("nodes_truenodeids", lists.on_true),
        ints("nodes_falsenodeids", lists.on_false),
        ints("nodes_missing_value_tracks_true", lists.missing),
        ints(&format!("{prefix}_treeids"), lists.weight_tree),
        ints(&format!("{prefix}_nodeids"), lists.weight_node),
        ints(&format!("{prefix}_ids"), lists.weight_target),
        numbers(wish, &format!("{prefix}_weights"), lists.weight),
        text("post_transform", wish.post_transform),
    ];
    if !base.is_empty() {
        attributes.push(numbers(wish, "base_values", base));
    }
    if wish.operator == Operator::Classifier {
        attributes.push(ints(
            "classlabels_int64s",
            (0..wish.targets as i64)
                .map(|label| label * 10 + 3)
                .collect(),
        ));
    } else {
        attributes.push(int("n_targets", wish.targets as i64));
        attributes.push(text("aggregate_function", wish.aggregate));
    }
    attributes
}

#[allow(clippy::too_many_lines, reason = "one list of attributes")]
fn attributes_v5(wish: &Wish, lists: &Lists) -> Vec<Attribute> {
    let number = |mode: &str| match mode {
        "BRANCH_LEQ" => 0,
        "BRANCH_LT" => 1,
        "BRANCH_GTE" => 2,
        "BRANCH_GT" => 3,
        "BRANCH_EQ" => 4,
        _ => 5,
    };
    let is_leaf = |at: usize| lists.mode[at] == "LEAF";
    let mut place = vec![0_i64; lists.mode.len()];
    let (mut branches, mut leaves) = (0, 0);
    for (at, place) in place.iter_mut().enumerate() {
        let counter = if is_leaf(at) {
            &mut leaves
        } else {
            &mut branches
        };
        *place = *counter;
        *counter += 1;
    }
    let mut start_of_tree = vec![0; wish.trees];
    for at in (0..lists.mode.len()).rev() {
        start_of_tree[lists.tree[at] as usize] = at;
    }
    let inner: Vec<usize> = (0..lists.mode.len()).filter(|&at| !is_leaf(at)).collect();
    let child = |at: usize, id: i64| start_of_tree[lists.tree[at] as usize] + id as usize;
    let pick = |values: &[i64]| inner.iter().map(|&at| values[at]).collect::<Vec<_>>();
    let reals = |values: Vec<f32>| -> Vec<u8> {
        if wish.double {
            values
                .iter()
                .flat_map(|&value| f64::from(value).to_le_bytes())
                .collect()
        } else {
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect()
        }
    };
    let element = if wish.double { 11 } else { 1 };
    let true_children: Vec<usize> = inner
        .iter()
        .map(|&at| child(at, lists.on_true[at]))
        .collect();
    let false_children: Vec<usize> = inner
        .iter()
        .map(|&at| child(at, lists.on_false[at]))
        .collect();
    // Weights were written when a leaf was met, leaves are numbered by their place.
    let mut order: Vec<usize> = (0..lists.weight.len()).collect();
    order.sort_by_key(|&at| {
        start_of_tree[lists.weight_tree[at] as usize] + lists.weight_node[at] as usize
    });
    let splits: Vec<f32> = inner.iter().map(|&at| lists.value[at]).collect();
    let weights: Vec<f32> = order.iter().map(|&at| lists.weight[at]).collect();
    let transform = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"];
    let aggregates = ["AVERAGE", "SUM", "MIN", "MAX"];
    let find =
        |names: &[&str], name: &str| names.iter().position(|known| *known == name).unwrap() as i64;
    vec![
        int("n_targets", wish.targets as i64),
        int("aggregate_function", find(&aggregates, wish.aggregate)),
        int("post_transform", find(&transform, wish.post_transform)),
        ints(
            "tree_roots",
            start_of_tree.iter().map(|&at| place[at]).collect(),
        ),
        ints("nodes_featureids", pick(&lists.feature)),
        ints("nodes_missing_value_tracks_true", pick(&lists.missing)),
        ints(
            "nodes_truenodeids",
            true_children.iter().map(|&at| place[at]).collect(),
        ),
        ints(
            "nodes_falsenodeids",
            false_children.iter().map(|&at| place[at]).collect(),
        ),
        ints(
            "nodes_trueleafs",
            true_children
                .iter()
                .map(|&at| i64::from(is_leaf(at)))
                .collect(),
        ),
        ints(
            "nodes_falseleafs",
            false_children
                .iter()
                .map(|&at| i64::from(is_leaf(at)))
                .collect(),
        ),
        tensor(
            "nodes_modes",
            2,
            inner.len(),
            inner.iter().map(|&at| number(lists.mode[at])).collect(),
        ),
        tensor("nodes_splits", element, splits.len(), reals(splits)),
        ints(
            "leaf_targetids",
            order.iter().map(|&at| lists.weight_target[at]).collect(),
        ),
        tensor("leaf_weights", element, weights.len(), reals(weights)),
    ]
}

/// The environment over the library at `ORT_DYLIB_PATH`, or over that of the workspace's own Python environment.
pub fn environment() -> &'static Environment {
    static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let library = std::env::var_os("ORT_DYLIB_PATH")
            .map(PathBuf::from)
            .or_else(installed_library);
        let library = library
            .expect("ONNX Runtime: set ORT_DYLIB_PATH to libonnxruntime.so, or run `uv sync`");
        ort::init_from(library)
            .expect("loads ONNX Runtime")
            .build()
            .expect("starts ONNX Runtime")
    })
}

fn installed_library() -> Option<PathBuf> {
    let libraries = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.venv/lib");
    let pythons = std::fs::read_dir(libraries).ok()?.flatten();
    let files = pythons.flat_map(|python| {
        let folder = python.path().join("site-packages/onnxruntime/capi");
        std::fs::read_dir(folder).into_iter().flatten().flatten()
    });
    let is_library = |file: &PathBuf| {
        file.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("libonnxruntime.so"))
    };
    files.map(|file| file.path()).find(is_library)
}

/// A one-thread session over a model's bytes.
pub fn session(model: &[u8]) -> ort::Result<Session> {
    let builder = Session::builder(environment())?
        .with_intra_threads(1)?
        .with_inter_threads(1)?;
    builder
        .with_intra_op_spinning(false)?
        .commit_from_memory(model)
}

/// What a session gives: scores as bits (widened to 64) and labels.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub scores: Vec<u64>,
    pub labels: Vec<i64>,
}

pub fn ask(session: &mut Session, wish: &Wish, rows: &[f32]) -> Answer {
    let shape = [rows.len() / wish.features, wish.features];
    let outputs = if wish.double {
        let rows: Vec<f64> = rows.iter().map(|&x| f64::from(x)).collect();
        session.run(ort::inputs![Tensor::from_array((shape, rows)).unwrap()])
    } else {
        session.run(ort::inputs![
            Tensor::from_array((shape, rows.to_vec())).unwrap()
        ])
    };
    let outputs = outputs.unwrap();
    let scores = match outputs["scores"].try_extract_tensor::<f32>() {
        Ok((_, scores)) => bits(scores),
        Err(_) => bits_double(outputs["scores"].try_extract_tensor::<f64>().unwrap().1),
    };
    let labels = outputs
        .get("label")
        .map(|label| label.try_extract_tensor::<i64>().unwrap().1.to_vec());
    Answer {
        scores,
        labels: labels.unwrap_or_default(),
    }
}

/// Bits with one form of NaN: its sign and payload carry no meaning, and compilers differ in them.
pub fn bits(scores: &[f32]) -> Vec<u64> {
    scores
        .iter()
        .map(|score| u64::from(if score.is_nan() { f32::NAN } else { *score }.to_bits()))
        .collect()
}

pub fn bits_double(scores: &[f64]) -> Vec<u64> {
    scores
        .iter()
        .map(|score| if score.is_nan() { f64::NAN } else { *score }.to_bits())
        .collect()
}
