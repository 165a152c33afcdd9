//! Volatility from the range of each bar: Parkinson, Garman-Klass, Rogers-Satchell.

use std::f64::consts::LN_2;

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::bar::Bar;
use crate::frame::Frame;
use crate::kernel::{Description, Kernel, output};
use crate::logarithm::{log_ratio, log_ratios};
use crate::state::state;
use crate::trailing::{append, room_for};
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
    /// Takes a bar's variance; the square root of the mean once the window is full.
    #[inline(always)]
    fn push(&mut self, period: usize, window: &mut [f64], variance: f64) -> [f64; 1] {
        let variances = append(window, &mut self.appended, variance);
        if self.bars < period as u64 {
            self.bars += 1;
            if self.bars < period as u64 {
                return [f64::NAN];
            }
        }
        [(sum(variances) / period as f64).sqrt()]
    }
}

/// Variance of a bar by its range: `ln^2(high / low) / (4 ln 2)`.
#[inline(always)]
fn parkinson(bar: &Bar) -> f64 {
    let range = log_ratio(bar.high, bar.low);
    range * range * (1.0 / (4.0 * LN_2))
}

/// Variance of a bar without its opening gap; never negative, as the close lies within the range.
#[inline(always)]
pub(crate) fn garman_klass(bar: &Bar, body_weight: f64) -> f64 {
    let [range, body] = log_ratios([bar.high, bar.close], [bar.low, bar.open]);
    let variance = 0.5 * (range * range) - body_weight * (body * body);
    if variance > 0.0 { variance } else { 0.0 }
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

/// Declares a kernel that averages one variance per bar.
macro_rules! mean_of_bars {
    ($kernel:ident, $meaning:literal, $name:literal, $formula:literal, $source:literal, $variance:expr) => {
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

            #[inline(always)]
            fn step(
                &self,
                state: &mut BarVariances,
                window: &mut [f64],
                frame: &Frame<'_>,
            ) -> [f64; 1] {
                state.push(self.period, window, $variance(&frame.bar))
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
    parkinson
);
mean_of_bars!(
    GarmanKlass,
    "Garman-Klass volatility, per bar",
    "garman_klass",
    "square root of the mean of ln^2(high / low) / 2 - (2 ln 2 - 1) ln^2(close / open) over the last timeperiod bars",
    "Garman and Klass (1980), On the Estimation of Security Price Volatilities from Historical Data",
    |bar| garman_klass(bar, 2.0 * LN_2 - 1.0)
);
mean_of_bars!(
    RogersSatchell,
    "Rogers-Satchell volatility, per bar",
    "rogers_satchell",
    "square root of the mean of ln(high / close) ln(high / open) + ln(low / close) ln(low / open) over the last \
     timeperiod bars",
    "Rogers and Satchell (1991), Estimating Variance from High, Low and Closing Prices",
    rogers_satchell
);
