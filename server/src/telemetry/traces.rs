//! Traces of requests, sent to a collector by OTLP. Off unless an endpoint is set.

use std::{
    future::Future,
    time::{Duration, SystemTime},
};

use http::HeaderMap;
use opentelemetry::{
    Context, KeyValue,
    propagation::{Extractor, TextMapPropagator},
    trace::{FutureExt, Span, SpanKind, Status, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};
use tonic::metadata::MetadataMap;

use crate::{scoring::decision::Timings, settings::Settings};

/// Services whose calls say nothing of the server's work.
const UNTRACED: [&str; 2] = ["/grpc.health.", "/grpc.reflection."];

/// The traces cannot be sent where they should.
#[derive(Debug, Clone, thiserror::Error)]
#[error("telemetry.{field}: {problem}")]
pub struct TracesError {
    field: &'static str,
    problem: String,
}

/// Makes the traces of a server.
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    propagator: TraceContextPropagator,
}

impl Traces {
    /// Sends traces as `settings` say; `None` when they are off. Needs a runtime around it.
    ///
    /// # Errors
    /// The endpoint or the headers cannot be used.
    pub fn new(settings: &Settings) -> Result<Option<Self>, TracesError> {
        let Some(endpoint) = &settings.otlp_endpoint else {
            return Ok(None);
        };
        if !endpoint.starts_with("http://") {
            return Err(TracesError {
                field: "otlp_endpoint",
                problem: format!(
                    "{endpoint:?} does not begin with http://; send traces to a collector beside the server"
                ),
            });
        }
        let headers = settings.otlp_headers.as_ref();
        let metadata = metadata(headers.map_or("", |headers| headers.reveal()))?;
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_metadata(metadata)
            .build()
            .map_err(|error| TracesError {
                field: "otlp_endpoint",
                problem: format!("{endpoint:?}: {error}; write for example http://127.0.0.1:4317"),
            })?;
        let sampler = Sampler::TraceIdRatioBased(settings.trace_share);
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(sampler)))
            .with_resource(Resource::builder().with_service_name("candlewire").build())
            .build();
        let tracer = provider.tracer("candlewire");
        Ok(Some(Self {
            provider,
            tracer,
            propagator: TraceContextPropagator::new(),
        }))
    }

    /// Begins the trace of a request to `path`, within the trace that its headers name.
    #[must_use]
    pub fn begin(&self, path: &str, headers: &HeaderMap) -> Option<RequestTrace> {
        if UNTRACED.iter().any(|prefix| path.starts_with(prefix)) {
            return None;
        }
        let parent = self
            .propagator
            .extract_with_context(&Context::new(), &Headers(headers));
        let name = path.strip_prefix('/').unwrap_or(path).to_owned();
        let mut attributes = vec![KeyValue::new("rpc.system", "grpc")];
        if let Some((service, method)) = name.split_once('/') {
            attributes.push(KeyValue::new("rpc.service", service.to_owned()));
            attributes.push(KeyValue::new("rpc.method", method.to_owned()));
        }
        let builder = self.tracer.span_builder(name).with_kind(SpanKind::Server);
        let span = builder
            .with_attributes(attributes)
            .start_with_context(&self.tracer, &parent);
        if !span.is_recording() {
            return None;
        }
        Some(RequestTrace {
            context: parent
                .with_span(span)
                .with_value(Stages(self.tracer.clone())),
        })
    }

    /// Sends what waits and stops.
    pub fn close(&self, patience: Duration) {
        if let Err(error) = self.provider.shutdown_with_timeout(patience) {
            tracing::warn!(%error, "the last traces may not have been sent");
        }
    }
}

/// The trace of one request; it ends when it is dropped.
pub struct RequestTrace {
    context: Context,
}

impl RequestTrace {
    /// Runs `work` so that what it records belongs to this trace.
    pub fn within<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        work.with_context(self.context.clone())
    }

    /// Takes the gRPC status that the answer ends with.
    pub fn set_status(&mut self, code: &[u8]) {
        let text = String::from_utf8_lossy(code);
        let number: i64 = text.parse().unwrap_or(2);
        let span = self.context.span();
        span.set_attribute(KeyValue::new("rpc.grpc.status_code", number));
        if number != 0 {
            span.set_status(Status::error(format!("gRPC status {number}")));
        }
    }
}

impl Drop for RequestTrace {
    fn drop(&mut self) {
        self.context.span().end();
    }
}

/// Adds to the trace that runs, if one does, which model scored and where the time went.
pub fn record_score(model: &str, version: u64, timings: Timings) {
    Context::map_current(|context| {
        let Some(stages) = context.get::<Stages>() else {
            return;
        };
        context.span().set_attributes([
            KeyValue::new("candlewire.model", model.to_owned()),
            KeyValue::new("candlewire.model_version", version as i64),
            KeyValue::new("candlewire.batch_rows", timings.batch_rows as i64),
        ]);
        // The stages are over: each is told by how long it took, backwards from now.
        let mut ended = SystemTime::now();
        for (name, took) in [
            ("inference", timings.inference),
            ("queue", timings.queued),
            ("features", timings.features),
        ] {
            let started = ended.checked_sub(took).unwrap_or(ended);
            let span = stages.0.span_builder(name).with_start_time(started);
            span.start_with_context(&stages.0, context)
                .end_with_timestamp(ended);
            ended = started;
        }
    });
}

/// What the stages of a traced request are told with.
struct Stages(SdkTracer);

/// Metadata for the collector from `name=value,name=value`.
fn metadata(text: &str) -> Result<MetadataMap, TracesError> {
    let mut headers = HeaderMap::new();
    for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
        // The text may be a secret: it is not quoted.
        let refused = || TracesError {
            field: "otlp_headers",
            problem: "it is not `name=value,name=value`".to_owned(),
        };
        let (name, value) = pair.split_once('=').ok_or_else(refused)?;
        let name = name
            .trim()
            .parse::<http::HeaderName>()
            .map_err(|_| refused())?;
        let value = value
            .trim()
            .parse::<http::HeaderValue>()
            .map_err(|_| refused())?;
        headers.insert(name, value);
    }
    Ok(MetadataMap::from_headers(headers))
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
