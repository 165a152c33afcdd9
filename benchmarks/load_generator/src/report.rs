//! What was measured.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::arguments::{Arguments, Load};

const LONGEST_NS: u64 = 60_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;
/// gRPC status of an answer.
pub(crate) const OK: u16 = 0;

/// Why there is no measurement.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The body file cannot be read.
    #[error("body {path}: {source}")]
    Body {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The target is no address.
    #[error("target {target}: {source}; write host:port")]
    Target {
        /// As given.
        target: String,
        /// Why.
        source: http::Error,
    },
    /// Nobody listens.
    #[error("target {target}: {source}")]
    Connect {
        /// As given.
        target: String,
        /// Why.
        source: io::Error,
    },
    /// A subscription was not confirmed.
    #[error("the server did not confirm a subscription within 20 s")]
    Unconfirmed,
    /// The rate is not above zero.
    #[error("rate is {0}; it must be above zero")]
    Rate(f64),
    /// The server ended the stream.
    #[error("the server ended the stream with gRPC status {0}")]
    StreamEnded(u16),
    /// An answer that no request asked for.
    #[error("the server answered a message that was not sent")]
    UnaskedAnswer,
    /// A thread or task ended by a panic.
    #[error("a worker panicked")]
    WorkerPanicked,
    /// The server does not speak HTTP/2 as it should.
    #[error("HTTP/2: {0}")]
    Protocol(&'static str),
    /// HTTP/2 failed.
    #[error("HTTP/2: {0}")]
    Http2(#[from] h2::Error),
    /// The machine failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The histogram cannot be made or merged.
    #[error("histogram: {0}")]
    Histogram(String),
    /// The report cannot be written.
    #[error("report: {0}")]
    Json(#[from] serde_json::Error),
}

impl From<hdrhistogram::CreationError> for LoadError {
    fn from(error: hdrhistogram::CreationError) -> Self {
        Self::Histogram(error.to_string())
    }
}

impl From<hdrhistogram::AdditionError> for LoadError {
    fn from(error: hdrhistogram::AdditionError) -> Self {
        Self::Histogram(error.to_string())
    }
}

/// Latencies and failures of a load.
pub(crate) struct Recorder {
    answered: Histogram<u64>,
    refused: Histogram<u64>,
    answered_since_sent: Histogram<u64>,
    refused_since_sent: Histogram<u64>,
    late: Histogram<u64>,
    delivered: Histogram<u64>,
    failures: BTreeMap<u16, u64>,
    asked: u64,
    finished: u64,
    in_time: u64,
    asked_deliveries: u64,
    duration: Duration,
}

fn histogram() -> Result<Histogram<u64>, LoadError> {
    Ok(Histogram::new_with_bounds(
        1,
        LONGEST_NS,
        SIGNIFICANT_DIGITS,
    )?)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(LONGEST_NS)
}

impl Recorder {
    /// Nothing measured yet.
    pub(crate) fn new() -> Result<Self, LoadError> {
        Ok(Self {
            answered: histogram()?,
            refused: histogram()?,
            answered_since_sent: histogram()?,
            refused_since_sent: histogram()?,
            late: histogram()?,
            delivered: histogram()?,
            failures: BTreeMap::new(),
            asked: 0,
            finished: 0,
            in_time: 0,
            asked_deliveries: 0,
            duration: Duration::ZERO,
        })
    }

    /// A request of an open loop is due.
    pub(crate) fn asked(&mut self) {
        self.asked += 1;
    }

    /// A request of an open loop was handed to HTTP/2, `late` after it was due: this side was slow.
    pub(crate) fn sent(&mut self, late: Duration) {
        self.late.saturating_record(nanoseconds(late));
    }

    /// A request ended with a gRPC status, `latency` after it was asked or due.
    pub(crate) fn finished(&mut self, status: u16, latency: Duration) {
        self.finished += 1;
        if status == OK {
            self.answered.saturating_record(nanoseconds(latency));
        } else {
            self.refused.saturating_record(nanoseconds(latency));
            *self.failures.entry(status).or_default() += 1;
        }
    }

    /// A request of an open loop was answered while the load was measured, whenever it was due.
    pub(crate) fn answered_in_time(&mut self) {
        self.in_time += 1;
    }

    /// The same request, `latency` after it was sent.
    pub(crate) fn finished_since_sent(&mut self, status: u16, latency: Duration) {
        let since_sent = if status == OK {
            &mut self.answered_since_sent
        } else {
            &mut self.refused_since_sent
        };
        since_sent.saturating_record(nanoseconds(latency));
    }

    /// A published message has so many subscribers.
    pub(crate) fn asked_to_deliver(&mut self, subscribers: u64) {
        self.asked_deliveries += subscribers;
    }

    /// Deliveries that are due.
    pub(crate) fn asked_deliveries(&self) -> u64 {
        self.asked_deliveries
    }

    /// A published message reached a subscriber, `latency` after it was due.
    pub(crate) fn delivered(&mut self, latency: Duration) {
        self.delivered.saturating_record(nanoseconds(latency));
    }

    /// Whether so many deliveries came.
    pub(crate) fn has_all(&self, deliveries: u64) -> bool {
        self.delivered.len() >= deliveries
    }

    /// Requests of an open loop that were due and have not ended.
    pub(crate) fn outstanding(&self) -> u64 {
        self.asked.saturating_sub(self.finished)
    }

    /// How long was measured.
    pub(crate) fn measured(&mut self, duration: Duration) {
        self.duration = duration;
    }

    /// Adds what another thread measured in the same time.
    pub(crate) fn merge(&mut self, other: &Self) -> Result<(), LoadError> {
        self.answered.add(&other.answered)?;
        self.refused.add(&other.refused)?;
        self.answered_since_sent.add(&other.answered_since_sent)?;
        self.refused_since_sent.add(&other.refused_since_sent)?;
        self.late.add(&other.late)?;
        self.delivered.add(&other.delivered)?;
        self.asked_deliveries += other.asked_deliveries;
        for (status, count) in &other.failures {
            *self.failures.entry(*status).or_default() += count;
        }
        self.asked += other.asked;
        self.finished += other.finished;
        self.in_time += other.in_time;
        self.duration = self.duration.max(other.duration);
        Ok(())
    }
}

/// Percentiles in microseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Latency {
    count: u64,
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    p99_9: f64,
    max: f64,
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        (!histogram.is_empty()).then(|| Self {
            count: histogram.len(),
            mean: histogram.mean() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: histogram.max() as f64 / 1e3,
        })
    }
}

/// The report.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    load: &'static str,
    connections: usize,
    in_flight: Option<usize>,
    asked_rate: Option<f64>,
    duration_s: f64,
    /// Requests answered, now or late, per second of the measured time.
    rate: f64,
    /// Answers of an open loop that came within the measured time, per second: what was late helps nobody then.
    goodput: Option<f64>,
    /// Answered requests; from the due time in an open loop.
    latency_us: Option<Latency>,
    /// Requests that failed.
    refused_latency_us: Option<Latency>,
    /// Answered requests of an open loop, from when they were sent.
    latency_since_sent_us: Option<Latency>,
    /// Requests of an open loop that failed, from when they were sent.
    refused_latency_since_sent_us: Option<Latency>,
    /// Messages that reached a subscriber, from when they were due.
    delivered_latency_us: Option<Latency>,
    /// Messages that reached a subscriber, per second.
    delivered_rate: f64,
    /// Deliveries that did not come.
    undelivered: u64,
    /// How late requests of an open loop were sent.
    late_us: Option<Latency>,
    /// Failures by gRPC status.
    failures: BTreeMap<u16, u64>,
    /// Requests of an open loop that were never answered.
    unanswered: u64,
}

impl Report {
    /// The report of a load.
    pub(crate) fn new(arguments: &Arguments, recorder: &Recorder) -> Self {
        let (load, in_flight, asked_rate) = match &arguments.load {
            Load::Closed(closed) => ("closed", Some(closed.in_flight), None),
            Load::Stream(stream) => ("stream", Some(stream.in_flight), None),
            Load::Open(open) => ("open", None, Some(open.rate)),
            Load::Deliver(deliver) => ("deliver", None, Some(deliver.rate)),
        };
        let duration_s = recorder.duration.as_secs_f64();
        Self {
            load,
            connections: arguments.connections(),
            in_flight,
            asked_rate,
            duration_s,
            rate: recorder.answered.len() as f64 / duration_s,
            goodput: matches!(arguments.load, Load::Open(_))
                .then(|| recorder.in_time as f64 / duration_s),
            latency_us: Latency::of(&recorder.answered),
            refused_latency_us: Latency::of(&recorder.refused),
            latency_since_sent_us: Latency::of(&recorder.answered_since_sent),
            refused_latency_since_sent_us: Latency::of(&recorder.refused_since_sent),
            delivered_latency_us: Latency::of(&recorder.delivered),
            delivered_rate: recorder.delivered.len() as f64 / duration_s,
            undelivered: recorder
                .asked_deliveries
                .saturating_sub(recorder.delivered.len()),
            late_us: Latency::of(&recorder.late),
            failures: recorder.failures.clone(),
            unanswered: recorder.outstanding(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_recorders_add_up() {
        let (mut one, mut two) = (Recorder::new().unwrap(), Recorder::new().unwrap());
        one.finished(OK, Duration::from_micros(100));
        two.finished(OK, Duration::from_micros(300));
        two.finished(8, Duration::from_micros(5));
        two.asked();
        two.sent(Duration::ZERO);
        one.answered_in_time();
        two.answered_in_time();
        one.merge(&two).unwrap();
        assert_eq!(one.in_time, 2);
        assert_eq!(
            (one.answered.len(), one.refused.len(), one.failures[&8]),
            (2, 1, 1)
        );
        assert!((one.answered.mean() / 1e3 - 200.0).abs() < 1.0);
        assert_eq!(one.outstanding(), 0);
    }

    #[test]
    fn an_empty_histogram_has_no_percentiles() {
        assert!(Latency::of(&histogram().unwrap()).is_none());
    }
}
