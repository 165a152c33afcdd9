//! The market's regime at a bar, by the kernel and the parameters that training splits by.

use std::sync::LazyLock;

use candlewire_features::{FeatureSpec, Series};

use super::admission::RawBar;

/// In the order of the kernel's codes, as training names them.
const NAMES: [&str; 4] = ["sideways", "trending", "volatile", "consolidation"];
const SPEC: &str =
    r#"{"features": [{"name": "regime", "kernel": "market_regime", "output": "code"}]}"#;

/// Spec of the one feature that is the regime's code. It is the same text always: a test sees that it reads.
static FEATURE: LazyLock<Option<FeatureSpec>> = LazyLock::new(|| FeatureSpec::from_json(SPEC).ok());

/// Spec of the regime's code.
#[must_use]
pub fn spec() -> Option<&'static FeatureSpec> {
    FEATURE.as_ref()
}

/// Bars that tell the regime.
#[must_use]
pub fn bars_needed() -> usize {
    spec().map_or(0, |spec| spec.warmup_bars() + 1)
}

/// Name of the regime with this code; empty before the kernel is warm.
#[must_use]
pub fn name(code: f64) -> &'static str {
    let position = (0..NAMES.len()).find(|index| *index as f64 == code);
    position
        .and_then(|position| NAMES.get(position))
        .copied()
        .unwrap_or_default()
}

/// Regime at the last of `bars`, which are consecutive; empty when they are too few.
#[must_use]
pub fn of_window(bars: &[RawBar<'_>]) -> &'static str {
    let Some(spec) = spec() else { return "" };
    let (mut series, mut code) = (Series::new(spec), [f64::NAN]);
    for raw in bars {
        if series.update(&raw.bar, &mut code).is_err() {
            return "";
        }
    }
    name(code[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spec_reads_and_every_code_has_a_name() {
        assert_eq!(spec().unwrap().len(), 1);
        assert_eq!([0.0, 1.0, 2.0, 3.0].map(name), NAMES);
        assert_eq!([f64::NAN, -1.0, 0.5, 4.0].map(name), [""; 4]);
    }
}
