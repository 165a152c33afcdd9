//! Chande momentum oscillator.

use super::relative_strength_index::{GainsAndLosses, rows_of_moves};
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Span};
use crate::kernel::{Description, Kernel, output};

/// Balance of gains and losses, Wilder smoothing.
#[derive(Debug)]
pub(crate) struct Cmo {
    period: usize,
    column: Column,
}

impl Kernel for Cmo {
    type State = GainsAndLosses;
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "cmo",
        summary: "Chande momentum oscillator",
        parameters: &[
            Parameter::period("timeperiod", "bars of Wilder's smoothing", 14, 2),
            Parameter::column("close"),
        ],
        outputs: &[output(
            "cmo",
            "100 * (average gain - average loss) / (average gain + average loss); 0 in a flat market",
        )],
        source: "TA-Lib CMO; Chande and Kroll (1994), The New Technical Trader",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
            column: arguments.column()?,
        })
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period
    }

    rows_of_moves!();

    #[inline(always)]
    fn step(&self, state: &mut GainsAndLosses, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        [state
            .averages(self.period, frame.current(self.column))
            .map_or(f64::NAN, |(gain, loss)| balance(gain, loss))]
    }

    #[inline(always)]
    fn span(
        &self,
        state: &mut GainsAndLosses,
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let [cells] = outputs else {
            return 0;
        };
        state.take_span(self.period, span, cells, balance)
    }
}

#[inline(always)]
fn balance(gain: f64, loss: f64) -> f64 {
    let total = gain + loss;
    if total > 0.0 {
        100.0 * ((gain - loss) / total)
    } else {
        0.0
    }
}
