//! Range of one bar.

use crate::arguments::{ArgumentError, Arguments};
use crate::frame::{Frame, Span};
use crate::kernel::{Description, Kernel, output};
use crate::neighbours::divide_by_each;
use crate::subnormal::quotient;

/// High-low range of one bar.
#[derive(Debug)]
pub(crate) struct HighLowRange;

impl Kernel for HighLowRange {
    type State = ();
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "high_low_range",
        summary: "high-low range of the bar",
        parameters: &[],
        outputs: &[
            output("ratio", "(high - low) / close"),
            output("range", "high - low"),
        ],
        source: "definition",
    };

    fn new(_arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        0
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
        let range = frame.bar.high - frame.bar.low;
        [quotient(range, frame.bar.close), range]
    }

    #[inline(always)]
    fn span(
        &self,
        (): &mut (),
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let [ratios, ranges] = outputs else {
            return 0;
        };
        span.bars(ranges.len(), |at, bar| {
            ranges[at] = bar.high - bar.low;
        });
        ratios.copy_from_slice(ranges);
        divide_by_each(ratios, span.closes(ranges.len()));
        ranges.len()
    }
}
