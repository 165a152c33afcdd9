//! What the control plane asks of the data plane, in the contract's own messages.

use candlewire_features::FeatureSpecHash;

use crate::{
    bars::pipeline::Pipeline,
    error::ServeError,
    models::{
        loaded::LoadedModel,
        registry::{Deployment, Registry, VersionState},
    },
    transport::{convert, proto},
};

/// Outcomes returned when the request does not say.
const DEFAULT_OUTCOMES: usize = 1_000;
/// Most outcomes returned.
const MOST_OUTCOMES: usize = 10_000;

/// Lists the versions of one model, or of all.
///
/// # Errors
/// A model that is not in the store.
pub fn list_models(
    registry: &Registry,
    request: &proto::ListModelsRequest,
) -> Result<proto::ListModelsResponse, ServeError> {
    let deployment = registry.deployment();
    if !request.model.is_empty() {
        // Says which models there are when it is none of them.
        if let Err(error @ ServeError::ModelNotFound { .. }) = deployment.version(&request.model, 0)
        {
            return Err(error);
        }
    }
    let mut models = all_models(&deployment);
    models.retain(|info| request.model.is_empty() || info.model == request.model);
    Ok(proto::ListModelsResponse { models })
}

/// Describes one version.
///
/// # Errors
/// No such model or version.
pub fn get_model(
    registry: &Registry,
    request: &proto::GetModelRequest,
) -> Result<proto::GetModelResponse, ServeError> {
    let deployment = registry.deployment();
    let version = if request.version == 0 {
        deployment.production_version(&request.model)
    } else {
        request.version
    };
    let state = deployment.version(&request.model, version)?;
    let manifest_json = if let VersionState::Ready(loaded) = state {
        loaded.manifest_json.clone()
    } else {
        String::new()
    };
    Ok(proto::GetModelResponse {
        model: Some(info(&deployment, &request.model, version, state)),
        manifest_json,
    })
}

/// Makes a version production.
///
/// # Errors
/// No such version, or it fails a check.
pub fn promote(
    registry: &Registry,
    request: &proto::PromoteModelRequest,
) -> Result<proto::PromoteModelResponse, ServeError> {
    let previous_version = registry.promote(&request.model, request.version, &request.reason)?;
    let model = get_model(
        registry,
        &proto::GetModelRequest {
            model: request.model.clone(),
            version: request.version,
        },
    )?
    .model;
    Ok(proto::PromoteModelResponse {
        model,
        previous_version,
    })
}

/// Returns production to the version before.
///
/// # Errors
/// There is none, or it fails a check.
pub fn roll_back(
    registry: &Registry,
    request: &proto::RollbackModelRequest,
) -> Result<proto::RollbackModelResponse, ServeError> {
    let (version, previous_version) = registry.roll_back(&request.model, &request.reason)?;
    let model = get_model(
        registry,
        &proto::GetModelRequest {
            model: request.model.clone(),
            version,
        },
    )?
    .model;
    Ok(proto::RollbackModelResponse {
        model,
        previous_version,
    })
}

/// Reads the store again.
///
/// # Errors
/// The store cannot be read or nothing in it could serve.
pub fn reload(registry: &Registry) -> Result<proto::ReloadModelsResponse, ServeError> {
    registry.reload()?;
    Ok(proto::ReloadModelsResponse {
        models: all_models(&registry.deployment()),
    })
}

/// Lists the newest outcomes.
///
/// # Errors
/// `limit` is out of range.
pub fn list_outcomes(
    pipeline: &Pipeline,
    request: &proto::ListOutcomesRequest,
) -> Result<proto::ListOutcomesResponse, ServeError> {
    let limit = match request.limit as usize {
        0 => DEFAULT_OUTCOMES,
        limit if limit <= MOST_OUTCOMES => limit,
        limit => {
            return Err(ServeError::InvalidField {
                field: "limit",
                problem: format!("{limit} is outside 1..={MOST_OUTCOMES}"),
            });
        }
    };
    let outcomes = pipeline.outcomes().newest(&request.symbols, limit);
    Ok(proto::ListOutcomesResponse {
        outcomes: outcomes.iter().map(convert::outcome).collect(),
    })
}

/// Reports the band pools of one model, or of all.
///
/// # Errors
/// A model that is not in the store.
pub fn get_coverage(
    registry: &Registry,
    request: &proto::GetCoverageRequest,
) -> Result<proto::GetCoverageResponse, ServeError> {
    list_models(
        registry,
        &proto::ListModelsRequest {
            model: request.model.clone(),
        },
    )?;
    let deployment = registry.deployment();
    let pools = deployment
        .loaded()
        .filter(|model| request.model.is_empty() || model.manifest.model == request.model);
    Ok(proto::GetCoverageResponse {
        pools: pools.map(|model| coverage(model)).collect(),
    })
}

/// Hashes of the feature specs that loaded models need.
#[must_use]
pub fn needed_specs(registry: &Registry) -> Vec<FeatureSpecHash> {
    registry
        .deployment()
        .loaded()
        .map(|model| *model.spec.hash())
        .collect()
}

fn coverage(model: &LoadedModel) -> proto::CoverageReport {
    let manifest = &model.manifest;
    let pool = model.band.lock();
    let coverage = pool.coverage();
    proto::CoverageReport {
        model: manifest.model.clone(),
        model_version: manifest.version,
        asset_class: manifest.asset_class.clone(),
        timeframe: manifest.timeframe.clone(),
        horizon_bars: manifest.horizon_bars,
        target_coverage: manifest.band.target_coverage as f32,
        achieved_coverage: coverage.achieved as f32,
        outcomes: coverage.outcomes,
        recent_coverage: coverage.recent as f32,
        recent_outcomes: coverage.recent_outcomes,
        width_multiplier: pool.multiplier("") as f32,
        hit_rate: coverage.hit_rate as f32,
        brier_score: coverage.brier_score as f32,
    }
}

fn all_models(deployment: &Deployment) -> Vec<proto::ModelInfo> {
    deployment
        .versions()
        .map(|(model, version, state)| info(deployment, model, version, state))
        .collect()
}

fn info(
    deployment: &Deployment,
    model: &str,
    version: u64,
    state: &VersionState,
) -> proto::ModelInfo {
    let role = convert::role(deployment.role(model, version)).into();
    let named = proto::ModelInfo {
        model: model.to_owned(),
        version,
        role,
        ..Default::default()
    };
    match state {
        VersionState::Available => proto::ModelInfo {
            state: proto::ModelState::Available.into(),
            ..named
        },
        VersionState::Failed(failure) => proto::ModelInfo {
            state: proto::ModelState::Failed.into(),
            failure: failure.clone(),
            ..named
        },
        VersionState::Ready(loaded) => {
            let manifest = &loaded.manifest;
            proto::ModelInfo {
                state: proto::ModelState::Ready.into(),
                classes: manifest.classes.clone(),
                feature_names: manifest.feature_names.clone(),
                feature_spec_hash: manifest.feature_spec_hash.clone(),
                timeframe: manifest.timeframe.clone(),
                horizon_bars: manifest.horizon_bars,
                target_coverage: manifest.band.target_coverage as f32,
                members: manifest.members.clone(),
                model_hash: manifest.onnx.sha256.clone(),
                scored_rows: loaded.metrics.rows(),
                tree_nodes: loaded.tree_nodes.iter().map(ToString::to_string).collect(),
                ..named
            }
        }
    }
}
