//! Wilder's parabolic stop and reverse.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Frame, Span};
use crate::kernel::{Description, Kernel, output};
use crate::neighbours::TILE;
use crate::state::{show_flag, state};
use crate::subnormal::{
    RAISED_SHARE, all_near, all_subnormal, is_factor, is_near, lift, lifted_product, lower,
    lower_raised, raise, toward, toward_raised,
};

use super::simple_moving_average::{ratio, ratios};

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

    /// The stop of this bar; prepares the next one. `toward` moves a stop to an extreme by a share of their distance.
    #[inline(always)]
    fn step(
        &mut self,
        (initial, maximum): (f64, f64),
        high: f64,
        low: f64,
        toward: impl Fn(f64, f64, f64) -> f64,
    ) -> f64 {
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
        let next = toward(self.stop, self.extreme, self.acceleration);
        self.stop = self.outside(next, top, bottom);
        shown
    }

    /// The stops of the bars up to one that hits its stop, as many as those are: as [`Trade::step`], for a trade of
    /// one side.
    #[inline(always)]
    fn hold<const SHORT: bool>(
        &mut self,
        (initial, maximum): (f64, f64),
        [highs, lows]: [&[f64]; 2],
        stops: &mut [f64],
        toward: impl Fn(f64, f64, f64) -> f64,
    ) -> usize {
        let (mut stop, mut extreme, mut acceleration) =
            (self.stop, self.extreme, self.acceleration);
        let (mut high, mut low) = (self.high, self.low);
        let bars = stops.len();
        let (highs, lows) = (&highs[..bars], &lows[..bars]);
        let mut taken = 0;
        while taken < bars {
            let (top, bottom) = (larger(high, highs[taken]), smaller(low, lows[taken]));
            let hit = if SHORT {
                highs[taken] >= stop
            } else {
                lows[taken] <= stop
            };
            if hit {
                break;
            }
            (high, low) = (highs[taken], lows[taken]);
            stops[taken] = stop;
            let further = if SHORT { low < extreme } else { high > extreme };
            extreme = if SHORT {
                smaller(low, extreme)
            } else {
                larger(high, extreme)
            };
            // What changes no number, added where nothing is: no bar waits for a guess.
            let more = if further { initial } else { -0.0 };
            // What is above the largest one stays so: no bar waits for that comparison.
            acceleration += more;
            stop = toward(stop, extreme, smaller(acceleration, maximum));
            // Mostly it is outside: a branch that guesses so is nothing that the next bar waits for.
            if SHORT {
                if top > stop {
                    stop = kept_out(top);
                }
            } else if bottom < stop {
                stop = kept_out(bottom);
            }
            taken += 1;
        }
        (self.stop, self.extreme, self.acceleration) =
            (stop, extreme, smaller(acceleration, maximum));
        (self.high, self.low) = (high, low);
        taken
    }

    /// The stop, and the direction where it is asked for, of each bar.
    #[inline(always)]
    fn follow(
        &mut self,
        limits: (f64, f64),
        [highs, lows]: [&[f64]; 2],
        stops: &mut [f64],
        mut directions: Option<&mut [f64]>,
        toward: impl Fn(f64, f64, f64) -> f64 + Copy,
    ) {
        let bars = stops.len();
        let mut at = 0;
        while at < bars {
            let (ranges, cells) = ([&highs[at..bars], &lows[at..bars]], &mut stops[at..]);
            let held = if self.short {
                self.hold::<true>(limits, ranges, cells, toward)
            } else {
                self.hold::<false>(limits, ranges, cells, toward)
            };
            if let Some(directions) = &mut directions {
                directions[at..at + held].fill(self.direction());
            }
            at += held;
            if at < bars {
                stops[at] = self.step(limits, highs[at], lows[at], toward);
                if let Some(directions) = &mut directions {
                    directions[at] = self.direction();
                }
                at += 1;
            }
        }
    }

    /// Whether all prices are the stop, which each bar hits.
    #[inline(always)]
    fn stands_still(&self, ranges: [&[f64]; 2]) -> bool {
        let stop = self.stop.to_bits();
        let mut prices = self.prices().into_iter();
        prices.all(|price| price.to_bits() == stop)
            && (ranges.into_iter()).all(|prices| {
                prices.first().is_some_and(|first| first.to_bits() == stop)
                    && (prices.iter()).fold(true, |all, price| all & (price.to_bits() == stop))
            })
    }

    /// As [`Trade::follow`] where the market [`Trade::stands_still`]: each bar opens a trade of the other side.
    #[inline(always)]
    fn stand_still(&mut self, initial: f64, stops: &mut [f64], mut directions: Option<&mut [f64]>) {
        self.acceleration = initial;
        for (at, stop) in stops.iter_mut().enumerate() {
            self.short = !self.short;
            *stop = self.stop;
            if let Some(directions) = &mut directions {
                directions[at] = self.direction();
            }
        }
    }

    /// As [`Trade::follow`] for a block of numbers near zero, with the same bits: all of them changed for others with
    /// the same order, and back.
    #[inline(always)]
    fn follow_near(
        &mut self,
        limits: (f64, f64),
        ranges: [&[f64]; 2],
        stops: &mut [f64],
        directions: Option<&mut [f64]>,
        (change, back, toward): (
            impl Fn(f64) -> f64,
            impl Fn(f64) -> f64,
            impl Fn(f64, f64, f64) -> f64 + Copy,
        ),
    ) {
        let mut changed = [[0.0; TILE]; 2];
        for (changed, values) in changed.iter_mut().zip(ranges) {
            for (changed, value) in changed.iter_mut().zip(values) {
                *changed = change(*value);
            }
        }
        self.change_prices(change);
        let ranges = changed.each_ref().map(|values| &values[..]);
        self.follow(limits, ranges, stops, directions, toward);
        self.change_prices(&back);
        for stop in stops {
            *stop = back(*stop);
        }
    }

    fn change_prices(&mut self, change: impl Fn(f64) -> f64) {
        for price in [
            &mut self.stop,
            &mut self.extreme,
            &mut self.high,
            &mut self.low,
        ] {
            *price = change(*price);
        }
    }

    fn prices(&self) -> [f64; 4] {
        [self.stop, self.extreme, self.high, self.low]
    }

    #[inline(always)]
    fn direction(&self) -> f64 {
        if self.short { -1.0 } else { 1.0 }
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

/// [`toward`] of lifted numbers.
#[inline(always)]
fn toward_lifted(stop: f64, extreme: f64, share: f64) -> f64 {
    stop + lifted_product(extreme - stop, share)
}

/// A stop that the range of the last two bars holds back: out of line, and its value kept from the compiler, which would
/// make a selection of the branch.
#[cold]
#[inline(never)]
fn kept_out(limit: f64) -> f64 {
    std::hint::black_box(limit)
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
    const CLASSIC_OUTPUTS: usize = 1;
    const IS_CHAIN: bool = true;

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

    const MEMORY_ROWS: bool = true;

    #[inline(always)]
    fn live(&self, state: &mut Trade, show: &mut impl FnMut(&mut f64)) {
        show(&mut state.stop);
        show(&mut state.extreme);
        show(&mut state.acceleration);
        show_flag(&mut state.short, show);
    }

    #[inline(always)]
    fn catch_up(&self, state: &mut Trade, _window: &mut [f64], newest: &Frame<'_>, _bars: u64) {
        (state.high, state.low) = (newest.bar.high, newest.bar.low);
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
        let stop = state.step(self.limits(), high, low, toward);
        [stop, ratio(frame.bar.close, stop), state.direction()]
    }

    #[inline(always)]
    fn span(
        &self,
        state: &mut Trade,
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let [stops, more @ ..] = outputs else {
            return 0;
        };
        if state.bars < 2 {
            return 0;
        }
        let [_, highs, lows, closes, _] = span.prices();
        for (block, cells) in stops.chunks_mut(TILE).enumerate() {
            let bars = block * TILE..block * TILE + cells.len();
            let ranges = [&highs[bars.clone()], &lows[bars.clone()]];
            let directions = more.get_mut(1).map(|directions| &mut directions[bars]);
            if state.stands_still(ranges) {
                state.stand_still(self.acceleration, cells, directions);
            } else if ranges.into_iter().all(all_subnormal) && self.can_raise(state) {
                let ways = (raise, lower_raised, toward_raised);
                state.follow_near(self.limits(), ranges, cells, directions, ways);
            } else if ranges.into_iter().all(all_near) && self.can_lift(state) {
                let ways = (lift, lower, toward_lifted);
                state.follow_near(self.limits(), ranges, cells, directions, ways);
            } else {
                state.follow(self.limits(), ranges, cells, directions, toward);
            }
        }
        if let [cells, ..] = more {
            ratios(closes, stops, cells);
        }
        stops.len()
    }
}

impl Sar {
    /// The first acceleration and the largest one.
    #[inline(always)]
    fn limits(&self) -> (f64, f64) {
        (self.acceleration, self.maximum)
    }

    /// Whether a trade can go on with raised numbers. Of flat prices, zeros too, nothing is gained.
    fn can_raise(&self, trade: &Trade) -> bool {
        all_subnormal(&trade.prices()) && trade.stop > 0.0 && self.maximum <= RAISED_SHARE
    }

    /// Whether a trade can go on with lifted numbers.
    fn can_lift(&self, trade: &Trade) -> bool {
        let prices = trade.prices();
        let factors = [self.acceleration, self.maximum, trade.acceleration];
        prices.into_iter().all(is_near) && factors.into_iter().all(is_factor)
    }
}
