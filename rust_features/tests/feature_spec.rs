//! Specs: canonical form, hash, and refusals that name the remedy.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may fail loudly")]

use candlewire_features::{FeatureSpec, SpecError, describe, kernels, preset_names, presets};

fn one(feature: &str) -> Result<FeatureSpec, SpecError> {
    FeatureSpec::from_json(&format!("{{\"features\": [{feature}]}}"))
}

#[test]
fn defaults_are_part_of_the_canonical_form() {
    let short = one(r#"{"name": "a", "kernel": "rsi"}"#).unwrap();
    let long = one(
        r#"{"output": "rsi", "parameters": {"timeperiod": 14, "source": "close"}, "kernel": "rsi", "name": "a"}"#,
    )
    .unwrap();
    let canonical = r#"{"features":[{"kernel":"rsi","name":"a","output":"rsi","parameters":{"source":"close","timeperiod":14}}]}"#;
    assert_eq!(short.canonical_json(), canonical);
    assert_eq!(long.canonical_json(), canonical);
    assert_eq!(short.hash(), long.hash());
    assert_eq!(
        short.hash().to_string(),
        // printf '%s' "$canonical" | sha256sum
        "ff40b205f42dcd35073af3f66644f5e8537cdc0ed984927056e12e1048372b89"
    );
}

#[test]
fn order_names_parameters_and_outputs_change_the_hash() {
    let base = r#"{"name": "a", "kernel": "bbands"}"#;
    let variants = [
        base.to_owned(),
        r#"{"name": "b", "kernel": "bbands"}"#.to_owned(),
        r#"{"name": "a", "kernel": "bbands", "output": "lower"}"#.to_owned(),
        r#"{"name": "a", "kernel": "bbands", "parameters": {"nbdevup": 2.5}}"#.to_owned(),
        format!(r#"{base}, {{"name": "b", "kernel": "rsi"}}"#),
        format!(r#"{{"name": "b", "kernel": "rsi"}}, {base}"#),
    ];
    let hashes: std::collections::BTreeSet<_> = variants
        .iter()
        .map(|text| *one(text).unwrap().hash())
        .collect();
    assert_eq!(hashes.len(), variants.len());
}

#[test]
fn whole_and_fractional_spellings_of_a_number_are_one_spec() {
    let spec = |number: &str| {
        one(&format!(
            r#"{{"name": "a", "kernel": "bbands", "parameters": {{"nbdevup": {number}}}}}"#
        ))
        .unwrap()
    };
    assert_eq!(spec("2"), spec("2.0"));
    assert_eq!(spec("0.0"), spec("-0.0"));
}

#[test]
fn refusals_name_the_nearest_known_word() {
    let message = |feature: &str| one(feature).unwrap_err().to_string();
    assert!(message(r#"{"name": "a", "kernel": "bband"}"#).contains("did you mean \"bbands\"?"));
    assert!(
        message(r#"{"name": "a", "kernel": "rsi", "parameters": {"time_period": 3}}"#)
            .contains("did you mean \"timeperiod\"?")
    );
    assert!(
        message(r#"{"name": "a", "kernel": "bbands", "output": "uper"}"#)
            .contains("did you mean \"upper\"?")
    );
    for (given, meant) in [
        ("RSI", "rsi"),
        ("MACDext", "macdext"),
        ("correlation", "reference"),
        ("VWAP", "session_vwap"),
    ] {
        let text = message(&format!(r#"{{"name": "a", "kernel": "{given}"}}"#));
        assert!(
            text.contains(&format!("did you mean \"{meant}\"?")),
            "{text}"
        );
    }
}

#[test]
fn nonsense_is_refused_with_a_reason() {
    let cases = [
        ("", "1 to 4096"),
        (r#"{"name": "", "kernel": "rsi"}"#, "feature name"),
        (r#"{"name": "a b", "kernel": "rsi"}"#, "feature name"),
        (
            r#"{"name": "a", "kernel": "rsi"}, {"name": "a", "kernel": "sma"}"#,
            "appears twice",
        ),
        (
            r#"{"name": "a", "kernel": "rsi", "parameters": {"timeperiod": 1}}"#,
            "from 2 to 100000",
        ),
        (
            r#"{"name": "a", "kernel": "rsi", "parameters": {"timeperiod": 2.5}}"#,
            "whole number",
        ),
        (
            r#"{"name": "a", "kernel": "rsi", "parameters": {"timeperiod": true}}"#,
            "not valid JSON",
        ),
        (
            r#"{"name": "a", "kernel": "rsi", "parameters": {"source": "typical"}}"#,
            "one of open, high",
        ),
        (
            r#"{"name": "a", "kernel": "ma", "parameters": {"matype": 14}}"#,
            "matype is 14: give a whole number from 0 to 13",
        ),
        (
            r#"{"name": "a", "kernel": "rsi", "timeperiod": 3}"#,
            "unknown field",
        ),
    ];
    for (features, expected) in cases {
        let message = one(features).unwrap_err().to_string();
        assert!(message.contains(expected), "{features}: {message}");
    }
    for text in [
        "",
        "[]",
        "{",
        "{\"features\": 3}",
        "{\"features\": [], \"x\": 1}",
    ] {
        assert!(
            matches!(FeatureSpec::from_json(text), Err(SpecError::Syntax(_))),
            "{text}"
        );
        let message = FeatureSpec::from_yaml(text).unwrap_err().to_string();
        assert!(message.contains("not valid YAML"), "{text}: {message}");
    }
    let many: Vec<String> = (0..200)
        .map(|i| {
            format!(
                r#"{{"name": "a{i}", "kernel": "mfi", "parameters": {{"timeperiod": {}}}}}"#,
                90_000 + i
            )
        })
        .collect();
    assert!(matches!(
        one(&many.join(",")),
        Err(SpecError::TooLarge { .. })
    ));
}

#[test]
fn presets_are_canonical_once_read_and_described() {
    assert!(preset_names().count() > 0);
    for name in preset_names() {
        let spec = FeatureSpec::preset(name).unwrap();
        assert!(spec.len() >= 20, "{name} has {} features", spec.len());
        assert_eq!(FeatureSpec::from_json(spec.canonical_json()).unwrap(), spec);
        let text = describe(&spec);
        assert!(spec.names().all(|feature| text.contains(feature)));
    }
    assert!(
        FeatureSpec::preset("cores")
            .unwrap_err()
            .to_string()
            .contains("known: core")
    );
}

#[test]
fn every_kernel_says_what_it_is() {
    for entry in kernels() {
        let description = entry.description;
        assert!(
            !description.summary.is_empty() && !description.source.is_empty(),
            "{}",
            description.name
        );
        assert!(!description.outputs.is_empty(), "{}", description.name);
        assert!(
            description
                .outputs
                .iter()
                .all(|output| !output.formula.is_empty()),
            "{}",
            description.name
        );
    }
}

/// A changed preset is another one: models name the hash they were trained with. Add a new version instead.
#[test]
fn presets_never_change_silently() {
    let expected = [
        "core@1 of 29: 8e8628ef85ef68060a4195be6982c6983983eb9893353d4f8a6d878d53b35ab6",
        "standard@1 of 47: c5964920f9529ea21cda13214b90ea3268640814dbdd6156aae9c77dc81e65aa",
        "full@1 of 64: f746db0b09708e3cd288cafd484f8c6c8133863f38f1eeac3afe7b2bf2e75cb2",
        "extended@1 of 108: 4f1f1e8d643d236ee978d2bb059731efd4bc8828290d77db1de50210d51fd75d",
    ];
    let given: Vec<String> = presets()
        .map(|preset| {
            let spec = FeatureSpec::preset(&preset.to_string()).unwrap();
            assert_eq!(spec.hash().to_string(), preset.hash, "{preset}");
            assert_eq!(spec.known_as(), Some(preset));
            assert!(
                spec.series_bytes() <= 20_000,
                "{preset} takes too much memory"
            );
            format!("{preset} of {}: {}", spec.len(), spec.hash())
        })
        .collect();
    assert_eq!(given, expected);
}

#[test]
fn a_preset_is_asked_for_by_name_or_by_version_and_known_by_its_hash() {
    for preset in presets() {
        let text = describe(&FeatureSpec::preset(&preset.to_string()).unwrap());
        let told = format!("preset {}, version {}: ", preset.name, preset.version);
        assert!(text.starts_with(&told) && text.contains(preset.hash));
    }
    let names: Vec<&str> = preset_names().collect();
    assert!(presets().all(|preset| names.contains(&preset.name)));
    assert_eq!(
        FeatureSpec::preset("core").unwrap(),
        FeatureSpec::preset("core@1").unwrap()
    );
    for wrong in ["core@2", "core@", "core@01", "@1", "core@1@1"] {
        let error = FeatureSpec::preset(wrong).unwrap_err().to_string();
        assert!(error.contains("known: core@1, standard@1"), "{error}");
    }
    let json = FeatureSpec::preset("core")
        .unwrap()
        .canonical_json()
        .to_owned();
    assert!(FeatureSpec::from_json(&json).unwrap().known_as().is_some());
    let other = json.replace("log_return_20", "renamed");
    let other = FeatureSpec::from_json(&other).unwrap();
    assert_eq!(other.known_as(), None);
    assert!(!describe(&other).contains("preset"));
}
