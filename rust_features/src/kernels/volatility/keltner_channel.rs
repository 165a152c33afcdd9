//! Keltner channel.

use super::average_true_range::AverageRange;
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Frame, Span};
use crate::kernel::{Description, Kernel, output};
use crate::kernels::trend::exponential_moving_average::{ExponentialAverage, Smoothing};
use crate::neighbours::{TILE, divide, divide_by_each, divide_by_widths};
use crate::state::state;
use crate::subnormal::{quotient, share};

/// An exponential average of the typical price with bands of average true ranges around it.
#[derive(Debug)]
pub(crate) struct KeltnerChannel {
    smoothing: Smoothing,
    range_period: usize,
    ranges: f64,
}

state! {
    /// Average of the typical price and of the true range.
    pub(crate) struct KeltnerState {
        middle: ExponentialAverage,
        range: AverageRange,
    }
}

impl Kernel for KeltnerChannel {
    type State = KeltnerState;
    type Output = [f64; 5];
    const DESCRIPTION: Description = Description {
        name: "keltner",
        summary: "Keltner channel",
        parameters: &[
            Parameter::period(
                "timeperiod",
                "bars of the middle's exponential average",
                20,
                1,
            ),
            Parameter::period("atrperiod", "bars of the average true range", 10, 1),
            Parameter::number(
                "multiplier",
                "average true ranges from the middle to each band",
                2.0,
                0.0,
                1e6,
            ),
        ],
        outputs: &[
            output("upper", "middle + multiplier * atr"),
            output("middle", "ema of (high + low + close) / 3"),
            output("lower", "middle - multiplier * atr"),
            output(
                "position",
                "(close - lower) / (upper - lower); 0.5 when the bands meet",
            ),
            output("width", "(upper - lower) / middle"),
        ],
        source: "Keltner (1960), How to Make Money in Commodities, with Raschke's exponential average; TA-Lib EMA and ATR",
    };
    const REVISION: u32 = 2;

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            smoothing: Smoothing::of(arguments.count("timeperiod")?),
            range_period: arguments.count("atrperiod")?,
            ranges: arguments.number("multiplier")?,
        })
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.range_period.max(self.smoothing.period - 1)
    }

    const MEMORY_ROWS: bool = true;

    #[inline(always)]
    fn live(&self, state: &mut KeltnerState, show: &mut impl FnMut(&mut f64)) {
        show(&mut state.middle.value);
        state.range.live(show);
    }

    #[inline(always)]
    fn catch_up(
        &self,
        state: &mut KeltnerState,
        _window: &mut [f64],
        newest: &Frame<'_>,
        _bars: u64,
    ) {
        state.range.previous_close = newest.bar.close;
    }

    #[inline(always)]
    fn step(&self, state: &mut KeltnerState, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 5] {
        let bar = &frame.bar;
        let middle = state
            .middle
            .push(self.smoothing, share(bar.high + bar.low + bar.close, 3.0));
        let range = state.range.push(self.range_period, frame);
        let (Some(middle), Some(range)) = (middle, range) else {
            return [f64::NAN; 5];
        };
        let reach = self.ranges * range;
        let (upper, lower) = (middle + reach, middle - reach);
        let distance = upper - lower;
        let position = if distance > 0.0 {
            quotient(bar.close - lower, distance)
        } else {
            0.5
        };
        [upper, middle, lower, position, quotient(distance, middle)]
    }

    #[inline(always)]
    fn span(
        &self,
        state: &mut KeltnerState,
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let [upper, middle, lower, position, width] = outputs else {
            return 0;
        };
        if !state.middle.is_warm(self.smoothing) {
            return 0;
        }
        let bars = upper.len();
        // Typical prices and average ranges stand where the bands will.
        span.bars(bars, |at, bar| upper[at] = bar.high + bar.low + bar.close);
        for typical in upper.chunks_mut(TILE) {
            divide(typical, 3.0);
        }
        let before = *state;
        let averaged = (state.middle).take_span(self.smoothing, upper, middle);
        let ranged = (state.range).take_span(self.range_period, span, lower, |range, _| range);
        if averaged < bars || ranged < bars {
            *state = before;
            return 0;
        }
        let closes = span.closes(bars);
        for at in 0..bars {
            let reach = self.ranges * lower[at];
            (upper[at], lower[at]) = (middle[at] + reach, middle[at] - reach);
            (width[at], position[at]) = (upper[at] - lower[at], closes[at] - lower[at]);
        }
        divide_by_widths(position, width, 0.5);
        divide_by_each(width, middle);
        bars
    }
}
