//! The online band controller: one pool of one model version.
//!
//! The graph gives a band `mid - (mid - low) .. mid + (high - mid)`; the pool multiplies both half-widths by `k`. Once
//! an outcome is known (`horizon` bars later) it was inside the band as issued or it missed. At each bar close, over
//! the outcomes that matured there, with `m` the share of misses and `alpha` the share aimed at:
//!
//! ```text
//! theta += eta_j * (m - alpha)          eta_j = max(eta, 0.1 / (1 + j / 20)), j = bar closes so far
//! delta_i = (delta_i + 0.005 * (miss_i - m)) * 0.999
//! k_i = exp(theta + delta_i)
//! ```
//!
//! `theta` stays within a factor of three of its start and `delta_i` within ±0.5, so a band is never infinite. What
//! matures at one close moves `k` from the next close on: the order in which symbols report within a close changes
//! nothing. The mean coverage over bars tends to the target in the long run; nothing is promised for a day, a symbol
//! or a crash.

use std::collections::{HashMap, VecDeque};

/// Step of the per-symbol term.
const SYMBOL_STEP: f64 = 0.005;
/// What stays of the per-symbol term after each bar close.
const SYMBOL_MEMORY: f64 = 0.999;
/// Bound of the per-symbol term.
const SYMBOL_BOUND: f64 = 0.5;
/// Start-up step and the closes over which it fades.
const START_STEP: f64 = 0.1;
const START_CLOSES: f64 = 20.0;
/// Outcomes behind the recent coverage.
const RECENT_OUTCOMES: usize = 500;

/// What a pool is told by the bundle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BandSettings {
    /// Coverage aimed at in the long run, inside (0, 1).
    pub target_coverage: f64,
    /// Controller step, above zero.
    pub eta: f64,
    /// Multiplier at the start, above zero.
    pub initial_multiplier: f64,
}

/// A band as issued, natural log return over the horizon.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IssuedBand {
    /// Lower end.
    pub low: f32,
    /// Centre.
    pub mid: f32,
    /// Upper end.
    pub high: f32,
    /// Multiplier on the graph's half-widths.
    pub multiplier: f32,
}

impl IssuedBand {
    /// The graph's band with its half-widths times `multiplier`.
    #[must_use]
    pub fn widen(low: f32, mid: f32, high: f32, multiplier: f64) -> Self {
        let (low, centre, high) = (f64::from(low), f64::from(mid), f64::from(high));
        Self {
            low: (centre - multiplier * (centre - low)) as f32,
            mid,
            high: (centre + multiplier * (high - centre)) as f32,
            multiplier: multiplier as f32,
        }
    }

    /// Whether the band holds `log_return`.
    #[must_use]
    pub fn covers(&self, log_return: f64) -> bool {
        f64::from(self.low) <= log_return && log_return <= f64::from(self.high)
    }
}

/// One realised outcome, as the pool needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct BandOutcome<'a> {
    /// Symbol of the score.
    pub symbol: &'a str,
    /// Open time of the bar at whose close the outcome became known.
    pub realised_open_time_ns: i64,
    /// Whether the band as issued held it.
    pub covered: bool,
    /// P(up) as issued.
    pub probability_up: f32,
    /// Whether the price went up.
    pub went_up: bool,
}

/// How well a pool did.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Coverage {
    /// Outcomes realised.
    pub outcomes: u64,
    /// Share of them inside the band.
    pub achieved: f64,
    /// Newest outcomes looked at.
    pub recent_outcomes: u64,
    /// Share of the newest inside the band.
    pub recent: f64,
    /// Share of outcomes whose sign P(up) called.
    pub hit_rate: f64,
    /// Mean squared error of P(up).
    pub brier_score: f64,
}

/// State of one pool.
#[derive(Debug, Clone)]
pub struct BandPool {
    settings: BandSettings,
    theta: f64,
    closes: u64,
    clamped: u64,
    symbols: HashMap<String, f64>,
    maturing_time_ns: i64,
    maturing: Vec<(String, bool)>,
    outcomes: u64,
    misses: u64,
    hits: u64,
    squared_error: f64,
    recent: VecDeque<bool>,
    recent_covered: u64,
}

/// State of a pool, for a snapshot.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PoolImage {
    #[prost(double, tag = "1")]
    theta: f64,
    #[prost(uint64, tag = "2")]
    closes: u64,
    #[prost(uint64, tag = "3")]
    clamped: u64,
    #[prost(string, repeated, tag = "4")]
    symbols: Vec<String>,
    #[prost(double, repeated, tag = "5")]
    deltas: Vec<f64>,
    #[prost(sint64, tag = "6")]
    maturing_time_ns: i64,
    #[prost(string, repeated, tag = "7")]
    maturing_symbols: Vec<String>,
    #[prost(bool, repeated, tag = "8")]
    maturing_missed: Vec<bool>,
    #[prost(uint64, tag = "9")]
    outcomes: u64,
    #[prost(uint64, tag = "10")]
    misses: u64,
    #[prost(uint64, tag = "11")]
    hits: u64,
    #[prost(double, tag = "12")]
    squared_error: f64,
    #[prost(bool, repeated, tag = "13")]
    recent: Vec<bool>,
}

impl BandPool {
    /// The state, for a snapshot.
    #[must_use]
    pub fn image(&self) -> PoolImage {
        let (symbols, deltas) = self
            .symbols
            .iter()
            .map(|(symbol, delta)| (symbol.clone(), *delta))
            .unzip();
        let (maturing_symbols, maturing_missed) = self.maturing.iter().cloned().unzip();
        PoolImage {
            theta: self.theta,
            closes: self.closes,
            clamped: self.clamped,
            symbols,
            deltas,
            maturing_time_ns: self.maturing_time_ns,
            maturing_symbols,
            maturing_missed,
            outcomes: self.outcomes,
            misses: self.misses,
            hits: self.hits,
            squared_error: self.squared_error,
            recent: self.recent.iter().copied().collect(),
        }
    }

    /// Takes the state of a snapshot; the settings stay.
    pub fn restore(&mut self, image: PoolImage) {
        *self = Self {
            settings: self.settings,
            theta: image.theta,
            closes: image.closes,
            clamped: image.clamped,
            symbols: image.symbols.into_iter().zip(image.deltas).collect(),
            maturing_time_ns: image.maturing_time_ns,
            maturing: image
                .maturing_symbols
                .into_iter()
                .zip(image.maturing_missed)
                .collect(),
            outcomes: image.outcomes,
            misses: image.misses,
            hits: image.hits,
            squared_error: image.squared_error,
            recent_covered: image.recent.iter().filter(|covered| **covered).count() as u64,
            recent: image.recent.into(),
        };
    }

    /// A pool at its start.
    #[must_use]
    pub fn new(settings: BandSettings) -> Self {
        Self {
            settings,
            theta: settings.initial_multiplier.ln(),
            closes: 0,
            clamped: 0,
            symbols: HashMap::new(),
            maturing_time_ns: i64::MIN,
            maturing: Vec::new(),
            outcomes: 0,
            misses: 0,
            hits: 0,
            squared_error: 0.0,
            recent: VecDeque::new(),
            recent_covered: 0,
        }
    }

    /// The multiplier for the next band of `symbol`; an empty or unseen symbol gets the pool's.
    #[must_use]
    pub fn multiplier(&self, symbol: &str) -> f64 {
        (self.theta + self.symbols.get(symbol).copied().unwrap_or(0.0)).exp()
    }

    /// Closes the maturing bar when `open_time_ns` lies behind it. Call it before issuing a band for that bar.
    pub fn advance_to(&mut self, open_time_ns: i64) {
        if open_time_ns > self.maturing_time_ns {
            self.close_bar();
            self.maturing_time_ns = open_time_ns;
        }
    }

    /// Takes in one outcome. A late one counts with the close that is maturing now.
    pub fn realise(&mut self, outcome: &BandOutcome<'_>) {
        self.advance_to(outcome.realised_open_time_ns);
        self.maturing
            .push((outcome.symbol.to_owned(), !outcome.covered));
        self.outcomes += 1;
        self.misses += u64::from(!outcome.covered);
        self.hits += u64::from((outcome.probability_up >= 0.5) == outcome.went_up);
        self.squared_error +=
            (f64::from(outcome.probability_up) - f64::from(u8::from(outcome.went_up))).powi(2);
        self.recent.push_back(outcome.covered);
        self.recent_covered += u64::from(outcome.covered);
        if self.recent.len() > RECENT_OUTCOMES && self.recent.pop_front() == Some(true) {
            self.recent_covered -= 1;
        }
    }

    /// How well the pool did.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        let share = |part: f64, whole: u64| if whole == 0 { 0.0 } else { part / whole as f64 };
        let recent_outcomes = self.recent.len() as u64;
        Coverage {
            outcomes: self.outcomes,
            achieved: share((self.outcomes - self.misses) as f64, self.outcomes),
            recent_outcomes,
            recent: share(self.recent_covered as f64, recent_outcomes),
            hit_rate: share(self.hits as f64, self.outcomes),
            brier_score: share(self.squared_error, self.outcomes),
        }
    }

    fn step(&self) -> f64 {
        self.settings
            .eta
            .max(START_STEP / (1.0 + self.closes as f64 / START_CLOSES))
    }

    fn close_bar(&mut self) {
        if self.maturing.is_empty() {
            return;
        }
        let misses = self.maturing.iter().filter(|(_, missed)| *missed).count();
        let share = misses as f64 / self.maturing.len() as f64;
        let alpha = 1.0 - self.settings.target_coverage;
        let start = self.settings.initial_multiplier.ln();
        let moved = self.theta + self.step() * (share - alpha);
        self.theta = moved.clamp(start - 3f64.ln(), start + 3f64.ln());
        self.clamped += u64::from(self.theta.to_bits() != moved.to_bits());
        self.closes += 1;
        for (symbol, missed) in self.maturing.drain(..) {
            let delta = self.symbols.entry(symbol).or_insert(0.0);
            let moved =
                (*delta + SYMBOL_STEP * (f64::from(u8::from(missed)) - share)) * SYMBOL_MEMORY;
            *delta = moved.clamp(-SYMBOL_BOUND, SYMBOL_BOUND);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SETTINGS: BandSettings = BandSettings {
        target_coverage: 0.9,
        eta: 0.02,
        initial_multiplier: 1.0,
    };

    fn outcome(symbol: &str, time: i64, covered: bool) -> BandOutcome<'_> {
        BandOutcome {
            symbol,
            realised_open_time_ns: time,
            covered,
            probability_up: 0.6,
            went_up: covered,
        }
    }

    fn close(pool: &mut BandPool, time: i64, missed: &[bool]) {
        for (index, &missed) in missed.iter().enumerate() {
            pool.realise(&outcome(["A", "B", "C", "D"][index % 4], time, !missed));
        }
    }

    proptest! {
        #[test]
        fn the_mean_miss_is_what_theta_moved(bars in prop::collection::vec(prop::collection::vec(prop::bool::weighted(0.1), 1..5), 1..200)) {
            let mut pool = BandPool::new(SETTINGS);
            let (start, mut sum) = (pool.theta, 0.0);
            for (time, missed) in bars.iter().enumerate() {
                let share = missed.iter().filter(|missed| **missed).count() as f64 / missed.len() as f64;
                sum += f64::max(0.02, 0.1 / (1.0 + time as f64 / 20.0)) * (share - 0.1);
                close(&mut pool, time as i64, missed);
            }
            pool.advance_to(i64::MAX);
            prop_assume!(pool.clamped == 0);
            prop_assert!((pool.theta - start - sum).abs() < 1e-9, "{} {}", pool.theta - start, sum);
        }

        #[test]
        fn the_order_within_a_close_changes_no_bit(missed in prop::collection::vec(any::<bool>(), 4), closes in 1..50i64) {
            let (mut forward, mut backward) = (BandPool::new(SETTINGS), BandPool::new(SETTINGS));
            for time in 0..closes {
                let mut outcomes: Vec<_> = ["A", "B", "C", "D"].into_iter().zip(&missed).map(|(symbol, &missed)| outcome(symbol, time, !missed)).collect();
                for outcome in &outcomes {
                    forward.realise(outcome);
                }
                outcomes.reverse();
                for outcome in &outcomes {
                    backward.realise(outcome);
                }
            }
            for symbol in ["", "A", "B", "C", "D"] {
                prop_assert_eq!(forward.multiplier(symbol).to_bits(), backward.multiplier(symbol).to_bits());
            }
        }

        #[test]
        fn the_multiplier_stays_bounded(missed in any::<bool>(), closes in 1..2_000i64) {
            let mut pool = BandPool::new(SETTINGS);
            for time in 0..closes {
                close(&mut pool, time, &[missed, !missed, missed]);
                close(&mut pool, time, &[missed]);
            }
            let bound = (3f64.ln() + SYMBOL_BOUND).exp();
            for symbol in ["", "A", "B"] {
                prop_assert!((1.0 / bound..=bound).contains(&pool.multiplier(symbol)));
            }
        }
    }

    #[test]
    fn a_restored_pool_goes_on_with_the_same_bits() {
        let mut whole = BandPool::new(SETTINGS);
        for time in 0..700 {
            close(&mut whole, time, &[time % 7 == 0, false, time % 3 == 0]);
        }
        let mut restored = BandPool::new(SETTINGS);
        restored.restore(whole.image());
        for time in 699..800 {
            for pool in [&mut whole, &mut restored] {
                close(pool, time, &[time % 5 == 0, time % 2 == 0]);
                pool.advance_to(time + 1);
            }
            assert_eq!(whole.coverage(), restored.coverage());
            for symbol in ["", "A", "B", "C"] {
                assert_eq!(
                    whole.multiplier(symbol).to_bits(),
                    restored.multiplier(symbol).to_bits()
                );
            }
        }
    }

    #[test]
    fn an_outcome_moves_nothing_before_its_close_is_over() {
        let mut pool = BandPool::new(SETTINGS);
        close(&mut pool, 7, &[true, true]);
        assert_eq!(pool.multiplier("A"), 1.0);
        pool.advance_to(7);
        assert_eq!(pool.multiplier("A"), 1.0);
        pool.advance_to(8);
        assert!(pool.multiplier("A") > 1.0);
    }

    #[test]
    fn one_outcome_moves_theta_by_no_more_than_the_step() {
        let mut pool = BandPool::new(SETTINGS);
        close(&mut pool, 1, &[true]);
        pool.advance_to(2);
        assert!(pool.theta <= 0.1 && pool.theta > 0.0);
    }

    #[test]
    fn a_late_outcome_counts_once_with_the_next_close() {
        let mut pool = BandPool::new(SETTINGS);
        close(&mut pool, 5, &[false]);
        close(&mut pool, 3, &[true]);
        pool.advance_to(6);
        assert_eq!(pool.closes, 1);
        assert_eq!(pool.coverage().outcomes, 2);
        assert_eq!(pool.coverage().achieved, 0.5);
    }

    #[test]
    fn a_wider_band_covers_what_a_narrower_does() {
        let narrow = IssuedBand::widen(-0.01, 0.0, 0.02, 1.0);
        let wide = IssuedBand::widen(-0.01, 0.0, 0.02, 2.0);
        assert!(narrow.covers(0.015) && wide.covers(0.015));
        assert!(!narrow.covers(0.03) && wide.covers(0.03));
        assert_eq!((wide.low, wide.high), (-0.02, 0.04));
    }
}
