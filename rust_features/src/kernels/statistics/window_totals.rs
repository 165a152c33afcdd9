//! Extremes and sum of the last values.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback, Span};
use crate::kernel::{Description, Kernel, output};
use crate::neighbouring_extremes::{all_highest, all_lowest};
use crate::neighbouring_means::all_sums;
use crate::window::{highest, lowest, mean, sum};

/// Declares a function of the last values: name, summary, formula text, the function of one window and that of all.
macro_rules! totals {
    ($($kernel:ident, $name:literal, $summary:literal, $formula:literal, $total:expr, $totals:expr, $second:literal, $second_formula:literal, $compare:expr;)+) => {
        $(
            #[doc = $summary]
            #[derive(Debug)]
            pub(crate) struct $kernel {
                period: usize,
                column: Column,
            }

            impl Kernel for $kernel {
                type State = ();
                type Output = [f64; 2];
                const DESCRIPTION: Description = Description {
                    name: $name,
                    summary: $summary,
                    parameters: &[
                        Parameter::period("timeperiod", "bars in the window", 30, 2),
                        Parameter::column("close"),
                    ],
                    outputs: &[output($name, $formula), output($second, $second_formula)],
                    source: concat!("TA-Lib ", $name),
                };
                const CLASSIC_OUTPUTS: usize = 1;

                fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
                    Ok(Self {
                        period: arguments.count("timeperiod")?,
                        column: arguments.column()?,
                    })
                }

                fn lookback(&self) -> Lookback {
                    Lookback::of(self.column, self.period)
                }

                fn warmup_bars(&self, _output: usize) -> usize {
                    self.period - 1
                }

                #[inline(always)]
                fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
                    match frame.last(self.column, self.period) {
                        Some(values) => {
                            let (total, value) = ($total(values), frame.current(self.column));
                            [total, $compare(values, value, total)]
                        }
                        None => [f64::NAN; 2],
                    }
                }

                #[inline(always)]
                fn span(
                    &self,
                    (): &mut (),
                    _window: &mut [f64],
                    span: Span<'_>,
                    outputs: &mut [&mut [f64]],
                ) -> usize {
                    let (values, Some(windows), [totals, more @ ..]) =
                        (span.source(), span.sources(self.period), outputs)
                    else {
                        return 0;
                    };
                    let taken = $totals(windows, self.period, &mut totals[..values.len()]);
                    if let [cells, ..] = more {
                        for (at, cell) in cells[..taken].iter_mut().enumerate() {
                            let own = &windows[at..at + self.period];
                            *cell = $compare(own, values[at], totals[at]);
                        }
                    }
                    taken
                }
            }
        )+
    };
}

/// Value relative to another one; 0 when that is 0.
#[inline(always)]
fn relative(value: f64, other: f64) -> f64 {
    if other == 0.0 {
        0.0
    } else {
        value / other - 1.0
    }
}

totals! {
    Max, "max", "highest of the last values", "highest of the last timeperiod values", highest, all_highest,
        "ratio", "value / max - 1; 0 when max is 0", |_: &[f64], value, most| relative(value, most);
    Min, "min", "lowest of the last values", "lowest of the last timeperiod values", lowest, all_lowest,
        "ratio", "value / min - 1; 0 when min is 0", |_: &[f64], value, least| relative(value, least);
    Sum, "sum", "sum of the last values", "sum of the last timeperiod values", sum, all_sums,
        "ratio", "value / mean of the window - 1; 0 when the mean is 0",
        |values: &[f64], value, _| relative(value, mean(values));
}
