//! Hands signals to subscribers: one shared ring, a cursor a subscriber.
//!
//! Only those who asked for a symbol are woken for its signals, and not by the publisher when they are many.
//!
//! A subscriber that reads slowly costs the publisher nothing: signals wait in the ring, and once more of them wait
//! than the subscriber's buffer allows, its cursor moves on (and the message after says by how much) or its
//! subscription ends, as it asked.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use candlewire_features::Bar;
use parking_lot::{Mutex, RwLock};
use tokio::{runtime::Handle, sync::Notify};

use super::admission::Timeframe;
use crate::{error::ServeError, models::loaded::LoadedModel, scoring::decision::Decision};

/// What became of the bar behind a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalCause {
    /// It advanced its series.
    Accepted,
    /// It corrected a bar.
    Replaced,
    /// It came late and was put in its place.
    LateApplied,
}

/// The score of one closed bar.
#[derive(Clone)]
pub struct Signal {
    /// Position among all signals, from 1.
    pub sequence: u64,
    /// Symbol.
    pub symbol: String,
    /// Timeframe.
    pub timeframe: Timeframe,
    /// The bar that was scored.
    pub bar: Bar,
    /// The version that serves the series.
    pub model: Arc<LoadedModel>,
    /// The score; `None` while features warm up.
    pub decision: Option<Decision>,
    /// When the bar was received, nanoseconds since the epoch.
    pub received_time_ns: i64,
    /// From receiving the bar to this signal.
    pub bar_to_signal_ns: u64,
    /// What became of the bar.
    pub cause: SignalCause,
}

/// What to do with a subscriber that falls behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlowPolicy {
    /// Drop its oldest signals and count them.
    DropOldest,
    /// End the subscription.
    Disconnect,
}

/// Which signals a subscriber gets.
#[derive(Debug, Clone, Default)]
pub struct Interest {
    /// Symbols; empty means all.
    pub symbols: Vec<String>,
    /// Timeframes; empty means all.
    pub timeframes: Vec<Timeframe>,
    /// Least confidence.
    pub minimum_confidence: f32,
    /// Also signals without a score.
    pub include_not_ready: bool,
}

impl Interest {
    fn covers(&self, signal: &Signal) -> bool {
        let wanted = match &signal.decision {
            Some(decision) => decision.verdict.confidence >= self.minimum_confidence,
            None => self.include_not_ready,
        };
        wanted
            && (self.symbols.is_empty() || self.symbols.contains(&signal.symbol))
            && (self.timeframes.is_empty() || self.timeframes.contains(&signal.timeframe))
    }
}

/// So many subscribers the publisher wakes itself; more are left to another task.
const WOKEN_INLINE: usize = 32;

struct Ring {
    signals: VecDeque<Arc<Signal>>,
    capacity: usize,
    /// Sequence of the newest signal; zero before the first.
    head: u64,
    closed: bool,
    /// Published and not announced.
    quiet: Vec<Arc<Signal>>,
}

/// What wakes one subscriber; a wake that finds it busy is kept until it waits.
type Bell = Arc<Notify>;

/// The bells of all subscribers.
#[derive(Default)]
struct Bells {
    everything: Vec<Bell>,
    by_symbol: HashMap<String, Vec<Bell>>,
}

impl Bells {
    fn hang(&mut self, symbols: &[String]) -> Bell {
        let bell = Bell::default();
        if symbols.is_empty() {
            self.everything.push(Arc::clone(&bell));
        }
        for symbol in symbols {
            let bells = self.by_symbol.entry(symbol.clone()).or_default();
            bells.push(Arc::clone(&bell));
        }
        bell
    }

    fn take_down(&mut self, bell: &Bell, symbols: &[String]) {
        let is_other = |other: &Bell| !Arc::ptr_eq(other, bell);
        if symbols.is_empty() {
            self.everything.retain(is_other);
        }
        for symbol in symbols {
            if let Some(bells) = self.by_symbol.get_mut(symbol) {
                bells.retain(is_other);
                if bells.is_empty() {
                    self.by_symbol.remove(symbol);
                }
            }
        }
    }

    /// The bells of those whom signals of these symbols concern; some may be in it twice.
    fn of<'a>(&self, symbols: impl Iterator<Item = &'a str>) -> Vec<Bell> {
        let concerned = symbols
            .filter_map(|symbol| self.by_symbol.get(symbol))
            .flatten();
        self.everything
            .iter()
            .chain(concerned)
            .map(Arc::clone)
            .collect()
    }
}

impl Ring {
    /// Sequence of the oldest signal held; one past the head when none is.
    fn oldest(&self) -> u64 {
        self.head + 1 - self.signals.len() as u64
    }

    fn get(&self, sequence: u64) -> Option<&Arc<Signal>> {
        self.signals
            .get(usize::try_from(sequence.checked_sub(self.oldest())?).ok()?)
    }
}

/// The ring and those who wait for it to move.
pub struct Hub {
    ring: RwLock<Ring>,
    bells: Mutex<Bells>,
}

impl Hub {
    /// A hub that keeps the newest `capacity` signals.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let ring = Ring {
            signals: VecDeque::new(),
            capacity: capacity.max(1),
            head: 0,
            closed: false,
            quiet: Vec::new(),
        };
        Self {
            ring: RwLock::new(ring),
            bells: Mutex::default(),
        }
    }

    /// Numbers a signal and puts it in the ring; [`Self::announce`] wakes the subscribers.
    pub fn publish(&self, mut signal: Signal) -> Arc<Signal> {
        let mut ring = self.ring.write();
        ring.head += 1;
        signal.sequence = ring.head;
        let signal = Arc::new(signal);
        if ring.signals.len() == ring.capacity {
            ring.signals.pop_front();
        }
        ring.signals.push_back(Arc::clone(&signal));
        // A replay announces nothing, and may publish more than there is.
        if ring.quiet.len() < ring.capacity {
            ring.quiet.push(Arc::clone(&signal));
        }
        signal
    }

    /// The signals held, oldest first, and the sequence of the newest that ever was.
    #[must_use]
    pub fn held(&self) -> (Vec<Arc<Signal>>, u64) {
        let ring = self.ring.read();
        (ring.signals.iter().map(Arc::clone).collect(), ring.head)
    }

    /// Takes up where a snapshot stood.
    pub fn restore(&self, signals: Vec<Arc<Signal>>, head: u64) {
        let mut ring = self.ring.write();
        let surplus = signals.len().saturating_sub(ring.capacity);
        ring.signals = signals.into_iter().skip(surplus).collect();
        ring.head = head;
    }

    /// Wakes those whom the signals published since the last time concern.
    pub fn announce(&self) {
        let signals = std::mem::take(&mut self.ring.write().quiet);
        let symbols = signals.iter().map(|signal| signal.symbol.as_str());
        let bells = self.bells.lock().of(symbols);
        if bells.len() <= WOKEN_INLINE {
            return ring_all(&bells);
        }
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(async move { ring_all(&bells) })),
            Err(_) => ring_all(&bells),
        }
    }

    /// Ends every subscription once it has read what is there.
    pub fn close(&self) {
        self.ring.write().closed = true;
        let bells = self.bells.lock();
        ring_all(&bells.everything);
        bells.by_symbol.values().for_each(|bells| ring_all(bells));
    }

    /// Subscribes behind `after_sequence`, or behind the newest signal.
    ///
    /// # Errors
    /// The ring no longer holds what follows `after_sequence`, or never did.
    pub fn subscribe(
        self: &Arc<Self>,
        interest: Interest,
        after_sequence: Option<u64>,
        buffer: usize,
        policy: SlowPolicy,
    ) -> Result<Subscription, ServeError> {
        let ring = self.ring.read();
        if ring.closed {
            return Err(ServeError::Draining);
        }
        let after = after_sequence.unwrap_or(ring.head);
        let (oldest, newest) = (ring.oldest() - 1, ring.head);
        if !(oldest..=newest).contains(&after) {
            return Err(ServeError::SequenceGone {
                asked: after,
                oldest,
                newest,
            });
        }
        let bell = self.bells.lock().hang(&interest.symbols);
        Ok(Subscription {
            hub: Arc::clone(self),
            bell,
            interest,
            next: after + 1,
            head: newest,
            buffer: buffer.clamp(1, ring.capacity) as u64,
            policy,
            dropped: 0,
            // What is resumed was asked for: it does not count as falling behind.
            lenient_until: newest,
        })
    }
}

fn ring_all(bells: &[Bell]) {
    for bell in bells {
        bell.notify_one();
    }
}

/// One subscriber's place in the ring.
pub struct Subscription {
    hub: Arc<Hub>,
    bell: Bell,
    interest: Interest,
    next: u64,
    head: u64,
    buffer: u64,
    policy: SlowPolicy,
    dropped: u64,
    lenient_until: u64,
}

/// A signal and how many were dropped before it.
#[derive(Clone)]
pub struct Delivery {
    /// The signal.
    pub signal: Arc<Signal>,
    /// Signals dropped for this subscriber since the delivery before.
    pub dropped: u64,
    /// Signals published since.
    pub behind: u64,
}

impl Subscription {
    /// The newest sequence when the subscription began.
    #[must_use]
    pub fn head_at_start(&self) -> u64 {
        self.head
    }

    /// Waits for the next signal of interest.
    ///
    /// # Errors
    /// The subscriber is too slow and asked to be disconnected, or the server drains and all was read.
    pub async fn next(&mut self) -> Result<Delivery, ServeError> {
        loop {
            if let Some(delivery) = self.take()? {
                return Ok(delivery);
            }
            // What was published since has rung already: then this does not wait.
            self.bell.notified().await;
        }
    }

    fn take(&mut self) -> Result<Option<Delivery>, ServeError> {
        let ring = self.hub.ring.read();
        // Signals that left the ring: some may not have been of interest, none can be told any more.
        let oldest = ring.oldest();
        if self.next < oldest {
            let lost = oldest - self.next;
            self.dropped += lost;
            self.next = oldest;
            if self.policy == SlowPolicy::Disconnect {
                return Err(ServeError::SubscriberTooSlow {
                    behind: lost,
                    buffer: self.buffer,
                });
            }
        }
        let newest_strict = (ring.head + 1).saturating_sub(self.next.max(self.lenient_until + 1));
        if newest_strict > self.buffer {
            let first = self.next.max(self.lenient_until + 1);
            let waiting = (first..=ring.head)
                .filter_map(|sequence| ring.get(sequence))
                .filter(|signal| self.interest.covers(signal))
                .count() as u64;
            let mut surplus = waiting.saturating_sub(self.buffer);
            if surplus > 0 && self.policy == SlowPolicy::Disconnect {
                return Err(ServeError::SubscriberTooSlow {
                    behind: waiting,
                    buffer: self.buffer,
                });
            }
            while surplus > 0 {
                let covered = ring
                    .get(self.next)
                    .is_some_and(|signal| self.interest.covers(signal));
                self.dropped += u64::from(covered);
                surplus -= u64::from(covered);
                self.next += 1;
            }
        }
        while let Some(signal) = ring.get(self.next) {
            self.next += 1;
            if self.interest.covers(signal) {
                return Ok(Some(Delivery {
                    signal: Arc::clone(signal),
                    behind: ring.head - signal.sequence,
                    dropped: std::mem::take(&mut self.dropped),
                }));
            }
        }
        if ring.closed {
            Err(ServeError::Draining)
        } else {
            Ok(None)
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut bells = self.hub.bells.lock();
        bells.take_down(&self.bell, &self.interest.symbols);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_signal_rings_for_those_who_asked_for_its_symbol_or_for_all() {
        let mut bells = Bells::default();
        let all = bells.hang(&[]);
        let one = bells.hang(&symbols(&["A"]));
        let two = bells.hang(&symbols(&["A", "B"]));
        let rung = |bells: &Bells, symbol: &str, bell: &Bell| {
            let rung = bells.of(std::iter::once(symbol));
            rung.iter().any(|other| Arc::ptr_eq(other, bell))
        };
        for (symbol, expected) in [
            ("A", [true, true, true]),
            ("B", [true, false, true]),
            ("C", [true, false, false]),
        ] {
            let found = [&all, &one, &two].map(|bell| rung(&bells, symbol, bell));
            assert_eq!(found, expected, "{symbol}");
        }
        bells.take_down(&two, &symbols(&["A", "B"]));
        assert!(rung(&bells, "A", &one) && !rung(&bells, "A", &two));
        bells.take_down(&one, &symbols(&["A"]));
        bells.take_down(&all, &[]);
        assert!(bells.everything.is_empty() && bells.by_symbol.is_empty());
    }
}
