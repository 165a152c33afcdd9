//! `GRPCInferenceService` over the scoring desk.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{Stream, StreamExt, stream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::{
    describe,
    oip::{
        self, InferParameter, grpc_inference_service_server::GrpcInferenceService,
        infer_parameter::ParameterChoice,
    },
    outputs, tensors,
};
use crate::{
    error::ServeError,
    models::{
        loaded::LoadedModel,
        registry::{Deployment, Registry, VersionState},
    },
    scoring::{
        batcher::Priority,
        desk::{ScoringDesk, Target},
    },
    settings::Settings,
    telemetry::metrics::{Metrics, ServerMetrics},
    transport::{deadline::deadline, status::wire},
};

/// Requests of one stream that are scored at the same time.
const STREAM_CONCURRENCY: usize = 256;

/// The service.
#[derive(Clone)]
pub struct Inference {
    desk: Arc<ScoringDesk>,
    metrics: Arc<Metrics>,
    server_metrics: ServerMetrics,
    draining: CancellationToken,
    executors: usize,
    repository_control: bool,
    changed: Arc<dyn Fn() + Send + Sync>,
}

impl Inference {
    /// Serves `desk`; streams end when `draining` is cancelled. `changed` hears of every change of what serves.
    #[must_use]
    pub fn new(
        desk: Arc<ScoringDesk>,
        metrics: Arc<Metrics>,
        settings: &Settings,
        draining: CancellationToken,
        changed: Arc<dyn Fn() + Send + Sync>,
    ) -> Self {
        Self {
            desk,
            server_metrics: metrics.server(),
            metrics,
            draining,
            executors: settings.executors(),
            repository_control: settings.repository_control || settings.tokens.is_some(),
            changed,
        }
    }

    async fn infer(
        &self,
        request: &oip::ModelInferRequest,
        deadline: Option<Instant>,
    ) -> Result<oip::ModelInferResponse, ServeError> {
        let started = Instant::now();
        let answered = self.answer(request, deadline).await;
        let mut response =
            answered.inspect_err(|error| self.metrics.count_refusal(wire(error).reason))?;
        response.id.clone_from(&request.id);
        self.server_metrics
            .request_seconds
            .record(started.elapsed().as_secs_f64());
        Ok(response)
    }

    async fn answer(
        &self,
        request: &oip::ModelInferRequest,
        deadline: Option<Instant>,
    ) -> Result<oip::ModelInferResponse, ServeError> {
        let parameters = Parameters(&request.parameters);
        if parameters.integer("sequence_id")?.is_some_and(|id| id != 0) {
            return Err(invalid(
                "sequence_id",
                "models keep no state between requests; publish bars to `BarService` instead"
                    .into(),
            ));
        }
        let timeout = parameters.integer("timeout")?.filter(|micros| *micros > 0);
        let patience = timeout
            .and_then(|micros| Instant::now().checked_add(Duration::from_micros(micros as u64)));
        let target = Target {
            model: &request.model_name,
            version: version_number(&request.model_version)?,
            priority: parameters.priority()?,
            symbol: parameters.text("symbol")?,
            timeframe: parameters.text("timeframe")?,
            feature_spec_hash: parameters.text("feature_spec_hash")?,
            reference_price: 0.0,
            deadline: deadline.into_iter().chain(patience).min(),
        };
        let wanted = outputs::wanted(request)?;
        let rows = tensors::rows(request)?;
        let batch = self
            .desk
            .score_values(target, rows.values, rows.rows)
            .await?;
        batch.record();
        let raw = !request.raw_input_contents.is_empty();
        Ok(outputs::response(&batch, &wanted, raw))
    }

    async fn answer_in_stream(
        &self,
        request: oip::ModelInferRequest,
        deadline: Option<Instant>,
    ) -> oip::ModelStreamInferResponse {
        match self.infer(&request, deadline).await {
            Ok(response) => oip::ModelStreamInferResponse {
                error_message: String::new(),
                infer_response: Some(response),
            },
            Err(error) => oip::ModelStreamInferResponse {
                error_message: error.to_string(),
                infer_response: Some(oip::ModelInferResponse {
                    model_name: request.model_name,
                    model_version: request.model_version,
                    id: request.id,
                    ..Default::default()
                }),
            },
        }
    }

    fn deployment(&self) -> arc_swap::Guard<Arc<Deployment>> {
        self.desk.registry().deployment()
    }

    fn check_control(&self, repository: &str) -> Result<(), Status> {
        if !self.repository_control {
            return Err(ServeError::RepositoryClosed.into());
        }
        check_repository(repository)
    }
}

fn check_repository(name: &str) -> Result<(), Status> {
    if name.is_empty() {
        return Ok(());
    }
    Err(invalid(
        "repository_name",
        format!("{name:?} is not known; leave it empty, there is one store"),
    )
    .into())
}

const fn invalid(field: &'static str, problem: String) -> ServeError {
    ServeError::InvalidField { field, problem }
}

fn version_number(text: &str) -> Result<u64, ServeError> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| {
        let problem =
            format!("{text:?} is no version; leave it empty or name one of `ModelMetadata`");
        invalid("model_version", problem)
    })
}

/// The loaded model that `name` and `version` ask for.
fn find(
    deployment: &Deployment,
    name: &str,
    version: &str,
) -> Result<Arc<LoadedModel>, ServeError> {
    let number = version_number(version)?;
    match deployment.version(name, number)? {
        VersionState::Ready(loaded) => Ok(Arc::clone(loaded)),
        VersionState::Available => Err(ServeError::VersionNotReady {
            model: name.to_owned(),
            version: number,
            failure: "it is not loaded".to_owned(),
        }),
        VersionState::Failed(failure) => Err(ServeError::VersionNotReady {
            model: name.to_owned(),
            version: number,
            failure: failure.clone(),
        }),
    }
}

/// Parameters of a request, by name and kind.
struct Parameters<'a>(&'a HashMap<String, InferParameter>);

impl<'a> Parameters<'a> {
    fn choice(&self, name: &str) -> Option<&'a ParameterChoice> {
        self.0.get(name)?.parameter_choice.as_ref()
    }

    fn text(&self, name: &'static str) -> Result<&'a str, ServeError> {
        match self.choice(name) {
            None => Ok(""),
            Some(ParameterChoice::StringParam(text)) => Ok(text),
            Some(_) => Err(invalid(name, "this parameter is a text".into())),
        }
    }

    fn integer(&self, name: &'static str) -> Result<Option<i64>, ServeError> {
        match self.choice(name) {
            None => Ok(None),
            Some(ParameterChoice::Int64Param(value)) => Ok(Some(*value)),
            Some(ParameterChoice::Uint64Param(value)) => {
                Ok(Some(i64::try_from(*value).unwrap_or(i64::MAX)))
            }
            // A sequence may be named by a text; an empty one is none.
            Some(ParameterChoice::StringParam(text)) if name == "sequence_id" => {
                Ok(Some(i64::from(!text.is_empty())))
            }
            Some(_) => Err(invalid(name, "this parameter is an integer".into())),
        }
    }

    /// How urgent the request is; zero, like none, means the first level.
    fn priority(&self) -> Result<Priority, ServeError> {
        let level = self.integer("priority")?.unwrap_or(0);
        let index = usize::try_from(level.max(1) - 1).unwrap_or(usize::MAX);
        let found = describe::PRIORITIES.get(index).filter(|_| level >= 0);
        found.copied().ok_or_else(|| {
            let levels = describe::PRIORITIES.len();
            let problem =
                format!("{level} is no level; use 1 (usual) to {levels} (least urgent), or none");
            invalid("priority", problem)
        })
    }
}

#[tonic::async_trait]
impl GrpcInferenceService for Inference {
    async fn server_live(
        &self,
        _: Request<oip::ServerLiveRequest>,
    ) -> Result<Response<oip::ServerLiveResponse>, Status> {
        Ok(Response::new(oip::ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<oip::ServerReadyRequest>,
    ) -> Result<Response<oip::ServerReadyResponse>, Status> {
        let ready = !self.draining.is_cancelled();
        Ok(Response::new(oip::ServerReadyResponse { ready }))
    }

    async fn model_ready(
        &self,
        request: Request<oip::ModelReadyRequest>,
    ) -> Result<Response<oip::ModelReadyResponse>, Status> {
        let request = request.into_inner();
        let ready = !self.draining.is_cancelled()
            && find(&self.deployment(), &request.name, &request.version).is_ok();
        Ok(Response::new(oip::ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<oip::ServerMetadataRequest>,
    ) -> Result<Response<oip::ServerMetadataResponse>, Status> {
        let extensions = ["model_configuration", "model_repository", "statistics"];
        Ok(Response::new(oip::ServerMetadataResponse {
            name: "candlewire".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            extensions: extensions.map(ToOwned::to_owned).into(),
        }))
    }

    async fn model_metadata(
        &self,
        request: Request<oip::ModelMetadataRequest>,
    ) -> Result<Response<oip::ModelMetadataResponse>, Status> {
        let request = request.into_inner();
        let deployment = self.deployment();
        let model = find(&deployment, &request.name, &request.version)?;
        Ok(Response::new(describe::metadata(&deployment, &model)))
    }

    async fn model_infer(
        &self,
        request: Request<oip::ModelInferRequest>,
    ) -> Result<Response<oip::ModelInferResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let response = self.infer(&request, deadline(metadata.as_ref())).await?;
        Ok(Response::new(response))
    }

    type ModelStreamInferStream =
        Pin<Box<dyn Stream<Item = Result<oip::ModelStreamInferResponse, Status>> + Send>>;

    async fn model_stream_infer(
        &self,
        request: Request<Streaming<oip::ModelInferRequest>>,
    ) -> Result<Response<Self::ModelStreamInferStream>, Status> {
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

    async fn model_config(
        &self,
        request: Request<oip::ModelConfigRequest>,
    ) -> Result<Response<oip::ModelConfigResponse>, Status> {
        let request = request.into_inner();
        let model = find(&self.deployment(), &request.name, &request.version)?;
        let config = describe::config(&model, self.desk.max_request_rows(), self.executors);
        Ok(Response::new(oip::ModelConfigResponse {
            config: Some(config),
        }))
    }

    async fn model_statistics(
        &self,
        request: Request<oip::ModelStatisticsRequest>,
    ) -> Result<Response<oip::ModelStatisticsResponse>, Status> {
        let request = request.into_inner();
        let deployment = self.deployment();
        let model_stats = if request.name.is_empty() {
            let loaded = deployment.loaded();
            loaded.map(|model| describe::statistics(model)).collect()
        } else {
            let model = find(&deployment, &request.name, &request.version)?;
            vec![describe::statistics(&model)]
        };
        Ok(Response::new(oip::ModelStatisticsResponse { model_stats }))
    }

    async fn repository_index(
        &self,
        request: Request<oip::RepositoryIndexRequest>,
    ) -> Result<Response<oip::RepositoryIndexResponse>, Status> {
        let request = request.into_inner();
        check_repository(&request.repository_name)?;
        let models = describe::index(&self.deployment(), request.ready);
        Ok(Response::new(oip::RepositoryIndexResponse { models }))
    }

    async fn repository_model_load(
        &self,
        request: Request<oip::RepositoryModelLoadRequest>,
    ) -> Result<Response<oip::RepositoryModelLoadResponse>, Status> {
        let request = request.into_inner();
        self.check_control(&request.repository_name)?;
        if let Some(name) = request.parameters.keys().next() {
            return Err(invalid(
                "parameters",
                format!("{name:?} is not offered: a model loads as its bundle says; leave it out"),
            )
            .into());
        }
        self.change(request.model_name, Registry::load).await?;
        Ok(Response::new(oip::RepositoryModelLoadResponse {}))
    }

    async fn repository_model_unload(
        &self,
        request: Request<oip::RepositoryModelUnloadRequest>,
    ) -> Result<Response<oip::RepositoryModelUnloadResponse>, Status> {
        let request = request.into_inner();
        self.check_control(&request.repository_name)?;
        self.change(request.model_name, Registry::unload).await?;
        Ok(Response::new(oip::RepositoryModelUnloadResponse {}))
    }
}

impl Inference {
    /// Changes what serves on a thread of its own: loading a model takes a while.
    async fn change(
        &self,
        model: String,
        change: fn(&Registry, &str) -> Result<(), ServeError>,
    ) -> Result<(), Status> {
        let registry = Arc::clone(self.desk.registry());
        let done = tokio::task::spawn_blocking(move || change(&registry, &model)).await;
        done.map_err(|error| Status::internal(error.to_string()))??;
        (self.changed)();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_the_priority_that_the_batcher_knows() {
        let read = |choice| {
            let parameter = InferParameter {
                parameter_choice: Some(choice),
            };
            Parameters(&HashMap::from([("priority".to_owned(), parameter)]))
                .priority()
                .ok()
        };
        let none = Parameters(&HashMap::new()).priority().ok();
        assert_eq!(none, Some(Priority::Normal));
        for (level, wanted) in [
            (0, Priority::Normal),
            (1, Priority::Normal),
            (2, Priority::Low),
        ] {
            assert_eq!(read(ParameterChoice::Uint64Param(level)), Some(wanted));
            assert_eq!(
                read(ParameterChoice::Int64Param(level as i64)),
                Some(wanted)
            );
        }
        for refused in [
            ParameterChoice::Uint64Param(3),
            ParameterChoice::Uint64Param(u64::MAX),
            ParameterChoice::Int64Param(-1),
            ParameterChoice::BoolParam(true),
        ] {
            assert_eq!(read(refused), None);
        }
    }
}
