//! Momentum.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback, Span};
use crate::kernel::{Description, Kernel, output};
use crate::neighbours::TILE;
use crate::window::{Finite, all_finite};

/// Change over some bars.
#[derive(Debug)]
pub(crate) struct Mom {
    period: usize,
    column: Column,
}

impl Kernel for Mom {
    type State = ();
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "mom",
        summary: "momentum",
        parameters: &[
            Parameter::period("timeperiod", "bars between the two values", 10, 1),
            Parameter::column("close"),
        ],
        outputs: &[
            output("mom", "value - value timeperiod bars ago"),
            output("ratio", "mom / value; 0 when the value is 0"),
        ],
        source: "TA-Lib MOM",
    };
    const CLASSIC_OUTPUTS: usize = 1;

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
            column: arguments.column()?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of(self.column, self.period + 1)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
        let Some([old, ..]) = frame.last(self.column, self.period + 1) else {
            return [f64::NAN; 2];
        };
        let value = frame.current(self.column);
        let change = value - old;
        [change, if value == 0.0 { 0.0 } else { change / value }]
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
        let (Some(olds), [changes, ratios @ ..]) = (span.earlier_source(self.period), outputs)
        else {
            return 0;
        };
        let mut taken = 0;
        let tiles = span.source().chunks(TILE).zip(olds.chunks(TILE));
        for (changes, (values, olds)) in changes.chunks_mut(TILE).zip(tiles) {
            // A value that is not finite makes a change of its kind.
            if !subtract(values, olds, changes) && !all_finite(values) {
                break;
            }
            taken += changes.len();
        }
        if let [ratios, ..] = ratios {
            for ((cell, value), change) in ratios.iter_mut().zip(span.source()).zip(&**changes) {
                *cell = if *value == 0.0 { 0.0 } else { change / value };
            }
        }
        taken
    }
}

/// Writes each value less the old one; false when a change is not finite.
#[inline(always)]
fn subtract(values: &[f64], olds: &[f64], changes: &mut [f64]) -> bool {
    let bars = changes.len();
    let (values, olds) = (&values[..bars], &olds[..bars]);
    let mut finite = Finite::default();
    for (at, cell) in changes.iter_mut().enumerate() {
        *cell = values[at] - olds[at];
        finite.look(*cell);
    }
    finite.all()
}
