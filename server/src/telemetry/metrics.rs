//! The metrics, their names in one place. Handles are made once; recording is a few nanoseconds.

use std::{sync::Arc, time::Duration};

use metrics::{Counter, Gauge, Histogram, Label};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use super::totals::{BatchSize, ModelTotals, Totals};
use crate::journal::scores::ScoreLogMetrics;

/// Bounds of histograms of seconds: 1-2-5 steps from a microsecond to five seconds.
const SECONDS: [f64; 21] = [
    1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1,
    0.2, 0.5, 1.0, 2.0, 5.0,
];
/// Bounds of histograms of rows.
const ROWS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Bounds of histograms of signals that wait for a subscriber.
const LAGS: [f64; 8] = [0.0, 1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0];
/// Bounds of histograms of distances between probabilities.
const DIFFERENCES: [f64; 8] = [0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2];

/// The registry of one server.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl Metrics {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        let builder = PrometheusBuilder::new();
        // Setting bounds fails only for an empty list.
        let recorder = builder
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
            .and_then(|builder| {
                builder.set_buckets_for_metric(Matcher::Suffix("_rows".into()), &ROWS)
            })
            .and_then(|builder| {
                builder.set_buckets_for_metric(Matcher::Suffix("_lag_signals".into()), &LAGS)
            })
            .and_then(|builder| {
                builder.set_buckets_for_metric(Matcher::Suffix("_difference".into()), &DIFFERENCES)
            })
            .unwrap_or_else(|_| PrometheusBuilder::new())
            .build_recorder();
        let handle = recorder.handle();
        Self { recorder, handle }
    }

    /// The text that Prometheus scrapes.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Folds recorded samples into buckets, so that they do not pile up between scrapes.
    pub fn fold(&self) {
        self.handle.run_upkeep();
    }

    /// Metrics of one version of one model.
    #[must_use]
    pub fn model(&self, model: &str, version: u64) -> ModelMetrics {
        let labels = vec![
            Label::new("model", model.to_owned()),
            Label::new("version", version.to_string()),
        ];
        let with_reason = |reason: &'static str| {
            let mut labels = labels.clone();
            labels.push(Label::new("reason", reason));
            labels
        };
        metrics::with_local_recorder(&self.recorder, || ModelMetrics {
            scored_rows: metrics::counter!("candlewire_scored_rows_total", labels.clone()),
            failed: metrics::counter!("candlewire_model_failures_total", labels.clone()),
            rejected_queue_full: metrics::counter!(
                "candlewire_rejected_total",
                with_reason("queue_full")
            ),
            expired: metrics::counter!("candlewire_rejected_total", with_reason("deadline")),
            cancelled: metrics::counter!("candlewire_rejected_total", with_reason("cancelled")),
            queue_seconds: metrics::histogram!("candlewire_queue_seconds", labels.clone()),
            batch_wait_seconds: metrics::histogram!(
                "candlewire_batch_wait_seconds",
                labels.clone()
            ),
            inference_seconds: metrics::histogram!("candlewire_inference_seconds", labels.clone()),
            batch_rows: metrics::histogram!("candlewire_batch_rows", labels.clone()),
            waiting_rows: metrics::gauge!("candlewire_waiting_rows", labels.clone()),
            coverage: metrics::gauge!("candlewire_band_coverage", labels.clone()),
            recent_coverage: metrics::gauge!("candlewire_band_recent_coverage", labels.clone()),
            shadow: ShadowMetrics {
                rows: metrics::counter!("candlewire_shadow_rows_total", labels.clone()),
                disagreements: metrics::counter!(
                    "candlewire_shadow_disagreements_total",
                    labels.clone()
                ),
                dropped: metrics::counter!("candlewire_shadow_dropped_total", labels.clone()),
                difference: metrics::histogram!("candlewire_shadow_difference", labels.clone()),
            },
            totals: Arc::new(ModelTotals::default()),
        })
    }

    /// Metrics of the whole server.
    #[must_use]
    pub fn server(&self) -> ServerMetrics {
        metrics::with_local_recorder(&self.recorder, || ServerMetrics {
            connections: metrics::gauge!("candlewire_connections"),
            subscribers: metrics::gauge!("candlewire_subscribers"),
            bars_accepted: metrics::counter!("candlewire_bars_total", "fate" => "accepted"),
            bars_duplicate: metrics::counter!("candlewire_bars_total", "fate" => "duplicate"),
            bars_replaced: metrics::counter!("candlewire_bars_total", "fate" => "replaced"),
            bars_late: metrics::counter!("candlewire_bars_total", "fate" => "late_applied"),
            bars_rejected: metrics::counter!("candlewire_bars_total", "fate" => "rejected"),
            signals: metrics::counter!("candlewire_signals_total"),
            outcomes: metrics::counter!("candlewire_outcomes_total"),
            dropped_signals: metrics::counter!("candlewire_dropped_signals_total"),
            subscriber_lag: metrics::histogram!("candlewire_subscriber_lag_signals"),
            series: metrics::gauge!("candlewire_series"),
            features_seconds: metrics::histogram!("candlewire_features_seconds"),
            request_seconds: metrics::histogram!("candlewire_request_seconds"),
            bar_to_signal_seconds: metrics::histogram!("candlewire_bar_to_signal_seconds"),
        })
    }

    /// Metrics of the log of scores.
    #[must_use]
    pub fn score_log(&self) -> ScoreLogMetrics {
        metrics::with_local_recorder(&self.recorder, || ScoreLogMetrics {
            written: metrics::counter!("candlewire_score_log_rows_total"),
            lost: metrics::counter!("candlewire_score_log_lost_total"),
        })
    }

    /// What the gate refused, and its bound.
    pub fn gate(&self) -> (Counter, Gauge) {
        metrics::with_local_recorder(&self.recorder, || {
            (
                metrics::counter!("candlewire_refused_requests_total", "reason" => "OVERLOADED"),
                metrics::gauge!("candlewire_admission_limit"),
            )
        })
    }

    /// Metrics of the journal.
    #[must_use]
    pub fn journal(&self) -> JournalMetrics {
        metrics::with_local_recorder(&self.recorder, || JournalMetrics {
            healthy: metrics::gauge!("candlewire_journal_healthy"),
            records: metrics::counter!("candlewire_journal_bars_total"),
            failures: metrics::counter!("candlewire_journal_failures_total"),
            lost: metrics::counter!("candlewire_journal_lost_bars_total"),
            write_seconds: metrics::histogram!("candlewire_journal_write_seconds"),
        })
    }

    /// How many tree ensembles of a version the tree kernel evaluates, and how many are left to ONNX Runtime.
    pub fn tell_tree_nodes(&self, model: &str, version: u64, on_kernel: usize, left: usize) {
        metrics::with_local_recorder(&self.recorder, || {
            for (evaluator, count) in [("tree_kernel", on_kernel), ("onnxruntime", left)] {
                let labels = vec![
                    Label::new("model", model.to_owned()),
                    Label::new("version", version.to_string()),
                    Label::new("evaluator", evaluator),
                ];
                metrics::gauge!("candlewire_tree_nodes", labels).set(count as f64);
            }
        });
    }

    /// A refusal of a request, by its stable reason.
    pub fn count_refusal(&self, reason: &'static str) {
        metrics::with_local_recorder(&self.recorder, || {
            metrics::counter!("candlewire_refused_requests_total", "reason" => reason).increment(1);
        });
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Metrics of one version of one model.
#[derive(Clone)]
pub struct ModelMetrics {
    pub(crate) scored_rows: Counter,
    pub(crate) failed: Counter,
    pub(crate) rejected_queue_full: Counter,
    pub(crate) expired: Counter,
    pub(crate) cancelled: Counter,
    pub(crate) queue_seconds: Histogram,
    pub(crate) batch_wait_seconds: Histogram,
    pub(crate) inference_seconds: Histogram,
    pub(crate) batch_rows: Histogram,
    pub(crate) waiting_rows: Gauge,
    pub(crate) coverage: Gauge,
    pub(crate) recent_coverage: Gauge,
    pub(crate) shadow: ShadowMetrics,
    totals: Arc<ModelTotals>,
}

impl ModelMetrics {
    /// Adds one run of the model.
    pub(crate) fn count_run(&self, rows: usize, inference: Duration) {
        self.totals.count_run(rows as u64, inference);
    }

    /// Adds one request that got no score; it was in the batcher for `spent`.
    pub(crate) fn count_failure(&self, spent: Duration) {
        self.totals.count_failure(spent);
    }

    /// Adds the requests of one run of `inference`, each with what it waited.
    pub(crate) fn count_requests(
        &self,
        queued: impl Iterator<Item = Duration>,
        inference: Duration,
    ) {
        let (mut requests, mut together) = (0, Duration::ZERO);
        for queued in queued {
            self.queue_seconds.record(queued.as_secs_f64());
            requests += 1;
            together += queued;
        }
        self.totals.count_requests(requests, together, inference);
    }

    /// Rows scored since the version was loaded.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.totals.read().rows
    }

    /// What the version did since it was loaded.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals.read()
    }

    /// Batch sizes that ran since the version was loaded, smallest first.
    #[must_use]
    pub fn batch_sizes(&self) -> Vec<BatchSize> {
        self.totals.batch_sizes()
    }
}

/// A shadow version beside production.
#[derive(Clone)]
pub struct ShadowMetrics {
    /// Rows that both scored.
    pub(crate) rows: Counter,
    /// Rows for which their signals differ.
    pub(crate) disagreements: Counter,
    /// Rows that the shadow version did not get to.
    pub(crate) dropped: Counter,
    /// Distance of their P(up).
    pub(crate) difference: Histogram,
}

/// Metrics of the journal.
#[derive(Clone)]
pub struct JournalMetrics {
    pub(crate) healthy: Gauge,
    pub(crate) records: Counter,
    pub(crate) failures: Counter,
    pub(crate) lost: Counter,
    pub(crate) write_seconds: Histogram,
}

/// Metrics of the whole server.
#[derive(Clone)]
pub struct ServerMetrics {
    pub(crate) connections: Gauge,
    pub(crate) subscribers: Gauge,
    pub(crate) bars_accepted: Counter,
    pub(crate) bars_duplicate: Counter,
    pub(crate) bars_replaced: Counter,
    pub(crate) bars_late: Counter,
    pub(crate) bars_rejected: Counter,
    pub(crate) signals: Counter,
    pub(crate) outcomes: Counter,
    pub(crate) dropped_signals: Counter,
    pub(crate) subscriber_lag: Histogram,
    pub(crate) series: Gauge,
    pub(crate) features_seconds: Histogram,
    pub(crate) request_seconds: Histogram,
    pub(crate) bar_to_signal_seconds: Histogram,
}
