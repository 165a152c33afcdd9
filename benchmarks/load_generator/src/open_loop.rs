//! Requests that are sent when they are due, whatever the answers do.

use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use crate::arguments::{Open, Share, milliseconds};
use crate::connection::Call;
use crate::exchange::Ended;
use crate::pacing::Schedule;
use crate::report::{LoadError, OK, Recorder};
use crate::sockets::Sockets;

/// How long to wait for answers after the last request.
const PATIENCE: Duration = Duration::from_secs(10);
/// Requests that may be sent before answers are looked at again, however far behind schedule.
const MOST_AT_ONCE: usize = 64;

/// A request: its latency counts from when it was due, and beside that from when it was sent.
#[derive(Debug)]
struct Due {
    at: Instant,
    counts: bool,
}

/// Runs one thread's share of the load.
pub(crate) fn run(
    call: &Call,
    load: &Open,
    share: Share,
    seed: u64,
) -> Result<Recorder, LoadError> {
    if load.rate.is_nan() || load.rate <= 0.0 {
        return Err(LoadError::Rate(load.rate));
    }
    let mut recorder = Recorder::new()?;
    let mut sockets = Sockets::open(call, share.connections, milliseconds(load.timeout_ms))?;
    let mut messages = call.messages_in_turn();
    let mut schedule = Schedule::new(load.rate * share.fraction, load.arrivals, seed);
    let (mut ready, mut ended) = (Vec::new(), Vec::new());
    let mut number = 0;
    let mut due = Instant::now() + schedule.gap();
    let from = Instant::now() + milliseconds(load.warmup_ms);
    let until = from + milliseconds(load.duration_ms);
    let measured = from..until;
    let tick = milliseconds(load.tick_us).div_f64(1e3);
    let mut woken = Instant::now();
    while due < until {
        let first = number;
        while due <= woken && due < until && number - first < MOST_AT_ONCE {
            let counts = due >= from;
            if counts {
                recorder.asked();
            }
            let Some(message) = messages.next() else {
                break;
            };
            let tag = Due { at: due, counts };
            sockets.ask(number % share.connections, tag, message, &mut ended);
            number += 1;
            due += schedule.gap();
        }
        for line in first.max(number.saturating_sub(share.connections))..number {
            sockets.flush(line % share.connections)?;
        }
        // Behind schedule nothing is waited for: the answers are let in.
        let next = if due > woken {
            due.max(woken + tick)
        } else {
            due
        };
        let mut look_until = next;
        if !tick.is_zero() && sockets.unended() > 0 {
            // Each answer would wake this thread, which then takes the processor from the server that gives the next.
            look_until = Instant::now();
            thread::sleep(next.saturating_duration_since(look_until).min(tick));
        }
        let_in(
            look_until,
            &mut sockets,
            &mut ready,
            &mut ended,
            (&mut recorder, &measured),
        )?;
        let now = Instant::now();
        if now >= next {
            woken = now;
        }
    }
    let give_up = Instant::now() + PATIENCE;
    while sockets.unended() > 0 && Instant::now() < give_up {
        let_in(
            give_up,
            &mut sockets,
            &mut ready,
            &mut ended,
            (&mut recorder, &measured),
        )?;
    }
    record((&mut recorder, &measured), &mut ended);
    recorder.measured(until - from);
    Ok(recorder)
}

/// Waits until `latest` at most for what a connection has to read or can write, and takes it in.
fn let_in(
    latest: Instant,
    sockets: &mut Sockets<Due>,
    ready: &mut Vec<usize>,
    ended: &mut Vec<Ended<Due>>,
    (recorder, measured): (&mut Recorder, &Range<Instant>),
) -> Result<(), LoadError> {
    sockets.wait(latest.saturating_duration_since(Instant::now()), ready)?;
    for &line in &*ready {
        sockets.read(line, ended)?;
        record((recorder, measured), ended);
        sockets.flush(line)?;
    }
    Ok(())
}

fn record((recorder, measured): (&mut Recorder, &Range<Instant>), ended: &mut Vec<Ended<Due>>) {
    let now = Instant::now();
    if measured.contains(&now) {
        for _ in ended.iter().filter(|call| call.status == OK) {
            recorder.answered_in_time();
        }
    }
    for call in ended.drain(..).filter(|call| call.tag.counts) {
        recorder.sent(call.sent.saturating_duration_since(call.tag.at));
        recorder.finished(call.status, now - call.tag.at);
        recorder.finished_since_sent(call.status, now - call.sent);
    }
}
