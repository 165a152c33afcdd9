//! What the Open Inference Protocol says of models: metadata, configuration, statistics, the store's index.

use std::collections::HashMap;

use super::{
    oip::{
        self, DataType, InferBatchStatistics, ModelConfig, ModelParameter, ModelStatistics,
        StatisticDuration, model_metadata_response::TensorMetadata,
        repository_index_response::ModelIndex,
    },
    outputs::{Output, OutputType},
    tensors::INPUT,
};
use crate::{
    models::{
        loaded::LoadedModel,
        registry::{Deployment, VersionState},
    },
    scoring::batcher::Priority,
    telemetry::totals::{BatchSize, Totals},
};

/// What a request's `priority` means, the first being 1: how the protocol counts, most urgent first. Bars go before
/// both.
pub(super) const PRIORITIES: [Priority; 2] = [Priority::Normal, Priority::Low];

/// Runs ONNX graphs; the protocol's name for such models.
const PLATFORM: &str = "onnxruntime_onnx";

/// What `model` takes and gives.
#[must_use]
pub(super) fn metadata(deployment: &Deployment, model: &LoadedModel) -> oip::ModelMetadataResponse {
    let name = &model.manifest.model;
    let tensor = |name: &str, datatype: &str, row: Vec<i64>| TensorMetadata {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: [-1].into_iter().chain(row).collect(),
    };
    let outputs = Output::ALL.map(|output| {
        tensor(
            output.name(),
            output.element().name(),
            output.row_shape(model.layout),
        )
    });
    oip::ModelMetadataResponse {
        name: name.clone(),
        versions: deployment
            .versions()
            .filter(|(known, _, state)| *known == name && matches!(state, VersionState::Ready(_)))
            .map(|(_, version, _)| version.to_string())
            .collect(),
        platform: PLATFORM.to_owned(),
        inputs: vec![tensor(INPUT, "FP32", vec![model.spec.len() as i64])],
        outputs: outputs.into(),
    }
}

/// How `model` is served.
#[must_use]
pub(super) fn config(
    model: &LoadedModel,
    max_request_rows: usize,
    executors: usize,
) -> ModelConfig {
    let manifest = &model.manifest;
    let output = |output: Output| oip::ModelOutput {
        name: output.name().to_owned(),
        data_type: match output.element() {
            OutputType::Fp32 => DataType::TypeFp32,
            OutputType::Uint8 => DataType::TypeUint8,
            OutputType::Bool => DataType::TypeBool,
        }
        .into(),
        dims: output.row_shape(model.layout),
    };
    let parameters = [
        ("classes", manifest.classes.join(",")),
        ("feature_names", manifest.feature_names.join(",")),
        ("feature_spec_hash", manifest.feature_spec_hash.clone()),
        ("horizon_bars", manifest.horizon_bars.to_string()),
        ("timeframe", manifest.timeframe.clone()),
        ("version", manifest.version.to_string()),
    ];
    let batching = oip::ModelDynamicBatching {
        priority_levels: PRIORITIES.len() as u64,
        default_priority_level: 1,
        ..Default::default()
    };
    ModelConfig {
        name: manifest.model.clone(),
        platform: PLATFORM.to_owned(),
        backend: "candlewire".to_owned(),
        max_batch_size: i32::try_from(max_request_rows).unwrap_or(i32::MAX),
        input: vec![oip::ModelInput {
            name: INPUT.to_owned(),
            data_type: DataType::TypeFp32.into(),
            dims: vec![model.spec.len() as i64],
        }],
        output: Output::ALL.map(output).into(),
        instance_group: vec![oip::ModelInstanceGroup {
            name: manifest.model.clone(),
            count: i32::try_from(executors).unwrap_or(i32::MAX),
            kind: oip::model_instance_group::Kind::Cpu.into(),
        }],
        default_model_filename: "model.onnx".to_owned(),
        scheduling_choice: Some(oip::model_config::SchedulingChoice::DynamicBatching(
            batching,
        )),
        parameters: parameters
            .into_iter()
            .map(|(key, string_value)| (key.to_owned(), ModelParameter { string_value }))
            .collect::<HashMap<_, _>>(),
        model_transaction_policy: Some(oip::ModelTransactionPolicy { decoupled: false }),
    }
}

/// What `model` did since it was loaded.
#[must_use]
pub(super) fn statistics(model: &LoadedModel) -> ModelStatistics {
    let Totals {
        rows,
        runs,
        last_run_ms,
        requests,
        queue_ns,
        inference_ns,
        failed_requests,
        failed_ns,
    } = model.metrics.totals();
    let spent = |ns| {
        Some(StatisticDuration {
            count: requests,
            ns,
        })
    };
    ModelStatistics {
        name: model.manifest.model.clone(),
        version: model.manifest.version.to_string(),
        last_inference: last_run_ms,
        inference_count: rows,
        execution_count: runs,
        inference_stats: Some(oip::InferStatistics {
            success: spent(queue_ns + inference_ns),
            fail: Some(StatisticDuration {
                count: failed_requests,
                ns: failed_ns,
            }),
            queue: spent(queue_ns),
            compute_input: spent(0),
            compute_infer: spent(inference_ns),
            compute_output: spent(0),
            ..Default::default()
        }),
        batch_stats: model
            .metrics
            .batch_sizes()
            .into_iter()
            .map(batch_statistics)
            .collect(),
    }
}

fn batch_statistics(size: BatchSize) -> InferBatchStatistics {
    let spent = |ns| {
        Some(StatisticDuration {
            count: size.runs,
            ns,
        })
    };
    InferBatchStatistics {
        batch_size: size.rows,
        compute_input: spent(0),
        compute_infer: spent(size.inference_ns),
        compute_output: spent(0),
    }
}

/// The versions of the store; only those that serve when `ready`.
#[must_use]
pub(super) fn index(deployment: &Deployment, ready: bool) -> Vec<ModelIndex> {
    let entry = |(model, version, state): (&str, u64, &VersionState)| {
        let (state, reason) = match state {
            VersionState::Ready(_) => ("READY", String::new()),
            VersionState::Available => ("UNAVAILABLE", "not loaded".to_owned()),
            VersionState::Failed(failure) => ("UNAVAILABLE", failure.clone()),
        };
        ModelIndex {
            name: model.to_owned(),
            version: version.to_string(),
            state: state.to_owned(),
            reason,
        }
    };
    let versions = deployment.versions().map(entry);
    versions
        .filter(|entry| !ready || entry.state == "READY")
        .collect()
}
