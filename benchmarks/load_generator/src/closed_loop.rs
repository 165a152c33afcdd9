//! Callers that wait for their answer before they ask again.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task;

use crate::arguments::{Closed, Share, milliseconds};
use crate::connection::{Call, Connection};
use crate::report::{LoadError, Recorder};

/// What a refused caller waits before it asks again: as Candlewire's `RetryInfo` says. A server that refuses at once would
/// otherwise be asked in a busy loop.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs one thread's share of the load.
pub(crate) async fn run(call: Call, load: &Closed, share: Share) -> Result<Recorder, LoadError> {
    let recorder = Rc::new(RefCell::new(Recorder::new()?));
    let mut connections = Vec::with_capacity(share.connections);
    for _ in 0..share.connections {
        connections.push(call.connect().await?);
    }
    let from = Instant::now() + milliseconds(load.warmup_ms);
    let until = from + milliseconds(load.duration_ms);
    let callers: Vec<_> = connections
        .iter()
        .flat_map(|connection| (0..load.in_flight).map(|_| connection.clone()))
        .map(|connection| task::spawn_local(caller(connection, recorder.clone(), from, until)))
        .collect();
    for caller in callers {
        caller.await.map_err(|_| LoadError::WorkerPanicked)?;
    }
    let mut recorder = Rc::into_inner(recorder)
        .ok_or(LoadError::WorkerPanicked)?
        .into_inner();
    recorder.measured(until - from);
    Ok(recorder)
}

/// Asks again and again; what ends within the measured time counts.
async fn caller(
    connection: Connection,
    recorder: Rc<RefCell<Recorder>>,
    from: Instant,
    until: Instant,
) {
    loop {
        let asked = Instant::now();
        if asked >= until {
            return;
        }
        let status = connection.unary(Duration::ZERO, || ()).await;
        let answered = Instant::now();
        if answered >= from && answered < until {
            recorder.borrow_mut().finished(status, answered - asked);
        }
        if status != 0 {
            tokio::time::sleep(PAUSE).await;
        }
    }
}
