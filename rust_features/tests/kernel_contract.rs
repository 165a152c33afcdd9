//! The contract that every kernel keeps, checked for each one of the registry with default and shortest parameters.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "tests may fail loudly"
)]

mod every_kernel;
mod market;

use std::collections::BTreeMap;

use candlewire_features::{
    Argument, Bar, FeatureRequest, FeatureSpec, Panel, ParameterKind, Series, kernels,
};
use every_kernel::{batch, bits, specs, stream};
use market::bars;
use proptest::prelude::*;

#[test]
fn batch_and_stream_agree_by_bits() {
    let bars = bars(1, 700);
    for (name, spec) in specs() {
        let (batch, stream) = (batch(&spec, &bars), stream(&mut Series::new(&spec), &bars));
        assert!(bits(&batch) == bits(&stream), "{name}");
    }
}

#[test]
fn the_declared_warm_up_is_exact() {
    let bars = bars(2, 400);
    for (name, spec) in specs() {
        let values = batch(&spec, &bars);
        for (column, feature) in spec.features().iter().enumerate() {
            let valid: Vec<bool> = values
                .iter()
                .skip(column)
                .step_by(spec.len())
                .map(|value| value.is_finite())
                .collect();
            let expected: Vec<bool> = (0..bars.len())
                .map(|bar| bar >= feature.warmup_bars())
                .collect();
            assert!(
                feature.warmup_bars() < bars.len(),
                "{name}.{}: too few bars to tell",
                feature.name()
            );
            assert_eq!(valid, expected, "{name}.{}", feature.name());
        }
    }
}

/// The first bar at which appending later bars changes a value of `features`, `width` values for each bar.
fn looks_ahead(bars: &[Bar], width: usize, features: impl Fn(&[Bar]) -> Vec<f64>) -> Option<usize> {
    let whole = bits(&features(bars));
    [1, 2, 40, 255, 256, 257].into_iter().find_map(|length| {
        let part = bits(&features(&bars[..length]));
        let differs = part
            .iter()
            .zip(&whole)
            .position(|(part, whole)| part != whole)?;
        Some(differs / width)
    })
}

#[test]
fn a_later_bar_changes_no_earlier_value() {
    let bars = bars(3, 300);
    for (name, spec) in specs() {
        let found = looks_ahead(&bars, spec.len(), |bars| batch(&spec, bars));
        assert_eq!(found, None, "{name}");
    }
}

#[test]
fn a_planted_look_ahead_is_found() {
    let bars = bars(3, 300);
    let next_close = |bars: &[Bar]| {
        let next = bars.iter().skip(1).chain(bars.last());
        next.map(|bar| bar.close).collect()
    };
    assert_eq!(looks_ahead(&bars, 1, next_close), Some(0));
    // A value scaled by the whole history's range is the usual way to look ahead without meaning to.
    let scaled = |bars: &[Bar]| {
        let highest = bars.iter().map(|bar| bar.high).fold(0.0, f64::max);
        bars.iter().map(|bar| bar.close / highest).collect()
    };
    assert!(looks_ahead(&bars, 1, scaled).is_some());
}

#[test]
fn peek_shows_the_update_and_changes_nothing() {
    let (bars, other) = (bars(4, 150), bars(5, 150));
    for (name, spec) in specs() {
        let mut series = Series::new(&spec);
        let mut panel = Panel::new(&spec, ["A"]).unwrap();
        let whole = batch(&spec, &bars);
        let (mut peeked, mut row, mut statuses) = (
            vec![0.0; spec.len()],
            vec![0.0; spec.len()],
            [candlewire_features::BarStatus::Applied],
        );
        for (i, bar) in bars.iter().enumerate() {
            let unrelated = Bar {
                open_time_ns: bar.open_time_ns,
                ..other[i]
            };
            series.peek(&unrelated, &mut row).unwrap();
            series.peek(bar, &mut peeked).unwrap();
            series.update(bar, &mut row).unwrap();
            assert!(bits(&peeked) == bits(&row), "{name} bar {i}: series");
            assert!(
                bits(&row) == bits(&whole[i * spec.len()..][..spec.len()]),
                "{name} bar {i}: series"
            );
            panel
                .peek(&[0], &[unrelated], &mut peeked, &mut statuses)
                .unwrap();
            panel
                .peek(&[0], &[*bar], &mut peeked, &mut statuses)
                .unwrap();
            panel
                .update(&[0], &[*bar], &mut row, &mut statuses)
                .unwrap();
            assert!(bits(&peeked) == bits(&row), "{name} bar {i}: panel");
            assert!(
                bits(&row) == bits(&whole[i * spec.len()..][..spec.len()]),
                "{name} bar {i}: panel"
            );
        }
    }
}

#[test]
fn reset_leaves_nothing_behind() {
    let (before, after) = (bars(6, 130), bars(7, 130));
    for (name, spec) in specs() {
        let mut used = Series::new(&spec);
        stream(&mut used, &before);
        used.reset();
        assert!(
            bits(&stream(&mut used, &after)) == bits(&stream(&mut Series::new(&spec), &after)),
            "{name}"
        );
    }
}

#[test]
fn a_bad_bar_is_nan_and_as_if_it_had_not_come() {
    let good = bars(8, 300);
    let mut mixed = Vec::new();
    let mut is_good = Vec::new();
    for (i, bar) in good.iter().enumerate() {
        let bad = Bar {
            open_time_ns: bar.open_time_ns - 1,
            ..*bar
        };
        match i % 11 {
            0 => mixed.push(Bar {
                close: f64::NAN,
                ..bad
            }),
            3 => mixed.push(Bar { low: -1.0, ..bad }),
            5 => mixed.push(Bar {
                high: bad.low / 2.0,
                ..bad
            }),
            7 => mixed.push(Bar {
                volume: f64::INFINITY,
                ..bad
            }),
            _ => {}
        }
        is_good.resize(mixed.len(), false);
        mixed.push(*bar);
        is_good.push(true);
    }
    for (name, spec) in specs() {
        let (clean, dirty) = (batch(&spec, &good), batch(&spec, &mixed));
        let mut series = Series::new(&spec);
        let mut row = vec![0.0; spec.len()];
        let mut clean_rows = clean.chunks_exact(spec.len());
        for ((bar, good), dirty) in mixed
            .iter()
            .zip(&is_good)
            .zip(dirty.chunks_exact(spec.len()))
        {
            assert_eq!(series.update(bar, &mut row).is_ok(), *good);
            let expected = if *good {
                clean_rows.next().unwrap()
            } else {
                &vec![f64::NAN; spec.len()]
            };
            assert!(bits(dirty) == bits(expected), "{name}: batch");
            assert!(bits(&row) == bits(expected), "{name}: stream");
        }
    }
}

#[test]
fn every_choice_of_column_is_obeyed() {
    let bars = bars(9, 120);
    for entry in kernels() {
        let Some(parameter) = entry
            .description
            .parameters
            .iter()
            .find(|p| p.name == "source")
        else {
            continue;
        };
        let ParameterKind::Choice { options, .. } = parameter.kind else {
            panic!("source is a choice")
        };
        let last_rows: Vec<Vec<u64>> = options
            .iter()
            .map(|option| {
                let request = FeatureRequest {
                    name: "x".to_owned(),
                    kernel: entry.description.name.to_owned(),
                    parameters: BTreeMap::from([(
                        "source".to_owned(),
                        Argument::Text((*option).to_owned()),
                    )]),
                    output: None,
                    timeframe: None,
                };
                bits(&batch(&FeatureSpec::new(vec![request]).unwrap(), &bars)[100..])
            })
            .collect();
        for (i, row) in last_rows.iter().enumerate() {
            assert!(
                !last_rows[..i].contains(row),
                "{} ignores source={}",
                entry.description.name,
                options[i]
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_panel_agrees_with_series_for_any_grouping(
        seed in any::<u64>(),
        symbols in 1..40_usize,
        added_later in 0..20_usize,
        calls in prop::collection::vec(1..90_usize, 1..30),
    ) {
        let spec = FeatureSpec::preset("core").unwrap();
        let names: Vec<String> = (0..symbols).map(|symbol| format!("S{symbol}")).collect();
        let mut panel = Panel::new(&spec, names).unwrap();
        let history: Vec<Vec<Bar>> = (0..symbols + added_later).map(|s| bars(seed ^ s as u64, 120)).collect();
        let mut series: Vec<Series> = history.iter().map(|_| Series::new(&spec)).collect();
        let mut next = vec![0; history.len()];
        let mut pick = seed;
        for (call, rows) in calls.into_iter().enumerate() {
            if call < added_later {
                panel.add_symbol(&format!("late{call}")).unwrap();
            }
            let known = panel.symbols().len();
            let (mut indices, mut now) = (Vec::new(), Vec::new());
            for _ in 0..rows {
                pick = pick.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let symbol = (pick >> 33) as usize % known;
                if let Some(bar) = history[symbol].get(next[symbol]) {
                    next[symbol] += 1;
                    indices.push(symbol);
                    now.push(*bar);
                }
            }
            let mut out = vec![0.0; now.len() * spec.len()];
            let mut statuses = vec![candlewire_features::BarStatus::OutOfOrder; now.len()];
            panel.update(&indices, &now, &mut out, &mut statuses).unwrap();
            for ((symbol, bar), row) in indices.iter().zip(&now).zip(out.chunks_exact(spec.len())) {
                let mut expected = vec![0.0; spec.len()];
                series[*symbol].update(bar, &mut expected).unwrap();
                prop_assert_eq!(bits(row), bits(&expected));
            }
            prop_assert!(statuses.iter().all(|status| *status == candlewire_features::BarStatus::Applied));
        }
    }
}
