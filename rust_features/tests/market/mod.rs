//! Bars for tests: a random walk with gaps, flat stretches and quiet volumes, the same for a seed.

use candlewire_features::Bar;

const MINUTE_NS: i64 = 60_000_000_000;

/// Splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// `count` sound bars, oldest first.
pub(crate) fn bars(seed: u64, count: usize) -> Vec<Bar> {
    let mut random = Random(seed);
    let mut close = 100.0;
    let mut open_time_ns = 1_600_000_000_000_000_000;
    (0..count)
        .map(|_| {
            open_time_ns +=
                MINUTE_NS * i64::from(random.next().is_multiple_of(20)) * 30 + MINUTE_NS;
            let flat = random.next().is_multiple_of(8);
            let open = if flat {
                close
            } else {
                close * (1.0 + 0.004 * (random.unit() - 0.5))
            };
            close = if flat {
                open
            } else {
                open * (1.0 + 0.02 * (random.unit() - 0.5))
            };
            let spread = if flat { 0.0 } else { 0.005 };
            let high = open.max(close) * (1.0 + spread * random.unit());
            let low = open.min(close) * (1.0 - spread * random.unit());
            let volume = if random.next().is_multiple_of(10) {
                0.0
            } else {
                1e4 * random.unit()
            };
            Bar {
                open_time_ns,
                open,
                high,
                low,
                close,
                volume,
            }
        })
        .collect()
}
