//! Nanoseconds per bar of single kernels over a history, on a normal series and on those that slow careless
//! arithmetic down.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::collections::BTreeMap;
use std::hint::black_box;

use candlewire_features::{Column, Indicator};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const BARS: usize = 20_000;
const KERNELS: [&str; 14] = [
    "rsi", "macd", "bbands", "atr", "adx", "ema", "stoch", "cci", "mfi", "sma", "stddev", "willr",
    "obv", "roc",
];

/// High, low, close and volume of a reproducible random walk.
fn walk() -> [Vec<f64>; 4] {
    let mut seed = 7_u64;
    let mut uniform = move || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut columns: [Vec<f64>; 4] = Default::default();
    let mut close = 100.0;
    for _ in 0..BARS {
        close *= 1.0 + 0.02 * (uniform() - 0.5);
        let [high, low] = [1.0 + 0.004 * uniform(), 1.0 - 0.004 * uniform()];
        let values = [close * high, close * low, close, 1e4 * (0.1 + uniform())];
        for (column, value) in columns.iter_mut().zip(values) {
            column.push(value);
        }
    }
    columns
}

/// The walk and what becomes of it.
fn series() -> [(&'static str, [Vec<f64>; 4]); 5] {
    let map = |change: fn(usize, f64) -> f64| {
        walk().map(|column| {
            let changed = column.into_iter().enumerate();
            changed.map(|(bar, value)| change(bar, value)).collect()
        })
    };
    [
        ("normal", walk()),
        ("flat", map(|_, _| 100.0)),
        (
            "flat_after_200",
            map(|bar, value| if bar < 200 { value } else { 100.0 }),
        ),
        ("denormal", map(|_, value| value * 1e-310)),
        (
            "outlier",
            map(|bar, value| if bar == 500 { 1e8 } else { value }),
        ),
    ]
}

fn batch(criterion: &mut Criterion) {
    let series = series();
    for kernel in KERNELS {
        let Ok(indicator) = Indicator::new(kernel, BTreeMap::new()) else {
            continue;
        };
        let mut group = criterion.benchmark_group(format!("batch/{kernel}"));
        group.throughput(Throughput::Elements(BARS as u64));
        for (name, [high, low, close, volume]) in &series {
            let columns = [
                (Column::Close, &close[..]),
                (Column::High, &high[..]),
                (Column::Low, &low[..]),
                (Column::Volume, &volume[..]),
            ];
            let mut out = vec![0.0; BARS];
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter(|| {
                    let done = indicator.compute(&columns, &mut [(0, &mut out)]);
                    black_box((done.is_ok(), &out));
                });
            });
        }
    }
}

criterion_group!(benches, batch);
criterion_main!(benches);
