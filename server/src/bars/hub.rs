//! Hands signals to subscribers: one shared ring, a cursor a subscriber.
//!
//! A subscriber that reads slowly costs the publisher nothing: signals wait in the ring, and once more of them wait
//! than the subscriber's buffer allows, its cursor moves on (and the message after says by how much) or its
//! subscription ends, as it asked.

use std::{collections::VecDeque, sync::Arc};

use candlewire_features::Bar;
use parking_lot::RwLock;
use tokio::sync::Notify;

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

struct Ring {
    signals: VecDeque<Arc<Signal>>,
    capacity: usize,
    /// Sequence of the newest signal; zero before the first.
    head: u64,
    closed: bool,
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
    moved: Notify,
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
        };
        Self {
            ring: RwLock::new(ring),
            moved: Notify::new(),
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

    /// Wakes the subscribers, once for however many signals were published.
    pub fn announce(&self) {
        self.moved.notify_waiters();
    }

    /// Ends every subscription once it has read what is there.
    pub fn close(&self) {
        self.ring.write().closed = true;
        self.moved.notify_waiters();
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
        Ok(Subscription {
            hub: Arc::clone(self),
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

/// One subscriber's place in the ring.
pub struct Subscription {
    hub: Arc<Hub>,
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
        let hub = Arc::clone(&self.hub);
        loop {
            let moved = hub.moved.notified();
            tokio::pin!(moved);
            // Registered before looking, so that nothing published meanwhile is missed.
            moved.as_mut().enable();
            if let Some(delivery) = self.take()? {
                return Ok(delivery);
            }
            moved.await;
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
