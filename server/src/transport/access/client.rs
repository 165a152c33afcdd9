//! One client: its share of the server.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};

use crate::error::ServeError;

type Limiter = RateLimiter<
    NotKeyed,
    InMemoryState,
    DefaultClock,
    NoOpMiddleware<<DefaultClock as Clock>::Instant>,
>;

/// What each client may ask for; `None` is no limit.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Allowance {
    pub(super) requests_per_second: Option<NonZeroU32>,
    pub(super) request_burst: Option<NonZeroU32>,
    pub(super) streams: Option<NonZeroU32>,
}

impl Allowance {
    pub(super) const fn is_limited(&self) -> bool {
        self.requests_per_second.is_some() || self.streams.is_some()
    }
}

/// Everything of one client on all its connections.
pub struct Client {
    name: String,
    allowance: Allowance,
    limiter: Option<Limiter>,
    in_flight: AtomicU32,
}

impl Client {
    pub(super) fn new(name: &str, allowance: Allowance) -> Self {
        let limiter = allowance.requests_per_second.map(|rate| {
            let burst = allowance.request_burst.unwrap_or(rate);
            RateLimiter::direct(Quota::per_second(rate).allow_burst(burst))
        });
        Self {
            name: name.to_owned(),
            allowance,
            limiter,
            in_flight: AtomicU32::new(0),
        }
    }

    /// Takes one request in; the permit, if there is one, lives as long as the request.
    pub(super) fn admit(self: &Arc<Self>) -> Result<Option<Permit>, ServeError> {
        if let Some(limiter) = &self.limiter
            && let Err(too_early) = limiter.check()
        {
            return Err(ServeError::RateLimited {
                client: self.name.clone(),
                limit: self
                    .allowance
                    .requests_per_second
                    .map_or(0, NonZeroU32::get),
                retry_after: too_early.wait_time_from(DefaultClock::default().now()),
            });
        }
        let Some(limit) = self.allowance.streams else {
            return Ok(None);
        };
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        // Counted from here on: dropping it counts it out.
        let permit = Permit(Arc::clone(self));
        if before >= limit.get() {
            return Err(ServeError::TooManyStreams {
                client: self.name.clone(),
                limit: limit.get(),
            });
        }
        Ok(Some(permit))
    }
}

/// One request in flight.
pub struct Permit(Arc<Client>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(requests: u32, streams: u32) -> Arc<Client> {
        Arc::new(Client::new(
            "someone",
            Allowance {
                requests_per_second: NonZeroU32::new(requests),
                request_burst: NonZeroU32::new(requests),
                streams: NonZeroU32::new(streams),
            },
        ))
    }

    #[test]
    fn a_burst_passes_and_the_next_request_is_told_when_to_come() {
        let client = client(5, 0);
        for _ in 0..5 {
            client.admit().unwrap();
        }
        let Err(ServeError::RateLimited {
            limit, retry_after, ..
        }) = client.admit()
        else {
            panic!("the sixth request passed");
        };
        assert_eq!(limit, 5);
        assert!(retry_after.as_millis() <= 200, "{retry_after:?}");
    }

    #[test]
    fn requests_that_end_make_room() {
        let client = client(0, 2);
        let first = client.admit().unwrap();
        let _second = client.admit().unwrap();
        assert!(matches!(
            client.admit(),
            Err(ServeError::TooManyStreams { limit: 2, .. })
        ));
        drop(first);
        assert!(client.admit().is_ok());
    }
}
