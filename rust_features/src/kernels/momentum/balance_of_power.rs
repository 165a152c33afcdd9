//! Balance of power.

use crate::arguments::{ArgumentError, Arguments};
use crate::bar::Bar;
use crate::frame::{Frame, Span};
use crate::kernel::{Description, Kernel, output};
use crate::subnormal::{Arithmetic, Careful, Lifted, Plain, all_near};

/// Body of the bar as a share of its range.
#[derive(Debug)]
pub(crate) struct Bop;

impl Kernel for Bop {
    type State = ();
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "bop",
        summary: "balance of power",
        parameters: &[],
        outputs: &[output(
            "bop",
            "(close - open) / (high - low); 0 without range",
        )],
        source: "TA-Lib BOP; Livshin (2001), Stocks & Commodities 19:8",
    };

    fn new(_arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        0
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        [balance::<Careful>(&frame.bar)]
    }

    #[inline(always)]
    fn span(
        &self,
        (): &mut (),
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let [balances] = outputs else {
            return 0;
        };
        let bars = balances.len();
        let [_, highs, ..] = span.prices();
        if all_near(&highs[..bars]) {
            span.bars(bars, |at, bar| balances[at] = balance::<Lifted>(bar));
        } else {
            span.bars(bars, |at, bar| balances[at] = balance::<Plain>(bar));
        }
        bars
    }
}

#[inline(always)]
fn balance<A: Arithmetic>(bar: &Bar) -> f64 {
    let range = bar.high - bar.low;
    if range > 0.0 {
        A::quotient(bar.close - bar.open, range)
    } else {
        0.0
    }
}
