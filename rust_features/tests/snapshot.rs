//! Snapshots: what is restored continues with the bits of what never stopped, and nothing else is restored.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "tests may fail loudly"
)]

mod every_kernel;
mod market;

use candlewire_features::{
    Bar, BarFate, BarStatus, FeatureSpec, OrderedSeries, Panel, Series, SnapshotError,
};
use every_kernel::{bits, specs, stream};
use market::bars;
use proptest::prelude::*;

fn core() -> FeatureSpec {
    FeatureSpec::preset("core").unwrap()
}

fn series_after(spec: &FeatureSpec, bars: &[Bar]) -> Series {
    let mut series = Series::new(spec);
    stream(&mut series, bars);
    series
}

#[test]
fn every_kernel_continues_with_the_same_bits_from_any_bar() {
    let bars = bars(21, 160);
    for (name, spec) in specs() {
        let whole = stream(&mut Series::new(&spec), &bars);
        for stop in [0, 1, 2, 7, 31, 32, 33, 100] {
            let snapshot = series_after(&spec, &bars[..stop]).snapshot();
            let mut restored = Series::restore(&spec, &snapshot).unwrap();
            assert_eq!(restored.snapshot(), snapshot, "{name} after {stop} bars");
            let rest = stream(&mut restored, &bars[stop..]);
            assert!(
                bits(&rest) == bits(&whole[stop * spec.len()..]),
                "{name} after {stop} bars"
            );
        }
    }
}

#[test]
fn the_way_to_a_state_leaves_no_trace_in_its_bytes() {
    let (spec, before, bars) = (core(), bars(1, 77), bars(2, 90));
    let mut used = series_after(&spec, &before);
    used.reset();
    stream(&mut used, &bars);
    assert_eq!(used.snapshot(), series_after(&spec, &bars).snapshot());
}

#[test]
fn the_layout_is_pinned_byte_by_byte() {
    let spec = FeatureSpec::from_json(
        r#"{"features": [{"name": "r", "kernel": "roc", "parameters": {"timeperiod": 1}}]}"#,
    )
    .unwrap();
    let mut series = Series::new(&spec);
    let bar = |open_time_ns, price| Bar {
        open_time_ns,
        open: price,
        high: price,
        low: price,
        close: price,
        volume: 0.0,
    };
    for (time, price) in [(1, 1.0), (2, 2.0), (258, 4.0)] {
        series.update(&bar(time, price), &mut [0.0]).unwrap();
    }
    let bytes = series.snapshot();
    assert_eq!(&bytes[..16], b"CWFEATSN\x01\0\0\0\x01\0\0\0");
    assert_eq!(&bytes[16..48], spec.hash().as_bytes());
    let content = [
        [32, 0, 0, 0, 0, 0, 0, 0],
        [3, 0, 0, 0, 0, 0, 0, 0],
        [2, 1, 0, 0, 0, 0, 0, 0],
        2.0_f64.to_le_bytes(),
        4.0_f64.to_le_bytes(),
    ];
    assert_eq!(bytes[80..bytes.len() - 32], *content.as_flattened());
}

#[test]
fn cut_damaged_and_foreign_bytes_are_refused() {
    let spec = core();
    let snapshot = series_after(&spec, &bars(3, 60)).snapshot();
    for length in 0..snapshot.len() {
        let error = Series::restore(&spec, &snapshot[..length]).unwrap_err();
        assert!(
            matches!(
                error,
                SnapshotError::NotASnapshot | SnapshotError::Length { .. }
            ),
            "{length} bytes: {error}"
        );
    }
    for byte in 0..snapshot.len() {
        let mut damaged = snapshot.clone();
        damaged[byte] ^= 1 << (byte % 8);
        assert!(Series::restore(&spec, &damaged).is_err(), "byte {byte}");
    }
    let mut longer = snapshot.clone();
    longer.push(0);
    let refused = |bytes: &[u8]| Series::restore(&spec, bytes).unwrap_err().to_string();
    assert!(refused(&longer).contains("copy the whole file"));
    assert!(refused(b"PAR1 and so on").contains("not a snapshot"));
    let mut later = snapshot.clone();
    later[8] = 2;
    assert!(refused(&later).contains("layout 2, this version reads 1"));
    let mut flipped = snapshot.clone();
    flipped[100] ^= 16;
    assert!(refused(&flipped).contains("damaged"));

    let error = Panel::restore(&spec, &snapshot).unwrap_err();
    assert!(error.to_string().contains("holds a series, not a panel"));
    let other =
        FeatureSpec::from_json(r#"{"features": [{"name": "a", "kernel": "rsi"}]}"#).unwrap();
    let error = Series::restore(&other, &snapshot).unwrap_err();
    assert!(matches!(error, SnapshotError::Spec { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_panel_continues_with_the_same_bits(seed in any::<u64>(), symbols in 1..40_usize, stop in 0..60_usize) {
        let spec = core();
        let names: Vec<String> = (0..symbols).map(|symbol| format!("S{symbol}")).collect();
        let histories: Vec<Vec<Bar>> = (0..symbols).map(|s| bars(seed ^ s as u64, 100)).collect();
        let mut panel = Panel::new(&spec, names).unwrap();
        let indices: Vec<usize> = (0..symbols).collect();
        let mut statuses = vec![BarStatus::Applied; symbols];
        let mut step = |panel: &mut Panel, bar: usize| {
            let now: Vec<Bar> = histories.iter().map(|history| history[bar]).collect();
            let mut out = vec![0.0; symbols * spec.len()];
            panel.update(&indices, &now, &mut out, &mut statuses).unwrap();
            out
        };
        for bar in 0..stop {
            step(&mut panel, bar);
        }
        let snapshot = panel.snapshot();
        let mut restored = Panel::restore(&spec, &snapshot).unwrap();
        prop_assert_eq!(restored.symbols(), panel.symbols());
        prop_assert_eq!(&restored.snapshot(), &snapshot);
        for bar in stop..100 {
            prop_assert_eq!(bits(&step(&mut restored, bar)), bits(&step(&mut panel, bar)));
        }
        restored.add_symbol("another").unwrap();
    }

    #[test]
    fn late_bars_still_find_their_place(seed in any::<u64>(), late_window in 0..6_usize, stop in 3..60_usize) {
        let spec = core();
        let bars = bars(seed, 80);
        let mut series = OrderedSeries::new(&spec, late_window);
        let mut out = vec![0.0; spec.len()];
        for bar in &bars[..stop] {
            series.apply(bar, &mut out);
        }
        let mut restored = OrderedSeries::restore(&spec, &series.snapshot()).unwrap();
        prop_assert_eq!(restored.snapshot(), series.snapshot());
        let corrected = Bar { volume: 1.0, ..bars[stop - 1] };
        let late = Bar { open_time_ns: bars[stop - 1].open_time_ns - 1, ..bars[stop - 2] };
        for bar in [&corrected, &late].into_iter().chain(&bars[stop..]) {
            let (mut ours, mut theirs) = (out.clone(), out.clone());
            let fate = series.apply(bar, &mut ours);
            prop_assert!(!matches!(fate, BarFate::Invalid(_)));
            prop_assert_eq!(restored.apply(bar, &mut theirs), fate);
            prop_assert_eq!(bits(&ours), bits(&theirs));
        }
    }
}
