//! Variance of each bar from its range and opening gap, and its means over nested windows.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Frame, Span};
use crate::kernel::{Description, Kernel, output};
use crate::kernels::volatility::range_volatility::of_range_and_body;
use crate::logarithm::{log_ratios, log_ratios_of};
use crate::neighbours::TILE;
use crate::state::state;
use crate::trailing::{append, room_for};
use crate::window::sum;

/// Share of the longest mean below which no shorter one falls: a quiet bar is not a bar without risk.
pub(crate) const FLOOR: f64 = 0.02;
/// Weight of the squared body, `2 ln 2 - 1` as the scale was fitted with it.
const BODY_WEIGHT: f64 = 0.386;

pub(crate) const CURRENT: Parameter =
    Parameter::period("current_period", "bars of the mean called current", 1, 1);
pub(crate) const SHORT: Parameter =
    Parameter::period("short_period", "bars of the short mean; 6 intraday", 5, 1);
pub(crate) const MEDIUM: Parameter = Parameter::period(
    "medium_period",
    "bars of the medium mean; 24 intraday",
    22,
    1,
);
pub(crate) const LONG: Parameter =
    Parameter::period("long_period", "bars of the long mean; 168 intraday", 66, 1);
pub(crate) const SOURCE: &str = "Garman and Klass (1980) with the opening gap; \
     Corsi (2009), A Simple Approximate Long-Memory Model of Realized Volatility";

state! {
    /// Previous close and how far the window of variances is filled.
    pub(crate) struct BarVariances {
        previous_close: f64,
        /// Bars seen, counted until the window is full.
        bars: u64,
        appended: u64,
    }
}

/// Lengths of the nested windows, ascending.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NestedWindows {
    pub(crate) current: usize,
    pub(crate) short: usize,
    pub(crate) medium: usize,
    pub(crate) long: usize,
}

/// Mean variances over the nested windows, none below [`FLOOR`] of the longest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MeanVariances {
    pub(crate) current: f64,
    pub(crate) short: f64,
    pub(crate) medium: f64,
    pub(crate) long: f64,
}

impl NestedWindows {
    pub(crate) fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        let windows = Self {
            current: arguments.count("current_period")?,
            short: arguments.count("short_period")?,
            medium: arguments.count("medium_period")?,
            long: arguments.count("long_period")?,
        };
        if windows.current <= windows.short
            && windows.short <= windows.medium
            && windows.medium <= windows.long
        {
            return Ok(windows);
        }
        Err(ArgumentError::Contradiction(format!(
            "current_period {}, short_period {}, medium_period {} and long_period {} must not fall: give nested windows",
            windows.current, windows.short, windows.medium, windows.long
        )))
    }

    /// Numbers of the window of variances.
    pub(crate) const fn room(&self) -> usize {
        room_for(self.long)
    }

    /// Takes a bar; its variance and, once the longest window is full, the means.
    #[inline(always)]
    pub(crate) fn push(
        &self,
        state: &mut BarVariances,
        window: &mut [f64],
        frame: &Frame<'_>,
    ) -> (f64, Option<MeanVariances>) {
        let bar = &frame.bar;
        let previous_close = std::mem::replace(&mut state.previous_close, bar.close);
        let warm = state.bars >= self.long as u64;
        if !warm {
            state.bars += 1;
            if state.bars == 1 {
                return (f64::NAN, None);
            }
        }
        let variance = variance(log_ratios(
            [bar.open, bar.high, bar.close],
            [previous_close, bar.low, bar.open],
        ));
        let variances = append(window, &mut state.appended, variance);
        (variance, warm.then(|| self.means(variances)))
    }

    /// Every value is added once: a longer window goes on from the sum of the shorter one.
    #[inline(always)]
    fn means(&self, variances: &[f64]) -> MeanVariances {
        let split = |values, newest| <[f64]>::split_at(values, <[f64]>::len(values) - newest);
        let (long, medium) = split(variances, self.medium.min(variances.len()));
        let (medium, short) = split(medium, self.short.min(medium.len()));
        let (short, current) = split(short, self.current.min(short.len()));
        let current = sum(current);
        let short = current + sum(short);
        let medium = short + sum(medium);
        let long = (medium + sum(long)) / self.long as f64;
        let floor = FLOOR * long;
        let mean = |sum: f64, bars: usize| {
            let mean = sum / bars as f64;
            if mean > floor { mean } else { floor }
        };
        MeanVariances {
            current: mean(current, self.current),
            short: mean(short, self.short),
            medium: mean(medium, self.medium),
            long,
        }
    }
}

/// Variance of a bar by the logarithms of its opening gap, range and body.
#[inline(always)]
fn variance([gap, range, body]: [f64; 3]) -> f64 {
    gap * gap + of_range_and_body(range, body, BODY_WEIGHT)
}

/// Variance of the last bars, opening gaps included.
#[derive(Debug)]
pub(crate) struct RangeVariance {
    windows: NestedWindows,
}

impl Kernel for RangeVariance {
    type State = BarVariances;
    type Output = [f64; 5];
    const DESCRIPTION: Description = Description {
        name: "range_variance",
        summary: "variance from range and opening gap, per bar, over nested windows",
        parameters: &[CURRENT, SHORT, MEDIUM, LONG],
        outputs: &[
            output(
                "medium",
                "mean of value over medium_period bars, at least 0.02 long",
            ),
            output(
                "value",
                "gap^2 + max(ln^2(high / low) / 2 - 0.386 ln^2(close / open), 0), gap = ln(open / previous close)",
            ),
            output(
                "current",
                "mean of value over current_period bars, at least 0.02 long",
            ),
            output(
                "short",
                "mean of value over short_period bars, at least 0.02 long",
            ),
            output("long", "mean of value over long_period bars"),
        ],
        source: SOURCE,
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            windows: NestedWindows::new(arguments)?,
        })
    }

    fn window_len(&self) -> usize {
        self.windows.room()
    }

    fn warmup_bars(&self, output: usize) -> usize {
        // `value` needs the previous close only.
        if output == 1 { 1 } else { self.windows.long }
    }

    #[inline(always)]
    fn step(&self, state: &mut BarVariances, window: &mut [f64], frame: &Frame<'_>) -> [f64; 5] {
        match self.windows.push(state, window, frame) {
            (value, Some(means)) => [means.medium, value, means.current, means.short, means.long],
            (value, None) => [f64::NAN, value, f64::NAN, f64::NAN, f64::NAN],
        }
    }

    #[inline(always)]
    fn span(
        &self,
        state: &mut BarVariances,
        window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let (Some(previous), [medium, values, current, short, long]) =
            (span.previous_closes(), outputs)
        else {
            return 0;
        };
        if state.bars < self.windows.long as u64 {
            return 0;
        }
        let bars = values.len().min(TILE);
        let [opens, highs, lows, closes, _] = span.prices().map(|prices| &prices[..bars]);
        let mut logarithms = [[0.0; TILE]; 3];
        let pairs = [(opens, previous), (highs, lows), (closes, opens)];
        for (cells, (above, below)) in logarithms.iter_mut().zip(pairs) {
            log_ratios_of(above, &below[..bars], cells);
        }
        for at in 0..bars {
            values[at] = variance(logarithms.each_ref().map(|cells| cells[at]));
            let newest = append(window, &mut state.appended, values[at]);
            let means = self.windows.means(newest);
            (medium[at], current[at]) = (means.medium, means.current);
            (short[at], long[at]) = (means.short, means.long);
        }
        if let [.., close] = closes {
            state.previous_close = *close;
        }
        bars
    }
}
