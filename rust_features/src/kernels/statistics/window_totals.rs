//! Extremes and sum of the last values.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback, Span};
use crate::kernel::{Description, Kernel, output};
use crate::kernels::trend::simple_moving_average::{ratio, ratios};
use crate::neighbouring_extremes::{all_highest, all_lowest};
use crate::neighbouring_means::{all_means, all_sums};
use crate::neighbours::TILE;
use crate::window::{highest, lowest, mean, sum};

/// Declares a function of the last values: name, summary, formula text, the function of one window and that of all.
macro_rules! totals {
    ($($kernel:ident, $name:literal, $summary:literal, $formula:literal, $total:expr, $totals:expr, $second:literal, $second_formula:literal, $compare:expr, $compare_all:expr;)+) => {
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
                        $compare_all(windows, self.period, &values[..taken], totals, cells);
                    }
                    taken
                }
            }
        )+
    };
}

/// Each value relative to its window's total.
#[inline(always)]
fn ratios_to_totals(
    _windows: &[f64],
    _period: usize,
    values: &[f64],
    totals: &[f64],
    cells: &mut [f64],
) {
    ratios(values, totals, cells);
}

/// Each value relative to its window's mean.
#[inline(always)]
fn ratios_to_means(
    windows: &[f64],
    period: usize,
    values: &[f64],
    _totals: &[f64],
    cells: &mut [f64],
) {
    let mut means = [0.0; TILE];
    for (tile, values) in values.chunks(TILE).enumerate() {
        let first = tile * TILE;
        let means = &mut means[..values.len()];
        all_means(&windows[first..], period, means);
        ratios(values, means, &mut cells[first..]);
    }
}

totals! {
    Max, "max", "highest of the last values", "highest of the last timeperiod values", highest, all_highest,
        "ratio", "value / max - 1; 0 when max is 0", |_: &[f64], value, most| ratio(value, most), ratios_to_totals;
    Min, "min", "lowest of the last values", "lowest of the last timeperiod values", lowest, all_lowest,
        "ratio", "value / min - 1; 0 when min is 0", |_: &[f64], value, least| ratio(value, least), ratios_to_totals;
    Sum, "sum", "sum of the last values", "sum of the last timeperiod values", sum, all_sums,
        "ratio", "value / mean of the window - 1; 0 when the mean is 0",
        |values: &[f64], value, _| ratio(value, mean(values)), ratios_to_means;
}
