//! Keeps a thread at its sockets for a moment after a lone caller was served, in place of letting its processor fall
//! asleep.
//!
//! A processor that sleeps takes tens of microseconds to wake, in a virtual machine longer than a score takes, and who
//! sends one request at a time waits for that each time. A task that does nothing but give way makes the runtime look at
//! its sockets over and over, after everything else that is ready to run. When several connections are busy none of this
//! happens: threads seldom sleep then, and whoever shares the machine has better uses for the time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Looks at the sockets until nothing was seen for so long.
pub(super) struct BusyPoll {
    window: Duration,
    epoch: Instant,
    connections: AtomicU64,
    /// Who was seen last, and when.
    last_seen: AtomicU64,
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
                seen_ns: AtomicU64::new(0),
                is_looking: AtomicBool::new(false),
            })
        })
    }

    /// A number for a connection, never zero.
    pub(super) fn connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Something moved on a connection: begins to look, or goes on, when it was the last one to move before.
    pub(super) fn saw(self: &Arc<Self>, connection: u64) {
        if self.last_seen.swap(connection, Ordering::Relaxed) != connection {
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
        while self
            .now_ns()
            .saturating_sub(self.seen_ns.load(Ordering::Relaxed))
            < window_ns
        {
            tokio::task::yield_now().await;
            // Other programs that wait for this processor go first too.
            std::thread::yield_now();
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

    #[tokio::test]
    async fn it_looks_as_long_as_a_lone_caller_goes_on_and_then_stops() {
        let busy = BusyPoll::new(WINDOW).unwrap();
        let own = busy.connection();
        busy.saw(own);
        assert!(!is_looking(&busy), "the first sight may be of one of many");
        let began = Instant::now();
        while began.elapsed() < WINDOW * 3 {
            busy.saw(own);
            assert!(is_looking(&busy));
            tokio::task::yield_now().await;
        }
        while is_looking(&busy) {
            tokio::task::yield_now().await;
        }
        assert!(began.elapsed() >= WINDOW * 4);
    }

    #[tokio::test]
    async fn callers_in_turn_do_not_begin_it() {
        let busy = BusyPoll::new(WINDOW).unwrap();
        let both = [busy.connection(), busy.connection()];
        for _ in 0..10 {
            for connection in both {
                busy.saw(connection);
            }
        }
        assert!(!is_looking(&busy));
    }
}
