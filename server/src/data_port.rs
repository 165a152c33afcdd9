//! What the data port offers: its services, put together.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tonic::{codec::CompressionEncoding, service::Routes};
use tonic_health::{
    pb::health_server::{Health, HealthServer},
    server::HealthReporter,
};

use crate::{
    bars::pipeline::Pipeline,
    journal::scores::ScoreLog,
    models::registry::Registry,
    plane::report_serving,
    scoring::{desk::ScoringDesk, gate::Gate, shadow::Shadows},
    settings::Settings,
    telemetry::metrics::Metrics,
    transport::{
        DESCRIPTORS,
        bar_service::Bars,
        dispatch::{Compressible, Dispatch, ScoringCalls},
        inference::{Inference, oip::grpc_inference_service_server::GrpcInferenceServiceServer},
        proto::{bar_service_server::BarServiceServer, signal_service_server::SignalServiceServer},
        scoring_service::Scoring,
        signal_service::Signals,
    },
};

/// What callers may compress with.
const ENCODINGS: [CompressionEncoding; 2] = [CompressionEncoding::Gzip, CompressionEncoding::Zstd];

/// What reflection says is here.
const OFFERED: [&str; 7] = [
    "candlewire.v1.BarService",
    "candlewire.v1.ScoringService",
    "candlewire.v1.SignalService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "inference.GRPCInferenceService",
];

/// The services of the data port, each at its path.
pub(crate) type Services = Dispatch<Scoring, GrpcInferenceServiceServer<Inference>>;

/// What the services stand on.
pub(crate) struct Foundations<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) registry: &'a Arc<Registry>,
    pub(crate) pipeline: &'a Arc<Pipeline>,
    pub(crate) metrics: &'a Arc<Metrics>,
    pub(crate) draining: &'a CancellationToken,
    pub(crate) health: &'a HealthReporter,
    pub(crate) runtime: &'a Handle,
    pub(crate) gate: Arc<Gate>,
    pub(crate) shadows: Shadows,
    pub(crate) score_log: Option<Arc<ScoreLog>>,
}

impl Foundations<'_> {
    /// Puts the services together.
    pub(crate) fn services(
        &self,
        health_service: &HealthServer<impl Health>,
    ) -> Result<Services, tonic_reflection::server::Error> {
        let limit = self.settings.max_message_bytes;
        let desk = Arc::new(ScoringDesk::new(
            Arc::clone(self.registry),
            self.settings.clone(),
            self.shadows.clone(),
            self.score_log.clone(),
        ));
        let inference = Inference::new(
            Arc::clone(&desk),
            Arc::clone(self.metrics),
            self.settings,
            self.draining.clone(),
            self.on_change(),
        );
        let scoring = Scoring::new(desk, Arc::clone(self.metrics), self.draining.clone());
        let bars = Bars::new(Arc::clone(self.pipeline), self.draining.clone());
        let signals = Signals::new(Arc::clone(self.pipeline), self.metrics.server());
        let descriptors = || {
            // The contract holds the services of the admin port too: only those of this port are named.
            OFFERED.into_iter().fold(
                tonic_reflection::server::Builder::configure()
                    .register_encoded_file_descriptor_set(DESCRIPTORS)
                    .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                    // Errors carry messages of these: a caller that reads types by reflection can tell what they say.
                    .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET),
                tonic_reflection::server::Builder::with_service_name,
            )
        };
        let reflection = (descriptors().build_v1()?, descriptors().build_v1alpha()?);
        let routes = |compress: bool| {
            let (mut bars, mut signals, health) = (
                BarServiceServer::new(bars.clone()).max_decoding_message_size(limit),
                SignalServiceServer::new(signals.clone()).max_decoding_message_size(limit),
                health_service.clone(),
            );
            for encoding in ENCODINGS.into_iter().filter(|_| compress) {
                bars = bars.accept_compressed(encoding).send_compressed(encoding);
                signals = signals
                    .accept_compressed(encoding)
                    .send_compressed(encoding);
            }
            Routes::new(bars)
                .add_service(signals)
                .add_service(health)
                .add_service(reflection.0.clone())
                .add_service(reflection.1.clone())
                .prepare()
        };
        let plain_inference =
            GrpcInferenceServiceServer::new(inference).max_decoding_message_size(limit);
        let mut inference = plain_inference.clone();
        for encoding in ENCODINGS {
            inference = inference
                .accept_compressed(encoding)
                .send_compressed(encoding);
        }
        Ok(Dispatch::new(
            ScoringCalls::new(scoring, limit, &ENCODINGS),
            Compressible {
                plain: plain_inference,
                compressed: inference,
            },
            Compressible {
                plain: routes(false),
                compressed: routes(true),
            },
            Arc::clone(&self.gate),
        ))
    }

    /// Health follows what a caller of the data port, or who writes the store, loads and unloads.
    pub(crate) fn on_change(&self) -> Arc<dyn Fn() + Send + Sync> {
        let (runtime, health, registry) = (
            self.runtime.clone(),
            self.health.clone(),
            Arc::clone(self.registry),
        );
        Arc::new(move || {
            let (health, registry) = (health.clone(), Arc::clone(&registry));
            runtime.spawn(async move { report_serving(&health, &registry).await });
        })
    }
}
