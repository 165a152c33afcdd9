//! Any text is a spec or a reason why not; a spec is the same read from its canonical form, and it runs.

use candlewire_features::{Bar, FeatureSpec, Series};

pub(crate) fn check(text: &str) {
    let json = FeatureSpec::from_json(text);
    let yaml = FeatureSpec::from_yaml(text);
    if let (Ok(json), Ok(yaml)) = (&json, &yaml) {
        assert_eq!(json, yaml);
    }
    let Ok(spec) = json.or(yaml) else { return };
    let again =
        FeatureSpec::from_json(spec.canonical_json()).expect("the canonical form is a spec");
    assert_eq!(again.hash(), spec.hash());
    if spec.series_bytes() > 1 << 20 {
        return;
    }
    let mut series = Series::new(&spec);
    let mut out = vec![0.0; spec.len()];
    for minute in 0..40 {
        let close = 100.0 + (minute % 7) as f64;
        let bar = Bar {
            open_time_ns: minute * 60_000_000_000,
            open: close,
            high: close + 1.0,
            low: close - 1.0,
            close,
            volume: 5.0,
        };
        series.update(&bar, &mut out).expect("the bar makes sense");
    }
}
