//! Late, corrected and repeated bars end in the same series as bars in order.
#![allow(clippy::unwrap_used, reason = "tests may fail loudly")]

mod market;

use candlewire_features::{Bar, BarFate, FeatureSpec, OrderedSeries, Series};
use market::bars;
use proptest::prelude::*;

fn core() -> FeatureSpec {
    FeatureSpec::preset("core").unwrap()
}

fn in_order(bars: &[Bar]) -> Vec<u64> {
    let spec = core();
    let mut series = Series::new(&spec);
    let mut row = vec![0.0; spec.len()];
    for bar in bars {
        series.update(bar, &mut row).unwrap();
    }
    row.iter().map(|value| value.to_bits()).collect()
}

fn apply(series: &mut OrderedSeries, bar: &Bar) -> (BarFate, Vec<u64>) {
    let mut row = vec![-1.0; series.series().spec().len()];
    let fate = series.apply(bar, &mut row);
    (fate, row.iter().map(|value| value.to_bits()).collect())
}

#[test]
fn a_repeated_bar_is_ignored_and_a_corrected_one_recomputed() {
    let bars = bars(1, 100);
    for window in [0, 1, 5] {
        let mut series = OrderedSeries::new(&core(), window);
        for (i, bar) in bars.iter().enumerate() {
            let wrong = Bar {
                high: bar.high * 2.0,
                ..*bar
            };
            assert_eq!(
                apply(&mut series, &wrong).0,
                BarFate::Accepted { gap_bars: 0 }
            );
            assert_eq!(apply(&mut series, &wrong).0, BarFate::Duplicate);
            let (fate, row) = apply(&mut series, bar);
            assert_eq!(
                (fate, row),
                (BarFate::Replaced, in_order(&bars[..=i])),
                "bar {i}"
            );
        }
    }
}

#[test]
fn a_bar_as_late_as_the_window_is_applied_and_a_later_one_is_not() {
    let bars = bars(2, 60);
    for window in [1, 2, 7] {
        for (late_by, applied) in [(window, true), (window + 1, false)] {
            let mut series = OrderedSeries::new(&core(), window);
            let missing = bars.len() - 1 - late_by;
            for (i, bar) in bars.iter().enumerate() {
                if i != missing {
                    apply(&mut series, bar);
                }
            }
            let before = series.series().bars_seen();
            let (fate, row) = apply(&mut series, &bars[missing]);
            if applied {
                assert_eq!(
                    (fate, row),
                    (BarFate::LateApplied, in_order(&bars)),
                    "window {window}"
                );
            } else {
                assert_eq!(fate, BarFate::TooLate, "window {window}");
                assert_eq!(series.series().bars_seen(), before);
            }
        }
    }
}

#[test]
fn gaps_are_counted_when_the_interval_is_known() {
    let bar = bars(3, 1)[0];
    let mut series = OrderedSeries::new(&core(), 3).with_bar_interval_ns(60);
    let mut gaps = Vec::new();
    for minutes in [0, 60, 240, 250, 310] {
        gaps.push(
            apply(
                &mut series,
                &Bar {
                    open_time_ns: minutes,
                    ..bar
                },
            )
            .0,
        );
    }
    let expected = [0, 0, 2, 0, 0].map(|gap_bars| BarFate::Accepted { gap_bars });
    assert_eq!(gaps, expected);
}

#[test]
fn a_bad_bar_changes_nothing() {
    let bars = bars(4, 40);
    let mut series = OrderedSeries::new(&core(), 3);
    for bar in &bars {
        let bad = Bar {
            close: f64::NAN,
            ..*bar
        };
        assert!(matches!(apply(&mut series, &bad).0, BarFate::Invalid(_)));
        apply(&mut series, bar);
    }
    assert_eq!(series.series().bars_seen(), 40);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_order_within_the_window_ends_in_the_same_series(
        seed in any::<u64>(),
        window in 1..9_usize,
        jumps in prop::collection::vec(0..9_usize, 90),
    ) {
        // Each bar is held back by at most `window` places.
        let bars = bars(seed, 90);
        let mut arrival: Vec<(usize, usize)> =
            jumps.iter().enumerate().map(|(i, jump)| (i + jump % (window + 1), i)).collect();
        arrival.sort_unstable();
        let mut series = OrderedSeries::new(&core(), window);
        for (_, i) in &arrival {
            let fate = apply(&mut series, &bars[*i]).0;
            prop_assert!(matches!(fate, BarFate::Accepted { .. } | BarFate::LateApplied), "{:?}", fate);
        }
        let newest = bars[89];
        let touched = Bar { volume: newest.volume + 1.0, ..newest };
        apply(&mut series, &touched);
        let (fate, row) = apply(&mut series, &newest);
        prop_assert_eq!(fate, BarFate::Replaced);
        prop_assert_eq!(row, in_order(&bars));
    }
}
