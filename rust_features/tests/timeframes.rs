//! Features on longer timeframes and the policies for gaps: the same in batch, stream and panel, and never early.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "tests may fail loudly"
)]

mod every_kernel;
mod market;

use candlewire_features::{
    Bar, BarStatus, FeatureSpec, GapPolicy, Panel, Resampler, Series, Timeframe, describe,
};
use every_kernel::{batch, bits, stream};
use market::bars;
use proptest::prelude::*;

const MINUTE_NS: i64 = 60_000_000_000;

/// Bars of five minutes, `keep[i]` saying whether bar `i` of the plain sequence is there.
fn five_minute_bars(seed: u64, first: i64, keep: &[bool]) -> Vec<Bar> {
    let all = bars(seed, keep.len());
    (first..)
        .zip(&all)
        .zip(keep)
        .filter(|(_, keep)| **keep)
        .map(|((place, bar), _)| Bar {
            open_time_ns: place * 5 * MINUTE_NS,
            ..*bar
        })
        .collect()
}

fn mixed() -> FeatureSpec {
    FeatureSpec::from_yaml(
        "
        timeframe: 5m
        features:
          - {name: rsi, kernel: rsi, parameters: {timeperiod: 5}}
          - {name: '1h:rsi', kernel: '1h:rsi', parameters: {timeperiod: 3}}
          - {name: '15m:sma', kernel: sma, parameters: {timeperiod: 4}, timeframe: 15m}
          - {name: '1h:macd', kernel: macd, parameters: {fastperiod: 2, slowperiod: 4, signalperiod: 2}, timeframe: 1h}
          - {name: roc, kernel: roc}
        ",
    )
    .unwrap()
}

fn one(timeframe: &str) -> FeatureSpec {
    FeatureSpec::from_json(&format!(
        r#"{{"timeframe": "5m", "features": [{{"name": "c", "kernel": "{timeframe}:sma", "parameters": {{"timeperiod": 1}}}}]}}"#
    ))
    .unwrap()
}

#[test]
fn a_longer_bar_is_visible_from_its_close_on() {
    let keep = [true; 40];
    let bars = five_minute_bars(1, 0, &keep);
    let values = batch(&one("1h"), &bars);
    for (bar, value) in values.iter().enumerate() {
        // The bar that opens at minute 55 closes the hour; its close is the hour's.
        let closed_hours = (bar + 1) / 12;
        match closed_hours.checked_sub(1) {
            None => assert!(value.is_nan(), "bar {bar}"),
            Some(hour) => assert_eq!(*value, bars[hour * 12 + 11].close, "bar {bar}"),
        }
    }
}

#[test]
fn a_long_feature_is_that_of_bars_resampled_elsewhere() {
    let bars = five_minute_bars(2, 7, &[true; 600]);
    let of = |name| Timeframe::parse(name).unwrap();
    let mut resampler = Resampler::new(of("5m"), of("1h")).unwrap();
    let hours: Vec<Bar> = bars
        .iter()
        .flat_map(|bar| resampler.push(bar))
        .flatten()
        .collect();
    for (place, hour) in hours.iter().enumerate() {
        let parts: Vec<&Bar> = bars
            .iter()
            .filter(|bar| (0..60 * MINUTE_NS).contains(&(bar.open_time_ns - hour.open_time_ns)))
            .collect();
        assert_eq!(parts.len(), 12, "hour {place} is whole");
        let highest = parts.iter().map(|bar| bar.high).fold(0.0, f64::max);
        let lowest = parts.iter().map(|bar| bar.low).fold(f64::MAX, f64::min);
        let (open, close) = (parts[0].open, parts[11].close);
        assert_eq!((hour.open, hour.close), (open, close));
        assert_eq!((hour.high, hour.low), (highest, lowest));
    }
    let plain = FeatureSpec::from_json(
        r#"{"features": [{"name": "rsi", "kernel": "rsi", "parameters": {"timeperiod": 3}}]}"#,
    )
    .unwrap();
    let expected = batch(&plain, &hours);
    let values = batch(&mixed(), &bars);
    let last = values[values.len() - mixed().len() + 1];
    assert_eq!(last.to_bits(), expected.last().unwrap().to_bits());
}

#[test]
fn the_declared_warm_up_is_that_of_the_latest_start() {
    let spec = mixed();
    let feature = &spec.features()[1];
    let firsts: Vec<usize> = (0..12)
        .map(|start| {
            let values = batch(&spec, &five_minute_bars(3, start, &[true; 200]));
            values
                .iter()
                .skip(1)
                .step_by(spec.len())
                .position(|value| value.is_finite())
                .unwrap()
        })
        .collect();
    assert_eq!(firsts.iter().max(), Some(&feature.warmup_bars()));
    assert!(spec.warmup_bars() >= feature.warmup_bars());
}

#[test]
fn a_description_tells_timeframes_and_gaps() {
    let text = describe(&mixed());
    assert!(
        text.contains("of bars of 5m; missing bars are skipped"),
        "{text}"
    );
    let longer = "15m:sma\n  sma (simple moving average).sma\n  over bars of 15m, each visible from its close on\n";
    assert!(text.contains(longer), "{text}");
    assert_eq!(text.matches("over bars of").count(), 3, "{text}");
    let json = mixed()
        .canonical_json()
        .replacen('{', r#"{"gap":{"reset_after":4},"#, 1);
    let text = describe(&FeatureSpec::from_json(&json).unwrap());
    assert!(
        text.contains("starts anew after more than 4 missing bars"),
        "{text}"
    );
}

#[test]
fn what_does_not_fit_is_refused_with_the_remedy() {
    let refused = |text: &str| FeatureSpec::from_json(text).unwrap_err().to_string();
    let feature = |timeframe| {
        format!(r#""features": [{{"name": "a", "kernel": "rsi", "timeframe": "{timeframe}"}}]"#)
    };
    let text = format!("{{{}}}", feature("1h"));
    assert!(refused(&text).contains("say the timeframe of the bars"));
    for (base, longer) in [("1h", "1h"), ("1h", "5m"), ("4h", "6h")] {
        let text = format!(r#"{{"timeframe": "{base}", {}}}"#, feature(longer));
        assert!(refused(&text).contains("cannot be made"), "{base} {longer}");
    }
    let text = format!(r#"{{"timeframe": "7m", {}}}"#, feature("1h"));
    assert!(refused(&text).contains("\"7m\" is unknown"));
    for (base, feature) in [
        (
            r#""timeframe": "5m", "#,
            r#""name": "1h:rsi_14", "kernel": "rsi""#,
        ),
        ("", r#""name": "1h:rsi_14", "kernel": "rsi""#),
        (
            r#""timeframe": "5m", "#,
            r#""name": "1h:rsi_14", "kernel": "4h:rsi""#,
        ),
    ] {
        let message = refused(&format!("{{{base}\"features\": [{{{feature}}}]}}"));
        assert!(message.contains("named after bars of 1h"), "{message}");
        assert!(
            message.contains("write its kernel as \"1h:rsi\""),
            "{message}"
        );
    }
    for name in ["1h:rsi_14", "a:rsi", "5m:b", "rsi"] {
        let kernel = if name.starts_with("1h") {
            "1h:rsi"
        } else {
            "rsi"
        };
        let text = format!(
            r#"{{"timeframe": "5m", "features": [{{"name": "{name}", "kernel": "{kernel}"}}]}}"#
        );
        assert!(FeatureSpec::from_json(&text).is_ok(), "{name}");
    }
    let text = r#"{"gap": "flag", "features": [{"name": "a", "kernel": "rsi"}]}"#;
    assert!(refused(text).contains("say the timeframe"));
}

#[test]
fn options_are_part_of_the_canonical_form_only_when_set() {
    let plain =
        FeatureSpec::from_json(r#"{"features": [{"name": "a", "kernel": "rsi"}]}"#).unwrap();
    assert!(!plain.canonical_json().contains("timeframe"));
    let mut hashes = vec![*plain.hash()];
    for options in [
        r#""timeframe": "5m""#,
        r#""timeframe": "5m", "gap": "flag""#,
        r#""timeframe": "5m", "gap": {"reset_after": 3}"#,
    ] {
        let text = format!(r#"{{"features": [{{"name": "a", "kernel": "rsi"}}], {options}}}"#);
        let spec = FeatureSpec::from_json(&text).unwrap();
        assert!(!hashes.contains(spec.hash()));
        hashes.push(*spec.hash());
        assert_eq!(FeatureSpec::from_json(spec.canonical_json()).unwrap(), spec);
    }
    let spec = mixed();
    assert_eq!(FeatureSpec::from_json(spec.canonical_json()).unwrap(), spec);
}

#[test]
fn gaps_are_flagged_or_start_the_series_anew() {
    let mut keep = [true; 80];
    keep[30] = false;
    keep[50..54].fill(false);
    let bars = five_minute_bars(4, 0, &keep);
    let spec = |gap: &str| {
        FeatureSpec::from_json(&format!(
            r#"{{"timeframe": "5m", "gap": {gap}, "features": [{{"name": "a", "kernel": "rsi", "parameters": {{"timeperiod": 3}}}}]}}"#
        ))
        .unwrap()
    };
    let statuses = |spec: &FeatureSpec| {
        let mut panel = Panel::new(spec, ["A"]).unwrap();
        let mut row = [0.0];
        let mut status = [BarStatus::Applied];
        let mut special = Vec::new();
        for (place, bar) in bars.iter().enumerate() {
            panel.update(&[0], &[*bar], &mut row, &mut status).unwrap();
            if status[0] != BarStatus::Applied {
                special.push((place, status[0]));
            }
        }
        special
    };
    let (after_gap, reset) = (BarStatus::AppliedAfterGap, BarStatus::ResetAfterGap);
    assert_eq!(statuses(&spec("\"skip\"")), []);
    assert_eq!(
        statuses(&spec("\"flag\"")),
        [(30, after_gap), (49, after_gap)]
    );
    let resetting = spec(r#"{"reset_after": 3}"#);
    assert_eq!(resetting.gap(), GapPolicy::ResetAfter(3));
    assert_eq!(statuses(&resetting), [(49, reset)]);
    let values = batch(&resetting, &bars);
    assert!(values[49..52].iter().all(|value| value.is_nan()));
    assert_eq!(bits(&values[49..]), bits(&batch(&resetting, &bars[49..])));
    assert_eq!(
        bits(&values[..49]),
        bits(&batch(&spec("\"skip\""), &bars[..49]))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn batch_stream_restored_and_panel_agree_by_bits(
        seed in any::<u64>(),
        first in 0..300_i64,
        keep in prop::collection::vec(prop::bool::weighted(0.9), 1..400),
        stop in 0..400_usize,
        reset in any::<bool>(),
    ) {
        let mut spec = mixed();
        if reset {
            let text = spec.canonical_json().replacen('{', r#"{"gap":{"reset_after":1},"#, 1);
            spec = FeatureSpec::from_json(&text).unwrap();
        }
        let bars = five_minute_bars(seed, first, &keep);
        let whole = batch(&spec, &bars);
        let stop = stop.min(bars.len());
        let mut series = Series::new(&spec);
        let mut rows = stream(&mut series, &bars[..stop]);
        let mut restored = Series::restore(&spec, &series.snapshot()).unwrap();
        prop_assert_eq!(restored.snapshot(), series.snapshot());
        rows.extend(stream(&mut restored, &bars[stop..]));
        prop_assert_eq!(bits(&rows), bits(&whole));
        prop_assert_eq!(bits(&batch(&spec, &bars[..stop])), bits(&whole[..stop * spec.len()]));

        // Two symbols, one of them a bar behind; all of the other's bars in one call at the end.
        let mut panel = Panel::new(&spec, ["A", "B"]).unwrap();
        let mut statuses = [BarStatus::Applied; 2];
        let (mut peeked, mut out) = (vec![0.0; 2 * spec.len()], vec![0.0; 2 * spec.len()]);
        for now in 1..bars.len() {
            let both = [bars[now], bars[now - 1]];
            panel.peek(&[0, 1], &both, &mut peeked, &mut statuses).unwrap();
            panel.update(&[0, 1], &both, &mut out, &mut statuses).unwrap();
            prop_assert_eq!(bits(&peeked), bits(&out));
            prop_assert_eq!(bits(&out[spec.len()..]), bits(&whole[(now - 1) * spec.len()..][..spec.len()]));
        }
        panel.reset();
        let mut rows = vec![0.0; whole.len()];
        let mut statuses = vec![BarStatus::Applied; bars.len()];
        panel.update(&vec![0; bars.len()], &bars, &mut rows, &mut statuses).unwrap();
        prop_assert_eq!(bits(&rows), bits(&whole));
    }
}
