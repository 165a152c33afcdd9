//! A spec in words: each feature's formula, parameters, warm-up and source.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::arguments::ParameterKind;
use crate::gap_policy::GapPolicy;
use crate::kernels;
use crate::spec::FeatureSpec;

/// Formula, parameters, warm-up and source of every feature, as text for people.
pub fn describe(spec: &FeatureSpec) -> String {
    let name = spec.known_as().map_or_else(String::new, |preset| {
        format!("preset {}, version {}: ", preset.name, preset.version)
    });
    let mut text = format!(
        "{name}{} features, valid from bar {} on, spec {}\n",
        spec.len(),
        spec.warmup_bars(),
        spec.hash()
    );
    // Writing to a string cannot fail.
    if let Some(timeframe) = spec.timeframe() {
        let _ = writeln!(text, "of bars of {timeframe}; {}", gap(spec.gap()));
    }
    for feature in spec.features() {
        let kernel = feature.kernel();
        let parameters: Vec<String> = feature
            .parameters()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let formula = kernel
            .outputs
            .iter()
            .find(|output| output.name == feature.output())
            .map_or("", |output| output.formula);
        let longer = feature.timeframe().map_or_else(String::new, |timeframe| {
            format!("  over bars of {timeframe}, each visible from its close on\n")
        });
        let _ = write!(
            text,
            "\n{}\n  {} ({}).{}\n{longer}  {formula}\n  parameters: {}\n  valid from bar {}\n  source: {}\n",
            feature.name(),
            kernel.name,
            kernel.summary,
            feature.output(),
            if parameters.is_empty() {
                "none".to_owned()
            } else {
                parameters.join(", ")
            },
            feature.warmup_bars(),
            kernel.source,
        );
    }
    text
}

/// What happens when bars are missing, in words.
fn gap(policy: GapPolicy) -> String {
    match policy {
        GapPolicy::Skip => "missing bars are skipped".to_owned(),
        GapPolicy::Flag => "missing bars are told in the status".to_owned(),
        GapPolicy::ResetAfter(bars) => format!("starts anew after more than {bars} missing bars"),
    }
}

/// Every kernel over the bars of one symbol, as JSON: what documentation and generated functions are made from.
pub fn kernel_registry() -> String {
    let kernels: Vec<Value> = kernels::all()
        .map(|entry| {
            let kernel = entry.description;
            let parameters: Vec<Value> = kernel
                .parameters
                .iter()
                .map(|parameter| {
                    let mut described = match parameter.kind {
                        ParameterKind::Integer { default, least, most } => {
                            json!({"default": default, "least": least, "most": most, "type": "integer"})
                        }
                        ParameterKind::Number { default, least, most } => {
                            json!({"default": default, "least": least, "most": most, "type": "number"})
                        }
                        ParameterKind::Choice { default, options } => {
                            json!({"default": default, "options": options, "type": "choice"})
                        }
                        ParameterKind::Name { default } => {
                            json!({"default": default, "type": "name"})
                        }
                    };
                    described["name"] = parameter.name.into();
                    described["meaning"] = parameter.meaning.into();
                    described
                })
                .collect();
            let outputs: Vec<Value> = kernel
                .outputs
                .iter()
                .map(|output| json!({"name": output.name, "formula": output.formula}))
                .collect();
            json!({
                "name": kernel.name,
                "summary": kernel.summary,
                "parameters": parameters,
                "outputs": outputs,
                "source": kernel.source,
            })
        })
        .collect();
    Value::Array(kernels).to_string()
}
