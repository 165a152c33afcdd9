//! Specs of every kernel of the registry, and the two ways to run them.
#![allow(dead_code, reason = "not every test file needs all of it")]

use std::collections::BTreeMap;

use candlewire_features::{
    Argument, Bar, Description, FeatureRequest, FeatureSpec, ParameterKind, Series, compute,
    kernels,
};

/// Every output of every kernel, with defaults and, where a parameter is a period, with short ones.
pub(crate) fn specs() -> Vec<(String, FeatureSpec)> {
    let mut specs = Vec::new();
    for entry in kernels() {
        let description = entry.description;
        for shortened in [0, 1, 2, 5] {
            let mut parameters = BTreeMap::new();
            for (place, parameter) in description.parameters.iter().enumerate() {
                if let (1.., ParameterKind::Integer { least, most, .. }) =
                    (shortened, parameter.kind)
                {
                    let value = (least + (shortened - 1) * (1 + place as i64)).min(most);
                    parameters.insert(parameter.name.to_owned(), Argument::Integer(value));
                }
            }
            if let Ok(spec) = FeatureSpec::new(features_of(description, &parameters)) {
                specs.push((format!("{} {parameters:?}", description.name), spec));
            } else {
                assert!(
                    shortened > 0,
                    "the defaults of {} are refused",
                    description.name
                );
            }
        }
        // The average that remembers most, in every place that takes a kind.
        let kinds: BTreeMap<String, Argument> = description
            .parameters
            .iter()
            .filter(|parameter| parameter.name.ends_with("matype"))
            .map(|parameter| (parameter.name.to_owned(), Argument::Integer(7)))
            .collect();
        if !kinds.is_empty() {
            let spec = FeatureSpec::new(features_of(description, &kinds)).unwrap();
            specs.push((format!("{} {kinds:?}", description.name), spec));
        }
    }
    specs
}

/// Every output of a kernel.
fn features_of(
    description: &Description,
    parameters: &BTreeMap<String, Argument>,
) -> Vec<FeatureRequest> {
    description
        .outputs
        .iter()
        .map(|output| FeatureRequest {
            name: output.name.to_owned(),
            kernel: description.name.to_owned(),
            parameters: parameters.clone(),
            output: Some(output.name.to_owned()),
            timeframe: None,
        })
        .collect()
}

pub(crate) fn bits(values: &[f64]) -> Vec<u64> {
    values
        .iter()
        .map(|value| {
            if value.is_nan() {
                u64::MAX
            } else {
                value.to_bits()
            }
        })
        .collect()
}

pub(crate) fn batch(spec: &FeatureSpec, bars: &[Bar]) -> Vec<f64> {
    let mut out = vec![0.0; bars.len() * spec.len()];
    compute(spec, bars, &mut out).unwrap();
    out
}

pub(crate) fn stream(series: &mut Series, bars: &[Bar]) -> Vec<f64> {
    let features = series.spec().len();
    let mut out = vec![0.0; bars.len() * features];
    for (bar, row) in bars.iter().zip(out.chunks_exact_mut(features)) {
        series.update(bar, row).unwrap();
    }
    out
}
