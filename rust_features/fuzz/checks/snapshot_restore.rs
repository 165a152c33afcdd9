//! Any bytes are a snapshot or a reason why not, checksum included; what is restored runs and is written the same.

use std::sync::LazyLock;

use candlewire_features::{Bar, BarStatus, FeatureSpec, OrderedSeries, Panel, Series};
use sha2::{Digest, Sha256};

static SPEC: LazyLock<FeatureSpec> = LazyLock::new(|| {
    FeatureSpec::from_yaml(
        "
        timeframe: 1m
        gap: {reset_after: 100}
        features:
          - {name: a, kernel: rsi, parameters: {timeperiod: 3}}
          - {name: b, kernel: stoch}
          - {name: c, kernel: mfi, parameters: {timeperiod: 4}}
          - {name: d, kernel: '5m:macd', parameters: {fastperiod: 2, slowperiod: 3, signalperiod: 2}}
          - {name: e, kernel: yang_zhang, parameters: {timeperiod: 3}}
          - {name: f, kernel: kama, parameters: {timeperiod: 3}}
        ",
    )
    .expect("the spec is sound")
});

/// Header that `Series`, `Panel` and `OrderedSeries` write, before the length.
fn header(kind: u8) -> Vec<u8> {
    let mut bytes = match kind {
        0 => Series::new(&SPEC).snapshot(),
        1 => Panel::new(&SPEC, ["A"]).expect("one symbol").snapshot(),
        _ => OrderedSeries::new(&SPEC, 3).snapshot(),
    };
    bytes.truncate(80);
    bytes
}

fn bar(minute: i64) -> Bar {
    let close = 100.0 + (minute % 5) as f64;
    Bar {
        open_time_ns: minute * 60_000_000_000,
        open: close,
        high: close + 1.0,
        low: close - 1.0,
        close,
        volume: 5.0,
    }
}

/// Whether the bytes were restored to something that runs.
pub(crate) fn check(bytes: &[u8]) -> bool {
    let _ = Series::restore(&SPEC, bytes);
    let Some((kind, content)) = bytes.split_first() else {
        return false;
    };
    let kind = kind % 3;
    // The same content with a header and a checksum that fit, so that its reading is reached.
    let mut sealed = header(kind);
    sealed.extend_from_slice(&(content.len() as u64).to_le_bytes());
    sealed.extend_from_slice(content);
    let checksum = Sha256::digest(&sealed);
    sealed.extend_from_slice(&checksum);
    let mut out = vec![0.0; SPEC.len()];
    match kind {
        0 => {
            let Ok(mut series) = Series::restore(&SPEC, &sealed) else {
                return false;
            };
            for minute in 0..70 {
                let _ = series.update(&bar(minute), &mut out);
            }
        }
        1 => {
            let Ok(mut panel) = Panel::restore(&SPEC, &sealed) else {
                return false;
            };
            if panel.symbols().is_empty() {
                return false;
            }
            for minute in 0..70 {
                let mut statuses = [BarStatus::Applied];
                let done = panel.update(&[0], &[bar(minute)], &mut out, &mut statuses);
                done.expect("the arguments fit");
            }
        }
        _ => {
            let Ok(mut series) = OrderedSeries::restore(&SPEC, &sealed) else {
                return false;
            };
            for minute in (0..70).rev() {
                series.apply(&bar(minute), &mut out);
            }
        }
    }
    true
}
