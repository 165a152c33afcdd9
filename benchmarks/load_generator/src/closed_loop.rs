//! Callers that wait for their answer before they ask again.

use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, Instant};

use crate::arguments::{Closed, Share, milliseconds};
use crate::connection::Call;
use crate::report::{LoadError, Recorder};
use crate::sockets::Sockets;

/// What a refused caller waits before it asks again: as Candlewire's `RetryInfo` says. A server that refuses at once would
/// otherwise be asked in a busy loop.
const PAUSE: Duration = Duration::from_millis(20);
/// How long to wait for the last answers.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs one thread's share of the load; what ends within the measured time counts.
pub(crate) fn run(call: &Call, load: &Closed, share: Share) -> Result<Recorder, LoadError> {
    let mut recorder = Recorder::new()?;
    let mut sockets = Sockets::open(call, share.connections, Duration::ZERO)?;
    let mut messages = call.messages_in_turn();
    let mut pausing = VecDeque::new();
    let (mut ready, mut ended, mut taken) = (Vec::new(), Vec::new(), Vec::new());
    let from = Instant::now() + milliseconds(load.warmup_ms);
    let until = from + milliseconds(load.duration_ms);
    for number in 0..share.connections {
        for message in messages.by_ref().take(load.in_flight) {
            sockets.ask(number, Instant::now(), message, &mut ended);
        }
        sockets.flush(number)?;
    }
    let mut now = Instant::now();
    while now < until + PATIENCE && (now < until || sockets.unended() > 0) {
        let resume = pausing.front().map_or(until, |(at, _)| *at).min(until);
        let longest = if now < until {
            resume.saturating_duration_since(now)
        } else {
            PATIENCE
        };
        sockets.wait(longest, &mut ready)?;
        now = Instant::now();
        let resumed = pausing.partition_point(|(at, _)| *at <= now);
        for (_, number) in pausing.drain(..resumed) {
            if now < until
                && let Some(message) = messages.next()
            {
                sockets.ask(number, now, message, &mut ended);
                sockets.flush(number)?;
            }
        }
        for &number in &ready {
            sockets.read(number, &mut ended)?;
            now = Instant::now();
            mem::swap(&mut ended, &mut taken);
            for call in taken.drain(..) {
                if now >= from && now < until {
                    recorder.finished(call.status, now - call.tag);
                }
                if call.status != 0 {
                    pausing.push_back((now + PAUSE, number));
                } else if now < until
                    && let Some(message) = messages.next()
                {
                    sockets.ask(number, now, message, &mut ended);
                }
            }
            sockets.flush(number)?;
        }
    }
    recorder.measured(until - from);
    Ok(recorder)
}
