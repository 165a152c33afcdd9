//! Requests that the network has read but no handler has looked at yet.
//!
//! A burst of requests on one connection is read at once and handled one by one. Without this count the first of them
//! would find the model idle and run alone, and so would the next: no batch would ever form.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Counts announced requests.
#[derive(Debug, Default)]
pub struct Arrivals {
    announced: AtomicUsize,
}

impl Arrivals {
    /// True when no other request is about to come in.
    #[must_use]
    pub fn none(&self) -> bool {
        self.announced.load(Ordering::Relaxed) == 0
    }

    /// Announces one request, until the result is dropped.
    #[must_use]
    pub fn announce(self: &Arc<Self>) -> Announced {
        self.announced.fetch_add(1, Ordering::Relaxed);
        Announced {
            arrivals: Arc::clone(self),
        }
    }
}

/// One announced request.
#[derive(Debug)]
pub struct Announced {
    arrivals: Arc<Arrivals>,
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.arrivals.announced.fetch_sub(1, Ordering::Relaxed);
    }
}
