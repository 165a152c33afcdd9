//! One bidirectional stream a connection: every request message is answered by one response message, in order.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use bytes::{Buf, BytesMut};
use tokio::task;

use crate::arguments::{Closed, Share, milliseconds};
use crate::connection::{Call, Connection, status_of};
use crate::report::{LoadError, Recorder};

/// Runs one thread's share of the load.
pub(crate) async fn run(call: Call, load: &Closed, share: Share) -> Result<Recorder, LoadError> {
    let recorder = Rc::new(RefCell::new(Recorder::new()?));
    let mut streams = Vec::with_capacity(share.connections);
    let from = Instant::now() + milliseconds(load.warmup_ms);
    let until = from + milliseconds(load.duration_ms);
    for _ in 0..share.connections {
        let connection = call.connect().await?;
        streams.push(task::spawn_local(stream(
            connection,
            recorder.clone(),
            load.in_flight,
            from,
            until,
        )));
    }
    for stream in streams {
        stream.await.map_err(|_| LoadError::WorkerPanicked)??;
    }
    let mut recorder = Rc::into_inner(recorder)
        .ok_or(LoadError::WorkerPanicked)?
        .into_inner();
    recorder.measured(until - from);
    Ok(recorder)
}

/// Keeps `in_flight` messages on the stream until the time is over.
async fn stream(
    connection: Connection,
    recorder: Rc<RefCell<Recorder>>,
    in_flight: usize,
    from: Instant,
    until: Instant,
) -> Result<(), LoadError> {
    let mut sender = connection.ready().await?;
    let (response, mut requests) = sender.send_request(connection.request(), false)?;
    let mut asked = VecDeque::with_capacity(in_flight);
    for _ in 0..in_flight {
        asked.push_back(Instant::now());
        requests.send_data(connection.next_frame(), false)?;
    }
    let (head, mut answers) = response.await?.into_parts();
    if let Some(status) = status_of(&head.headers) {
        return Err(LoadError::StreamEnded(status));
    }
    let mut unread = BytesMut::new();
    while let Some(chunk) = answers.data().await {
        let chunk = chunk?;
        answers.flow_control().release_capacity(chunk.len())?;
        unread.extend_from_slice(&chunk);
        while take_message(&mut unread) {
            let answered = Instant::now();
            let Some(sent) = asked.pop_front() else {
                return Err(LoadError::UnaskedAnswer);
            };
            if answered >= until {
                return Ok(());
            }
            if answered >= from {
                recorder.borrow_mut().finished(0, answered - sent);
            }
            asked.push_back(Instant::now());
            requests.send_data(connection.next_frame(), false)?;
        }
    }
    let status = answers.trailers().await?.as_ref().and_then(status_of);
    Err(LoadError::StreamEnded(status.unwrap_or_default()))
}

/// Removes one whole message from the front; false when there is none yet.
pub(crate) fn take_message(unread: &mut BytesMut) -> bool {
    let Some(&[_, a, b, c, d]) = unread.first_chunk::<5>() else {
        return false;
    };
    let length = 5 + u32::from_be_bytes([a, b, c, d]) as usize;
    if unread.len() < length {
        return false;
    }
    unread.advance(length);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_taken_whole() {
        let mut unread = BytesMut::from(&b"\0\0\0\0\x02ab\0\0\0\0\x01"[..]);
        assert!(take_message(&mut unread));
        assert!(
            !take_message(&mut unread),
            "the second one still misses its byte"
        );
        unread.extend_from_slice(b"c");
        assert!(take_message(&mut unread));
        assert!(unread.is_empty());
    }
}
