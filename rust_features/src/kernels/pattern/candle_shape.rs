//! Proportions of one candle.

use crate::arguments::{ArgumentError, Arguments};
use crate::bar::Bar;
use crate::frame::{Frame, Span};
use crate::kernel::{Description, Kernel, output};
use crate::neighbours::{self, TILE, divide_by_widths};
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
            quotients(parts(bar), [range; 4])
        } else {
            WITHOUT_RANGE
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
        let [location, body, upper, lower] = outputs else {
            return 0;
        };
        let bars = location.len();
        span.bars(bars, |at, bar| {
            [location[at], body[at], upper[at], lower[at]] = parts(bar);
        });
        let mut ranges = [0.0; TILE];
        let [_, highs, lows, ..] = span.prices();
        for own in neighbours::parts(bars, TILE) {
            let (highs, lows) = (&highs[own.clone()], &lows[own.clone()]);
            let ranges = &mut ranges[..own.len()];
            for (at, range) in ranges.iter_mut().enumerate() {
                *range = highs[at] - lows[at];
            }
            for (cells, without) in outputs.iter_mut().zip(WITHOUT_RANGE) {
                divide_by_widths(&mut cells[own.clone()], ranges, without);
            }
        }
        bars
    }
}

/// What stands for the fractions of no range.
const WITHOUT_RANGE: [f64; 4] = [0.5, 0.0, 0.0, 0.0];

/// The parts of a candle's range.
#[inline(always)]
fn parts(bar: &Bar) -> [f64; 4] {
    let (top, bottom) = (bar.open.max(bar.close), bar.open.min(bar.close));
    [
        bar.close - bar.low,
        bar.close - bar.open,
        bar.high - top,
        bottom - bar.low,
    ]
}
