//! A panel that several threads work on gives the bits of one that a single thread works on.
#![allow(clippy::unwrap_used, reason = "tests may fail loudly")]

mod every_kernel;
mod market;

use candlewire_features::{Bar, BarStatus, FeatureSpec, Panel};
use every_kernel::bits;
use market::bars;

/// Series that the symbols take in turn.
const SERIES: usize = 7;

/// The bar of a symbol at a minute; some are refused, some prices are tiny.
fn bar(series: &[Vec<Bar>], symbol: usize, minute: usize) -> Bar {
    let mut bar = series[symbol % SERIES][minute];
    bar.open_time_ns = minute as i64 * 60_000_000_000;
    if symbol % 97 == 13 {
        for price in [&mut bar.open, &mut bar.high, &mut bar.low, &mut bar.close] {
            *price *= 1e-307;
        }
    }
    if (symbol + minute) % 101 == 7 {
        bar.close = f64::NAN;
    }
    bar
}

fn names(symbols: usize) -> impl Iterator<Item = String> {
    (0..symbols).map(|symbol| format!("S{symbol}"))
}

/// What a call gives: the bits of all features and every status.
type Given = (Vec<u64>, Vec<BarStatus>);

fn room(panel: &Panel, bars: usize) -> (Vec<f64>, Vec<BarStatus>) {
    let cells = bars * panel.spec().len();
    (vec![0.0; cells], vec![BarStatus::Applied; bars])
}

fn update(panel: &mut Panel, symbols: &[usize], bars: &[Bar]) -> Given {
    let (mut out, mut statuses) = room(panel, bars.len());
    panel
        .update(symbols, bars, &mut out, &mut statuses)
        .unwrap();
    (bits(&out), statuses)
}

fn peek(panel: &mut Panel, symbols: &[usize], bars: &[Bar]) -> Given {
    let (mut out, mut statuses) = room(panel, bars.len());
    panel.peek(symbols, bars, &mut out, &mut statuses).unwrap();
    (bits(&out), statuses)
}

/// Steps a panel of one thread and one of several, minute by minute, in the order that `order` makes of the symbols.
fn check(
    spec: &FeatureSpec,
    (symbols, threads, minutes): (usize, usize, usize),
    order: impl Fn(usize, &mut Vec<usize>),
) {
    let series: Vec<Vec<Bar>> = (0..SERIES as u64)
        .map(|seed| bars(seed, 2 * minutes))
        .collect();
    let mut expected = Panel::new(spec, names(symbols - 3)).unwrap();
    let mut panel = Panel::with_threads(spec, names(symbols - 3), threads).unwrap();
    assert_eq!((expected.threads(), panel.threads()), (1, threads));
    for name in names(symbols).skip(symbols - 3) {
        assert_eq!(expected.add_symbol(&name), panel.add_symbol(&name));
    }
    for minute in 0..minutes {
        let mut rows: Vec<usize> = (0..symbols).collect();
        order(minute, &mut rows);
        let mut times = vec![0; symbols];
        let bars: Vec<Bar> = rows
            .iter()
            .map(|symbol| {
                times[*symbol] += 1;
                bar(&series, *symbol, 2 * minute + times[*symbol] - 1)
            })
            .collect();
        if minute % 10 == 4 {
            let looked_at = peek(&mut panel, &rows, &bars);
            assert!(
                looked_at == peek(&mut expected, &rows, &bars),
                "peek at {minute}"
            );
        }
        let given = update(&mut panel, &rows, &bars);
        assert!(
            given == update(&mut expected, &rows, &bars),
            "minute {minute}"
        );
        if minute % 10 == 7 {
            let snapshot = panel.snapshot();
            assert!(snapshot == expected.snapshot(), "snapshot at {minute}");
            panel = Panel::restore_with_threads(spec, &snapshot, threads + minute % 3).unwrap();
        }
    }
    for symbol in (0..symbols).step_by(111) {
        assert_eq!(panel.bars_seen(symbol), expected.bars_seen(symbol));
    }
    panel.reset();
    expected.reset();
    assert!(panel.snapshot() == expected.snapshot(), "after a reset");
}

#[test]
fn threads_change_no_bit_of_a_large_call() {
    check(
        &FeatureSpec::preset("full").unwrap(),
        (2_700, 3, 60),
        |_, _| {},
    );
}

#[test]
fn threads_change_no_bit_of_any_order() {
    let spec = FeatureSpec::preset("core").unwrap();
    check(&spec, (1_300, 2, 30), |minute, rows| match minute % 5 {
        0 => rows.reverse(),
        1 => rows.retain(|symbol| symbol % 3 > 0),
        // In a row they would fall to the same thread; so they change it all the time, and each comes twice.
        2 => rows.sort_by_key(|symbol| (symbol % 500, symbol / 500)),
        3 => rows.extend(0..1_300),
        _ => rows.truncate(minute),
    });
}

#[test]
fn threads_change_no_bit_of_features_that_compare_symbols() {
    let spec = FeatureSpec::from_json(
        r#"{"features": [
            {"name": "r", "kernel": "log_return"},
            {"name": "rank", "kernel": "cross_section", "parameters": {"of": "r"}},
            {"name": "beta", "kernel": "reference", "parameters": {"reference": "S300", "timeperiod": 5}, "output": "beta"}
        ]}"#,
    )
    .unwrap();
    check(&spec, (1_100, 4, 30), |minute, rows| {
        if minute % 2 == 1 {
            rows.retain(|symbol| symbol % 4 > 0);
        }
    });
}

#[test]
fn as_many_threads_as_cores_are_at_least_one() {
    let spec = FeatureSpec::preset("core").unwrap();
    assert!(Panel::with_threads(&spec, ["A"], 0).unwrap().threads() > 0);
}
