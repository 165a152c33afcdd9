//! Simple moving average.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback, Span};
use crate::kernel::{Description, Kernel, output};
use crate::known_length::known_length;
use crate::neighbouring_means::all_means;
use crate::neighbours::Row;
use crate::side_by_side::{Memories, SideBySide, means};
use crate::subnormal::{Careful, Plain, is_near};
use crate::subnormal_blocks::{self, ratio_by, ratios_by};
use crate::window::mean;

/// Mean of the last bars.
#[derive(Debug)]
pub(crate) struct Sma {
    period: usize,
    column: Column,
}

impl Kernel for Sma {
    type State = ();
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "sma",
        summary: "simple moving average",
        parameters: &[
            Parameter::period("timeperiod", "bars in the mean", 30, 1),
            Parameter::column("close"),
        ],
        outputs: &[
            output("sma", "mean of the last timeperiod values"),
            output("ratio", "value / sma - 1; 0 when sma is 0"),
        ],
        source: "TA-Lib SMA",
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

    const SIDE_BY_SIDE: bool = true;

    #[inline(always)]
    fn side_by_side(
        &self,
        _memories: &mut Memories<'_>,
        newest: &SideBySide<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let (Some(values @ [.., newest]), [averages, ratios]) =
            (newest.last(self.column, self.period), outputs)
        else {
            return false;
        };
        *averages = means(values);
        self::ratios(&newest.0, &averages.0, &mut ratios.0);
        true
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
        match frame.last(self.column, self.period) {
            Some(values) => {
                let average = known_length!([values] of [50] => mean(values));
                [average, ratio(frame.current(self.column), average)]
            }
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
        (): &mut (),
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let (values, [averages, ratios @ ..]) = (span.source(), outputs) else {
            return 0;
        };
        let Some(windows) = span.sources(self.period) else {
            return 0;
        };
        let averages = &mut averages[..values.len()];
        let taken = all_means(windows, self.period, averages);
        if let [ratios, ..] = ratios {
            self::ratios(&values[..taken], averages, ratios);
        }
        taken
    }
}

/// Distance of a value from its average, as a fraction of the average.
#[inline(always)]
pub(crate) fn ratio(value: f64, average: f64) -> f64 {
    ratio_by::<Careful>(value, average)
}

/// As [`ratio`] of each value.
#[inline(always)]
pub(crate) fn ratios(values: &[f64], averages: &[f64], cells: &mut [f64]) {
    let bars = values.len().min(averages.len()).min(cells.len());
    let (values, averages) = (&values[..bars], &averages[..bars]);
    let cells = &mut cells[..bars];
    if averages.first().copied().is_some_and(is_near) {
        subnormal_blocks::ratios(values, averages, cells);
    } else {
        ratios_by::<Plain>(values, averages, cells);
    }
}
