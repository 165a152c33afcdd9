//! Exponentially weighted variance of returns.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Span};
use crate::kernel::{Description, Kernel, output};
use crate::logarithm::{log_changes, log_ratio};
use crate::state::state;
use crate::window::flush_tiny;

state! {
    /// A weighted mean whose weights decay, and the sum of those weights.
    pub(crate) struct DecayingMean {
        mean: f64,
        weight: f64,
    }
}

impl DecayingMean {
    /// Takes a value; the mean with weight `(1 - smoothing)^age` on each value so far.
    #[inline(always)]
    pub(crate) fn push(&mut self, smoothing: f64, value: f64) -> f64 {
        self.weight = 1.0 + (1.0 - smoothing) * self.weight;
        self.mean = flush_tiny(self.mean + (value - self.mean) / self.weight);
        self.mean
    }
}

/// Decaying mean of squared log returns.
#[derive(Debug)]
pub(crate) struct EwmaVariance {
    smoothing: f64,
}

state! {
    /// Previous close and the mean.
    pub(crate) struct SquaredReturns {
        previous_close: f64,
        squares: DecayingMean,
        started: bool,
    }
}

impl Kernel for EwmaVariance {
    type State = SquaredReturns;
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "ewma_variance",
        summary: "exponentially weighted variance of log returns, per bar",
        parameters: &[Parameter::number(
            "smoothing",
            "weight of the newest return in the long run, 1 - lambda of RiskMetrics",
            0.06,
            1e-6,
            1.0,
        )],
        outputs: &[
            output(
                "variance",
                "mean of squared log returns with weights (1 - smoothing)^age, which sum to 1 from the first return on",
            ),
            output("volatility", "square root of variance"),
        ],
        source: "J.P. Morgan (1996), RiskMetrics Technical Document",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            smoothing: arguments.number("smoothing")?,
        })
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        1
    }

    #[inline(always)]
    fn step(&self, state: &mut SquaredReturns, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
        let close = frame.bar.close;
        let previous_close = std::mem::replace(&mut state.previous_close, close);
        if !std::mem::replace(&mut state.started, true) {
            return [f64::NAN; 2];
        }
        let change = log_ratio(close, previous_close);
        let variance = state.squares.push(self.smoothing, change * change);
        [variance, variance.sqrt()]
    }

    #[inline(always)]
    fn span(
        &self,
        state: &mut SquaredReturns,
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let (Some(closes @ [.., last]), [variances, volatilities]) =
            (span.windows(Column::Close, 2), outputs)
        else {
            return 0;
        };
        if !state.started {
            return 0;
        }
        log_changes(closes, variances);
        for (variance, volatility) in variances.iter_mut().zip(&mut **volatilities) {
            *variance = state.squares.push(self.smoothing, *variance * *variance);
            *volatility = variance.sqrt();
        }
        state.previous_close = *last;
        variances.len()
    }
}
