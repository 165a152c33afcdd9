//! Any bars in any order: no panic, bad ones change nothing, and the rest is as in a batch of the good ones.

use std::sync::LazyLock;

use candlewire_features::{Bar, BarFate, FeatureSpec, OrderedSeries, Series, compute};

static SPEC: LazyLock<FeatureSpec> =
    LazyLock::new(|| FeatureSpec::preset("core").expect("the preset is sound"));

fn bits(values: &[f64]) -> Vec<u64> {
    let canonical = |value: &f64| {
        if value.is_nan() {
            u64::MAX
        } else {
            value.to_bits()
        }
    };
    values.iter().map(canonical).collect()
}

pub(crate) fn check(bytes: &[u8]) {
    // Five bytes a bar: a step in time and four small numbers, or eight raw bytes where the step says so.
    let mut bars = Vec::new();
    let mut time = 0_i64;
    let mut rest = bytes;
    while let Some(([step, shape @ ..], after)) = rest.split_first_chunk::<5>() {
        rest = after;
        time += i64::from(*step as i8 % 6);
        let [open, up, down, volume] = shape.map(f64::from);
        let mut bar = Bar {
            open_time_ns: time,
            open: open + 1.0,
            high: open + 1.0 + up,
            low: open + 1.0 - down / 256.0,
            close: open + 1.0 + up / 2.0,
            volume,
        };
        if step % 13 == 7 {
            let Some((raw, after)) = rest.split_first_chunk::<8>() else {
                break;
            };
            rest = after;
            let raw = f64::from_le_bytes(*raw);
            match step % 5 {
                0 => bar.open = raw,
                1 => bar.high = raw,
                2 => bar.low = raw,
                3 => bar.close = raw,
                _ => bar.volume = raw,
            }
        }
        bars.push(bar);
    }
    let width = SPEC.len();
    let mut series = Series::new(&SPEC);
    let mut row = vec![0.0; width];
    let (mut good, mut rows) = (Vec::new(), Vec::new());
    for bar in &bars {
        let before = series.snapshot();
        if series.update(bar, &mut row).is_ok() {
            good.push(*bar);
            rows.extend_from_slice(&row);
        } else {
            assert_eq!(series.snapshot(), before);
        }
    }
    let mut whole = vec![0.0; good.len() * width];
    compute(&SPEC, &good, &mut whole).expect("good bars are in order");
    assert_eq!(bits(&whole), bits(&rows));

    let mut ordered = OrderedSeries::new(&SPEC, 4);
    for bar in &bars {
        let before = ordered.snapshot();
        let fate = ordered.apply(bar, &mut row);
        let unchanged = matches!(
            fate,
            BarFate::Duplicate | BarFate::TooLate | BarFate::Invalid(_)
        );
        assert_eq!(unchanged, ordered.snapshot() == before);
    }
}
