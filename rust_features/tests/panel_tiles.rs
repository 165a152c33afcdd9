//! A panel of many symbols, which are stepped side by side, gives each the bits that it has alone.
#![allow(clippy::unwrap_used, reason = "tests may fail loudly")]

mod every_kernel;
mod market;

use candlewire_features::{Bar, BarStatus, FeatureSpec, Panel, Series};
use every_kernel::{bits, specs, stream};
use market::bars;

const BARS: usize = 110;

/// Two whole tiles and a part of one; among the symbols flat ones, and prices so small or large that squares of their
/// changes vanish or overflow.
fn symbols() -> Vec<Vec<Bar>> {
    (0..140)
        .map(|symbol| {
            let scale = [1.0, 1.0, 1e-200, 1.0, 1e200, 1e-307][symbol % 6];
            let mut bars = bars(symbol as u64, BARS);
            for (minute, bar) in bars.iter_mut().enumerate() {
                bar.open_time_ns = minute as i64 * 60_000_000_000;
                for price in [&mut bar.open, &mut bar.high, &mut bar.low, &mut bar.close] {
                    *price = if symbol % 7 == 3 { 5.0 } else { *price * scale };
                }
            }
            bars
        })
        .collect()
}

fn alone(spec: &FeatureSpec, symbols: &[Vec<Bar>]) -> Vec<Vec<f64>> {
    symbols
        .iter()
        .map(|bars| stream(&mut Series::new(spec), bars))
        .collect()
}

/// Gives the panel the symbols' bars of each minute, in the order that `order` makes of them.
fn check(name: &str, spec: &FeatureSpec, order: impl Fn(usize, &mut Vec<usize>)) {
    check_panel_of(symbols().len(), name, spec, order);
}

/// The same of a panel of so many symbols, which have the bars of the usual ones again and again.
fn check_panel_of(
    count: usize,
    name: &str,
    spec: &FeatureSpec,
    order: impl Fn(usize, &mut Vec<usize>),
) {
    let symbols = symbols();
    let of = |lane: usize| lane % symbols.len();
    let expected = alone(spec, &symbols);
    let mut panel = Panel::new(spec, (0..count).map(|symbol| symbol.to_string())).unwrap();
    let mut seen = vec![0; count];
    for call in 0..BARS {
        let mut lanes: Vec<usize> = (0..count).collect();
        order(call, &mut lanes);
        let bars: Vec<Bar> = lanes
            .iter()
            .map(|lane| {
                seen[*lane] += 1;
                symbols[of(*lane)][seen[*lane] - 1]
            })
            .collect();
        let mut statuses = vec![BarStatus::Applied; lanes.len()];
        let mut out = vec![0.0; lanes.len() * spec.len()];
        panel
            .update(&lanes, &bars, &mut out, &mut statuses)
            .unwrap();
        let mut counts: Vec<usize> = seen.clone();
        for (row, lane) in lanes.iter().enumerate().rev() {
            counts[*lane] -= 1;
            assert_eq!(statuses[row], BarStatus::Applied);
            let own = &expected[of(*lane)][counts[*lane] * spec.len()..][..spec.len()];
            assert!(
                bits(&out[row * spec.len()..][..spec.len()]) == bits(own),
                "{name}: symbol {lane}, bar {}",
                counts[*lane]
            );
        }
    }
}

#[test]
fn every_kernel_has_the_bits_of_one_series_in_a_full_tile() {
    for (name, spec) in specs() {
        check(&name, &spec, |_, _| {});
    }
}

#[test]
fn tiles_of_any_symbols_in_any_order_have_the_bits_of_each() {
    let spec = FeatureSpec::preset("full").unwrap();
    check("backwards", &spec, |_, lanes| lanes.reverse());
    check("some of them", &spec, |call, lanes| {
        lanes.retain(|lane| (lane + call) % 5 > 0);
    });
    // Symbols repeat inside what would be one tile, later and earlier than their neighbours.
    check("repeated", &spec, |call, lanes| {
        lanes.truncate(100);
        if call % 2 == 0 {
            lanes.clear();
        } else {
            lanes.extend([90, 5, 3, 99, 98].map(|last| last % 100));
            lanes.remove(90);
            lanes.remove(5);
            lanes.remove(3);
        }
    });
}

/// Whole tiles go on from rows of their own; whatever comes between must find, and leave, every series up to date.
#[test]
fn whole_tiles_go_on_after_anything_else() {
    for preset in ["core", "full", "extended"] {
        let spec = FeatureSpec::preset(preset).unwrap();
        check("now and then backwards", &spec, |call, lanes| {
            if call % 9 == 8 {
                lanes.reverse();
            }
        });
        check("now and then some of them", &spec, |call, lanes| {
            if call % 11 == 10 {
                lanes.retain(|lane| (lane + call) % 7 > 0);
            }
        });
    }
}

/// A symbol without a bar leaves its own tile incomplete, now and then or for good.
#[test]
fn whole_tiles_go_on_when_symbols_have_no_bar() {
    let spec = FeatureSpec::preset("full").unwrap();
    check("one has none", &spec, |call, lanes| {
        if call > 85 {
            lanes.remove(3 + call % 2);
        }
    });
}

/// The longest range comes from two of the base's where it is at most twice as long and no shorter.
#[test]
fn ichimoku_of_any_periods_has_the_bits_of_one_series() {
    for periods in [
        [9, 26, 52],
        [1, 20, 27],
        [5, 5, 10],
        [9, 20, 41],
        [12, 9, 15],
        [9, 26, 26],
    ] {
        let [conversion, base, span_b] = periods;
        let json = format!(
            r#"{{"features": [{{"name": "thickness", "kernel": "ichimoku", "output": "cloud_thickness", "parameters":
            {{"conversion": {conversion}, "base": {base}, "span_b": {span_b}, "displacement": 7}}}}]}}"#
        );
        check_now_and_then_apart(&json);
    }
}

/// Its indices lie as rows where their average remembers nothing but values.
#[test]
fn stochrsi_of_any_average_has_the_bits_of_one_series() {
    for (indices, values, kind) in [(5, 3, 0), (1, 4, 0), (7, 1, 0), (6, 3, 1), (5, 4, 6)] {
        check_now_and_then_apart(&format!(
            r#"{{"features": [{{"name": "fastd", "kernel": "stochrsi", "output": "fastd", "parameters":
            {{"timeperiod": 9, "fastk_period": {indices}, "fastd_period": {values}, "fastd_matype": {kind}}}}}]}}"#
        ));
    }
}

fn check_now_and_then_apart(json: &str) {
    let spec = FeatureSpec::from_json(json).unwrap();
    check(json, &spec, |call, lanes| {
        if call % 50 == 49 {
            lanes.truncate(70);
        }
    });
}

/// A symbol that comes later moves every series' memory.
#[test]
fn whole_tiles_go_on_when_symbols_are_added() {
    let spec = FeatureSpec::preset("full").unwrap();
    let symbols = &symbols()[..65];
    let expected = alone(&spec, symbols);
    let mut panel = Panel::new(&spec, (0..64).map(|symbol| symbol.to_string())).unwrap();
    for minute in 0..BARS {
        if minute == 95 {
            panel.add_symbol("late").unwrap();
        }
        let lanes: Vec<usize> = (0..panel.symbols().len()).collect();
        let at = |lane: usize| if lane == 64 { minute - 95 } else { minute };
        let bars: Vec<Bar> = lanes.iter().map(|lane| symbols[*lane][at(*lane)]).collect();
        let mut statuses = vec![BarStatus::Applied; lanes.len()];
        let mut out = vec![0.0; lanes.len() * spec.len()];
        panel
            .update(&lanes, &bars, &mut out, &mut statuses)
            .unwrap();
        for (lane, row) in out.chunks_exact(spec.len()).enumerate() {
            let own = &expected[lane][at(lane) * spec.len()..][..spec.len()];
            assert!(bits(row) == bits(own), "symbol {lane}, bar {minute}");
        }
    }
}

#[test]
fn whole_tiles_can_be_looked_at_stored_and_reset_at_any_bar() {
    let spec = FeatureSpec::preset("full").unwrap();
    let symbols = symbols();
    let lanes: Vec<usize> = (0..symbols.len()).collect();
    let names = || (0..symbols.len()).map(|symbol| symbol.to_string());
    let mut left_alone = Panel::new(&spec, names()).unwrap();
    let mut panel = left_alone.clone();
    let mut statuses = vec![BarStatus::Applied; lanes.len()];
    let mut outs = [0, 1, 2].map(|_| vec![0.0; lanes.len() * spec.len()]);
    for minute in 0..BARS {
        let bars: Vec<Bar> = symbols.iter().map(|bars| bars[minute]).collect();
        let [expected, out, peeked] = &mut outs;
        left_alone
            .update(&lanes, &bars, expected, &mut statuses)
            .unwrap();
        if minute % 3 == 0 {
            panel.peek(&lanes, &bars, peeked, &mut statuses).unwrap();
            assert!(bits(peeked) == bits(expected), "peek at bar {minute}");
        }
        if minute % 7 == 5 {
            panel = Panel::restore(&spec, &panel.snapshot()).unwrap();
        }
        panel.update(&lanes, &bars, out, &mut statuses).unwrap();
        assert!(bits(out) == bits(expected), "bar {minute}");
        if minute % 10 == 9 {
            assert_eq!(panel.snapshot(), left_alone.snapshot());
        }
        if minute == 60 {
            panel.reset();
            left_alone = Panel::new(&spec, names()).unwrap();
        }
    }
}

/// A panel that the caches do not hold brings a tile's memory, and the next one's row of features, nearer before it needs
/// them: that must change no bit, whichever rows a call has.
#[test]
fn panels_that_leave_the_caches_have_the_bits_of_one_series() {
    const SYMBOLS: usize = 30 * 64 + 7;
    let spec = FeatureSpec::preset("full").unwrap();
    assert!(SYMBOLS * spec.series_bytes() > 20 << 20);
    // Late in the day some symbols have no bar, so that rows and symbols part.
    check_panel_of(SYMBOLS, "far", &spec, |call, lanes| {
        lanes.retain(|lane| call < 90 || !(lane + call).is_multiple_of(701));
    });
}
