//! Trending, volatile, consolidating or sideways.

use super::squared_returns::sums_of_squared_returns;
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Block, Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::kernels::trend::directional_movement::Movement;
use crate::neighbours::{LONGEST, Row, WINDOWS, divide_by_each};
use crate::rolling_moments::means_and_variances;
use crate::state::state;
use crate::subnormal::{all_near, quotient};
use crate::window::{mean_and_variance, slide, sum_of};

/// A market's regime from its trend strength and its volatility against its own past.
#[derive(Debug)]
pub(crate) struct MarketRegime {
    adx_period: usize,
    period: usize,
    memory: usize,
    trending_adx: f64,
    volatile_rank: f64,
    quiet_rank: f64,
}

state! {
    /// Directional movement, the close before, bars counted until all is warm, the next place in the memory.
    pub(crate) struct Past {
        movement: Movement,
        previous_close: f64,
        bars: u64,
        next: u64,
    }
}

/// Share of `values` below `value`, equal ones by half: 0.5 when all are equal.
#[inline(always)]
fn rank(values: &[f64], value: f64) -> f64 {
    let twice: u64 = values
        .iter()
        .map(|other| u64::from(*other < value) + u64::from(*other <= value))
        .sum();
    twice as f64 / (2 * values.len()) as f64
}

impl Kernel for MarketRegime {
    type State = Past;
    type Output = [f64; 7];
    const DESCRIPTION: Description = Description {
        name: "market_regime",
        summary: "trending, volatile, consolidating or sideways market",
        parameters: &[
            Parameter::period("adx_period", "bars of Wilder's smoothing in ADX", 14, 2),
            Parameter::period("timeperiod", "bars of volatility and band width", 20, 2),
            Parameter::period(
                "memory",
                "bars whose volatility and band width the newest is ranked among, itself included",
                120,
                2,
            ),
            Parameter::number(
                "trending_adx",
                "ADX from which a market trends",
                25.0,
                0.0,
                100.0,
            ),
            Parameter::number(
                "volatile_rank",
                "rank of the volatility from which a market is volatile",
                0.8,
                0.5,
                1.0,
            ),
            Parameter::number(
                "quiet_rank",
                "rank of the band width up to which a market consolidates",
                0.2,
                0.0,
                0.5,
            ),
        ],
        outputs: &[
            output(
                "code",
                "2 volatile: volatility_rank >= volatile_rank; else 1 trending: ADX >= trending_adx; else 3 consolidation: width_rank <= quiet_rank; else 0 sideways",
            ),
            output("sideways", "1 when code is 0, else 0"),
            output("trending", "1 when code is 1, else 0"),
            output("volatile", "1 when code is 2, else 0"),
            output("consolidation", "1 when code is 3, else 0"),
            output(
                "volatility_rank",
                "share of the last memory bars with a lower root mean square log return, equal ones by half",
            ),
            output(
                "width_rank",
                "share of the last memory bars with a lower standard deviation / mean of the close, equal ones by half",
            ),
        ],
        source: "own rule over ADX (Wilder 1978), realised volatility and Bollinger's band width",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            adx_period: arguments.count("adx_period")?,
            period: arguments.count("timeperiod")?,
            memory: arguments.count("memory")?,
            trending_adx: arguments.number("trending_adx")?,
            volatile_rank: arguments.number("volatile_rank")?,
            quiet_rank: arguments.number("quiet_rank")?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of(Column::Close, self.period)
    }

    /// The last log returns, then volatilities and band widths in no order.
    fn window_len(&self) -> usize {
        self.period + 2 * self.memory
    }

    fn warmup_bars(&self, output: usize) -> usize {
        let ranks = self.period + self.memory - 1;
        if output < 5 {
            ranks.max(2 * self.adx_period - 1)
        } else {
            ranks
        }
    }

    #[inline(always)]
    fn step(&self, state: &mut Past, window: &mut [f64], frame: &Frame<'_>) -> [f64; 7] {
        let adx = state.movement.push(self.adx_period, frame)[0];
        let (returns, memory) = window.split_at_mut(self.period);
        let previous_close = std::mem::replace(&mut state.previous_close, frame.bar.close);
        let bars = state.bars;
        if bars < (self.period + self.memory) as u64 {
            state.bars += 1;
        }
        if bars > 0 {
            slide(
                returns,
                libm::log(quotient(frame.bar.close, previous_close)),
            );
        }
        if bars < self.period as u64 {
            return [f64::NAN; 7];
        }
        let Some(closes) = frame.closes(self.period) else {
            return [f64::NAN; 7];
        };
        let volatility = sum_of(returns, |value| value * value);
        let width = if all_near(closes) {
            // Squares of such distances are zero.
            0.0
        } else {
            let (mean, variance) = mean_and_variance(closes);
            quotient(variance.sqrt(), mean)
        };
        let ranks = self.remember(&mut state.next, memory, volatility, width);
        if bars + 1 < (self.period + self.memory) as u64 {
            return [f64::NAN; 7];
        }
        self.show(adx, ranks)
    }

    #[inline(always)]
    fn block(
        &self,
        state: &mut Past,
        window: &mut [f64],
        block: Block<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let (Some(closes), Some(own)) = (block.closes(self.period), block.close()) else {
            return false;
        };
        // Then all that follows can be taken.
        if state.bars < (self.period + self.memory) as u64 || self.period > LONGEST {
            return false;
        }
        let (mut adx, mut widths, mut means) = (Row::ZEROS, Row::ZEROS, Row::ZEROS);
        let taken =
            (state.movement).take_span(self.adx_period, block.span(), &[0], &mut [&mut adx.0]);
        let (returns, memory) = window.split_at_mut(self.period);
        if taken < WINDOWS {
            return false;
        }
        let Some(volatilities) = sums_of_squared_returns(returns, block) else {
            return false;
        };
        if !all_near(closes) {
            means_and_variances(closes, self.period, &mut means.0, &mut widths.0);
            for width in &mut widths.0 {
                *width = width.sqrt();
            }
            divide_by_each(&mut widths.0, &means.0);
        }
        for (at, adx) in adx.0.iter().enumerate() {
            let ranks = self.remember(&mut state.next, memory, volatilities.0[at], widths.0[at]);
            for (output, value) in outputs.iter_mut().zip(self.show(*adx, ranks)) {
                output.0[at] = value;
            }
        }
        [.., state.previous_close] = *own;
        true
    }
}

impl MarketRegime {
    /// Puts the newest volatility and band width in place of the oldest; the rank of each.
    #[inline(always)]
    fn remember(
        &self,
        next: &mut u64,
        memory: &mut [f64],
        volatility: f64,
        width: f64,
    ) -> (f64, f64) {
        let (volatilities, widths) = memory.split_at_mut(self.memory);
        let at = if *next < self.memory as u64 {
            *next as usize
        } else {
            0
        };
        *next = at as u64 + 1;
        volatilities[at] = volatility;
        widths[at] = width;
        (rank(volatilities, volatility), rank(widths, width))
    }

    #[inline(always)]
    fn show(&self, adx: f64, ranks: (f64, f64)) -> [f64; 7] {
        let mut regime = [f64::NAN; 5];
        if !adx.is_nan() {
            let code = if ranks.0 >= self.volatile_rank {
                2
            } else if adx >= self.trending_adx {
                1
            } else if ranks.1 <= self.quiet_rank {
                3
            } else {
                0
            };
            regime = [0.0; 5];
            regime[0] = f64::from(code);
            regime[1 + code as usize] = 1.0;
        }
        let [code, sideways, trending, volatile, consolidation] = regime;
        [
            code,
            sideways,
            trending,
            volatile,
            consolidation,
            ranks.0,
            ranks.1,
        ]
    }
}
