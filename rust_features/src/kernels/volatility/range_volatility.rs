//! Volatility from the range of each bar: Parkinson, Garman-Klass, Rogers-Satchell.

use std::f64::consts::LN_2;

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::bar::Bar;
use crate::frame::{Column, Frame};
use crate::kernel::{Description, Kernel, output};
use crate::known_length::known_length;
use crate::logarithm::{log_ratio, log_ratios, log_ratios_of_each};
use crate::neighbours::Row;
use crate::side_by_side::{Memories, SideBySide};
use crate::state::state;
use crate::trailing::{self, append, room_for, rows_for, sums_after_append};
use crate::window::sum;

const PERIOD: Parameter = Parameter::period("timeperiod", "bars in the mean", 20, 1);

state! {
    /// How far the window of bar variances is filled.
    pub(crate) struct BarVariances {
        /// Bars seen, counted until the window is full.
        bars: u64,
        appended: u64,
    }
}

impl BarVariances {
    /// Takes a bar's variance; the sum of the window once it is full, NaN before.
    #[inline(always)]
    fn push(&mut self, period: usize, window: &mut [f64], variance: f64) -> f64 {
        let variances = append(window, &mut self.appended, variance);
        if self.bars < period as u64 {
            self.bars += 1;
            if self.bars < period as u64 {
                return f64::NAN;
            }
        }
        known_length!([variances] of [20] => sum(variances))
    }
}

/// Square root of the mean of a full window, of whose variances this is the sum.
#[inline(always)]
fn volatility(sum: f64, period: usize) -> f64 {
    (sum / period as f64).sqrt()
}

/// Variance of a bar by its range: `ln^2(high / low) / (4 ln 2)`.
#[inline(always)]
fn parkinson(bar: &Bar) -> f64 {
    of_range(log_ratio(bar.high, bar.low))
}

#[inline(always)]
fn of_range(range: f64) -> f64 {
    range * range * (1.0 / (4.0 * LN_2))
}

/// The same of each series' bar.
#[inline(always)]
fn parkinson_of_each(newest: &SideBySide<'_>) -> Row {
    let mut ranges = log_ratios_of_each(newest.current(Column::High), newest.current(Column::Low));
    for range in &mut ranges.0 {
        *range = of_range(*range);
    }
    ranges
}

/// Variance of a bar without its opening gap; never negative, as the close lies within the range.
#[inline(always)]
pub(crate) fn garman_klass(bar: &Bar, body_weight: f64) -> f64 {
    let [range, body] = log_ratios([bar.high, bar.close], [bar.low, bar.open]);
    of_range_and_body(range, body, body_weight)
}

#[inline(always)]
pub(super) fn of_range_and_body(range: f64, body: f64, body_weight: f64) -> f64 {
    let variance = 0.5 * (range * range) - body_weight * (body * body);
    if variance > 0.0 { variance } else { 0.0 }
}

/// The same of each series' bar.
#[inline(always)]
fn garman_klass_of_each(newest: &SideBySide<'_>, body_weight: f64) -> Row {
    let mut ranges = log_ratios_of_each(newest.current(Column::High), newest.current(Column::Low));
    let bodies = log_ratios_of_each(newest.current(Column::Close), newest.current(Column::Open));
    for (range, body) in ranges.0.iter_mut().zip(&bodies.0) {
        *range = of_range_and_body(*range, *body, body_weight);
    }
    ranges
}

/// Variance of a bar without its opening gap, whatever its drift; both terms are at least zero.
#[inline(always)]
fn rogers_satchell(bar: &Bar) -> f64 {
    let [high_close, high_open, low_close, low_open] = log_ratios(
        [bar.high, bar.high, bar.low, bar.low],
        [bar.close, bar.open, bar.close, bar.open],
    );
    high_close * high_open + low_close * low_open
}

/// The same of each series' bar.
#[inline(always)]
pub(super) fn rogers_satchell_of_each(newest: &SideBySide<'_>) -> Row {
    let [open, high, low, close] =
        [Column::Open, Column::High, Column::Low, Column::Close].map(|at| newest.current(at));
    let mut variances = log_ratios_of_each(high, close);
    let high_opens = log_ratios_of_each(high, open);
    let low_closes = log_ratios_of_each(low, close);
    let low_opens = log_ratios_of_each(low, open);
    for (at, variance) in variances.0.iter_mut().enumerate() {
        *variance = *variance * high_opens.0[at] + low_closes.0[at] * low_opens.0[at];
    }
    variances
}

/// Declares a kernel that averages one variance per bar.
macro_rules! mean_of_bars {
    ($kernel:ident, $meaning:literal, $name:literal, $formula:literal, $source:literal, $variance:expr, $of_each:expr) => {
        #[doc = $meaning]
        #[derive(Debug)]
        pub(crate) struct $kernel {
            period: usize,
        }

        impl Kernel for $kernel {
            type State = BarVariances;
            type Output = [f64; 1];
            const DESCRIPTION: Description = Description {
                name: $name,
                summary: $meaning,
                parameters: &[PERIOD],
                outputs: &[output("volatility", $formula)],
                source: $source,
            };

            fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
                Ok(Self {
                    period: arguments.count("timeperiod")?,
                })
            }

            fn window_len(&self) -> usize {
                room_for(self.period)
            }

            fn warmup_bars(&self, _output: usize) -> usize {
                self.period - 1
            }

            const SIDE_BY_SIDE: bool = true;
            const MEMORY_ROWS: bool = true;

            fn window_rows(&self) -> (usize, usize) {
                (1, rows_for(self.period))
            }

            fn align(&self, state: &mut BarVariances, window: &mut [f64]) {
                trailing::align(window, &mut state.appended);
            }

            #[inline(always)]
            fn catch_up(
                &self,
                state: &mut BarVariances,
                _window: &mut [f64],
                _newest: &Frame<'_>,
                bars: u64,
            ) {
                state.appended = trailing::appended_rows(bars);
            }

            #[inline(always)]
            fn side_by_side(
                &self,
                memories: &mut Memories<'_>,
                newest: &SideBySide<'_>,
                outputs: &mut [Row],
            ) -> bool {
                let [row] = outputs else {
                    return false;
                };
                let variances: Row = $of_each(newest);
                *row =
                    sums_after_append!(memories, variances, |at, state: BarVariances, window| {
                        state.push(self.period, window, variances.0[at])
                    });
                for cell in &mut row.0 {
                    *cell = volatility(*cell, self.period);
                }
                true
            }

            #[inline(always)]
            fn step(
                &self,
                state: &mut BarVariances,
                window: &mut [f64],
                frame: &Frame<'_>,
            ) -> [f64; 1] {
                let sum = state.push(self.period, window, $variance(&frame.bar));
                [volatility(sum, self.period)]
            }
        }
    };
}

mean_of_bars!(
    Parkinson,
    "Parkinson volatility, per bar",
    "parkinson",
    "square root of the mean of ln^2(high / low) / (4 ln 2) over the last timeperiod bars",
    "Parkinson (1980), The Extreme Value Method for Estimating the Variance of the Rate of Return",
    parkinson,
    parkinson_of_each
);
mean_of_bars!(
    GarmanKlass,
    "Garman-Klass volatility, per bar",
    "garman_klass",
    "square root of the mean of ln^2(high / low) / 2 - (2 ln 2 - 1) ln^2(close / open) over the last timeperiod bars",
    "Garman and Klass (1980), On the Estimation of Security Price Volatilities from Historical Data",
    |bar| garman_klass(bar, 2.0 * LN_2 - 1.0),
    |newest| garman_klass_of_each(newest, 2.0 * LN_2 - 1.0)
);
mean_of_bars!(
    RogersSatchell,
    "Rogers-Satchell volatility, per bar",
    "rogers_satchell",
    "square root of the mean of ln(high / close) ln(high / open) + ln(low / close) ln(low / open) over the last \
     timeperiod bars",
    "Rogers and Satchell (1991), Estimating Variance from High, Low and Closing Prices",
    rogers_satchell,
    rogers_satchell_of_each
);
