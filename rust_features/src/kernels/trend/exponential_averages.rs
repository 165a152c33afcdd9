//! Moving averages built from exponential ones: double, triple, Tillson's, zero-lag, Wilder's.

use super::average::{Average, AverageKernel};
use super::exponential_moving_average::{ExponentialAverage, Smoothing, take_chain};
use super::simple_moving_average::{ratio, ratios};
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Span};
use crate::kernel::{Description, Kernel, output};
use crate::neighbours::{Row, TILE, WINDOWS};

/// Double exponential moving average.
pub(crate) type Dema = AverageKernel<Double>;
/// Triple exponential moving average.
pub(crate) type Tema = AverageKernel<Triple>;
/// Zero-lag exponential moving average.
pub(crate) type Zlema = AverageKernel<ZeroLag>;
/// Wilder's moving average.
pub(crate) type Rma = AverageKernel<Wilder>;

/// Feeds a value through a chain of exponential averages, each over the one before; all of them once the last is warm.
#[inline(always)]
pub(crate) fn cascade<const N: usize>(
    chain: &mut [ExponentialAverage; N],
    smoothing: Smoothing,
    value: f64,
) -> Option<[f64; N]> {
    let mut averages = [0.0; N];
    let mut value = value;
    for (average, link) in averages.iter_mut().zip(chain) {
        value = link.push(smoothing, value)?;
        *average = value;
    }
    Some(averages)
}

/// As [`cascade`] for the values, `combine`d into one at each; how many, none before all are warm, up to one that is not
/// finite.
#[inline(always)]
pub(crate) fn cascade_all<const N: usize>(
    chain: &mut [ExponentialAverage; N],
    smoothing: Smoothing,
    values: &[f64],
    combined: &mut [f64],
    combine: impl Fn([f64; N]) -> f64,
) -> usize {
    if !chain.iter().all(|link| link.is_warm(smoothing)) {
        return 0;
    }
    let mut rows = [Row::ZEROS; N];
    let mut taken = 0;
    for (values, combined) in values.chunks(WINDOWS).zip(combined.chunks_mut(WINDOWS)) {
        let mut cells = rows.each_mut().map(|row| &mut row.0[..]);
        if !take_chain(chain.each_mut(), [smoothing; N], values, &mut cells) {
            break;
        }
        for (at, cell) in combined.iter_mut().enumerate() {
            *cell = combine(rows.each_ref().map(|row| row.0[at]));
        }
        taken += values.len();
    }
    taken
}

/// Implements [`Average`] for an exponential average that is all there is to it; they differ in their factor.
macro_rules! exponential_average {
    ($(#[$meta:meta])* $average:ident, $name:literal, $summary:literal, $formula:literal, $source:literal, $smoothing:expr) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub(crate) struct $average(Smoothing);

        impl Average for $average {
            type State = ExponentialAverage;
            const NAME: &'static str = $name;
            const SUMMARY: &'static str = $summary;
            const DEFAULT_PERIOD: i64 = 30;
            const FORMULA: &'static str = $formula;
            const SOURCE: &'static str = $source;
            const IS_CHAIN: bool = true;
            const CHECKS: bool = true;

            const MEMORY_ROWS: bool = true;

            #[inline(always)]
            fn live(state: &mut ExponentialAverage, show: &mut impl FnMut(&mut f64)) {
                show(&mut state.value);
            }

            fn over(period: usize) -> Self {
                Self($smoothing(period))
            }

            fn lookback(&self) -> usize {
                self.0.period - 1
            }

            fn taps(&self) -> usize {
                0
            }

            #[inline(always)]
            fn push(
                &self,
                state: &mut ExponentialAverage,
                value: f64,
                _newest: Option<&[f64]>,
            ) -> Option<f64> {
                state.push(self.0, value)
            }

            #[inline(always)]
            fn push_all(
                &self,
                state: &mut ExponentialAverage,
                values: &[f64],
                _newest: Option<&[f64]>,
                averages: &mut [f64],
            ) -> usize {
                if !state.is_warm(self.0) {
                    return 0;
                }
                state.take_span(self.0, values, averages)
            }
        }
    };
}

exponential_average!(
    /// Plain exponential average.
    Exponential,
    "ema",
    "exponential moving average",
    "ema + (value - ema) * 2 / (timeperiod + 1), seeded with the first timeperiod values' mean",
    "TA-Lib EMA",
    Smoothing::of
);
exponential_average!(
    /// Wilder's average: one part in `period` new.
    Wilder,
    "rma",
    "Wilder's moving average",
    "rma + (value - rma) / timeperiod, seeded with the first timeperiod values' mean",
    "TA-Lib RMA; Wilder (1978), New Concepts in Technical Trading Systems",
    Smoothing::wilder
);

/// Twice the average less the average of the average.
#[derive(Debug)]
pub(crate) struct Double(Smoothing);

impl Average for Double {
    type State = [ExponentialAverage; 2];
    const NAME: &'static str = "dema";
    const SUMMARY: &'static str = "double exponential moving average";
    const DEFAULT_PERIOD: i64 = 30;
    const FORMULA: &'static str = "2 * ema - ema(ema)";
    const SOURCE: &'static str = "TA-Lib DEMA; Mulloy (1994), Stocks & Commodities 12:1";
    const IS_CHAIN: bool = true;
    const CHECKS: bool = true;
    const MEMORY_ROWS: bool = true;

    #[inline(always)]
    fn live(state: &mut Self::State, show: &mut impl FnMut(&mut f64)) {
        for link in state {
            show(&mut link.value);
        }
    }

    fn over(period: usize) -> Self {
        Self(Smoothing::of(period))
    }

    fn lookback(&self) -> usize {
        2 * (self.0.period - 1)
    }

    fn taps(&self) -> usize {
        0
    }

    #[inline(always)]
    fn push(&self, state: &mut Self::State, value: f64, _newest: Option<&[f64]>) -> Option<f64> {
        let [first, second] = cascade(state, self.0, value)?;
        Some(2.0 * first - second)
    }

    #[inline(always)]
    fn push_all(
        &self,
        state: &mut Self::State,
        values: &[f64],
        _newest: Option<&[f64]>,
        averages: &mut [f64],
    ) -> usize {
        cascade_all(state, self.0, values, averages, |[first, second]| {
            2.0 * first - second
        })
    }
}

/// Three times the difference of the first two averages, plus the third.
#[derive(Debug)]
pub(crate) struct Triple(Smoothing);

impl Average for Triple {
    type State = [ExponentialAverage; 3];
    const NAME: &'static str = "tema";
    const SUMMARY: &'static str = "triple exponential moving average";
    const DEFAULT_PERIOD: i64 = 30;
    const FORMULA: &'static str = "3 * ema - 3 * ema(ema) + ema(ema(ema))";
    const SOURCE: &'static str = "TA-Lib TEMA; Mulloy (1994), Stocks & Commodities 12:1";
    const IS_CHAIN: bool = true;
    const CHECKS: bool = true;

    fn over(period: usize) -> Self {
        Self(Smoothing::of(period))
    }

    fn lookback(&self) -> usize {
        3 * (self.0.period - 1)
    }

    fn taps(&self) -> usize {
        0
    }

    #[inline(always)]
    fn push(&self, state: &mut Self::State, value: f64, _newest: Option<&[f64]>) -> Option<f64> {
        let [first, second, third] = cascade(state, self.0, value)?;
        Some(3.0 * (first - second) + third)
    }

    #[inline(always)]
    fn push_all(
        &self,
        state: &mut Self::State,
        values: &[f64],
        _newest: Option<&[f64]>,
        averages: &mut [f64],
    ) -> usize {
        cascade_all(state, self.0, values, averages, |[first, second, third]| {
            3.0 * (first - second) + third
        })
    }
}

/// Average of a series that is pushed ahead by its recent change.
#[derive(Debug)]
pub(crate) struct ZeroLag {
    smoothing: Smoothing,
    lag: usize,
}

impl Average for ZeroLag {
    type State = ExponentialAverage;
    const NAME: &'static str = "zlema";
    const SUMMARY: &'static str = "zero-lag exponential moving average";
    const DEFAULT_PERIOD: i64 = 30;
    const FORMULA: &'static str = "ema of 2 * value - value (timeperiod - 1) / 2 bars ago";
    const SOURCE: &'static str = "TA-Lib ZLEMA; Ehlers and Way (2010), Zero Lag (Well, Almost)";
    const IS_CHAIN: bool = true;

    fn over(period: usize) -> Self {
        Self {
            smoothing: Smoothing::of(period),
            lag: (period - 1) / 2,
        }
    }

    fn lookback(&self) -> usize {
        self.lag + self.smoothing.period - 1
    }

    fn taps(&self) -> usize {
        self.lag + 1
    }

    #[inline(always)]
    fn push(
        &self,
        state: &mut ExponentialAverage,
        value: f64,
        newest: Option<&[f64]>,
    ) -> Option<f64> {
        state.push(self.smoothing, 2.0 * value - newest?.first()?)
    }

    #[inline(always)]
    fn push_all(
        &self,
        state: &mut ExponentialAverage,
        values: &[f64],
        newest: Option<&[f64]>,
        averages: &mut [f64],
    ) -> usize {
        let Some(olds) = newest.filter(|_| state.is_warm(self.smoothing)) else {
            return 0;
        };
        let mut ahead = [0.0; TILE];
        let mut taken = 0;
        let tiles = values.chunks(TILE).zip(olds.chunks(TILE));
        for ((values, olds), averages) in tiles.zip(averages.chunks_mut(TILE)) {
            let ahead = &mut ahead[..values.len()];
            for ((cell, value), old) in ahead.iter_mut().zip(values).zip(olds) {
                *cell = 2.0 * value - old;
            }
            let bars = state.take_span(self.smoothing, ahead, averages);
            taken += bars;
            if bars < ahead.len() {
                break;
            }
        }
        taken
    }
}

/// Tillson's T3: six averages of averages, weighted by the volume factor.
#[derive(Debug)]
pub(crate) struct Tillson {
    smoothing: Smoothing,
    /// Weights of the third to the sixth average.
    weights: [f64; 4],
}

impl Tillson {
    pub(crate) fn over(period: usize, factor: f64) -> Self {
        let (square, cube) = (factor * factor, factor * factor * factor);
        Self {
            smoothing: Smoothing::of(period),
            weights: [
                1.0 + 3.0 * factor + cube + 3.0 * square,
                -6.0 * square - 3.0 * (factor + cube),
                3.0 * (square + cube),
                -cube,
            ],
        }
    }

    pub(crate) fn lookback(&self) -> usize {
        6 * (self.smoothing.period - 1)
    }

    #[inline(always)]
    pub(crate) fn push(&self, state: &mut [ExponentialAverage; 6], value: f64) -> Option<f64> {
        cascade(state, self.smoothing, value).map(|averages| self.combined(averages))
    }

    /// As [`Average::push_all`].
    #[inline(always)]
    pub(crate) fn push_all(
        &self,
        state: &mut [ExponentialAverage; 6],
        values: &[f64],
        combined: &mut [f64],
    ) -> usize {
        cascade_all(state, self.smoothing, values, combined, |averages| {
            self.combined(averages)
        })
    }

    #[inline(always)]
    fn combined(&self, [_, _, third, fourth, fifth, sixth]: [f64; 6]) -> f64 {
        let [of_third, of_fourth, of_fifth, of_sixth] = self.weights;
        of_sixth * sixth + of_fifth * fifth + of_fourth * fourth + of_third * third
    }
}

/// T3 of a column.
#[derive(Debug)]
pub(crate) struct T3 {
    average: Tillson,
    column: Column,
}

impl Kernel for T3 {
    type State = [ExponentialAverage; 6];
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "t3",
        summary: "triple exponential moving average of Tillson",
        parameters: &[
            Parameter::period("timeperiod", "bars of each of the six averages", 5, 1),
            Parameter::number("vfactor", "weight of the correction for lag", 0.7, 0.0, 1.0),
            Parameter::column("close"),
        ],
        outputs: &[
            output(
                "t3",
                "gd(gd(gd(value))) with gd = ema * (1 + vfactor) - ema(ema) * vfactor, over one chain of six averages",
            ),
            output("ratio", "value / t3 - 1; 0 when t3 is 0"),
        ],
        source: "TA-Lib T3; Tillson (1998), Stocks & Commodities 16:1",
    };
    const CLASSIC_OUTPUTS: usize = 1;
    const IS_CHAIN: bool = true;

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            average: Tillson::over(arguments.count("timeperiod")?, arguments.number("vfactor")?),
            column: arguments.column()?,
        })
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.average.lookback()
    }

    #[inline(always)]
    fn step(&self, state: &mut Self::State, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
        let value = frame.current(self.column);
        match self.average.push(state, value) {
            Some(average) => [average, ratio(value, average)],
            None => [f64::NAN; 2],
        }
    }
    #[inline(always)]
    fn span_checks(&self, column: Column) -> bool {
        column == self.column
    }

    #[inline(always)]
    fn span(
        &self,
        state: &mut Self::State,
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let (values, [averages, more @ ..]) = (span.source(), outputs) else {
            return 0;
        };
        let bars = averages.len();
        let bars = self.average.push_all(state, &values[..bars], averages);
        if let [cells, ..] = more {
            ratios(values, &averages[..bars], cells);
        }
        bars
    }
}
