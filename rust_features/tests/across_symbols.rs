//! Features that compare symbols, in panels that grow, forget and look ahead.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "tests may fail loudly"
)]

mod market;

use candlewire_features::{
    Bar, BarStatus, Columns, ComputeError, FeatureSpec, Panel, Series, compute, compute_panel,
};
use market::bars;

const SPEC: &str = r#"{"features": [
    {"name": "roc", "kernel": "roc", "parameters": {"timeperiod": 3}},
    {"name": "rank", "kernel": "cross_section", "parameters": {"of": "roc"}},
    {"name": "median", "kernel": "cross_section", "parameters": {"of": "roc"}, "output": "median"},
    {"name": "beta", "kernel": "reference", "parameters": {"reference": "S1", "timeperiod": 5}, "output": "beta"},
    {"name": "beta_rank", "kernel": "cross_section", "parameters": {"of": "beta"}}
]}"#;

fn bits(values: &[f64]) -> Vec<u64> {
    values
        .iter()
        .map(|value| {
            if value.is_nan() {
                u64::MAX
            } else {
                value.to_bits()
            }
        })
        .collect()
}

/// Bars of each symbol at the same times; symbol `s` lists at moment `3 * s`.
fn history(seed: u64, symbols: usize, moments: usize) -> Vec<Vec<Bar>> {
    (0..symbols)
        .map(|symbol| {
            let mut bars = bars(seed + symbol as u64, moments);
            for (moment, bar) in bars.iter_mut().enumerate() {
                bar.open_time_ns = moment as i64;
            }
            bars
        })
        .collect()
}

/// Feeds a panel that adds each symbol when it lists; one row per bar, moment by moment.
fn live(panel: &mut Panel, history: &[Vec<Bar>], moments: usize) -> Vec<f64> {
    let features = panel.spec().len();
    let mut all = Vec::new();
    for moment in 0..moments {
        let listed = history.len().min(moment / 3 + 1);
        while panel.symbols().len() < listed {
            let name = format!("S{}", panel.symbols().len());
            panel.add_symbol(&name).unwrap();
        }
        let lanes: Vec<usize> = (0..listed).collect();
        let now: Vec<Bar> = lanes.iter().map(|lane| history[*lane][moment]).collect();
        let mut rows = vec![0.0; listed * features];
        let mut peeked = rows.clone();
        let mut statuses = vec![BarStatus::OutOfOrder; listed];
        panel
            .peek(&lanes, &now, &mut peeked, &mut statuses)
            .unwrap();
        panel
            .update(&lanes, &now, &mut rows, &mut statuses)
            .unwrap();
        assert!(bits(&peeked) == bits(&rows), "moment {moment}");
        all.extend(rows);
    }
    all
}

#[test]
fn a_growing_panel_agrees_with_the_whole_history() {
    let spec = FeatureSpec::from_json(SPEC).unwrap();
    let (symbols, moments) = (40, 200);
    let history = history(11, symbols, moments);
    let mut panel = Panel::new(&spec, ["S0"]).unwrap();
    let online = live(&mut panel, &history, moments);

    let mut order = Vec::new();
    for moment in 0..moments {
        order.extend((0..symbols.min(moment / 3 + 1)).map(|symbol| (symbol, moment)));
    }
    // Symbol by symbol, as files hold them.
    let mut rows = order.clone();
    rows.sort_unstable();
    let column = |value: fn(&Bar) -> f64| -> Vec<f64> {
        rows.iter()
            .map(|(symbol, moment)| value(&history[*symbol][*moment]))
            .collect()
    };
    let time: Vec<i64> = rows.iter().map(|(_, moment)| *moment as i64).collect();
    let lanes: Vec<usize> = rows.iter().map(|(symbol, _)| *symbol).collect();
    let mut out = vec![0.0; rows.len() * spec.len()];
    compute_panel(
        &spec,
        (0..symbols).map(|symbol| format!("S{symbol}")),
        &lanes,
        &Columns {
            open_time_ns: &time,
            open: &column(|bar| bar.open),
            high: &column(|bar| bar.high),
            low: &column(|bar| bar.low),
            close: &column(|bar| bar.close),
            volume: &column(|bar| bar.volume),
        },
        &mut out,
    )
    .unwrap();
    let offline: Vec<f64> = order
        .iter()
        .flat_map(|bar| {
            let row = rows.binary_search(bar).unwrap();
            out[row * spec.len()..][..spec.len()].to_vec()
        })
        .collect();
    assert!(bits(&offline) == bits(&online));
    assert!(
        online.iter().all(|value| !value.is_infinite())
            && online[online.len() - spec.len()..]
                .iter()
                .all(|value| value.is_finite())
    );
}

#[test]
fn reset_leaves_nothing_behind() {
    let spec = FeatureSpec::from_json(SPEC).unwrap();
    let (before, after) = (history(21, 8, 60), history(31, 8, 60));
    let mut used = Panel::new(&spec, (0..8).map(|symbol| format!("S{symbol}"))).unwrap();
    let mut fresh = used.clone();
    live(&mut used, &before, 60);
    used.reset();
    assert!(bits(&live(&mut used, &after, 60)) == bits(&live(&mut fresh, &after, 60)));
}

#[test]
fn one_symbol_is_refused_by_compute_and_nan_in_a_series() {
    let spec = FeatureSpec::from_json(SPEC).unwrap();
    assert!(spec.needs_panel());
    let bars = bars(1, 30);
    let mut out = vec![0.0; 30 * spec.len()];
    assert_eq!(
        compute(&spec, &bars, &mut out),
        Err(ComputeError::NeedsPanel("rank".to_owned()))
    );
    assert!(out.iter().all(|value| *value == 0.0), "out was touched");
    let mut series = Series::new(&spec);
    let mut row = vec![0.0; spec.len()];
    for bar in &bars {
        series.update(bar, &mut row).unwrap();
    }
    assert!(row[0].is_finite() && row[1..].iter().all(|value| value.is_nan()));
}
