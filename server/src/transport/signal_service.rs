//! `SignalService` over the hub.

use std::{pin::Pin, sync::Arc};

use futures_util::{Stream, StreamExt, stream};
use tonic::{Request, Response, Status};

use super::{
    convert,
    proto::{self, signal_service_server::SignalService},
};
use crate::{
    bars::{
        admission::Timeframe,
        hub::{Interest, SlowPolicy, Subscription},
        pipeline::Pipeline,
    },
    error::ServeError,
    telemetry::metrics::ServerMetrics,
};

/// Buffer of a subscriber that does not say.
const DEFAULT_BUFFER: usize = 1_024;
/// Largest buffer.
const LARGEST_BUFFER: usize = 65_536;
/// Most symbols in one request.
const MOST_SYMBOLS: usize = 10_000;

/// The service.
#[derive(Clone)]
pub struct Signals {
    pipeline: Arc<Pipeline>,
    metrics: ServerMetrics,
}

impl Signals {
    /// Serves the signals of `pipeline`.
    #[must_use]
    pub const fn new(pipeline: Arc<Pipeline>, metrics: ServerMetrics) -> Self {
        Self { pipeline, metrics }
    }
}

/// Counts one subscriber while it lives.
struct Counted(ServerMetrics);

impl Counted {
    fn new(metrics: ServerMetrics) -> Self {
        metrics.subscribers.increment(1.0);
        Self(metrics)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.subscribers.decrement(1.0);
    }
}

fn timeframe(name: &str) -> Result<Timeframe, ServeError> {
    Timeframe::parse(name).ok_or_else(|| ServeError::InvalidField {
        field: "timeframes",
        problem: format!("{name:?} is none of 1m 5m 15m 1h 4h 1d 1w 1M"),
    })
}

fn check_symbols(symbols: &[String]) -> Result<(), ServeError> {
    if symbols.len() <= MOST_SYMBOLS {
        return Ok(());
    }
    Err(ServeError::InvalidField {
        field: "symbols",
        problem: format!(
            "{} exceed the limit of {MOST_SYMBOLS}; leave empty for all",
            symbols.len()
        ),
    })
}

fn subscribe(
    pipeline: &Pipeline,
    request: proto::SubscribeRequest,
) -> Result<Subscription, ServeError> {
    check_symbols(&request.symbols)?;
    let confidence = request.minimum_confidence;
    if !(0.0..=1.0).contains(&confidence) {
        return Err(ServeError::InvalidField {
            field: "minimum_confidence",
            problem: format!("{confidence} is outside 0..=1"),
        });
    }
    let policy = match proto::SlowSubscriberPolicy::try_from(request.slow_policy) {
        Ok(proto::SlowSubscriberPolicy::Disconnect) => SlowPolicy::Disconnect,
        Ok(proto::SlowSubscriberPolicy::Unspecified | proto::SlowSubscriberPolicy::DropOldest) => {
            SlowPolicy::DropOldest
        }
        Err(error) => {
            return Err(ServeError::InvalidField {
                field: "slow_policy",
                problem: error.to_string(),
            });
        }
    };
    let buffer = match request.buffer_signals as usize {
        0 => DEFAULT_BUFFER,
        buffer if buffer <= LARGEST_BUFFER => buffer,
        buffer => {
            return Err(ServeError::InvalidField {
                field: "buffer_signals",
                problem: format!("{buffer} is outside 1..={LARGEST_BUFFER}"),
            });
        }
    };
    let interest = Interest {
        timeframes: request
            .timeframes
            .iter()
            .map(|name| timeframe(name))
            .collect::<Result<_, _>>()?,
        symbols: request.symbols,
        minimum_confidence: confidence,
        include_not_ready: request.include_not_ready,
    };
    pipeline
        .hub()
        .subscribe(interest, request.after_sequence, buffer, policy)
}

#[tonic::async_trait]
impl SignalService for Signals {
    type SubscribeStream =
        Pin<Box<dyn Stream<Item = Result<proto::SubscribeResponse, Status>> + Send>>;

    async fn subscribe(
        &self,
        request: Request<proto::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let subscription = subscribe(&self.pipeline, request.into_inner())?;
        let confirmation = proto::SubscribeResponse {
            head_sequence: subscription.head_at_start(),
            ..Default::default()
        };
        let counted = Counted::new(self.metrics.clone());
        let signals = stream::unfold(Some((subscription, counted)), |state| async move {
            let (mut subscription, counted) = state?;
            match subscription.next().await {
                Ok(delivery) => {
                    counted.0.dropped_signals.increment(delivery.dropped);
                    counted.0.subscriber_lag.record(delivery.behind as f64);
                    let response = proto::SubscribeResponse {
                        signal: Some(convert::signal_event(&delivery.signal)),
                        dropped_signals: delivery.dropped,
                        head_sequence: 0,
                    };
                    Some((Ok(response), Some((subscription, counted))))
                }
                Err(error) => Some((Err(error.into()), None)),
            }
        });
        Ok(Response::new(Box::pin(
            stream::once(std::future::ready(Ok(confirmation))).chain(signals),
        )))
    }

    async fn get_latest(
        &self,
        request: Request<proto::GetLatestRequest>,
    ) -> Result<Response<proto::GetLatestResponse>, Status> {
        let request = request.into_inner();
        check_symbols(&request.symbols)?;
        let timeframe = if request.timeframe.is_empty() {
            None
        } else {
            Some(timeframe(&request.timeframe)?)
        };
        let (signals, unknown_symbols) = self.pipeline.series().latest(&request.symbols, timeframe);
        let signals = signals
            .iter()
            .map(|signal| convert::signal_event(signal))
            .collect();
        Ok(Response::new(proto::GetLatestResponse {
            signals,
            unknown_symbols,
        }))
    }
}
