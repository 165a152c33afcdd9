//! Shadow versions: they score what production scored, after it, and only what they say is kept.
//!
//! The path of a request hands a copy of its features over and goes on; when the shadow versions fall behind, rows are
//! dropped and counted. Their rows are the least urgent in the queue of their model.

use std::{sync::Arc, time::Instant};

use futures_util::future::join_all;
use tokio::sync::mpsc;

use super::{
    batcher::Priority,
    decision::{self, Decision, Standing, Timings},
    engine::RowScore,
    policy::Signal,
};
use crate::{
    journal::scores::{LoggedScore, ScoreLog},
    models::{loaded::LoadedModel, registry::Role},
};

/// Rows that may wait for the shadow versions.
const QUEUED: usize = 8_192;
/// Rows that they score at the same time.
const TOGETHER: usize = 256;

/// One row that production has scored.
pub struct ShadowRow {
    /// The shadow version.
    pub model: Arc<LoadedModel>,
    /// Symbol; may be empty.
    pub symbol: String,
    /// Timeframe; may be empty.
    pub timeframe: String,
    /// The row.
    pub features: Vec<f32>,
    /// Last close; zero means unknown.
    pub reference_price: f64,
    /// Open time of the bar scored; zero for a bare row.
    pub bar_open_time_ns: i64,
    /// P(up) of production.
    pub probability_up: f32,
    /// Signal of production.
    pub signal: Signal,
}

/// Where rows for shadow versions go.
#[derive(Clone)]
pub struct Shadows {
    sender: mpsc::Sender<ShadowRow>,
}

impl Shadows {
    /// Starts scoring on the current runtime; what the shadow versions decide goes to `log`.
    #[must_use]
    pub fn start(log: Option<Arc<ScoreLog>>) -> Self {
        let (sender, mut receiver) = mpsc::channel(QUEUED);
        tokio::spawn(async move {
            let mut rows = Vec::with_capacity(TOGETHER);
            while receiver.recv_many(&mut rows, TOGETHER).await > 0 {
                join_all(rows.drain(..).map(|row| score(row, log.as_deref()))).await;
            }
        });
        Self { sender }
    }

    /// Hands `row` over; it is dropped when too many wait.
    pub fn offer(&self, row: ShadowRow) {
        if let Err(mpsc::error::TrySendError::Full(row) | mpsc::error::TrySendError::Closed(row)) =
            self.sender.try_send(row)
        {
            row.model.metrics.shadow.dropped.increment(1);
        }
    }
}

async fn score(row: ShadowRow, log: Option<&ScoreLog>) {
    let (model, started) = (&row.model, Instant::now());
    let scored = model
        .batcher
        .score_as(Priority::Low, row.features.clone(), 1, None)
        .await;
    let Ok(scored) = scored else {
        model.metrics.shadow.dropped.increment(1);
        return;
    };
    let reading = decision::read(
        model,
        RowScore::new(model.layout, &scored.values),
        Standing::of(&model.band.lock(), &row.symbol),
    );
    let counters = &model.metrics.shadow;
    counters.rows.increment(1);
    counters
        .disagreements
        .increment(u64::from(reading.verdict.signal != row.signal));
    counters.difference.record(f64::from(
        (reading.verdict.probability_up - row.probability_up).abs(),
    ));
    let Some(log) = log else { return };
    let decision = Decision {
        model: Arc::clone(model),
        role: Role::Shadow,
        values: scored.values,
        verdict: reading.verdict,
        band: reading.band,
        width_multiplier: reading.width_multiplier,
        id: 0,
        coverage: reading.coverage,
        distrust: reading.distrust,
        reference_price: row.reference_price,
        bar_open_time_ns: row.bar_open_time_ns,
        timings: Timings {
            queued: scored.queued,
            inference: scored.inference,
            total: started.elapsed(),
            batch_rows: scored.batch_rows,
            ..Timings::default()
        },
    };
    log.push(LoggedScore {
        symbol: row.symbol,
        timeframe: row.timeframe,
        features: row.features,
        decision,
    });
}
