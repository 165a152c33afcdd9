//! `ScoringService` without a model: the limit that the same transport sets, for benchmarks.

use std::pin::Pin;

use futures_util::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::proto::{self, scoring_service_server::ScoringService};

/// Answers every row with its first two features and a response as large as a real one.
#[derive(Clone)]
pub struct Echo {
    template: proto::ScoreResponse,
}

impl Default for Echo {
    fn default() -> Self {
        Self {
            template: proto::ScoreResponse {
                return_band: Some(proto::ReturnBand {
                    low: -0.01,
                    mid: 0.001,
                    high: 0.01,
                    target_coverage: 0.9,
                    achieved_coverage: 0.9,
                    outcomes: 500,
                    width_multiplier: 1.0,
                }),
                probability_up: 0.5,
                probability_low: 0.4,
                probability_high: 0.6,
                signal: proto::Signal::Hold.into(),
                confidence_level: proto::ConfidenceLevel::Low.into(),
                confidence: 0.5,
                dissimilarity: 0.5,
                trusted: true,
                model: "echo".into(),
                model_version: 20_260_101_000_000,
                feature_spec_hash: "0".repeat(64),
                horizon_bars: 5,
                timings: Some(proto::ServerTimings {
                    queue_ns: 1_000,
                    inference_ns: 10_000,
                    features_ns: 0,
                    total_ns: 12_000,
                    batch_rows: 1,
                }),
                role: proto::DeploymentRole::Production.into(),
                ..Default::default()
            },
        }
    }
}

#[tonic::async_trait]
impl ScoringService for Echo {
    async fn score(
        &self,
        request: Request<proto::ScoreRequest>,
    ) -> Result<Response<proto::ScoreResponse>, Status> {
        let probabilities = request.into_inner().features.into_iter().take(2).collect();
        Ok(Response::new(proto::ScoreResponse {
            probabilities,
            ..self.template.clone()
        }))
    }

    async fn score_batch(
        &self,
        request: Request<proto::ScoreBatchRequest>,
    ) -> Result<Response<proto::ScoreBatchResponse>, Status> {
        let request = request.into_inner();
        Ok(Response::new(proto::ScoreBatchResponse {
            rows: request.rows,
            probabilities: request.features,
            ..Default::default()
        }))
    }

    type ScoreStreamStream =
        Pin<Box<dyn Stream<Item = Result<proto::ScoreStreamResponse, Status>> + Send>>;

    async fn score_stream(
        &self,
        _: Request<Streaming<proto::ScoreStreamRequest>>,
    ) -> Result<Response<Self::ScoreStreamStream>, Status> {
        Err(Status::unimplemented(
            "the echo answers Score and ScoreBatch",
        ))
    }
}
