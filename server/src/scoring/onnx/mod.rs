//! The ONNX Runtime engine: loads a model, and leaves to ONNX Runtime what is not computed faster here.

mod bound_rows;
mod engine;
mod signature;

use std::{
    borrow::Cow,
    path::Path,
    sync::{Arc, OnceLock},
};

use candlewire_trees::{
    BareTrees, CompiledNode, CutModel, Instructions, Outcome, RewriteOptions, TailOperators,
    cut_tail, edge_rows, operator_domain, read_model, rewrite_model, verify,
};

use ort::{
    environment::Environment,
    operator::OperatorDomain,
    session::{Session, builder::GraphOptimizationLevel},
};
use parking_lot::Mutex;

use self::{
    engine::OnnxEngine,
    signature::{INPUT, check_input, check_outputs},
};
use super::engine::{Engine, EngineError, EngineLoader, ModelFile, TreeNodeUse};

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

    /// The graph with its tree nodes on the tree kernel, where that gives the bits of `reference`; and what evaluates each
    /// tree node, as the log says too.
    fn on_trees<'a>(
        &self,
        file: ModelFile<'a>,
        edges: &[f32],
        reference: Session,
    ) -> (Loaded<'a>, Vec<TreeNodeUse>) {
        let mut plain = Loaded {
            graph: Graph {
                bytes: Cow::Borrowed(file.bytes),
                operators: None,
                compiled: Vec::new(),
            },
            session: reference,
        };
        if self.tree_kernel == TreeKernel::Off {
            return (plain, all_left(file, "engine.tree_kernel is off"));
        }
        let mut nodes = Vec::new();
        let mut attempt = || -> Result<Option<Loaded<'a>>, EngineError> {
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
            let graph = Graph {
                bytes: Cow::Owned(rewritten.bytes),
                operators: Some(operators),
                compiled: rewritten.operators,
            };
            let mut session = self.session(&graph.bytes, graph.operators.as_ref())?;
            for rows in [file.sample, edges] {
                let agreement = verify(&mut plain.session, &mut session, rows, file.features);
                let agreement = agreement.map_err(ort_error)?;
                agreement.map_err(|disagreement| EngineError(disagreement.to_string()))?;
            }
            Ok(Some(Loaded { graph, session }))
        };
        match attempt() {
            Ok(Some(loaded)) => (loaded, nodes),
            Ok(None) => (plain, nodes),
            Err(error) => {
                tracing::warn!(%error, "the tree kernel is not used for this model");
                (plain, all_left(file, &error.to_string()))
            }
        }
    }

    /// The graph without its tail and an engine of it, if it has one and that engine gives the bits of `whole`.
    fn without_tail(
        &self,
        file: ModelFile<'_>,
        edges: &[f32],
        graph: &Graph<'_>,
        whole: &mut OnnxEngine,
    ) -> Option<(CutModel, OnnxEngine)> {
        if self.tree_kernel == TreeKernel::Off {
            return None;
        }
        let mut attempt = |operators| -> Result<_, EngineError> {
            let Some(cut) = cut_tail(&graph.bytes, operators).map_err(ort_error)? else {
                return Ok(None);
            };
            let mut engine = self.engine(graph, Some(&cut), file)?;
            for rows in [file.sample, edges] {
                whole.agrees_with(&mut engine, rows)?;
            }
            Ok(Some((cut, engine)))
        };
        for operators in [TailOperators::WithLogistic, TailOperators::Exact] {
            match attempt(operators) {
                Ok(found) => return found,
                Err(error) => {
                    tracing::info!(%error, ?operators, "the end of the graph is left to ONNX Runtime");
                }
            }
        }
        None
    }

    /// An engine of the graph, or of what was left of it when it was cut.
    fn engine(
        &self,
        graph: &Graph<'_>,
        cut: Option<&CutModel>,
        file: ModelFile<'_>,
    ) -> Result<OnnxEngine, EngineError> {
        let session = |model: &[u8]| self.session(model, graph.operators.as_ref());
        let Some(cut) = cut else {
            return OnnxEngine::whole(session(&graph.bytes)?, file);
        };
        match BareTrees::of(cut, &graph.compiled, INPUT).map_err(ort_error)? {
            Some(trees) => OnnxEngine::of_trees(trees, file, cut),
            None => OnnxEngine::cut(session(&cut.bytes)?, file, cut),
        }
    }
}

/// A graph and the operators of this process that it calls.
struct Graph<'a> {
    bytes: Cow<'a, [u8]>,
    operators: Option<Arc<OperatorDomain>>,
    compiled: Vec<CompiledNode>,
}

/// A graph, and a session of it.
struct Loaded<'a> {
    graph: Graph<'a>,
    session: Session,
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
        let reference = self.session(file.bytes, None)?;
        check_input(&reference, file.features)?;
        check_outputs(&reference, file.layout)?;
        let edges = if self.tree_kernel == TreeKernel::Off {
            Vec::new()
        } else {
            let nodes = read_model(file.bytes).map_err(ort_error)?;
            edge_rows(&nodes, INPUT, file.features)
        };
        let (Loaded { graph, session }, tree_nodes) = self.on_trees(file, &edges, reference);
        let tree_nodes: Arc<[TreeNodeUse]> = tree_nodes.into();
        let mut whole = OnnxEngine::whole(session, file)?;
        let found = self.without_tail(file, &edges, &graph, &mut whole);
        let (cut, engine) = match found {
            Some((cut, engine)) => (Some(cut), engine),
            None => (None, whole),
        };
        tracing::info!(
            model_sessions = if engine.has_session() { count } else { 0 },
            nodes_without_session = cut.as_ref().map_or(0, CutModel::nodes),
            "engines"
        );
        let others = (1..count).map(|_| self.engine(&graph, cut.as_ref(), file));
        let ready = |engine: Result<OnnxEngine, EngineError>| -> Result<Box<dyn Engine>, _> {
            let mut engine = engine?;
            engine.tree_nodes = Arc::clone(&tree_nodes);
            engine.prepare_few(file.sample)?;
            Ok(Box::new(engine))
        };
        std::iter::once(Ok(engine))
            .chain(others)
            .map(ready)
            .collect()
    }
}

fn ort_error(error: impl std::fmt::Display) -> EngineError {
    EngineError(first_line(&error.to_string()))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
