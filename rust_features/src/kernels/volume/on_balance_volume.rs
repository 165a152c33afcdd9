//! On-balance volume.

use crate::arguments::{ArgumentError, Arguments};
use crate::frame::{Frame, Span};
use crate::kernel::{Description, Kernel, output};
use crate::state::state;

/// Running volume, signed by the direction of the close.
#[derive(Debug)]
pub(crate) struct Obv;

state! {
    /// Previous close and the running total.
    pub(crate) struct SignedVolume {
        previous_close: f64,
        total: f64,
        started: bool,
    }
}

impl Kernel for Obv {
    type State = SignedVolume;
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "obv",
        summary: "on-balance volume",
        parameters: &[],
        outputs: &[output(
            "obv",
            "running sum of volume, minus when the close falls, nothing when it stays; starts at the first volume",
        )],
        source: "TA-Lib OBV; Granville (1963), Granville's New Key to Stock Market Profits",
    };

    fn new(_arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        0
    }

    #[inline(always)]
    fn step(&self, state: &mut SignedVolume, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        let (close, volume) = (frame.bar.close, frame.bar.volume);
        let previous_close = std::mem::replace(&mut state.previous_close, close);
        state.total += if std::mem::replace(&mut state.started, true) {
            signed(volume, close, previous_close)
        } else {
            volume
        };
        [state.total]
    }

    #[inline(always)]
    fn span(
        &self,
        state: &mut SignedVolume,
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let (Some(previous), [totals]) = (span.previous_closes(), outputs) else {
            return 0;
        };
        let bars = totals.len();
        let previous = &previous[..bars];
        span.bars(bars, |at, bar| {
            totals[at] = signed(bar.volume, bar.close, previous[at]);
        });
        for total in totals.iter_mut() {
            state.total += *total;
            *total = state.total;
        }
        if let [.., close] = span.closes(bars) {
            state.previous_close = *close;
        }
        bars
    }
}

/// The volume with the sign of the close's change; zero without one.
#[inline(always)]
fn signed(volume: f64, close: f64, previous_close: f64) -> f64 {
    let rising = if close > previous_close { volume } else { 0.0 };
    if close < previous_close {
        -volume
    } else {
        rising
    }
}
