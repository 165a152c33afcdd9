//! One version of one model, loaded, checked and ready to score.

use std::{path::Path, sync::Arc, time::Duration};

use candlewire_features::FeatureSpec;
use parking_lot::Mutex;

use super::{
    bundle::{Bundle, BundleError, Manifest},
    golden,
};
use crate::{
    scoring::{
        arrivals::Arrivals,
        band::{BandPool, BandSettings},
        batcher::{BatchLimits, Batcher},
        engine::{EngineLoader, ModelFile, RowShape, ScoreLayout, TreeNodeUse},
    },
    settings::Settings,
    telemetry::metrics::{Metrics, ModelMetrics},
};

/// Longest time that a request shall wait for a model that keeps up otherwise.
const QUEUE_DELAY: Duration = Duration::from_millis(10);

/// What loading a version needs.
pub struct Workshop {
    /// Makes engines.
    pub engines: Arc<dyn EngineLoader>,
    /// Requests about to come in.
    pub arrivals: Arc<Arrivals>,
    /// Where the version counts.
    pub metrics: Arc<Metrics>,
    /// Executors and bounds.
    pub settings: Settings,
}

/// A version that may serve.
pub struct LoadedModel {
    /// What it is.
    pub manifest: Manifest,
    /// manifest.json as text.
    pub manifest_json: String,
    /// How its features are made.
    pub spec: FeatureSpec,
    /// Layout of its rows of scores.
    pub layout: ScoreLayout,
    /// Position of "UP" among the classes.
    pub up: usize,
    /// Position of "DOWN" among the classes.
    pub down: usize,
    /// Its queue and executors.
    pub batcher: Batcher,
    /// Its band controller.
    pub band: Mutex<BandPool>,
    /// Its counters.
    pub metrics: ModelMetrics,
    /// What evaluates its tree ensembles.
    pub tree_nodes: Vec<TreeNodeUse>,
}

impl LoadedModel {
    /// Reads the bundle in `folder`, loads an engine for each executor, and checks it against the golden vectors,
    /// which also warms it.
    ///
    /// # Errors
    /// Anything in the bundle is missing, corrupt or in disagreement.
    pub fn load(
        folder: &Path,
        model: &str,
        version: u64,
        workshop: &Workshop,
    ) -> Result<Arc<Self>, BundleError> {
        let bundle = Bundle::read(folder, model, version)?;
        let (features, layout) = (bundle.spec.len(), bundle.layout());
        let golden = golden::read(&bundle)?;
        let file = ModelFile {
            bytes: &bundle.onnx,
            features,
            layout,
            sample: &golden.features,
        };
        let loaded = workshop.engines.load(file, workshop.settings.executors());
        let mut engines = loaded.map_err(|error| BundleError(format!("model.onnx: {error}")))?;
        for engine in &mut engines {
            golden::check(&bundle, &golden, &mut **engine)?;
        }
        let tree_nodes = engines
            .first()
            .map_or_else(Vec::new, |engine| engine.tree_nodes().to_vec());
        let on_kernel = tree_nodes.iter().filter(|node| node.on_kernel).count();
        let left = tree_nodes.len() - on_kernel;
        workshop
            .metrics
            .tell_tree_nodes(model, version, on_kernel, left);
        let metrics = workshop.metrics.model(model, version);
        let batcher = Batcher::new(
            model.to_owned(),
            engines,
            RowShape {
                features,
                scores: layout.width(),
            },
            BatchLimits {
                batch_rows: workshop.settings.max_batch_rows,
                queue_rows: workshop.settings.queue_rows,
                queue_delay: QUEUE_DELAY,
            },
            Arc::clone(&workshop.arrivals),
            metrics.clone(),
        );
        let band = BandPool::new(BandSettings {
            target_coverage: bundle.manifest.band.target_coverage,
            eta: bundle.manifest.band.eta,
            initial_multiplier: bundle.manifest.band.initial_multiplier,
        });
        Ok(Arc::new(Self {
            layout,
            up: bundle.up,
            down: bundle.down,
            manifest: bundle.manifest,
            manifest_json: bundle.manifest_json,
            spec: bundle.spec,
            batcher,
            band: Mutex::new(band),
            metrics,
            tree_nodes,
        }))
    }

    /// Whether the model was trained on `symbol`.
    #[must_use]
    pub fn knows(&self, symbol: &str) -> bool {
        self.manifest.symbols.is_empty()
            || self.manifest.symbols.iter().any(|known| known == symbol)
    }
}
