//! Correlation and beta of two series, by TA-Lib's definitions.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};

/// Columns that TA-Lib reads where it is not told others; its functions name any two.
const COLUMNS: [Column; 2] = [Column::High, Column::Low];

/// Pearson's correlation of two columns.
#[derive(Debug)]
pub(crate) struct Correl {
    period: usize,
}

impl Kernel for Correl {
    type State = ();
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "correl",
        summary: "correlation of highs and lows, as a function of any two series; of two symbols see reference",
        parameters: &[Parameter::period(
            "timeperiod",
            "values of each series",
            30,
            1,
        )],
        outputs: &[output(
            "correl",
            "covariance / (deviation * deviation) of the last timeperiod values; 0 when either does not move",
        )],
        source: "TA-Lib CORREL",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of_each(&COLUMNS, self.period)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period - 1
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        match (frame.highs(self.period), frame.lows(self.period)) {
            (Some(first), Some(second)) => {
                let (x, y) = (frame.bar.high, frame.bar.low);
                // Distances from the newest values are exact where the values are close.
                let pairs = || first.iter().zip(second).map(|(a, b)| (a - x, b - y));
                let [left, right, both] = spread(pairs, self.period);
                let deviations = left.sqrt() * right.sqrt();
                [if deviations > 0.0 {
                    both / deviations
                } else {
                    0.0
                }]
            }
            _ => [f64::NAN],
        }
    }
}

/// Slope of the changes of one column over those of another.
#[derive(Debug)]
pub(crate) struct Beta {
    period: usize,
}

impl Kernel for Beta {
    type State = ();
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "beta",
        summary: "slope of the changes of lows over those of highs, as a function of any two series; of two symbols see reference",
        parameters: &[Parameter::period(
            "timeperiod",
            "changes of each series",
            5,
            1,
        )],
        outputs: &[output(
            "beta",
            "covariance / variance of the highs' changes, each value / the one before it - 1, over the last timeperiod; 0 when the highs' do not differ",
        )],
        source: "TA-Lib BETA",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of_each(&COLUMNS, self.period + 1)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        match (frame.highs(self.period + 1), frame.lows(self.period + 1)) {
            (Some(first), Some(second)) => {
                let changes = || {
                    first
                        .windows(2)
                        .map(change)
                        .zip(second.windows(2).map(change))
                };
                let [variance, _, covariance] = spread(changes, self.period);
                [if variance > 0.0 {
                    covariance / variance
                } else {
                    0.0
                }]
            }
            _ => [f64::NAN],
        }
    }
}

/// Relative change from the first to the second of two values; none from zero.
#[inline(always)]
fn change(values: &[f64]) -> f64 {
    match values {
        [before, after] if *before != 0.0 => (after - before) / before,
        _ => 0.0,
    }
}

/// Sums of the squared distances from the mean, of each series, and of their products.
#[inline(always)]
fn spread<P: Iterator<Item = (f64, f64)>>(pairs: impl Fn() -> P, count: usize) -> [f64; 3] {
    let (mut x, mut y) = (0.0, 0.0);
    for (a, b) in pairs() {
        x += a;
        y += b;
    }
    let (x, y) = (x / count as f64, y / count as f64);
    let mut sums = [0.0; 3];
    for (a, b) in pairs() {
        let (a, b) = (a - x, b - y);
        sums[0] += a * a;
        sums[1] += b * b;
        sums[2] += a * b;
    }
    sums
}
