//! The contract of an inference engine.

/// Shape of a model's rows.
#[derive(Debug, Clone, Copy)]
pub struct RowShape {
    /// Values in a row of features.
    pub features: usize,
    /// Values in a row of scores.
    pub scores: usize,
}

/// What one row of scores holds, and where.
///
/// A row is `[probabilities C | probability_low | probability_high | band_low | band_mid | band_high |
/// dissimilarity | member_probabilities M*C]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScoreLayout {
    /// Classes, C.
    pub classes: usize,
    /// Members, M.
    pub members: usize,
}

impl ScoreLayout {
    /// Values in one row.
    #[must_use]
    pub const fn width(self) -> usize {
        self.classes + 6 + self.members * self.classes
    }
}

/// One row of scores, by name.
#[derive(Debug, Clone, Copy)]
pub struct RowScore<'a> {
    layout: ScoreLayout,
    values: &'a [f32],
}

impl<'a> RowScore<'a> {
    /// Reads `values` as one row; missing values read as NaN.
    #[must_use]
    pub const fn new(layout: ScoreLayout, values: &'a [f32]) -> Self {
        Self { layout, values }
    }

    /// Class probabilities.
    #[must_use]
    pub fn probabilities(&self) -> &'a [f32] {
        self.values.get(..self.layout.classes).unwrap_or_default()
    }

    /// Members' class probabilities, member by member.
    #[must_use]
    pub fn members(&self) -> &'a [f32] {
        self.values
            .get(self.layout.classes + 6..)
            .unwrap_or_default()
    }

    /// Lower end of the interval of P(up).
    #[must_use]
    pub fn probability_low(&self) -> f32 {
        self.scalar(0)
    }

    /// Upper end of the interval of P(up).
    #[must_use]
    pub fn probability_high(&self) -> f32 {
        self.scalar(1)
    }

    /// Lower end of the graph's return band.
    #[must_use]
    pub fn band_low(&self) -> f32 {
        self.scalar(2)
    }

    /// Centre of the graph's return band.
    #[must_use]
    pub fn band_mid(&self) -> f32 {
        self.scalar(3)
    }

    /// Upper end of the graph's return band.
    #[must_use]
    pub fn band_high(&self) -> f32 {
        self.scalar(4)
    }

    /// Distance from the training data.
    #[must_use]
    pub fn dissimilarity(&self) -> f32 {
        self.scalar(5)
    }

    fn scalar(&self, offset: usize) -> f32 {
        self.values
            .get(self.layout.classes + offset)
            .copied()
            .unwrap_or(f32::NAN)
    }
}

/// Why an engine could not load or run a model.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct EngineError(pub String);

/// One loaded model on one executor. A new engine implements this and nothing else.
pub trait Engine: Send {
    /// Scores `rows` rows of row-major `features` into `scores`, row by row as [`ScoreLayout`] says.
    ///
    /// A row's bits must not depend on the rows beside it. The work is done on the calling thread: its processor time is
    /// what the batcher takes the rows to cost.
    ///
    /// # Errors
    /// The model failed; `scores` then holds nothing of use.
    fn score(
        &mut self,
        features: &[f32],
        rows: usize,
        scores: &mut [f32],
    ) -> Result<(), EngineError>;

    /// What evaluates each tree ensemble of the graph; nothing where the engine does not tell them apart.
    fn tree_nodes(&self) -> &[TreeNodeUse] {
        &[]
    }
}

/// What evaluates one tree ensemble of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeNodeUse {
    /// Whether it is the tree kernel; else it is ONNX Runtime.
    pub on_kernel: bool,
    /// The node, and what evaluates it and why.
    pub description: String,
}

impl std::fmt::Display for TreeNodeUse {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.description)
    }
}

/// A graph, and what it must take and give.
#[derive(Debug, Clone, Copy)]
pub struct ModelFile<'a> {
    /// The bytes of model.onnx.
    pub bytes: &'a [u8],
    /// Columns of its input.
    pub features: usize,
    /// Its rows of scores.
    pub layout: ScoreLayout,
    /// Row-major rows of real features, for engines that check themselves against another.
    pub sample: &'a [f32],
}

/// Makes the engines of a model.
pub trait EngineLoader: Send + Sync {
    /// Loads `file` into `count` engines that can run at the same time.
    ///
    /// # Errors
    /// The bytes are no model, or its inputs and outputs are not those asked for.
    fn load(&self, file: ModelFile<'_>, count: usize) -> Result<Vec<Box<dyn Engine>>, EngineError>;
}
