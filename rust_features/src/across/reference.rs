//! A symbol's returns beside those of a reference symbol.

use super::{AcrossSymbols, Moment};
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::lanes::Mode;
use crate::state::{State, Words, WordsMut, state};
use crate::window::{mean_and_variance, slide, sum, sum_of_pairs};

/// Correlation and beta against another symbol of the panel.
#[derive(Debug)]
pub(super) struct Reference {
    symbol: String,
    period: usize,
}

state! {
    /// Closes of the last bar that both symbols had, and returns so far, counted until the window is full.
    pub(super) struct Pair {
        close: f64,
        reference_close: f64,
        seen: bool,
        returns: u64,
    }
}

impl Kernel for Reference {
    type State = Pair;
    type Output = [f64; 4];
    const DESCRIPTION: Description = Description {
        name: "reference",
        summary: "log returns beside those of a reference symbol, over the bars that both have; NaN at a bar that the reference lacks",
        parameters: &[
            Parameter::name("reference", "symbol of the panel to compare with", "SPY"),
            Parameter::period("timeperiod", "log returns of each symbol", 60, 2),
        ],
        outputs: &[
            output(
                "correlation",
                "covariance / (deviation * reference's deviation); 0 when either does not move",
            ),
            output(
                "beta",
                "covariance / reference's variance; 0 when the reference does not move",
            ),
            output(
                "relative_return",
                "sum of the log returns - sum of the reference's",
            ),
            output(
                "residual_volatility",
                "square root of (variance - beta * covariance)",
            ),
        ],
        source: "Sharpe (1963), A Simplified Model for Portfolio Analysis; population moments",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            symbol: arguments.text("reference")?.to_owned(),
            period: arguments.count("timeperiod")?,
        })
    }

    /// The reference's newest close, where its bar came in an earlier call.
    fn lookback(&self) -> Lookback {
        Lookback::of(Column::Close, 1)
    }

    /// Own log returns, then the reference's.
    fn window_len(&self) -> usize {
        2 * self.period
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period
    }

    fn step(&self, _state: &mut Pair, _window: &mut [f64], _frame: &Frame<'_>) -> [f64; 4] {
        [f64::NAN; 4]
    }
}

impl Reference {
    fn advance(
        &self,
        state: &mut Pair,
        window: &mut [f64],
        close: f64,
        reference_close: f64,
    ) -> [f64; 4] {
        let (own, other) = window.split_at_mut(self.period);
        if state.seen {
            slide(own, libm::log(close / state.close));
            slide(other, libm::log(reference_close / state.reference_close));
            if state.returns < self.period as u64 {
                state.returns += 1;
            }
        }
        (state.close, state.reference_close, state.seen) = (close, reference_close, true);
        if state.returns < self.period as u64 {
            return [f64::NAN; 4];
        }
        let (mean, variance) = mean_and_variance(own);
        let (reference_mean, reference_variance) = mean_and_variance(other);
        let moves = sum_of_pairs(own, other, |own, other| {
            (own - mean) * (other - reference_mean)
        });
        let covariance = moves / self.period as f64;
        let scale = (variance * reference_variance).sqrt();
        let correlation = if scale > 0.0 {
            (covariance / scale).clamp(-1.0, 1.0)
        } else {
            0.0
        };
        let beta = if reference_variance > 0.0 {
            covariance / reference_variance
        } else {
            0.0
        };
        let residual = variance - beta * covariance;
        [
            correlation,
            beta,
            sum(own) - sum(other),
            if residual > 0.0 { residual.sqrt() } else { 0.0 },
        ]
    }
}

impl AcrossSymbols for Reference {
    fn reference(&self) -> Option<&str> {
        Some(&self.symbol)
    }

    fn run(&self, moment: &mut Moment<'_>) {
        let Some(reference_close) = moment.reference_close else {
            return;
        };
        let mut scratch = Vec::new();
        let mode = moment.mode;
        for ((symbol, row), close) in moment.rows.iter().zip(moment.closes) {
            let (words, window) = moment.memory(*symbol);
            let mut state = Pair::load(&mut Words::new(words));
            let outputs = if mode == Mode::Update {
                let outputs = self.advance(&mut state, window, *close, reference_close);
                state.store(&mut WordsMut::new(words));
                outputs
            } else {
                scratch.clear();
                scratch.extend_from_slice(window);
                self.advance(&mut state, &mut scratch, *close, reference_close)
            };
            moment.write(*row, &outputs);
        }
    }
}
