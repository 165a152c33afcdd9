//! Prices near the lower end of the range: batches have the bits of the stream there too.
#![allow(clippy::unwrap_used, reason = "tests may fail loudly")]

mod every_kernel;
mod market;

use candlewire_features::{Bar, FeatureSpec, Panel, Series};
use every_kernel::{batch, bits, specs, stream};
use market::bars;

/// The bars with prices and volumes of another size; still sound.
fn sized(bars: &[Bar], price: impl Fn(usize, f64) -> f64, volume: f64) -> Vec<Bar> {
    let sized = bars.iter().enumerate().map(|(at, bar)| {
        let [open, high, low, close] =
            [bar.open, bar.high, bar.low, bar.close].map(|value| price(at, value).max(5e-324));
        Bar {
            open_time_ns: bar.open_time_ns,
            open,
            high: high.max(open).max(close),
            low: low.min(open).min(close),
            close,
            volume: bar.volume * volume,
        }
    });
    sized.collect()
}

fn series() -> Vec<(&'static str, Vec<Bar>)> {
    let walk = bars(11, 420);
    let all = |scale: f64, volume| sized(&walk, move |_, value| value * scale, volume);
    let grid = |units: f64| {
        let price = move |_, value: f64| (value / 100.0 * units).round() * 5e-324;
        sized(&walk, price, 1.0)
    };
    let some = |every: usize, scale: f64| {
        let price = move |at: usize, value: f64| {
            let far = if at % every == every - 1 { scale } else { 1.0 };
            value * 1e-310 * far
        };
        sized(&walk, price, 1e-310)
    };
    vec![
        ("subnormal", all(1e-310, 1e-310)),
        ("subnormal prices, usual volumes", all(1e-310, 1.0)),
        ("few digits", all(1e-319, 1e-320)),
        ("around the least normal number", all(2.3e-310, 1e-312)),
        ("around what is lifted", all(1.03e-291, 1e-293)),
        ("around what counts as zero", all(1e-302, 1e-305)),
        ("multiples up to five", grid(5.0)),
        ("multiples up to a thousand", grid(1e3)),
        ("multiples up to all digits", grid(4.2e15)),
        ("one normal bar", some(300, 1e307)),
        ("a normal bar now and then", some(37, 1e200)),
        ("every second one normal", some(2, 1e3)),
    ]
}

#[test]
fn batch_and_stream_agree_by_bits_on_subnormal_prices() {
    for (series, bars) in series() {
        for (name, spec) in specs() {
            let (batch, stream) = (batch(&spec, &bars), stream(&mut Series::new(&spec), &bars));
            assert!(bits(&batch) == bits(&stream), "{name} on {series}");
        }
    }
}

#[test]
fn a_panel_of_subnormal_series_agrees_by_bits() {
    let spec = FeatureSpec::preset("full").unwrap();
    let all = series();
    let history: Vec<&Vec<Bar>> = (0..64).map(|symbol| &all[symbol % all.len()].1).collect();
    let names: Vec<String> = (0..history.len())
        .map(|symbol| format!("S{symbol}"))
        .collect();
    let mut panel = Panel::new(&spec, names).unwrap();
    let expected: Vec<Vec<f64>> = all.iter().map(|(_, bars)| batch(&spec, bars)).collect();
    let indices: Vec<usize> = (0..history.len()).collect();
    let mut out = vec![0.0; history.len() * spec.len()];
    let mut statuses = vec![candlewire_features::BarStatus::OutOfOrder; history.len()];
    for bar in 0..history[0].len() {
        let now: Vec<Bar> = history.iter().map(|bars| bars[bar]).collect();
        panel
            .update(&indices, &now, &mut out, &mut statuses)
            .unwrap();
        for (symbol, row) in out.chunks_exact(spec.len()).enumerate() {
            let whole = &expected[symbol % all.len()][bar * spec.len()..][..spec.len()];
            assert!(
                bits(row) == bits(whole),
                "{} bar {bar}",
                all[symbol % all.len()].0
            );
        }
    }
}
