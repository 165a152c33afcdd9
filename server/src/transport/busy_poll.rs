//! Keeps a thread at its sockets for a moment after a lone caller was served, in place of letting its processor fall
//! asleep.
//!
//! A processor that sleeps takes tens of microseconds to wake, in a virtual machine longer than a score takes, and who
//! sends one request at a time waits for that each time. A task that does nothing but give way makes the runtime look at
//! its sockets over and over, after everything else that is ready to run. It ends as soon as another connection moves:
//! threads seldom sleep then, and whoever shares the machine has better uses for the time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Sights in a row after which a connection counts as alone; a request takes two or three.
const ALONE: u64 = 16;

/// Looks at the sockets until nothing was seen for so long.
pub(super) struct BusyPoll {
    window: Duration,
    epoch: Instant,
    connections: AtomicU64,
    /// Who was seen last, how often in a row, and when.
    last_seen: AtomicU64,
    in_a_row: AtomicU64,
    seen_ns: AtomicU64,
    is_looking: AtomicBool,
}

impl BusyPoll {
    /// Goes on for `window` after each sight; `None` when that is zero.
    pub(super) fn new(window: Duration) -> Option<Arc<Self>> {
        (!window.is_zero()).then(|| {
            Arc::new(Self {
                window,
                epoch: Instant::now(),
                connections: AtomicU64::new(0),
                last_seen: AtomicU64::new(0),
                in_a_row: AtomicU64::new(0),
                seen_ns: AtomicU64::new(0),
                is_looking: AtomicBool::new(false),
            })
        })
    }

    /// A number for a connection, never zero.
    pub(super) fn connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Something moved on a connection: begins to look, or goes on, when it has been alone for a while.
    pub(super) fn saw(self: &Arc<Self>, connection: u64) {
        if self.last_seen.swap(connection, Ordering::Relaxed) != connection {
            self.in_a_row.store(0, Ordering::Relaxed);
            return;
        }
        if self.in_a_row.fetch_add(1, Ordering::Relaxed) < ALONE {
            return;
        }
        self.seen_ns.store(self.now_ns(), Ordering::Relaxed);
        if !self.is_looking.swap(true, Ordering::Relaxed) {
            let this = Arc::clone(self);
            tokio::spawn(async move { this.look().await });
        }
    }

    async fn look(&self) {
        let window_ns = self.window.as_nanos() as u64;
        while self.in_a_row.load(Ordering::Relaxed) > ALONE
            && self
                .now_ns()
                .saturating_sub(self.seen_ns.load(Ordering::Relaxed))
                < window_ns
        {
            tokio::task::yield_now().await;
        }
        self.is_looking.store(false, Ordering::Relaxed);
    }

    fn now_ns(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const WINDOW: Duration = Duration::from_millis(2);

    fn is_looking(busy: &BusyPoll) -> bool {
        busy.is_looking.load(Ordering::Relaxed)
    }

    #[test]
    fn a_window_of_nothing_is_switched_off() {
        assert!(BusyPoll::new(Duration::ZERO).is_none());
    }

    /// A connection that has been alone for a while.
    fn alone(busy: &Arc<BusyPoll>) -> u64 {
        let own = busy.connection();
        for _ in 0..=ALONE {
            assert!(!is_looking(busy), "it may still be one of many");
            busy.saw(own);
        }
        own
    }

    #[tokio::test]
    async fn it_looks_as_long_as_a_lone_caller_goes_on_and_then_stops() {
        let busy = BusyPoll::new(WINDOW).unwrap();
        let own = alone(&busy);
        let began = Instant::now();
        let mut last = began;
        while began.elapsed() < WINDOW * 3 {
            last = Instant::now();
            busy.saw(own);
            assert!(is_looking(&busy));
            tokio::task::yield_now().await;
        }
        while is_looking(&busy) {
            tokio::task::yield_now().await;
        }
        assert!(last.elapsed() >= WINDOW);
    }

    #[tokio::test]
    async fn another_caller_ends_it_and_callers_in_turn_do_not_begin_it() {
        let busy = BusyPoll::new(Duration::from_mins(1)).unwrap();
        let own = alone(&busy);
        busy.saw(own);
        assert!(is_looking(&busy));
        let other = busy.connection();
        for _ in 0..100 {
            for connection in [other, own, own] {
                busy.saw(connection);
            }
            tokio::task::yield_now().await;
        }
        assert!(!is_looking(&busy));
    }
}
