//! Money flow index.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::Frame;
use crate::kernel::{Description, Kernel, output};
use crate::state::state;
use crate::window::{ring, ring_len, sum_of};

/// Typical prices this close to each other, as a fraction of their sum, differ by rounding only.
const SAME: f64 = 1e-14;

/// Share of rising bars in the money that flowed.
#[derive(Debug)]
pub(crate) struct Mfi {
    period: usize,
}

state! {
    /// Previous typical price and the flows so far.
    pub(crate) struct MoneyFlow {
        previous_typical: f64,
        /// Bars seen, counted until the window is full.
        bars: u64,
    }
}

impl Kernel for Mfi {
    type State = MoneyFlow;
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "mfi",
        summary: "money flow index",
        parameters: &[Parameter::period("timeperiod", "flows in the sums", 14, 2)],
        outputs: &[output(
            "mfi",
            "100 * positive / (positive + negative) flow of typical price (high + low + close) / 3 times volume; none when the typical price stays; 0 without flow",
        )],
        source: "TA-Lib MFI; Quong and Soudack (1989), Stocks & Commodities 7:3",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
        })
    }

    /// The last flows, negative for falling bars.
    fn window_len(&self) -> usize {
        ring_len(self.period)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period
    }

    #[inline(always)]
    fn step(&self, state: &mut MoneyFlow, window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        let typical = (frame.bar.high + frame.bar.low + frame.bar.close) / 3.0;
        let previous = std::mem::replace(&mut state.previous_typical, typical);
        if state.bars == 0 {
            state.bars = 1;
            return [f64::NAN];
        }
        let flow = typical * frame.bar.volume;
        let change = typical - previous;
        let signed = if change.abs() <= SAME * (typical + previous) {
            0.0
        } else if change > 0.0 {
            flow
        } else {
            -flow
        };
        let flows = ring(window, signed);
        if state.bars < self.period as u64 {
            state.bars += 1;
            return [f64::NAN];
        }
        let positive = sum_of(flows, |flow| if flow > 0.0 { flow } else { 0.0 });
        let total = sum_of(flows, f64::abs);
        [if total > 0.0 {
            100.0 * (positive / total)
        } else {
            0.0
        }]
    }
}
