//! Requests that are sent when they are due, whatever the answers do.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task;

use crate::arguments::{Open, Share, milliseconds};
use crate::connection::{Call, Connection};
use crate::pacing::{FineTimer, Schedule};
use crate::report::{LoadError, Recorder};

/// How long to wait for answers after the last request.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs one thread's share of the load.
pub(crate) async fn run(
    call: Call,
    load: &Open,
    share: Share,
    seed: u64,
) -> Result<Recorder, LoadError> {
    if load.rate.is_nan() || load.rate <= 0.0 {
        return Err(LoadError::Rate(load.rate));
    }
    let recorder = Rc::new(RefCell::new(Recorder::new()?));
    let mut connections = Vec::with_capacity(share.connections);
    for _ in 0..share.connections {
        connections.push(call.connect().await?);
    }
    let timer = FineTimer::new()?;
    let timeout = milliseconds(load.timeout_ms);
    let mut schedule = Schedule::new(load.rate * share.fraction, load.arrivals, seed);
    let mut due = Instant::now() + schedule.gap();
    let from = Instant::now() + milliseconds(load.warmup_ms);
    let until = from + milliseconds(load.duration_ms);
    let tick = Duration::from_micros(load.tick_us);
    let mut number = 0;
    let mut woken = Instant::now();
    while due < until {
        if due > woken {
            timer.until(due.max(woken + tick)).await?;
            woken = Instant::now();
        }
        let counts = due >= from;
        if counts {
            recorder.borrow_mut().asked();
        }
        let connection = connections[number % connections.len()].clone();
        task::spawn_local(request(connection, recorder.clone(), due, counts, timeout));
        number += 1;
        due += schedule.gap();
        if number.is_multiple_of(64) {
            // Behind schedule the timer never waits: let the answers in.
            task::yield_now().await;
        }
    }
    let give_up = Instant::now() + PATIENCE;
    while recorder.borrow().outstanding() > 0 && Instant::now() < give_up {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let mut recorder = recorder.replace(Recorder::new()?);
    recorder.measured(until - from);
    Ok(recorder)
}

/// One request; its latency counts from when it was due, and beside that from when it was sent.
async fn request(
    connection: Connection,
    recorder: Rc<RefCell<Recorder>>,
    due: Instant,
    counts: bool,
    timeout: Duration,
) {
    let mut sent = due;
    let status = connection
        .unary(timeout, || {
            sent = Instant::now();
            if counts {
                recorder.borrow_mut().sent(sent - due);
            }
        })
        .await;
    if counts {
        let ended = Instant::now();
        let mut recorder = recorder.borrow_mut();
        recorder.finished(status, ended - due);
        recorder.finished_since_sent(status, ended - sent);
    }
}
