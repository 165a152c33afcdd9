//! Ultimate oscillator.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::Frame;
use crate::kernel::{Description, Kernel, output};
use crate::kernels::trend::directional_movement::true_range;
use crate::state::state;
use crate::window::{ring, ring_len, sum};

/// Buying pressure as a share of the true range, over three windows.
#[derive(Debug)]
pub(crate) struct UltOsc {
    /// Shortest first.
    periods: [usize; 3],
}

state! {
    /// Previous close and the bars so far.
    pub(crate) struct Pressure {
        previous_close: f64,
        /// Bars seen, counted until the longest window is full.
        bars: u64,
    }
}

impl Kernel for UltOsc {
    type State = Pressure;
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "ultosc",
        summary: "ultimate oscillator",
        parameters: &[
            Parameter::period("timeperiod1", "bars of one window", 7, 1),
            Parameter::period("timeperiod2", "bars of another window", 14, 1),
            Parameter::period("timeperiod3", "bars of a third window", 28, 1),
        ],
        outputs: &[output(
            "ultosc",
            "100 * (4 * shortest + 2 * middle + longest) / 7, each the sum of close - true low over the sum of true range; 0 without range",
        )],
        source: "TA-Lib ULTOSC; Williams (1985), Stocks & Commodities 3:4",
    };
    const REVISION: u32 = 2;

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        let mut periods = [
            arguments.count("timeperiod1")?,
            arguments.count("timeperiod2")?,
            arguments.count("timeperiod3")?,
        ];
        periods.sort_unstable();
        Ok(Self { periods })
    }

    /// Buying pressures, then true ranges.
    fn window_len(&self) -> usize {
        2 * ring_len(self.periods[2])
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.periods[2]
    }

    #[inline(always)]
    fn step(&self, state: &mut Pressure, window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        let bar = &frame.bar;
        let previous = std::mem::replace(&mut state.previous_close, bar.close);
        let [short, middle, long] = self.periods;
        if state.bars == 0 {
            state.bars = 1;
            return [f64::NAN];
        }
        let true_low = if bar.low < previous {
            bar.low
        } else {
            previous
        };
        let (pressures, ranges) = window.split_at_mut(ring_len(long));
        let pressures = ring(pressures, bar.close - true_low);
        let ranges = ring(ranges, true_range(bar.high, bar.low, previous));
        if state.bars < long as u64 {
            state.bars += 1;
            return [f64::NAN];
        }
        // Each longer window is the shorter one and the bars before it.
        let (before, newest) = (long - middle, long - short);
        let mut pressure = sum(&pressures[newest..]);
        let mut range = sum(&ranges[newest..]);
        let mut total = 4.0 * share(pressure, range);
        pressure += sum(&pressures[before..newest]);
        range += sum(&ranges[before..newest]);
        total += 2.0 * share(pressure, range);
        pressure += sum(&pressures[..before]);
        range += sum(&ranges[..before]);
        total += share(pressure, range);
        [100.0 * (total / 7.0)]
    }
}

#[inline(always)]
fn share(pressure: f64, range: f64) -> f64 {
    if range > 0.0 { pressure / range } else { 0.0 }
}
