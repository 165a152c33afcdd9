//! Volume-weighted average price of the session, with bands.

use super::market_calendar::{CALENDAR, STAMP};
use super::session_clock::{HOURS, SessionClock};
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::Frame;
use crate::kernel::{Description, Kernel, output};
use crate::state::state;
use crate::subnormal::{product, quotients};

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
    /// Takes a typical price, relative to the origin; West's update (1979), stable for any weights.
    #[inline(always)]
    fn push(&mut self, distance: f64, volume: f64) {
        if volume > 0.0 && !self.traded {
            self.traded = true;
            (self.weight, self.mean, self.variance) = (0.0, 0.0, 0.0);
        }
        let weight = if self.traded { volume } else { 1.0 };
        if weight > 0.0 {
            let before = distance - self.mean;
            let total = self.weight + weight;
            let (kept, share) = (self.weight / total, weight / total);
            self.weight = total;
            self.mean += before * share;
            // No difference from the new mean: it has no digits left when one bar outweighs the others.
            self.variance = kept * (self.variance + before * before * share);
        }
    }
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
        let begins = session.is_some_and(|session| session != state.session);
        if begins || !state.started {
            *state = SessionPrices {
                session: session.unwrap_or(NO_SESSION),
                started: true,
                origin: bar.close,
                ..SessionPrices::default()
            };
        }
        // Differences of near prices are exact: neither mean nor spread loses the digits of a large price.
        let origin = state.origin;
        let from_origin = |price: f64| price - origin;
        let typical = from_origin(bar.high) + from_origin(bar.low) + from_origin(bar.close);
        // Three times the origin is rounded once: twice is exact.
        let [typical, distance] = quotients(
            [typical, from_origin(bar.close)],
            [origin + origin + origin, origin],
        );
        if session.is_some() || state.session == NO_SESSION {
            state.push(typical, bar.volume);
        }
        let vwap = origin + product(origin, state.mean);
        let deviation = state.variance.sqrt();
        let reach = product(origin, self.deviations * deviation);
        let distance = distance - state.mean;
        [
            vwap,
            vwap + reach,
            vwap - reach,
            distance / (1.0 + state.mean),
            if deviation > 0.0 {
                distance / deviation
            } else {
                0.0
            },
        ]
    }
}
