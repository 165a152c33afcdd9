//! Requests that the network has read but no handler has looked at yet.
//!
//! A burst of requests on one connection is read at once and handled one by one. Without this count the first of them
//! would find the model idle and run alone, and so would the next: no batch would ever form.
//!
//! Who looks at a burst on one thread says so, and what a handler then wants done for the whole burst is put off until
//! all of it has been seen.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

type Work = Box<dyn FnOnce()>;

thread_local! {
    /// Work put off while this thread looks at requests together, by who put it off.
    static PUT_OFF: RefCell<Option<Vec<(usize, Work)>>> = const { RefCell::new(None) };
}

/// Lets `look` look at requests that came together, and then does what they put off.
pub fn together(look: impl FnOnce()) {
    PUT_OFF.set(Some(Vec::new()));
    look();
    for (_, work) in PUT_OFF.take().into_iter().flatten() {
        work();
    }
}

/// Puts work off until all requests that came together have been seen, once for each `key`. False when this thread looks
/// at none: nothing is put off then.
#[must_use]
pub fn put_off<F: FnOnce() + 'static>(key: usize, work: impl FnOnce() -> F) -> bool {
    PUT_OFF.with_borrow_mut(|put_off| {
        let Some(works) = put_off else {
            return false;
        };
        if works.iter().all(|(known, _)| *known != key) {
            works.push((key, Box::new(work())));
        }
        true
    })
}

/// Counts announced requests.
#[derive(Debug, Default)]
pub struct Arrivals {
    announced: AtomicUsize,
    /// A thread is kept from reading more.
    keeps_thread: AtomicBool,
}

impl Arrivals {
    /// True when no other request is about to come in.
    #[must_use]
    pub fn none(&self) -> bool {
        self.announced.load(Ordering::Relaxed) == 0
    }

    /// Keeps this thread from reading requests until the result is dropped; `None` while another is kept.
    #[must_use]
    pub fn keep_thread(&self) -> Option<KeptThread<'_>> {
        let is_kept = self.keeps_thread.swap(true, Ordering::Acquire);
        (!is_kept).then_some(KeptThread(self))
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

/// A thread that reads no requests for a while.
#[derive(Debug)]
pub struct KeptThread<'a>(&'a Arrivals);

impl Drop for KeptThread<'_> {
    fn drop(&mut self) {
        self.0.keeps_thread.store(false, Ordering::Release);
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_thread_at_a_time_is_kept() {
        let arrivals = Arrivals::default();
        let kept = arrivals.keep_thread().unwrap();
        assert!(arrivals.keep_thread().is_none());
        drop(kept);
        assert!(arrivals.keep_thread().is_some());
    }
}
