//! The ONNX Runtime engine.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use candlewire_trees::{
    Instructions, Outcome, RewriteOptions, edge_rows, operator_domain, read_model, rewrite_model,
    verify,
};

use ort::{
    environment::Environment,
    operator::OperatorDomain,
    session::{Session, builder::GraphOptimizationLevel},
    value::{TensorElementType, TensorRef, ValueType},
};
use parking_lot::Mutex;

use super::{
    bound_rows::BoundRows,
    engine::{Engine, EngineError, EngineLoader, ModelFile, ScoreLayout, TreeNodeUse},
};

/// Name of the graph's input.
const INPUT: &str = "features";
/// Names of the graph's outputs, in the order of [`ScoreLayout`].
const OUTPUTS: [&str; 8] = [
    "probabilities",
    "probability_low",
    "probability_high",
    "band_low",
    "band_mid",
    "band_high",
    "dissimilarity",
    "member_probabilities",
];

/// Most rows that run in tensors made beforehand: a run of more takes long enough to make its own.
const MOST_BOUND_ROWS: usize = 32;

/// The process-wide runtime: the library can be loaded only once.
static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
static LOADING: Mutex<()> = Mutex::new(());

/// Loads models into ONNX Runtime sessions of one thread each.
#[derive(Debug, Clone)]
pub struct OnnxRuntime {
    environment: Environment,
    tree_kernel: TreeKernel,
}

/// How tree ensembles are evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TreeKernel {
    /// On the tree kernel where it gives the bits of ONNX Runtime and is faster, with the fastest instructions of this
    /// machine.
    #[default]
    Auto,
    /// On ONNX Runtime's own operators.
    Off,
    /// On the tree kernel where it gives the bits, in plain instructions.
    Portable,
    /// On the tree kernel where it gives the bits, with AVX2 at most.
    Avx2,
    /// On the tree kernel where it gives the bits, with AVX-512 at most.
    Avx512,
}

impl TreeKernel {
    /// The instructions asked for; `None` is the fastest of this machine.
    const fn instructions(self) -> Option<Instructions> {
        match self {
            Self::Auto | Self::Off => None,
            Self::Portable => Some(Instructions::Portable),
            Self::Avx2 => Some(Instructions::Avx2),
            Self::Avx512 => Some(Instructions::Avx512),
        }
    }
}

impl OnnxRuntime {
    /// Loads the shared library at `library`, once a process; later calls reuse it.
    ///
    /// # Errors
    /// The library is missing or is no ONNX Runtime that this server can use.
    pub fn open(library: &Path) -> Result<Self, EngineError> {
        let _loading = LOADING.lock();
        if let Some(environment) = ENVIRONMENT.get() {
            return Ok(Self {
                environment: environment.clone(),
                tree_kernel: TreeKernel::Auto,
            });
        }
        if !library.is_file() {
            return Err(EngineError(format!(
                "ONNX Runtime library {} is no file; install the onnxruntime wheel",
                library.display()
            )));
        }
        let environment = ort::init_from(library)
            .map_err(|error| {
                EngineError(format!(
                    "ONNX Runtime library {}: {error}",
                    library.display()
                ))
            })?
            .with_name("candlewire")
            .with_telemetry(false)
            .build()
            .map_err(|error| EngineError(format!("ONNX Runtime: {error}")))?;
        let environment = ENVIRONMENT.get_or_init(|| environment).clone();
        Ok(Self {
            environment,
            tree_kernel: TreeKernel::Auto,
        })
    }

    /// How tree nodes are evaluated; on the tree kernel by default.
    #[must_use]
    pub fn with_tree_kernel(self, tree_kernel: TreeKernel) -> Self {
        Self {
            tree_kernel,
            ..self
        }
    }

    /// Opens the library that `ORT_DYLIB_PATH` names, for tests and tools without Python.
    ///
    /// # Errors
    /// The variable is not set, or as [`OnnxRuntime::open`].
    pub fn from_environment() -> Result<Self, EngineError> {
        let path = std::env::var_os("ORT_DYLIB_PATH").ok_or_else(|| {
            EngineError("ORT_DYLIB_PATH is not set; name libonnxruntime.so of the wheel".into())
        })?;
        Self::open(Path::new(&path))
    }

    fn session(
        &self,
        model: &[u8],
        operators: Option<&Arc<OperatorDomain>>,
    ) -> Result<Session, EngineError> {
        let build = || -> ort::Result<Session> {
            let mut builder = Session::builder(&self.environment)?
                .with_intra_threads(1)?
                .with_inter_threads(1)?
                .with_intra_op_spinning(false)?
                .with_inter_op_spinning(false)?
                .with_optimization_level(GraphOptimizationLevel::All)?;
            if let Some(operators) = operators {
                builder = builder.with_operators(Arc::clone(operators))?;
            }
            builder.commit_from_memory(model)
        };
        build().map_err(ort_error)
    }

    /// Sessions whose tree nodes run on the tree kernel, `None` when ONNX Runtime's own operators must do it; and what
    /// evaluates each tree node, as the log says too.
    fn tree_sessions(
        &self,
        file: ModelFile<'_>,
        count: usize,
        reference: &mut Session,
    ) -> (Option<Vec<Session>>, Vec<TreeNodeUse>) {
        if self.tree_kernel == TreeKernel::Off {
            return (None, all_left(file, "engine.tree_kernel is off"));
        }
        let mut nodes = Vec::new();
        let mut attempt = || -> Result<Option<Vec<Session>>, EngineError> {
            let options = RewriteOptions {
                instructions: self.tree_kernel.instructions(),
                leave_small: self.tree_kernel == TreeKernel::Auto,
            };
            let rewritten = rewrite_model(file.bytes, options).map_err(ort_error)?;
            for node in &rewritten.report {
                let on_kernel = matches!(node.outcome, Outcome::Rewritten { .. });
                if on_kernel {
                    tracing::info!(%node, "tree node");
                } else {
                    tracing::warn!(%node, "tree node");
                }
                nodes.push(TreeNodeUse {
                    on_kernel,
                    description: node.to_string(),
                });
            }
            if rewritten.operators.is_empty() {
                return Ok(None);
            }
            #[allow(
                clippy::arc_with_non_send_sync,
                reason = "it is how ort shares operators between sessions"
            )]
            let operators = Arc::new(operator_domain(&rewritten.operators).map_err(ort_error)?);
            let build = || self.session(&rewritten.bytes, Some(&operators));
            let mut sessions = (0..count).map(|_| build()).collect::<Result<Vec<_>, _>>()?;
            let edges = edge_rows(
                &read_model(file.bytes).map_err(ort_error)?,
                INPUT,
                file.features,
            );
            let Some(candidate) = sessions.first_mut() else {
                return Ok(None);
            };
            for rows in [file.sample, &edges] {
                let agreement =
                    verify(reference, candidate, rows, file.features).map_err(ort_error)?;
                agreement.map_err(|disagreement| EngineError(disagreement.to_string()))?;
            }
            Ok(Some(sessions))
        };
        match attempt() {
            Ok(sessions) => (sessions, nodes),
            Err(error) => {
                tracing::warn!(%error, "the tree kernel is not used for this model");
                (None, all_left(file, &error.to_string()))
            }
        }
    }
}

/// The tree nodes of a graph when all are left to ONNX Runtime.
fn all_left(file: ModelFile<'_>, reason: &str) -> Vec<TreeNodeUse> {
    let nodes = read_model(file.bytes).unwrap_or_default();
    let left = |node: &candlewire_trees::TreeNode| TreeNodeUse {
        on_kernel: false,
        description: format!(
            "{} `{}`: left to ONNX Runtime: {reason}",
            node.operator, node.name
        ),
    };
    nodes.iter().map(left).collect()
}

impl EngineLoader for OnnxRuntime {
    fn load(&self, file: ModelFile<'_>, count: usize) -> Result<Vec<Box<dyn Engine>>, EngineError> {
        let mut reference = self.session(file.bytes, None)?;
        check_input(&reference, file.features)?;
        check_outputs(&reference, file.layout)?;
        let (sessions, tree_nodes) = self.tree_sessions(file, count, &mut reference);
        let tree_nodes: Arc<[TreeNodeUse]> = tree_nodes.into();
        let sessions = match sessions {
            Some(sessions) => sessions,
            None => (0..count)
                .map(|_| self.session(file.bytes, None))
                .collect::<Result<_, _>>()?,
        };
        let engine = |session: Session| -> Result<Box<dyn Engine>, EngineError> {
            let positions = check_outputs(&session, file.layout)?;
            let mut engine = OnnxEngine {
                session,
                features: file.features,
                layout: file.layout,
                positions,
                few: Vec::new(),
                tree_nodes: Arc::clone(&tree_nodes),
            };
            engine.prepare_few(file.sample)?;
            Ok(Box::new(engine))
        };
        sessions.into_iter().map(engine).collect()
    }
}

struct OnnxEngine {
    session: Session,
    features: usize,
    layout: ScoreLayout,
    /// Where each of [`OUTPUTS`] stands among the graph's outputs.
    positions: [usize; OUTPUTS.len()],
    /// Tensors for so few rows, made when they are needed first; none where they are not used.
    few: Vec<Option<BoundRows>>,
    /// What evaluates the graph's trees.
    tree_nodes: Arc<[TreeNodeUse]>,
}

impl OnnxEngine {
    /// Lets few rows run in tensors made beforehand, if they give the bits of any other run.
    fn prepare_few(&mut self, sample: &[f32]) -> Result<(), EngineError> {
        let held = sample.len() / self.features.max(1);
        self.few = (0..=MOST_BOUND_ROWS).map(|_| None).collect();
        for rows in [1, MOST_BOUND_ROWS.min(held)] {
            let Some(features) = sample.get(..rows * self.features) else {
                continue;
            };
            let width = self.layout.width();
            let (mut bound, mut wanted) = (vec![0.0; rows * width], vec![0.0; rows * width]);
            self.score_rows(features, rows, &mut wanted)?;
            if !self.score_few(features, rows, &mut bound)? {
                continue;
            }
            let agree = bound
                .iter()
                .zip(&wanted)
                .all(|(got, wanted)| got.to_bits() == wanted.to_bits());
            if !agree {
                tracing::warn!(
                    rows,
                    "rows in tensors made beforehand have other bits; all run as large batches do"
                );
                self.few.clear();
                return Ok(());
            }
        }
        Ok(())
    }

    /// Runs rows in tensors made beforehand; false when there are too many of them.
    fn score_few(
        &mut self,
        features: &[f32],
        rows: usize,
        scores: &mut [f32],
    ) -> Result<bool, EngineError> {
        let Some(place) = self.few.get_mut(rows) else {
            return Ok(false);
        };
        if place.is_none() {
            *place = BoundRows::new(rows, self.features, self.layout).map_err(ort_error)?;
        }
        let Some(bound) = place else {
            return Ok(false);
        };
        bound.score(&mut self.session, features, scores)?;
        Ok(true)
    }
}

impl Engine for OnnxEngine {
    fn score(
        &mut self,
        features: &[f32],
        rows: usize,
        scores: &mut [f32],
    ) -> Result<(), EngineError> {
        let width = self.layout.width();
        if scores.len() != rows * width {
            return Err(EngineError(format!(
                "{} score values for {rows} rows of {width}",
                scores.len()
            )));
        }
        if self.score_few(features, rows, scores)? {
            return Ok(());
        }
        self.score_rows(features, rows, scores)
    }

    fn tree_nodes(&self) -> &[TreeNodeUse] {
        &self.tree_nodes
    }
}

impl OnnxEngine {
    fn score_rows(
        &mut self,
        features: &[f32],
        rows: usize,
        scores: &mut [f32],
    ) -> Result<(), EngineError> {
        let width = self.layout.width();
        let input =
            TensorRef::from_array_view(([rows, self.features], features)).map_err(ort_error)?;
        let outputs = self.session.run(ort::inputs![input]).map_err(ort_error)?;
        let mut offset = 0;
        for (&position, columns) in self.positions.iter().zip(column_counts(self.layout)) {
            let (_, values) = outputs[position]
                .try_extract_tensor::<f32>()
                .map_err(ort_error)?;
            if values.len() != rows * columns {
                return Err(EngineError(format!(
                    "output {position}: {} values for {rows} rows",
                    values.len()
                )));
            }
            if columns > 0 {
                for (row, source) in scores
                    .chunks_exact_mut(width)
                    .zip(values.chunks_exact(columns))
                {
                    row[offset..offset + columns].copy_from_slice(source);
                }
            }
            offset += columns;
        }
        Ok(())
    }
}

const fn column_counts(layout: ScoreLayout) -> [usize; OUTPUTS.len()] {
    [
        layout.classes,
        1,
        1,
        1,
        1,
        1,
        1,
        layout.members * layout.classes,
    ]
}

fn check_input(session: &Session, features: usize) -> Result<(), EngineError> {
    let [input] = session.inputs() else {
        return Err(EngineError(format!(
            "the graph has {} inputs, one named {INPUT:?} is needed",
            session.inputs().len()
        )));
    };
    if input.name() != INPUT {
        return Err(EngineError(format!(
            "the graph's input is {:?}, {INPUT:?} is needed",
            input.name()
        )));
    }
    check_tensor(INPUT, input.dtype(), &[features as i64])
}

fn check_outputs(
    session: &Session,
    layout: ScoreLayout,
) -> Result<[usize; OUTPUTS.len()], EngineError> {
    let (classes, members) = (layout.classes as i64, layout.members as i64);
    let mut positions = [0; OUTPUTS.len()];
    for (slot, name) in positions.iter_mut().zip(OUTPUTS) {
        let found = session
            .outputs()
            .iter()
            .enumerate()
            .find(|(_, output)| output.name() == name);
        let Some((position, output)) = found else {
            return Err(EngineError(format!("the graph has no output {name:?}")));
        };
        let columns: &[i64] = match name {
            "probabilities" => &[classes],
            "member_probabilities" => &[members, classes],
            _ => &[],
        };
        check_tensor(name, output.dtype(), columns)?;
        *slot = position;
    }
    Ok(positions)
}

/// Checks for float32 of shape `[N, columns...]`; an unknown dimension (-1) agrees with anything.
fn check_tensor(name: &str, dtype: &ValueType, columns: &[i64]) -> Result<(), EngineError> {
    let ValueType::Tensor { ty, shape, .. } = dtype else {
        return Err(EngineError(format!(
            "{name:?} is {dtype}, a tensor is needed"
        )));
    };
    if *ty != TensorElementType::Float32 {
        return Err(EngineError(format!("{name:?} is {ty}, float32 is needed")));
    }
    let agrees = shape.len() == columns.len() + 1
        && shape.first().is_some_and(|&rows| rows < 0)
        && shape
            .iter()
            .skip(1)
            .zip(columns)
            .all(|(&got, &wanted)| got < 0 || got == wanted);
    if agrees {
        return Ok(());
    }
    Err(EngineError(format!(
        "{name:?} has shape {shape}, [N{}] is needed",
        columns
            .iter()
            .fold(String::new(), |text, n| text + ", " + &n.to_string())
    )))
}

fn ort_error(error: impl std::fmt::Display) -> EngineError {
    EngineError(first_line(&error.to_string()))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
