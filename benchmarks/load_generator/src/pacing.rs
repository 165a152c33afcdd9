//! Due times, and a timer fine enough to keep them: tokio's own counts in milliseconds.

#![allow(
    unsafe_code,
    reason = "registering a descriptor with tokio is unsafe; the one block says why it holds"
)]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

use crate::arguments::Arrivals;

/// Distances between due times.
pub(crate) struct Schedule {
    mean: Duration,
    arrivals: Arrivals,
    random: StdRng,
}

impl Schedule {
    /// `rate` requests per second on average.
    pub(crate) fn new(rate: f64, arrivals: Arrivals, seed: u64) -> Self {
        Self {
            mean: Duration::from_secs_f64(1.0 / rate),
            arrivals,
            random: StdRng::seed_from_u64(seed),
        }
    }

    /// From one request to the next.
    pub(crate) fn gap(&mut self) -> Duration {
        match self.arrivals {
            Arrivals::Constant => self.mean,
            Arrivals::Poisson => {
                let uniform: f64 = self.random.random(); // 0 inclusive, 1 exclusive
                self.mean.mul_f64(-(1.0 - uniform).ln())
            }
        }
    }
}

/// A high-resolution timer of the kernel.
pub(crate) struct FineTimer {
    descriptor: AsyncFd<OwnedFd>,
}

impl FineTimer {
    /// A timer that is not set.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let descriptor = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // SAFETY: an `OwnedFd` is open for as long as it lives, and this one is neither replaced nor closed before
        // the `AsyncFd` that owns it is dropped.
        let descriptor = unsafe { AsyncFd::register(descriptor) }?;
        Ok(Self { descriptor })
    }

    /// Waits until `due`; returns at once when that has passed.
    pub(crate) async fn until(&self, due: Instant) -> io::Result<()> {
        let wait = due.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            return Ok(());
        }
        let value = Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(wait.subsec_nanos()),
        };
        let never = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let setting = Itimerspec {
            it_interval: never,
            it_value: value,
        };
        timerfd_settime(
            self.descriptor.get_ref().as_fd(),
            TimerfdTimerFlags::empty(),
            &setting,
        )?;
        loop {
            let mut guard = self.descriptor.readable().await?;
            let mut expirations = [0; 8];
            match rustix::io::read(guard.get_inner(), &mut expirations) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::AGAIN) => guard.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poisson_gaps_have_the_asked_mean_and_vary_as_much() {
        let mut schedule = Schedule::new(1_000.0, Arrivals::Poisson, 7);
        let gaps: Vec<f64> = (0..100_000)
            .map(|_| schedule.gap().as_secs_f64() * 1e3)
            .collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        assert!((variance - 1.0).abs() < 0.05, "{variance}");
    }

    #[test]
    fn constant_gaps_are_equal() {
        let mut schedule = Schedule::new(4.0, Arrivals::Constant, 7);
        assert_eq!(
            [schedule.gap(), schedule.gap()],
            [Duration::from_millis(250); 2]
        );
    }

    #[tokio::test]
    async fn the_timer_is_never_early() {
        let timer = FineTimer::new().unwrap();
        for wait in [0, 50, 300, 2_000] {
            let due = Instant::now() + Duration::from_micros(wait);
            timer.until(due).await.unwrap();
            assert!(Instant::now() >= due);
        }
    }
}
