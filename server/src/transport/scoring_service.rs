//! `ScoringService` over the scoring desk.

use std::{pin::Pin, sync::Arc, time::Instant};

use futures_util::{Stream, StreamExt, stream};
use http::HeaderMap;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::{
    convert,
    deadline::deadline,
    one_row::ScoreOneRow,
    proto::{
        self, score_stream_response::Result as StreamResult, scoring_service_server::ScoringService,
    },
    status::wire,
};
use crate::{
    bars::admission::RawBar,
    error::ServeError,
    scoring::desk::{ScoringDesk, Target},
    telemetry::{
        metrics::{Metrics, ServerMetrics},
        traces::record_score,
    },
};

/// Requests of one stream that are scored at the same time.
const STREAM_CONCURRENCY: usize = 256;

/// The service.
#[derive(Clone)]
pub struct Scoring {
    desk: Arc<ScoringDesk>,
    registry_metrics: Arc<Metrics>,
    metrics: ServerMetrics,
    draining: CancellationToken,
}

impl Scoring {
    /// Serves `desk`; streams end when `draining` is cancelled.
    #[must_use]
    pub fn new(
        desk: Arc<ScoringDesk>,
        registry_metrics: Arc<Metrics>,
        draining: CancellationToken,
    ) -> Self {
        let metrics = registry_metrics.server();
        Self {
            desk,
            registry_metrics,
            metrics,
            draining,
        }
    }

    async fn answer(
        &self,
        request: proto::ScoreRequest,
        deadline: Option<Instant>,
    ) -> Result<proto::ScoreResponse, ServeError> {
        let target = Target {
            model: &request.model,
            version: request.model_version,
            symbol: &request.symbol,
            timeframe: &request.timeframe,
            feature_spec_hash: &request.feature_spec_hash,
            reference_price: request.reference_price,
            deadline,
            ..Target::default()
        };
        let decision = match (request.features.is_empty(), request.bars.is_empty()) {
            (false, true) => self.desk.score_row(target, request.features).await,
            (true, false) => {
                let bars: Vec<RawBar<'_>> = request.bars.iter().map(convert::raw_bar).collect();
                self.desk.score_window(target, &bars).await
            }
            (true, true) => Err(ServeError::RowInput { got: "neither" }),
            (false, false) => Err(ServeError::RowInput { got: "both" }),
        };
        let decision = decision
            .inspect_err(|error| self.registry_metrics.count_refusal(wire(error).reason))?;
        self.metrics
            .request_seconds
            .record(decision.timings.total.as_secs_f64());
        let manifest = &decision.model.manifest;
        record_score(&manifest.model, manifest.version, decision.timings);
        Ok(convert::score_response(&decision, request.include_members))
    }

    async fn answer_in_stream(
        &self,
        message: proto::ScoreStreamRequest,
        deadline: Option<Instant>,
    ) -> proto::ScoreStreamResponse {
        let result = match message.request {
            Some(request) => self.answer(request, deadline).await,
            None => Err(ServeError::InvalidField {
                field: "request",
                problem: "it is missing: send a row to score".into(),
            }),
        };
        let result = match result {
            Ok(score) => StreamResult::Score(score),
            Err(error) => {
                let wire = wire(&error);
                StreamResult::Error(proto::ScoreError {
                    code: wire.code as i32,
                    reason: wire.reason.to_owned(),
                    message: error.to_string(),
                })
            }
        };
        proto::ScoreStreamResponse {
            client_sequence: message.client_sequence,
            result: Some(result),
        }
    }
}

impl ScoreOneRow for Scoring {
    async fn score_one_row(
        &self,
        headers: &HeaderMap,
        request: proto::ScoreRequest,
    ) -> Result<proto::ScoreResponse, ServeError> {
        self.answer(request, deadline(headers)).await
    }
}

#[tonic::async_trait]
impl ScoringService for Scoring {
    async fn score(
        &self,
        request: Request<proto::ScoreRequest>,
    ) -> Result<Response<proto::ScoreResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let response = self.score_one_row(metadata.as_ref(), request).await?;
        Ok(Response::new(response))
    }

    async fn score_batch(
        &self,
        request: Request<proto::ScoreBatchRequest>,
    ) -> Result<Response<proto::ScoreBatchResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let target = Target {
            model: &request.model,
            version: request.model_version,
            feature_spec_hash: &request.feature_spec_hash,
            deadline: deadline(metadata.as_ref()),
            ..Target::default()
        };
        let batch = self
            .desk
            .score_rows(target, &request.features, request.rows as usize)
            .await
            .inspect_err(|error| self.registry_metrics.count_refusal(wire(error).reason))?;
        batch.record();
        Ok(Response::new(convert::batch_response(&batch)))
    }

    type ScoreStreamStream =
        Pin<Box<dyn Stream<Item = Result<proto::ScoreStreamResponse, Status>> + Send>>;

    async fn score_stream(
        &self,
        request: Request<Streaming<proto::ScoreStreamRequest>>,
    ) -> Result<Response<Self::ScoreStreamStream>, Status> {
        let (metadata, _, messages) = request.into_parts();
        let deadline = deadline(metadata.as_ref());
        let service = self.clone();
        let draining = self.draining.clone();
        let answers = messages
            .take_until(draining.clone().cancelled_owned())
            .map(move |message| {
                let service = service.clone();
                async move { Ok(service.answer_in_stream(message?, deadline).await) }
            })
            .buffered(STREAM_CONCURRENCY);
        // A stream that the server ends says so; one that the client ended ends clean.
        let ending = stream::once(async move {
            draining
                .is_cancelled()
                .then(|| Err(ServeError::Draining.into()))
        });
        Ok(Response::new(Box::pin(
            answers.chain(ending.filter_map(std::future::ready)),
        )))
    }
}
