//! A spec in words: each feature's formula, parameters, warm-up and source.

use std::fmt::Write as _;

use crate::spec::FeatureSpec;

/// Formula, parameters, warm-up and source of every feature, as text for people.
pub fn describe(spec: &FeatureSpec) -> String {
    let mut text = format!(
        "{} features, valid from bar {} on, spec {}\n",
        spec.len(),
        spec.warmup_bars(),
        spec.hash()
    );
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
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n{}\n  {} ({}).{}\n  {formula}\n  parameters: {}\n  valid from bar {}\n  source: {}\n",
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
