//! Volume-weighted average price of the session, with bands.

use super::market_calendar::{CALENDAR, STAMP};
use super::session_clock::{HOURS, SessionClock, Sessions};
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::bar::Bar;
use crate::frame::{Frame, Span};
use crate::kernel::{Description, Kernel, output};
use crate::neighbours::{TILE, divide_by_each};
use crate::state::state;
use crate::subnormal::{
    Arithmetic, Careful, Lifted, Plain, all_factors, each_near, is_factor, needs_lift, quotients,
};

/// Average price since the session began, weighted by volume.
#[derive(Debug)]
pub(crate) struct SessionVwap {
    clock: SessionClock,
    deviations: f64,
}

/// Session of the bars before the first one.
const NO_SESSION: i64 = i64::MIN;

state! {
    /// Weighted mean and spread of the session's typical prices, relative to its first close.
    pub(crate) struct SessionPrices {
        session: i64,
        started: bool,
        /// Whether the session has traded; until then every bar weighs alike.
        traded: bool,
        origin: f64,
        weight: f64,
        mean: f64,
        variance: f64,
    }
}

impl SessionPrices {
    /// Takes the session of a bar: whether it begins, and whether the bar counts in one.
    #[inline(always)]
    fn enter(&mut self, session: Option<i64>, close: f64) -> (bool, bool) {
        let begins = !self.started || session.is_some_and(|session| session != self.session);
        if begins {
            self.session = session.unwrap_or(NO_SESSION);
            self.started = true;
            self.origin = close;
        }
        (begins, session.is_some() || self.session == NO_SESSION)
    }

    /// Takes what a bar weighs: the weights before it, its own, and their sum.
    #[inline(always)]
    fn weigh(&mut self, begins: bool, counts: bool, volume: f64) -> Weights {
        let trades = counts && volume > 0.0;
        let restarts = begins || (trades && !self.traded);
        if restarts {
            self.traded = trades;
            self.weight = 0.0;
        }
        let own = match (counts, self.traded) {
            (true, true) => volume,
            (true, false) => 1.0,
            (false, _) => 0.0,
        };
        let before = self.weight;
        self.weight += own;
        // Nothing is shared out before anything has weight.
        let total = if self.weight > 0.0 { self.weight } else { 1.0 };
        Weights {
            restarts,
            before,
            own,
            total,
        }
    }

    /// Takes a typical price, relative to the origin; West's update (1979), stable for any weights. `kept` and `share`
    /// are those of the weights before and the own one in the total.
    #[inline(always)]
    fn push(&mut self, restarts: bool, distance: f64, kept: f64, share: f64) {
        if restarts {
            (self.mean, self.variance) = (0.0, 0.0);
        }
        if share > 0.0 {
            let before = distance - self.mean;
            self.mean += before * share;
            // No difference from the new mean: it has no digits left when one bar outweighs the others.
            self.variance = kept * (self.variance + before * before * share);
        }
    }
}

/// Weights of a session's bars.
struct Weights {
    /// Whether what came before counts no more.
    restarts: bool,
    before: f64,
    own: f64,
    total: f64,
}

impl Kernel for SessionVwap {
    type State = SessionPrices;
    type Output = [f64; 5];
    const DESCRIPTION: Description = Description {
        name: "session_vwap",
        summary: "volume-weighted average price of the session",
        parameters: &[
            Parameter::number(
                "nbdev",
                "volume-weighted standard deviations from the average to each band",
                2.0,
                0.0,
                1e6,
            ),
            CALENDAR,
            STAMP,
            HOURS,
        ],
        outputs: &[
            output(
                "vwap",
                "sum of volume * (high + low + close) / 3 over the session so far / sum of volume; without volume so \
                 far every bar weighs alike; bars before the first session are taken as one",
            ),
            output("upper", "vwap + nbdev * deviation"),
            output("lower", "vwap - nbdev * deviation"),
            output("ratio", "close / vwap - 1"),
            output(
                "zscore",
                "(close - vwap) / deviation, the volume-weighted one of (high + low + close) / 3; 0 when it is 0",
            ),
        ],
        source: "Berkowitz, Logue and Noser (1988), The Total Cost of Transactions on the NYSE",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            clock: SessionClock::new(arguments)?,
            deviations: arguments.number("nbdev")?,
        })
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        0
    }

    #[inline(always)]
    fn step(&self, state: &mut SessionPrices, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 5] {
        let bar = &frame.bar;
        let session = self.clock.session(bar.open_time_ns);
        let (begins, counts) = state.enter(session, bar.close);
        let origin = state.origin;
        let [typical, distance] = distances(bar, origin);
        // Three times the origin is rounded once: twice is exact.
        let [typical, distance] =
            quotients([typical, distance], [origin + origin + origin, origin]);
        let weights = state.weigh(begins, counts, bar.volume);
        let [kept, share] = quotients([weights.before, weights.own], [weights.total; 2]);
        state.push(weights.restarts, typical, kept, share);
        self.show::<Careful>(origin, state.mean, state.variance, distance)
    }

    #[inline(always)]
    fn span(
        &self,
        state: &mut SessionPrices,
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let bars = outputs.first().map_or(0, |cells| cells.len().min(TILE));
        let Some(times) = span.open_times(bars) else {
            return 0;
        };
        let mut tile = SessionTile::NONE;
        let [.., volumes] = span.prices();
        let mut sessions = Sessions::of(&self.clock);
        let opened = times.iter().zip(span.closes(bars));
        for (at, (time, close)) in opened.enumerate() {
            let (begins, counts) = state.enter(sessions.at(*time), *close);
            tile.origins[at] = state.origin;
            let weights = state.weigh(begins, counts, volumes[at]);
            tile.restarts[at] = weights.restarts;
            (tile.kept[at], tile.shares[at]) = (weights.before, weights.own);
            tile.totals[at] = weights.total;
        }
        span.bars(bars, |at, bar| {
            let origin = tile.origins[at];
            [tile.typicals[at], tile.distances[at]] = distances(bar, origin);
            tile.thirds[at] = origin + origin + origin;
        });
        divide_by_each(&mut tile.typicals[..bars], &tile.thirds);
        divide_by_each(&mut tile.distances[..bars], &tile.origins);
        divide_by_each(&mut tile.kept[..bars], &tile.totals);
        divide_by_each(&mut tile.shares[..bars], &tile.totals);
        for at in 0..bars {
            let (kept, share) = (tile.kept[at], tile.shares[at]);
            state.push(tile.restarts[at], tile.typicals[at], kept, share);
            (tile.means[at], tile.variances[at]) = (state.mean, state.variance);
        }
        if !tile.origins[..bars]
            .iter()
            .any(|origin| needs_lift(*origin))
        {
            self.show_all::<Plain>(&tile, bars, outputs);
        } else if each_near(&tile.origins[..bars]) && self.has_factors(&tile, bars) {
            self.show_all::<Lifted>(&tile, bars, outputs);
        } else {
            self.show_all::<Careful>(&tile, bars, outputs);
        }
        bars
    }
}

/// Distances of three typical prices, and of the close, from the origin: those of near prices are exact, and neither mean
/// nor spread loses the digits of a large price.
#[inline(always)]
fn distances(bar: &Bar, origin: f64) -> [f64; 2] {
    let from_origin = |price: f64| price - origin;
    let close = from_origin(bar.close);
    [from_origin(bar.high) + from_origin(bar.low) + close, close]
}

/// Some bars on their way.
struct SessionTile {
    restarts: [bool; TILE],
    kept: [f64; TILE],
    shares: [f64; TILE],
    totals: [f64; TILE],
    origins: [f64; TILE],
    thirds: [f64; TILE],
    typicals: [f64; TILE],
    distances: [f64; TILE],
    means: [f64; TILE],
    variances: [f64; TILE],
}

impl SessionTile {
    const NONE: Self = Self {
        restarts: [false; TILE],
        kept: [0.0; TILE],
        shares: [0.0; TILE],
        totals: [0.0; TILE],
        origins: [0.0; TILE],
        thirds: [0.0; TILE],
        typicals: [0.0; TILE],
        distances: [0.0; TILE],
        means: [0.0; TILE],
        variances: [0.0; TILE],
    };
}

impl SessionVwap {
    /// All outputs, of the mean and variance relative to the origin, and the close's distance from it.
    #[inline(always)]
    fn show<A: Arithmetic>(
        &self,
        origin: f64,
        mean: f64,
        variance: f64,
        distance: f64,
    ) -> [f64; 5] {
        let vwap = origin + A::product(origin, mean);
        let deviation = variance.sqrt();
        let reach = A::product(origin, self.deviations * deviation);
        let distance = distance - mean;
        [
            vwap,
            vwap + reach,
            vwap - reach,
            distance / (1.0 + mean),
            if deviation > 0.0 {
                distance / deviation
            } else {
                0.0
            },
        ]
    }

    #[inline(always)]
    fn show_all<A: Arithmetic>(&self, tile: &SessionTile, bars: usize, outputs: &mut [&mut [f64]]) {
        let [vwaps, uppers, lowers, ratios, scores] = outputs else {
            return;
        };
        let [vwaps, uppers, lowers] = [vwaps, uppers, lowers].map(|cells| &mut cells[..bars]);
        let [ratios, scores] = [ratios, scores].map(|cells| &mut cells[..bars]);
        for at in 0..bars {
            let (mean, variance) = (tile.means[at], tile.variances[at]);
            [vwaps[at], uppers[at], lowers[at], ratios[at], scores[at]] =
                self.show::<A>(tile.origins[at], mean, variance, tile.distances[at]);
        }
    }

    /// Whether lifted origins can be multiplied by what [`SessionVwap::show`] multiplies them by.
    #[inline(always)]
    fn has_factors(&self, tile: &SessionTile, bars: usize) -> bool {
        let mut all = all_factors(&tile.means[..bars]);
        for variance in &tile.variances[..bars] {
            all &= is_factor(self.deviations * variance.sqrt());
        }
        all
    }
}
