//! Bull, bear or neither.

use super::squared_returns::sums_of_squared_returns;
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Block, Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::neighbours::{Row, divide_by_each, means};
use crate::state::state;
use crate::subnormal::quotient;
use crate::window::{mean, slide, sum_of};

/// Direction of a long average, measured by what chance alone moves.
#[derive(Debug)]
pub(crate) struct TrendRegime {
    period: usize,
    slope_bars: usize,
    threshold: f64,
}

state! {
    /// The close before, where there is one.
    pub(crate) struct Returns {
        previous_close: f64,
        seen: bool,
    }
}

impl Kernel for TrendRegime {
    type State = Returns;
    type Output = [f64; 5];
    const DESCRIPTION: Description = Description {
        name: "trend_regime",
        summary: "bull, bear or sideways market",
        parameters: &[
            Parameter::period(
                "timeperiod",
                "bars of the average and of the volatility",
                50,
                2,
            ),
            Parameter::period(
                "slope_bars",
                "bars over which the average's slope is taken",
                10,
                1,
            ),
            Parameter::number(
                "threshold",
                "slope beyond which a market is not sideways",
                0.25,
                0.0,
                1e6,
            ),
        ],
        outputs: &[
            output(
                "code",
                "1 bull: close above its average and slope > threshold; -1 bear: close below it and slope < -threshold; else 0 sideways",
            ),
            output("bull", "1 when code is 1, else 0"),
            output("bear", "1 when code is -1, else 0"),
            output("sideways", "1 when code is 0, else 0"),
            output(
                "slope",
                "ln(average / average slope_bars ago) / (root mean square log return * sqrt(slope_bars)); 0 in a flat market",
            ),
        ],
        source: "own rule over a simple moving average and realised volatility",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
            slope_bars: arguments.count("slope_bars")?,
            threshold: arguments.number("threshold")?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of(Column::Close, self.period + self.slope_bars)
    }

    fn window_len(&self) -> usize {
        self.period
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period + self.slope_bars - 1
    }

    #[inline(always)]
    fn step(&self, state: &mut Returns, window: &mut [f64], frame: &Frame<'_>) -> [f64; 5] {
        let close = frame.bar.close;
        let previous_close = std::mem::replace(&mut state.previous_close, close);
        if std::mem::replace(&mut state.seen, true) {
            slide(window, libm::log(quotient(close, previous_close)));
        }
        let Some(closes) = frame.closes(self.period + self.slope_bars) else {
            return [f64::NAN; 5];
        };
        let (now, before) = (
            mean(&closes[self.slope_bars..]),
            mean(&closes[..self.period]),
        );
        let squares = sum_of(window, |value| value * value);
        self.show(close, now, self.noise(squares), || quotient(now, before))
    }

    #[inline(always)]
    fn block(
        &self,
        state: &mut Returns,
        window: &mut [f64],
        block: Block<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let (Some(closes), Some(own), [code, bull, bear, sideways, slope]) = (
            block.closes(self.period + self.slope_bars),
            block.close(),
            outputs,
        ) else {
            return false;
        };
        let Some(squares) = sums_of_squared_returns(window, block) else {
            return false;
        };
        let now = means(&closes[self.slope_bars..], self.period);
        let before = means(&closes[..closes.len() - self.slope_bars], self.period);
        let mut moves = now;
        divide_by_each(&mut moves.0, &before.0);
        for (at, close) in own.iter().enumerate() {
            let noise = self.noise(squares.0[at]);
            [
                code.0[at],
                bull.0[at],
                bear.0[at],
                sideways.0[at],
                slope.0[at],
            ] = self.show(*close, now.0[at], noise, || moves.0[at]);
        }
        [.., state.previous_close] = *own;
        true
    }
}

impl TrendRegime {
    /// What chance alone moves the average by, of the sum of squared returns.
    #[inline(always)]
    fn noise(&self, squares: f64) -> f64 {
        (squares / self.period as f64 * self.slope_bars as f64).sqrt()
    }

    /// The outputs; `change` gives the average over the one before.
    #[inline(always)]
    fn show(&self, close: f64, now: f64, noise: f64, change: impl Fn() -> f64) -> [f64; 5] {
        let slope = if noise > 0.0 {
            libm::log(change()) / noise
        } else {
            0.0
        };
        let bull = close > now && slope > self.threshold;
        let bear = close < now && slope < -self.threshold;
        let code = f64::from(i8::from(bull) - i8::from(bear));
        [
            code,
            f64::from(bull),
            f64::from(bear),
            f64::from(!(bull || bear)),
            slope,
        ]
    }
}
