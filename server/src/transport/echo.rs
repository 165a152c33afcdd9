//! `ScoringService` without a model: the limit that the same transport sets, for benchmarks.

use std::pin::Pin;

use futures_util::{Stream, StreamExt};
use http::HeaderMap;
use tonic::{Request, Response, Status, Streaming};

use super::{
    one_row::ScoreOneRow,
    proto::{
        self, score_stream_response::Result as StreamResult, scoring_service_server::ScoringService,
    },
};
use crate::error::ServeError;

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

impl Echo {
    fn answer(&self, request: proto::ScoreRequest) -> proto::ScoreResponse {
        proto::ScoreResponse {
            probabilities: request.features.into_iter().take(2).collect(),
            ..self.template.clone()
        }
    }
}

impl ScoreOneRow for Echo {
    async fn score_one_row(
        &self,
        _: &HeaderMap,
        request: proto::ScoreRequest,
    ) -> Result<proto::ScoreResponse, ServeError> {
        Ok(self.answer(request))
    }
}

#[tonic::async_trait]
impl ScoringService for Echo {
    async fn score(
        &self,
        request: Request<proto::ScoreRequest>,
    ) -> Result<Response<proto::ScoreResponse>, Status> {
        Ok(Response::new(self.answer(request.into_inner())))
    }

    async fn score_batch(
        &self,
        request: Request<proto::ScoreBatchRequest>,
    ) -> Result<Response<proto::ScoreBatchResponse>, Status> {
        let request = request.into_inner();
        let rows = request.rows as usize;
        let column = |values: usize| {
            let length = (rows * values * size_of::<f32>()).min(request.features.len());
            request.features.slice(..length)
        };
        let flags = request.features.slice(..rows.min(request.features.len()));
        Ok(Response::new(proto::ScoreBatchResponse {
            rows: request.rows,
            classes: 2,
            probabilities: column(2),
            probability_low: column(1),
            probability_high: column(1),
            band_low: column(1),
            band_mid: column(1),
            band_high: column(1),
            dissimilarity: column(1),
            signals: flags.clone(),
            trusted: flags,
            model: self.template.model.clone(),
            model_version: self.template.model_version,
            feature_spec_hash: self.template.feature_spec_hash.clone(),
            target_coverage: 0.9,
            timings: self.template.timings,
            first_decision_id: String::new(),
        }))
    }

    type ScoreStreamStream =
        Pin<Box<dyn Stream<Item = Result<proto::ScoreStreamResponse, Status>> + Send>>;

    async fn score_stream(
        &self,
        request: Request<Streaming<proto::ScoreStreamRequest>>,
    ) -> Result<Response<Self::ScoreStreamStream>, Status> {
        let echo = self.clone();
        let answers = request.into_inner().map(move |message| {
            let message = message?;
            let score = echo.answer(message.request.unwrap_or_default());
            Ok(proto::ScoreStreamResponse {
                client_sequence: message.client_sequence,
                result: Some(StreamResult::Score(score)),
            })
        });
        Ok(Response::new(Box::pin(answers)))
    }
}
