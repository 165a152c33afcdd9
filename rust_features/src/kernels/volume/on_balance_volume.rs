//! On-balance volume.

use crate::arguments::{ArgumentError, Arguments};
use crate::frame::{Column, Frame, Span};
use crate::kernel::{Description, Kernel, output};
use crate::state::state;
use crate::window::{Finite, all_finite};

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

    const IS_CHAIN: bool = true;

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
    fn span_checks(&self, column: Column) -> bool {
        matches!(column, Column::Close | Column::Volume)
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
        let [.., closes, volumes] = span.prices();
        let mut taken = 0;
        for totals in totals.chunks_mut(BARS) {
            let own = taken..taken + totals.len();
            let (closes, volumes) = (&closes[own.clone()], &volumes[own.clone()]);
            let mut flows = [0.0; BARS];
            let flows = &mut flows[..totals.len()];
            if !signed_volumes(closes, &previous[own], volumes, flows) {
                break;
            }
            for (total, flow) in totals.iter_mut().zip(flows) {
                state.total += *flow;
                *total = state.total;
            }
            if let [.., close] = closes {
                state.previous_close = *close;
            }
            taken += totals.len();
        }
        taken
    }
}

/// Bars of a block: so few that a processor signs the volumes of the next one beside the sums of this one.
const BARS: usize = 32;

/// The signed volumes of a block; false where a close or volume is not finite.
#[inline(always)]
fn signed_volumes(closes: &[f64], previous: &[f64], volumes: &[f64], flows: &mut [f64]) -> bool {
    let bars = flows.len();
    let (closes, previous, volumes) = (&closes[..bars], &previous[..bars], &volumes[..bars]);
    let mut finite = Finite::default();
    for (at, flow) in flows.iter_mut().enumerate() {
        *flow = signed(volumes[at], closes[at], previous[at]);
        // One look for two numbers: what is not finite stays in a sum.
        finite.look(closes[at] + volumes[at]);
    }
    finite.all() || (all_finite(closes) && all_finite(volumes))
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
