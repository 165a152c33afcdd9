//! A publisher and those who subscribed: from when a message was due to its acknowledgement, and to each subscriber.
//!
//! The generator knows no message, so it matches by order: a server that answers and delivers in the order of the
//! publisher's stream sends a subscriber its n-th message for the n-th message that concerns it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use tokio::task;

use crate::arguments::{Deliver, milliseconds};
use crate::connection::{Call, Connection, status_of};
use crate::message_stream::take_message;
use crate::pacing::{FineTimer, Schedule};
use crate::report::{LoadError, Recorder};

/// How long to wait for what is on its way when the last message was sent.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the server may take to let all subscribe.
const SUBSCRIBE: Duration = Duration::from_secs(20);

/// When each message was due.
struct Published {
    due: RefCell<Vec<Instant>>,
    from: Instant,
    until: Instant,
    recorder: Rc<RefCell<Recorder>>,
}

impl Published {
    /// The message of this number was acknowledged, or delivered.
    fn arrived(
        &self,
        number: usize,
        record: impl FnOnce(&mut Recorder, Duration),
    ) -> Result<(), LoadError> {
        let due = self.due.borrow().get(number).copied();
        let due = due.ok_or(LoadError::UnaskedAnswer)?;
        if (self.from..self.until).contains(&due) {
            record(&mut self.recorder.borrow_mut(), due.elapsed());
        }
        Ok(())
    }
}

/// Which messages a subscriber gets: every `step`-th from `first` on.
#[derive(Clone, Copy)]
struct Share {
    first: usize,
    step: usize,
}

/// Publishes at the rate asked for while `load.subscribers` listen.
pub(crate) async fn run(
    call: Call,
    load: &Deliver,
    subscribe: Call,
) -> Result<Recorder, LoadError> {
    let recorder = Rc::new(RefCell::new(Recorder::new()?));
    let subscriptions = subscribe_all(&subscribe, load).await?;
    let connection = call.connect().await?;
    let from = Instant::now() + milliseconds(load.warmup_ms);
    let published = Rc::new(Published {
        due: RefCell::default(),
        from,
        until: from + milliseconds(load.duration_ms),
        recorder: recorder.clone(),
    });
    let ended = Rc::new(Cell::new(None));
    let mut readers = Vec::with_capacity(subscriptions.len());
    for (share, answers, unread) in subscriptions {
        let (published, ended) = (published.clone(), ended.clone());
        readers.push(task::spawn_local(async move {
            let outcome = read(answers, unread, share, &published).await;
            ended.set(Some(outcome.err().as_ref().map_or(0, status)));
        }));
    }
    publish(&connection, load, &published).await?;
    let expected = recorder.borrow().asked_deliveries();
    let give_up = Instant::now() + PATIENCE;
    while !recorder.borrow().has_all(expected) && Instant::now() < give_up {
        if let Some(status) = ended.get() {
            return Err(LoadError::StreamEnded(status));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for reader in readers {
        reader.abort();
    }
    let mut recorder = recorder.replace(Recorder::new()?);
    recorder.measured(published.until - published.from);
    Ok(recorder)
}

fn status(error: &LoadError) -> u16 {
    match error {
        LoadError::StreamEnded(status) => *status,
        _ => u16::MAX,
    }
}

type Subscribed = (Share, RecvStream, BytesMut);

/// Opens every subscription and reads the message that confirms it.
async fn subscribe_all(subscribe: &Call, load: &Deliver) -> Result<Vec<Subscribed>, LoadError> {
    let mut connections = Vec::with_capacity(load.connections.max(1));
    for _ in 0..load.connections.clamp(1, load.subscribers.max(1)) {
        connections.push(subscribe.connect().await?);
    }
    let step = subscribe.messages();
    let mut opened = Vec::with_capacity(load.subscribers);
    for number in 0..load.subscribers {
        let connection = &connections[number % connections.len()];
        let first = number % step;
        opened.push((Share { first, step }, open(connection, first).await?));
    }
    let mut subscribed = Vec::with_capacity(opened.len());
    for (share, response) in opened {
        let confirmed = tokio::time::timeout(SUBSCRIBE, confirmed(response)).await;
        let (answers, unread) = confirmed.map_err(|_| LoadError::Unconfirmed)??;
        subscribed.push((share, answers, unread));
    }
    Ok(subscribed)
}

async fn open(
    connection: &Connection,
    message: usize,
) -> Result<h2::client::ResponseFuture, LoadError> {
    let mut sender = connection.ready().await?;
    let (response, mut body) = sender.send_request(connection.request(), false)?;
    body.send_data(connection.frame(message), true)?;
    Ok(response)
}

async fn confirmed(
    response: h2::client::ResponseFuture,
) -> Result<(RecvStream, BytesMut), LoadError> {
    let (head, mut answers) = response.await?.into_parts();
    if let Some(status) = status_of(&head.headers) {
        return Err(LoadError::StreamEnded(status));
    }
    let mut unread = BytesMut::new();
    while !take_message(&mut unread) {
        let Some(chunk) = answers.data().await else {
            return Err(LoadError::StreamEnded(0));
        };
        unread.extend_from_slice(&release(&mut answers, chunk?)?);
    }
    Ok((answers, unread))
}

fn release(answers: &mut RecvStream, chunk: Bytes) -> Result<Bytes, LoadError> {
    answers.flow_control().release_capacity(chunk.len())?;
    Ok(chunk)
}

/// Reads one subscription to its end.
async fn read(
    mut answers: RecvStream,
    mut unread: BytesMut,
    share: Share,
    published: &Published,
) -> Result<(), LoadError> {
    let mut number = share.first;
    while let Some(chunk) = answers.data().await {
        unread.extend_from_slice(&release(&mut answers, chunk?)?);
        while take_message(&mut unread) {
            published.arrived(number, Recorder::delivered)?;
            number += share.step;
        }
    }
    let status = answers.trailers().await?.as_ref().and_then(status_of);
    Err(LoadError::StreamEnded(status.unwrap_or_default()))
}

/// Sends what is due on one stream; another task reads the acknowledgements.
async fn publish(
    connection: &Connection,
    load: &Deliver,
    published: &Rc<Published>,
) -> Result<(), LoadError> {
    let mut sender = connection.ready().await?;
    let (response, mut messages) = sender.send_request(connection.request(), false)?;
    let acknowledged = published.clone();
    let reader = task::spawn_local(async move {
        let (head, mut answers) = response.await?.into_parts();
        if let Some(status) = status_of(&head.headers) {
            return Err(LoadError::StreamEnded(status));
        }
        let (mut unread, mut number) = (BytesMut::new(), 0);
        while let Some(chunk) = answers.data().await {
            unread.extend_from_slice(&release(&mut answers, chunk?)?);
            while take_message(&mut unread) {
                acknowledged.arrived(number, |recorder, latency| recorder.finished(0, latency))?;
                number += 1;
            }
        }
        Ok(())
    });
    let subscriptions = load.subscribers;
    let timer = FineTimer::new()?;
    let mut schedule = Schedule::new(load.rate, load.arrivals, 0);
    let mut due = Instant::now() + schedule.gap();
    let mut number = 0;
    let step = load.subscribe_body.len().max(1);
    while due < published.until {
        timer.until(due).await?;
        published.due.borrow_mut().push(due);
        if due >= published.from {
            // Those whose share begins with this message, modulo the step.
            let concerned = (subscriptions + step - 1 - number % step) / step;
            let mut recorder = published.recorder.borrow_mut();
            recorder.asked();
            recorder.sent(due.elapsed());
            recorder.asked_to_deliver(concerned as u64);
        }
        messages.send_data(connection.next_frame(), false)?;
        number += 1;
        due += schedule.gap();
        if number.is_multiple_of(64) {
            task::yield_now().await;
        }
    }
    messages.send_data(Bytes::new(), true)?;
    reader.await.map_err(|_| LoadError::WorkerPanicked)?
}
