//! Bytes that the fuzzer kept, sealed with a sound header and checksum: refused, or restored to a series that runs.
//! Built without optimisation, as by plain `cargo test`, a count that overflows fails here.
#![allow(clippy::unwrap_used, reason = "tests may fail loudly")]

use std::path::Path;

use candlewire_features::{Bar, BarStatus, FeatureSpec, Panel};
use sha2::{Digest, Sha256};

/// The spec of `fuzz_targets/snapshot_restore.rs`.
const SPEC: &str = "
timeframe: 1m
gap: {reset_after: 100}
features:
  - {name: a, kernel: rsi, parameters: {timeperiod: 3}}
  - {name: b, kernel: stoch}
  - {name: c, kernel: mfi, parameters: {timeperiod: 4}}
  - {name: d, kernel: '5m:macd', parameters: {fastperiod: 2, slowperiod: 3, signalperiod: 2}}
  - {name: e, kernel: yang_zhang, parameters: {timeperiod: 3}}
  - {name: f, kernel: kama, parameters: {timeperiod: 3}}
";

#[test]
fn whatever_a_snapshot_counts_its_series_runs() {
    let spec = FeatureSpec::from_yaml(SPEC).unwrap();
    let header = Panel::new(&spec, ["A"]).unwrap().snapshot()[..80].to_vec();
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/snapshot_restore");
    let mut restored = 0;
    for seed in std::fs::read_dir(seeds).unwrap() {
        let bytes = std::fs::read(seed.unwrap().path()).unwrap();
        let content = bytes.get(1..).unwrap_or_default();
        let mut sealed = header.clone();
        sealed.extend_from_slice(&(content.len() as u64).to_le_bytes());
        sealed.extend_from_slice(content);
        let checksum = Sha256::digest(&sealed);
        sealed.extend_from_slice(&checksum);
        let Ok(mut panel) = Panel::restore(&spec, &sealed) else {
            continue;
        };
        if panel.symbols().is_empty() {
            continue;
        }
        restored += 1;
        let mut out = vec![0.0; spec.len()];
        for minute in 0..70 {
            let close = 100.0 + (minute % 5) as f64;
            let bar = Bar {
                open_time_ns: minute * 60_000_000_000,
                open: close,
                high: close + 1.0,
                low: close - 1.0,
                close,
                volume: 5.0,
            };
            let mut statuses = [BarStatus::Applied];
            panel.update(&[0], &[bar], &mut out, &mut statuses).unwrap();
        }
    }
    assert!(
        restored > 0,
        "no kept bytes are a panel's: is the header still right?"
    );
}
