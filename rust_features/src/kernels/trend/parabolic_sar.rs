//! Wilder's parabolic stop and reverse.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::Frame;
use crate::kernel::{Description, Kernel, output};
use crate::state::state;
use crate::subnormal::product;

/// A stop that closes in on the price until it is hit.
#[derive(Debug)]
pub(crate) struct Sar {
    acceleration: f64,
    maximum: f64,
}

state! {
    /// The stop for the next bar and the trade it belongs to.
    pub(crate) struct Trade {
        stop: f64,
        extreme: f64,
        acceleration: f64,
        high: f64,
        low: f64,
        short: bool,
        /// Bars seen: none, the first, or more.
        bars: u64,
    }
}

impl Trade {
    /// Opens the trade at the second bar: short if the low fell by more than the high rose.
    fn open(&mut self, acceleration: f64, high: f64, low: f64) {
        let (rise, fall) = (high - self.high, self.low - low);
        self.short = fall > 0.0 && fall > rise;
        self.stop = if self.short { self.high } else { self.low };
        self.extreme = if self.short { low } else { high };
        self.acceleration = acceleration;
        (self.high, self.low) = (high, low);
    }

    /// The stop of this bar; prepares the next one.
    #[inline(always)]
    fn step(&mut self, initial: f64, maximum: f64, high: f64, low: f64) -> f64 {
        let (top, bottom) = (larger(self.high, high), smaller(self.low, low));
        (self.high, self.low) = (high, low);
        let hit = if self.short {
            high >= self.stop
        } else {
            low <= self.stop
        };
        if hit {
            self.short = !self.short;
            self.stop = self.outside(self.extreme, top, bottom);
            self.acceleration = initial;
            self.extreme = if self.short { low } else { high };
        }
        let shown = self.stop;
        if !hit {
            let (reached, further) = if self.short {
                (low, low < self.extreme)
            } else {
                (high, high > self.extreme)
            };
            if further {
                self.extreme = reached;
                self.acceleration = smaller(self.acceleration + initial, maximum);
            }
        }
        let next = self.stop + product(self.extreme - self.stop, self.acceleration);
        self.stop = self.outside(next, top, bottom);
        shown
    }

    /// Keeps a stop out of the range of the last two bars.
    #[inline(always)]
    fn outside(&self, stop: f64, top: f64, bottom: f64) -> f64 {
        if self.short {
            larger(stop, top)
        } else {
            smaller(stop, bottom)
        }
    }
}

#[inline(always)]
fn larger(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

#[inline(always)]
fn smaller(a: f64, b: f64) -> f64 {
    if a < b { a } else { b }
}

impl Kernel for Sar {
    type State = Trade;
    type Output = [f64; 3];
    const DESCRIPTION: Description = Description {
        name: "sar",
        summary: "parabolic stop and reverse",
        parameters: &[
            Parameter::number(
                "acceleration",
                "first acceleration and its increment at each new extreme",
                0.02,
                0.0,
                1e6,
            ),
            Parameter::number("maximum", "largest acceleration", 0.2, 0.0, 1e6),
        ],
        outputs: &[
            output(
                "sar",
                "stop of this bar: stop + acceleration * (extreme - stop), kept out of the last two bars' range; the extreme of the trade when it is hit",
            ),
            output("ratio", "close / sar - 1"),
            output(
                "direction",
                "1 while the trade is long, -1 while it is short",
            ),
        ],
        source: "TA-Lib SAR; Wilder (1978), New Concepts in Technical Trading Systems",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        let maximum = arguments.number("maximum")?;
        Ok(Self {
            acceleration: smaller(arguments.number("acceleration")?, maximum),
            maximum,
        })
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        1
    }

    #[inline(always)]
    fn step(&self, state: &mut Trade, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 3] {
        let (high, low) = (frame.bar.high, frame.bar.low);
        if state.bars < 2 {
            state.bars += 1;
            if state.bars == 1 {
                (state.high, state.low) = (high, low);
                return [f64::NAN; 3];
            }
            state.open(self.acceleration, high, low);
        }
        let stop = state.step(self.acceleration, self.maximum, high, low);
        let direction = if state.short { -1.0 } else { 1.0 };
        [
            stop,
            super::simple_moving_average::ratio(frame.bar.close, stop),
            direction,
        ]
    }
}
