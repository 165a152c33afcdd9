//! Inputs of the scale of return bands: recent variances and falls, relative to the medium variance.

use super::ewma_variance::DecayingMean;
use super::range_variance::{
    BarVariances, CURRENT, FLOOR, LONG, MEDIUM, NestedWindows, SHORT, SOURCE,
};
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::logarithm::{log_each, log_ratio};
use crate::state::state;
use crate::trailing::{append, room_for};
use crate::window::mean_and_variance;

/// Logarithms of variances over the medium one, and falls in its deviations.
#[derive(Debug)]
pub(crate) struct BandScale {
    windows: NestedWindows,
    close_period: usize,
    smoothing: f64,
    /// One over the square root of the bars of each fall.
    current_scale: f64,
    short_scale: f64,
}

/// Variances at or below it count as none: their ratios leave the range of numbers.
const LEAST: f64 = 1e-290;

state! {
    /// Range variances, decaying mean of squared returns, and how far the returns' window is filled.
    pub(crate) struct BandScaleState {
        ranges: BarVariances,
        squares: DecayingMean,
        previous_close: f64,
        /// Bars seen, counted until the returns' window is full.
        bars: u64,
        appended: u64,
    }
}

impl Kernel for BandScale {
    type State = BandScaleState;
    type Output = [f64; 8];
    const DESCRIPTION: Description = Description {
        name: "band_scale",
        summary: "inputs of the scale of return bands",
        parameters: &[
            CURRENT,
            SHORT,
            MEDIUM,
            LONG,
            Parameter::period(
                "close_period",
                "log returns of closes in their variance",
                20,
                2,
            ),
            Parameter::number(
                "smoothing",
                "weight of the newest squared return",
                0.06,
                1e-6,
                1.0,
            ),
        ],
        outputs: &[
            output(
                "medium",
                "medium of range_variance; each output below is 0 while it is 0",
            ),
            output("current_ratio", "ln(current / medium) of range_variance"),
            output("short_ratio", "ln(short / medium) of range_variance"),
            output("long_ratio", "ln(long / medium) of range_variance"),
            output(
                "ewma_ratio",
                "ln(variance of ewma_variance, at least 0.02 long / medium)",
            ),
            output(
                "close_ratio",
                "ln(population variance of the last close_period log returns, at least 0.02 long / medium)",
            ),
            output(
                "current_fall",
                "min(log return over current_period bars / sqrt(current_period * medium), 0)",
            ),
            output(
                "short_fall",
                "min(log return over short_period bars / sqrt(short_period * medium), 0)",
            ),
        ],
        source: SOURCE,
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        let windows = NestedWindows::new(arguments)?;
        let scale = |bars: usize| 1.0 / (bars as f64).sqrt();
        Ok(Self {
            current_scale: scale(windows.current),
            short_scale: scale(windows.short),
            windows,
            close_period: arguments.count("close_period")?,
            smoothing: arguments.number("smoothing")?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of(Column::Close, self.windows.short + 1)
    }

    fn window_len(&self) -> usize {
        self.windows.room() + room_for(self.close_period)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.windows.long.max(self.close_period)
    }

    #[inline(always)]
    fn step(&self, state: &mut BandScaleState, window: &mut [f64], frame: &Frame<'_>) -> [f64; 8] {
        let close = frame.bar.close;
        let previous_close = std::mem::replace(&mut state.previous_close, close);
        let (variances, returns) = window.split_at_mut(self.windows.room());
        let (_, means) = self.windows.push(&mut state.ranges, variances, frame);
        let full = state.bars >= self.close_period as u64;
        if !full {
            state.bars += 1;
            if state.bars == 1 {
                return [f64::NAN; 8];
            }
        }
        let change = log_ratio(close, previous_close);
        let ewma = state.squares.push(self.smoothing, change * change);
        let returns = append(returns, &mut state.appended, change);
        let (Some(means), Some(closes), true) = (means, frame.closes(self.windows.short + 1), full)
        else {
            return [f64::NAN; 8];
        };
        if means.medium <= LEAST {
            return [0.0; 8];
        }
        let floor = FLOOR * means.long;
        let at_least_floor = |variance: f64| if variance > floor { variance } else { floor };
        let unit = 1.0 / means.medium;
        let [current, short, long, ewma, close_variance] = log_each([
            means.current * unit,
            means.short * unit,
            means.long * unit,
            at_least_floor(ewma) * unit,
            at_least_floor(mean_and_variance(returns).1) * unit,
        ]);
        let deviation = unit.sqrt();
        let fall = |bars: usize, scale: f64| {
            let before = closes.get(self.windows.short - bars).copied();
            let change = log_ratio(close, before.unwrap_or(close));
            if change < 0.0 {
                change * (deviation * scale)
            } else {
                0.0
            }
        };
        [
            means.medium,
            current,
            short,
            long,
            ewma,
            close_variance,
            fall(self.windows.current, self.current_scale),
            fall(self.windows.short, self.short_scale),
        ]
    }
}
