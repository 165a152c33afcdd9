//! Takes bars in, in the order of their stream: admission, features, score, band, policy, subscribers.
//!
//! Bars that came together are scored together, and their outcomes, bands and signals follow one by one in the order
//! of the bars: however a stream is cut into chunks, every signal has the same bits.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use candlewire_features::{Bar, BarFate, FeatureSpec};
use tokio::sync::RwLock;

use super::{
    admission::{AdmittedBar, RawBar, Rejection, Timeframe},
    hub::{Hub, Signal, SignalCause},
    outcomes::OutcomeLog,
    routing::Served,
    series::SeriesBook,
};
use crate::{
    error::ServeError,
    journal::{
        bars::BarRecord,
        writer::{Entry, Journal},
    },
    models::{
        loaded::LoadedModel,
        registry::{Registry, Role},
    },
    scoring::{
        batcher::{Priority, Scored},
        decision::{self, Decision, Standing, Timings},
        engine::RowScore,
        shadow::{ShadowRow, Shadows},
    },
    settings::Settings,
    telemetry::metrics::ServerMetrics,
};

/// Pause before a full queue is tried again.
const QUEUE_PAUSE: Duration = Duration::from_millis(1);

/// Bars replayed together.
const REPLAY_CHUNK: usize = 256;

/// What became of one published bar.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// It advanced its series.
    Accepted {
        /// Bars missing before it.
        gap_bars: u64,
    },
    /// It was there already.
    Duplicate,
    /// It corrected a bar.
    Replaced,
    /// It was put in its place.
    LateApplied,
    /// It was refused.
    Rejected(Rejection),
}

/// What became of bars that came together.
#[derive(Debug)]
pub struct Published {
    /// One fate a bar.
    pub fates: Vec<Fate>,
    /// Whether those that were taken in are in the journal, as its policy says.
    pub journaled: bool,
}

/// The bar path.
pub struct Pipeline {
    pub(super) registry: Arc<Registry>,
    pub(super) settings: Settings,
    pub(super) series: SeriesBook,
    pub(super) hub: Arc<Hub>,
    pub(super) outcomes: OutcomeLog,
    metrics: ServerMetrics,
    pub(super) journal: OnceLock<Journal>,
    shadows: OnceLock<Shadows>,
    /// Read while bars take effect; written while the state is copied.
    pub(super) calm: RwLock<()>,
    draining: AtomicBool,
}

/// A bar that changed its series and is to be scored.
struct Step {
    symbol: String,
    timeframe: Timeframe,
    /// The bar as published.
    published: Bar,
    /// The newest bar of the series, which is scored.
    newest: Bar,
    model: Arc<LoadedModel>,
    role: Role,
    /// Features; `None` while they warm up.
    features: Option<Vec<f32>>,
    cause: SignalCause,
    features_time: Duration,
    received: Instant,
    received_time_ns: i64,
    /// Where the journal holds it; zero before it is there.
    sequence: u64,
}

impl Pipeline {
    /// An empty bar path over the models of `registry`.
    #[must_use]
    pub fn new(registry: Arc<Registry>, settings: Settings, metrics: ServerMetrics) -> Self {
        Self {
            registry,
            series: SeriesBook::new(settings.max_series),
            hub: Arc::new(Hub::new(settings.hub_ring_signals)),
            outcomes: OutcomeLog::new(settings.outcomes_kept),
            settings,
            metrics,
            journal: OnceLock::new(),
            shadows: OnceLock::new(),
            calm: RwLock::new(()),
            draining: AtomicBool::new(false),
        }
    }

    /// Where signals go.
    #[must_use]
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// The newest outcomes.
    #[must_use]
    pub fn outcomes(&self) -> &OutcomeLog {
        &self.outcomes
    }

    /// The series followed.
    #[must_use]
    pub fn series(&self) -> &SeriesBook {
        &self.series
    }

    /// Refuses bars from now on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Takes in bars that came together, `None` for a request without one, and says what became of each.
    ///
    /// The fates are known, and the signals published, when the future ends.
    ///
    /// Drop the future only with the whole server: bars that it took in would miss their scores.
    pub async fn publish(&self, bars: &[Option<RawBar<'_>>]) -> Published {
        let received = Instant::now();
        let received_time_ns = epoch_ns();
        let calm = self.calm.read().await;
        let mut fates = Vec::with_capacity(bars.len());
        let mut steps = Vec::with_capacity(bars.len());
        for raw in bars {
            let fate = match raw {
                Some(raw) => self.advance(raw, (received, received_time_ns), &mut steps),
                None => Fate::Rejected(Rejection::Missing),
            };
            self.count(&fate);
            fates.push(fate);
        }
        if !steps.is_empty() {
            let scores = score(&steps).await;
            for (step, scored) in steps.into_iter().zip(scores) {
                self.finish(step, scored);
            }
            self.hub.announce();
        }
        drop(calm);
        let journaled = match self.journal.get() {
            // A duplicate waits too: the bar that it repeats may not be kept yet.
            Some(journal) if fates.iter().any(|fate| !matches!(fate, Fate::Rejected(_))) => {
                journal.commit().await
            }
            _ => false,
        };
        Published { fates, journaled }
    }

    /// Writes bars to `journal` from now on. A second call does nothing.
    pub fn keep_in(&self, journal: Journal) {
        let _ = self.journal.set(journal);
    }

    /// Hands rows that were scored to `shadows` from now on. A second call does nothing.
    pub fn shadow_with(&self, shadows: Shadows) {
        let _ = self.shadows.set(shadows);
    }

    /// The journal, if there is one.
    #[must_use]
    pub fn journal(&self) -> Option<&Journal> {
        self.journal.get()
    }

    /// Takes the bars of a journal in again, as they took effect before: the series, bands, outcomes and signals are
    /// then those of a server that never stopped. Returns how many could not be scored with the version of then.
    pub async fn replay(&self, records: &[BarRecord]) -> usize {
        let mut unscored = 0;
        for chunk in records.chunks(REPLAY_CHUNK) {
            let mut steps = Vec::with_capacity(chunk.len());
            for record in chunk {
                let Some((served, is_same)) = self.served_then(record) else {
                    continue;
                };
                unscored += usize::from(record.scored && !is_same);
                let bar = AdmittedBar {
                    symbol: &record.symbol,
                    timeframe: record.timeframe,
                    bar: record.bar,
                };
                let received = (Instant::now(), record.received_time_ns);
                if let Ok((_, mut step)) = self.apply(&bar, served, received) {
                    step.sequence = record.sequence;
                    if !(record.scored && is_same) {
                        step.features = None;
                    }
                    steps.push(step);
                }
            }
            let scores = score(&steps).await;
            for (step, scored) in steps.into_iter().zip(scores) {
                self.finish(step, scored);
            }
        }
        unscored
    }

    fn advance(
        &self,
        raw: &RawBar<'_>,
        (received, now_ns): (Instant, i64),
        steps: &mut Vec<Step>,
    ) -> Fate {
        if self.draining.load(Ordering::Relaxed) {
            return Fate::Rejected(Rejection::Draining);
        }
        let latest_ns = now_ns.saturating_add(self.settings.future_tolerance_ms as i64 * 1_000_000);
        let admitted = match raw.admit(latest_ns) {
            Ok(_) if !raw.is_final => return Fate::Rejected(Rejection::NotFinal),
            Ok(admitted) => admitted,
            Err(problem) => return Fate::Rejected(Rejection::Invalid(problem)),
        };
        let applied = self
            .served(&admitted)
            .and_then(|served| self.apply(&admitted, served, (received, now_ns)));
        match applied {
            Ok((fate, step)) => {
                steps.push(step);
                fate
            }
            Err(fate) => fate,
        }
    }

    /// Applies a bar to its series; a fate without a step when nothing changed.
    fn apply(
        &self,
        admitted: &AdmittedBar<'_>,
        served: Served,
        (received, received_time_ns): (Instant, i64),
    ) -> Result<(Fate, Step), Fate> {
        let started = Instant::now();
        let Served {
            model,
            role,
            is_routed,
            others,
        } = served;
        let trades_always = |model: &LoadedModel| model.manifest.asset_class == "crypto";
        for other in &others {
            // What the bar is to the version that answers is its fate.
            let mut row = vec![f64::NAN; other.spec.len()];
            let _ = self.advance_series(admitted, &other.spec, trades_always(other), &mut row);
        }
        let mut row = vec![f64::NAN; model.spec.len()];
        let (fate, cause, newest) =
            self.advance_series(admitted, &model.spec, trades_always(&model), &mut row)?;
        // The model's input is float32, as in training; what does not fit is as unusable as what is not warm.
        let ready = is_routed && row.iter().all(|value| (*value as f32).is_finite());
        let step = Step {
            symbol: admitted.symbol.to_owned(),
            timeframe: admitted.timeframe,
            published: admitted.bar,
            newest,
            features: ready.then(|| row.into_iter().map(|value| value as f32).collect()),
            model,
            role,
            cause,
            features_time: started.elapsed(),
            received,
            received_time_ns,
            sequence: 0,
        };
        Ok((fate, step))
    }

    /// Gives a bar to the features of `spec`: its fate, and the newest bar of the series, whose features are in `row`.
    pub(super) fn advance_series(
        &self,
        admitted: &AdmittedBar<'_>,
        spec: &FeatureSpec,
        trades_always: bool,
        row: &mut [f64],
    ) -> Result<(Fate, SignalCause, Bar), Fate> {
        let late_window = self.settings.late_window_bars;
        let applied = self
            .series
            .with(admitted.symbol, admitted.timeframe, |series| {
                series.apply(spec, &admitted.bar, late_window, trades_always, row)
            });
        let Some((fate, newest)) = applied else {
            return Err(Fate::Rejected(Rejection::TooManySeries {
                limit: self.settings.max_series,
            }));
        };
        let (fate, cause) = match fate {
            BarFate::Accepted { gap_bars } => (Fate::Accepted { gap_bars }, SignalCause::Accepted),
            BarFate::Replaced => (Fate::Replaced, SignalCause::Replaced),
            BarFate::LateApplied => (Fate::LateApplied, SignalCause::LateApplied),
            BarFate::Duplicate => return Err(Fate::Duplicate),
            BarFate::TooLate => return Err(Fate::Rejected(Rejection::TooLate { late_window })),
            BarFate::Invalid(problem) => {
                return Err(Fate::Rejected(Rejection::Invalid(problem.into())));
            }
        };
        Ok((fate, cause, newest.unwrap_or(admitted.bar)))
    }

    fn finish(&self, step: Step, scored: Option<Scored>) {
        // From here to the queue of the journal bars take effect one after the other, and in no other order.
        let mut order = self.journal.get().map(Journal::order);
        let late_window = self.settings.late_window_bars;
        let Step {
            symbol,
            timeframe,
            published,
            newest,
            model,
            role,
            features,
            cause,
            features_time,
            received,
            received_time_ns,
            sequence,
        } = step;
        let sequence = order.as_ref().map_or(sequence, |order| order.sequence());
        let signal = self.series.with(&symbol, timeframe, |series| {
            let close = (published.open_time_ns, published.close);
            series
                .open_scores
                .record_close(&symbol, timeframe, close, late_window, |outcome| {
                    self.metrics.outcomes.increment(1);
                    self.outcomes.push(outcome);
                });
            let decision = scored.map(|scored| {
                let reading = {
                    let mut pool = model.band.lock();
                    pool.advance_to(newest.open_time_ns);
                    let row = RowScore::new(model.layout, &scored.values);
                    decision::read(&model, row, Standing::of(&pool, &symbol))
                };
                series.open_scores.record_score(
                    newest.open_time_ns,
                    &model,
                    reading.band,
                    reading.verdict.probability_up,
                );
                Decision {
                    model: Arc::clone(&model),
                    role,
                    values: scored.values,
                    verdict: reading.verdict,
                    band: reading.band,
                    width_multiplier: reading.width_multiplier,
                    id: sequence,
                    coverage: reading.coverage,
                    distrust: reading.distrust,
                    reference_price: newest.close,
                    bar_open_time_ns: newest.open_time_ns,
                    timings: Timings {
                        queued: scored.queued,
                        inference: scored.inference,
                        features: features_time,
                        total: received.elapsed(),
                        batch_rows: scored.batch_rows,
                    },
                }
            });
            let bar_to_signal = received.elapsed();
            self.measure(&model, decision.as_ref(), features_time, bar_to_signal);
            let signal = self.hub.publish(Signal {
                sequence: 0,
                symbol: symbol.clone(),
                timeframe,
                bar: newest,
                model: Arc::clone(&model),
                decision,
                received_time_ns,
                bar_to_signal_ns: bar_to_signal.as_nanos() as u64,
                cause,
            });
            series.latest = Some(Arc::clone(&signal));
            signal
        });
        if let (Some(shadows), Some(signal)) = (self.shadows.get(), &signal) {
            self.offer(shadows, signal, features.as_deref());
        }
        if let (Some(order), Some(signal)) = (&mut order, signal) {
            order.push(Entry {
                published,
                signal,
                features,
            });
        }
    }

    fn measure(
        &self,
        model: &LoadedModel,
        decision: Option<&Decision>,
        features_time: Duration,
        bar_to_signal: Duration,
    ) {
        if let Some(decision) = decision {
            let counters = &model.metrics;
            counters.coverage.set(decision.coverage.achieved);
            counters.recent_coverage.set(decision.coverage.recent);
        }
        let counters = &self.metrics;
        counters.series.set(self.series.len() as f64);
        counters
            .features_seconds
            .record(features_time.as_secs_f64());
        counters.signals.increment(1);
        counters
            .bar_to_signal_seconds
            .record(bar_to_signal.as_secs_f64());
    }

    /// Hands a scored bar to the shadow versions of its model.
    fn offer(&self, shadows: &Shadows, signal: &Signal, features: Option<&[f32]>) {
        let (Some(decision), Some(features)) = (&signal.decision, features) else {
            return;
        };
        for shadow in self.registry.deployment().shadows(&decision.model) {
            shadows.offer(ShadowRow {
                model: Arc::clone(shadow),
                symbol: signal.symbol.clone(),
                timeframe: signal.timeframe.as_str().to_owned(),
                features: features.to_vec(),
                reference_price: decision.reference_price,
                bar_open_time_ns: decision.bar_open_time_ns,
                probability_up: decision.verdict.probability_up,
                signal: decision.verdict.signal,
            });
        }
    }

    fn count(&self, fate: &Fate) {
        let counter = match fate {
            Fate::Accepted { .. } => &self.metrics.bars_accepted,
            Fate::Duplicate => &self.metrics.bars_duplicate,
            Fate::Replaced => &self.metrics.bars_replaced,
            Fate::LateApplied => &self.metrics.bars_late,
            Fate::Rejected(_) => &self.metrics.bars_rejected,
        };
        counter.increment(1);
    }
}

/// Scores the steps whose features are warm, together a model; `None` where there is no score.
async fn score(steps: &[Step]) -> Vec<Option<Scored>> {
    let mut scores: Vec<Option<Scored>> = steps.iter().map(|_| None).collect();
    let mut open: Vec<usize> = (0..steps.len())
        .filter(|&index| steps.get(index).is_some_and(|step| step.features.is_some()))
        .collect();
    while let Some(model) = open
        .first()
        .and_then(|&index| steps.get(index))
        .map(|step| Arc::clone(&step.model))
    {
        let is_same = |&index: &usize| {
            steps
                .get(index)
                .is_some_and(|step| Arc::ptr_eq(&step.model, &model))
        };
        let (rows, others): (Vec<usize>, Vec<usize>) = open.into_iter().partition(is_same);
        open = others;
        let row_features = rows
            .iter()
            .filter_map(|&index| steps.get(index)?.features.as_deref());
        let features: Vec<f32> = row_features.flatten().copied().collect();
        let Some(scored) = score_rows(&model, &features, rows.len()).await else {
            continue;
        };
        for (&index, values) in rows
            .iter()
            .zip(scored.values.chunks_exact(model.layout.width()))
        {
            if let Some(slot) = scores.get_mut(index) {
                *slot = Some(Scored {
                    values: values.to_vec(),
                    ..scored
                });
            }
        }
    }
    scores
}

/// A bar was taken in and must be scored: a full queue is waited for. `None` when the model failed.
async fn score_rows(model: &LoadedModel, features: &[f32], rows: usize) -> Option<Scored> {
    loop {
        let bars = Priority::High;
        match model
            .batcher
            .score_as(bars, features.to_vec(), rows, None)
            .await
        {
            Ok(scored) => return Some(scored),
            Err(ServeError::QueueFull { .. }) => tokio::time::sleep(QUEUE_PAUSE).await,
            Err(_) => return None,
        }
    }
}

fn epoch_ns() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_nanos() as i64)
}
