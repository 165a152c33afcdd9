//! How much un-answered work the server takes in at once, and what it refuses at the door.
//!
//! By Little's law what a request waits is the number of requests in front of it over the rate of answers. The gate
//! bounds that number, and moves the bound so that a request spends about [`TARGET`] in the server: what exceeds it
//! is refused before its body is decoded, on the task that read it, which costs a fraction of a score. Work that was
//! taken in keeps the machine busy; work that was not costs next to nothing, and the sockets are read in time to say so.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use metrics::{Counter, Gauge};

/// What a request shall spend in an overloaded server, on average.
const TARGET: Duration = Duration::from_millis(5);
/// How often the bound moves.
const WINDOW: Duration = Duration::from_millis(10);
/// Requests that a thread of the runtime may always have: below, answers would come in bursts.
const LEAST_PER_THREAD: usize = 192;
/// Refusals an answer at most. A refusal still costs the network its part of a request: a server that did nothing else
/// would answer nobody.
const REFUSALS_PER_ANSWER: usize = 3;
/// Refusals that answers save up at most: what piled up while the machine stood still is refused at once, not over
/// many times as long.
const MOST_SAVED_REFUSALS: usize = 8_192;
/// When a refused caller should try again.
pub const RETRY_AFTER: Duration = Duration::from_millis(20);

/// Counts what is in the server.
pub struct Gate {
    in_flight: AtomicUsize,
    limit: AtomicUsize,
    least: usize,
    most: usize,
    /// Refusals that answers paid for.
    saved_refusals: AtomicUsize,
    window: Window,
    refused: Counter,
    limit_gauge: Gauge,
}

/// What was answered since the bound last moved.
struct Window {
    epoch: Instant,
    began_ns: AtomicU64,
    answered: AtomicU64,
    spent_ns: AtomicU64,
    refused: AtomicU64,
    /// In the window before, requests spent too long.
    was_slow: AtomicBool,
}

impl Gate {
    /// A gate of a server with `threads` threads that never takes in more than `most` requests at once.
    #[must_use]
    pub fn new(threads: usize, most: usize, refused: Counter, limit_gauge: Gauge) -> Arc<Self> {
        let least = (threads.max(1) * LEAST_PER_THREAD).min(most.max(1));
        limit_gauge.set(most as f64);
        Arc::new(Self {
            in_flight: AtomicUsize::new(0),
            limit: AtomicUsize::new(most.max(1)),
            least,
            most: most.max(1),
            saved_refusals: AtomicUsize::new(MOST_SAVED_REFUSALS),
            window: Window {
                epoch: Instant::now(),
                began_ns: AtomicU64::new(0),
                answered: AtomicU64::new(0),
                spent_ns: AtomicU64::new(0),
                refused: AtomicU64::new(0),
                was_slow: AtomicBool::new(false),
            },
            refused,
            limit_gauge,
        })
    }

    /// Takes one request in until the result is dropped; `None` when it must be refused.
    #[must_use]
    pub fn admit(self: &Arc<Self>) -> Option<Admitted> {
        if self.in_flight.fetch_add(1, Ordering::Relaxed) >= self.limit.load(Ordering::Relaxed)
            && self.may_refuse()
        {
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            self.window.refused.fetch_add(1, Ordering::Relaxed);
            self.refused.increment(1);
            return None;
        }
        Some(Admitted {
            gate: Arc::clone(self),
            at: Instant::now(),
            is_refused: false,
        })
    }

    /// Requests in the server.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The bound in force.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    fn may_refuse(&self) -> bool {
        let spend = |saved: usize| saved.checked_sub(1);
        let relaxed = Ordering::Relaxed;
        let paid = self.saved_refusals.fetch_update(relaxed, relaxed, spend);
        paid.is_ok() || self.in_flight() > self.most
    }

    fn step_out(&self) {
        if self.in_flight.fetch_sub(1, Ordering::Relaxed) == 1
            && self.limit.load(Ordering::Relaxed) < self.most
        {
            // Nothing is in hand: the storm is over, and whoever comes next finds an open door.
            self.set_limit(self.most);
        }
    }

    fn leave_answered(&self, at: Instant) {
        self.step_out();
        let now = Instant::now();
        // A few more than the most do no harm.
        if self.saved_refusals.load(Ordering::Relaxed) < MOST_SAVED_REFUSALS {
            self.saved_refusals
                .fetch_add(REFUSALS_PER_ANSWER, Ordering::Relaxed);
        }
        let window = &self.window;
        window.answered.fetch_add(1, Ordering::Relaxed);
        window
            .spent_ns
            .fetch_add((now - at).as_nanos() as u64, Ordering::Relaxed);
        let now_ns = (now - window.epoch).as_nanos() as u64;
        let began_ns = window.began_ns.load(Ordering::Relaxed);
        if now_ns.saturating_sub(began_ns) >= WINDOW.as_nanos() as u64
            && window
                .began_ns
                .compare_exchange(began_ns, now_ns, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            self.move_bound();
        }
    }

    /// Down by an eighth when requests spent too long, in two windows on end: a machine that stands still for a moment
    /// makes one, whatever the load. Up by a sixteenth when they were quick in two windows and some were refused.
    fn move_bound(&self) {
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        let answered = take(&self.window.answered).max(1);
        let mean_ns = take(&self.window.spent_ns) / answered;
        let refused = take(&self.window.refused);
        let limit = self.limit.load(Ordering::Relaxed);
        let is_slow = mean_ns > TARGET.as_nanos() as u64;
        let was_slow = self.window.was_slow.swap(is_slow, Ordering::Relaxed);
        let moved = if is_slow != was_slow {
            return;
        } else if is_slow {
            // What is in the server says where the bound would begin to be felt.
            limit.min(self.in_flight().max(self.least)) * 7 / 8
        } else if refused > 0 {
            limit.saturating_add(limit / 16 + 1)
        } else {
            // A quiet server forgets the storm.
            limit.saturating_add(limit / 64 + 1)
        };
        self.set_limit(moved.clamp(self.least, self.most));
    }

    fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
        self.limit_gauge.set(limit as f64);
    }
}

/// One request in the server.
pub struct Admitted {
    gate: Arc<Gate>,
    at: Instant,
    is_refused: bool,
}

impl Admitted {
    /// The request leaves, and says whether a model had no room for it: then how soon it heard so says nothing of what
    /// requests spend here, and it pays for no refusal.
    pub fn left_with(mut self, is_refused: bool) {
        self.is_refused = is_refused;
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if self.is_refused {
            self.gate.step_out();
        } else {
            self.gate.leave_answered(self.at);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn gate(threads: usize, most: usize) -> Arc<Gate> {
        Gate::new(threads, most, Counter::noop(), Gauge::noop())
    }

    /// Lets requests in flight spend `spent`, then closes a window.
    fn window(gate: &Arc<Gate>, in_flight: usize, spent: Duration) {
        // On a slow machine the clock would close windows of its own in between.
        gate.window.began_ns.store(u64::MAX, Ordering::Relaxed);
        let admitted: Vec<Admitted> = (0..in_flight).filter_map(|_| gate.admit()).collect();
        gate.window.spent_ns.store(
            spent.as_nanos() as u64 * in_flight as u64,
            Ordering::Relaxed,
        );
        gate.window
            .answered
            .store(in_flight as u64, Ordering::Relaxed);
        gate.move_bound();
        drop(admitted);
    }

    #[test]
    fn what_exceeds_the_bound_is_refused_until_something_leaves() {
        let gate = gate(1, 3);
        let mut admitted: Vec<Admitted> = (0..3).filter_map(|_| gate.admit()).collect();
        assert_eq!((admitted.len(), gate.in_flight()), (3, 3));
        assert!(gate.admit().is_none());
        admitted.pop();
        assert!(gate.admit().is_some());
        drop(admitted);
        assert_eq!(gate.in_flight(), 0);
    }

    #[test]
    fn refusals_leave_room_for_answers() {
        let gate = gate(1, 10_000);
        gate.limit.store(1, Ordering::Relaxed);
        let mut admitted = vec![gate.admit().unwrap()];
        let refused = |asked: usize, admitted: &mut Vec<Admitted>| {
            let before = admitted.len();
            admitted.extend((0..asked).filter_map(|_| gate.admit()));
            asked - (admitted.len() - before)
        };
        // What piled up is refused at once, and then as much as answers pay for.
        let piled_up = MOST_SAVED_REFUSALS + 500;
        assert_eq!(refused(piled_up, &mut admitted), MOST_SAVED_REFUSALS);
        admitted.pop();
        assert_eq!(refused(10, &mut admitted), REFUSALS_PER_ANSWER);
    }

    #[test]
    fn the_bound_falls_while_requests_spend_too_long_and_never_below_its_least() {
        let gate = gate(2, 8_192);
        let _busy = gate.admit().unwrap();
        window(&gate, 2_000, TARGET * 2);
        window(&gate, 2_000, TARGET * 2);
        assert_eq!(gate.limit(), 2_001 * 7 / 8);
        for _ in 0..50 {
            window(&gate, 2_000, TARGET * 2);
        }
        assert_eq!(gate.limit(), 2 * LEAST_PER_THREAD);
    }

    #[test]
    fn what_a_model_refused_counts_as_no_answer() {
        let gate = gate(1, 10_000);
        gate.saved_refusals.store(0, Ordering::Relaxed);
        for _ in 0..100 {
            gate.admit().unwrap().left_with(true);
        }
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        assert_eq!((count(&gate.window.answered), gate.in_flight()), (0, 0));
        assert_eq!(gate.saved_refusals.load(Ordering::Relaxed), 0);
        gate.admit().unwrap().left_with(false);
        drop(gate.admit().unwrap()); // its caller went away
        assert_eq!((count(&gate.window.answered), gate.in_flight()), (2, 0));
        assert_eq!(
            gate.saved_refusals.load(Ordering::Relaxed),
            2 * REFUSALS_PER_ANSWER
        );
    }

    #[test]
    fn one_slow_window_moves_nothing() {
        let gate = gate(2, 8_192);
        let _busy = gate.admit().unwrap();
        for _ in 0..50 {
            window(&gate, 2_000, TARGET * 2);
            window(&gate, 2_000, TARGET / 10);
        }
        assert_eq!(gate.limit(), 8_192);
    }

    #[test]
    fn a_server_with_nothing_in_hand_takes_the_next_burst_whole() {
        let gate = gate(2, 8_192);
        let busy = gate.admit().unwrap();
        for _ in 0..50 {
            window(&gate, 2_000, TARGET * 2);
        }
        assert_eq!(gate.limit(), 2 * LEAST_PER_THREAD);
        drop(busy);
        let burst: Vec<_> = (0..1_000).map(|_| gate.admit()).collect();
        assert!(burst.iter().all(Option::is_some));
    }

    #[test]
    fn the_bound_rises_again_when_requests_are_quick() {
        let gate = gate(2, 8_192);
        let _busy = gate.admit().unwrap();
        for _ in 0..50 {
            window(&gate, 2_000, TARGET * 2);
        }
        for _ in 0..2_000 {
            window(&gate, 10, TARGET / 10);
        }
        assert_eq!(gate.limit(), 8_192);
    }
}
