//! Streaming panel: cost of one bar for every symbol, per symbol and feature.

use std::hint::black_box;

use candlewire_features::{Bar, BarStatus, FeatureSpec, Panel, preset_names};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// A reproducible random walk.
struct Walk {
    seed: u64,
    close: f64,
}

impl Walk {
    fn uniform(&mut self) -> f64 {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn bar(&mut self, minute: usize) -> Bar {
        let open = self.close;
        let close = open * (1.0 + 0.02 * (self.uniform() - 0.5));
        let high = open.max(close) * (1.0 + 0.004 * self.uniform());
        let low = open.min(close) * (1.0 - 0.004 * self.uniform());
        let volume = 1e4 * (0.1 + self.uniform());
        self.close = close;
        let open_time_ns = minute as i64 * 60_000_000_000;
        Bar {
            open_time_ns,
            open,
            high,
            low,
            close,
            volume,
        }
    }
}

fn panel(criterion: &mut Criterion) {
    for preset in preset_names() {
        let Ok(spec) = FeatureSpec::preset(preset) else {
            continue;
        };
        let mut group = criterion.benchmark_group(format!("panel/{preset}"));
        for symbols in [1, 512, 5_000] {
            let Ok(mut panel) = Panel::new(&spec, (0..symbols).map(|symbol| symbol.to_string()))
            else {
                continue;
            };
            let mut walks: Vec<Walk> = (0..symbols)
                .map(|symbol| Walk {
                    seed: symbol as u64,
                    close: 100.0,
                })
                .collect();
            let indices: Vec<usize> = (0..symbols).collect();
            let mut out = vec![0.0; symbols * spec.len()];
            let mut statuses = vec![BarStatus::Applied; symbols];
            let mut minute = 0;
            group.throughput(Throughput::Elements((symbols * spec.len()) as u64));
            group.bench_function(BenchmarkId::from_parameter(symbols), |bencher| {
                bencher.iter_batched(
                    || {
                        minute += 1;
                        walks.iter_mut().map(|walk| walk.bar(minute)).collect()
                    },
                    |bars: Vec<Bar>| {
                        let done = panel.update(&indices, &bars, &mut out, &mut statuses);
                        black_box((done.is_ok(), &out));
                        bars
                    },
                    criterion::BatchSize::NumIterations(1),
                );
            });
        }
    }
}

criterion_group!(benches, panel);
criterion_main!(benches);
