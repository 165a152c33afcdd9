//! Proportions of one candle.

use crate::arguments::{ArgumentError, Arguments};
use crate::frame::Frame;
use crate::kernel::{Description, Kernel, output};
use crate::subnormal::quotients;

/// Body, shadows and place of the close as fractions of the range.
#[derive(Debug)]
pub(crate) struct CandleShape;

impl Kernel for CandleShape {
    type State = ();
    type Output = [f64; 4];
    const DESCRIPTION: Description = Description {
        name: "candle_shape",
        summary: "proportions of the candle",
        parameters: &[],
        outputs: &[
            output(
                "close_location",
                "(close - low) / (high - low); 0.5 without range",
            ),
            output("body", "(close - open) / (high - low); 0 without range"),
            output(
                "upper_shadow",
                "(high - max(open, close)) / (high - low); 0 without range",
            ),
            output(
                "lower_shadow",
                "(min(open, close) - low) / (high - low); 0 without range",
            ),
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
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 4] {
        let bar = &frame.bar;
        let range = bar.high - bar.low;
        if range > 0.0 {
            let (top, bottom) = (bar.open.max(bar.close), bar.open.min(bar.close));
            let parts = [
                bar.close - bar.low,
                bar.close - bar.open,
                bar.high - top,
                bottom - bar.low,
            ];
            quotients(parts, [range; 4])
        } else {
            [0.5, 0.0, 0.0, 0.0]
        }
    }
}
