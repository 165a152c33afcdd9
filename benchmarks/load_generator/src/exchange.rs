//! Unary gRPC calls on one HTTP/2 connection, as bytes in and bytes out.
//!
//! A general client pays for what a load generator never asks of it: a task, wakers and several allocations a call. Two
//! cores carry the generator and the server that it measures, so what the one spends the other lacks: here a call is one
//! entry in a queue, and all that is due goes out in one write.

use std::collections::VecDeque;
use std::mem;
use std::time::Instant;

use bytes::{Buf, Bytes};
use loona_hpack::Decoder;

use crate::frames::{
    ACK, CONTINUATION, DATA, ENABLE_PUSH, END_HEADERS, END_STREAM, GOAWAY, HEAD_BYTES,
    HEADER_TABLE_SIZE, HEADERS, Head, INITIAL_WINDOW_SIZE, LARGEST_PAYLOAD, MAX_CONCURRENT_STREAMS,
    MAX_FRAME_SIZE, PING, PREFACE, RST_STREAM, SETTINGS, WINDOW_BYTES, WINDOW_UPDATE, number,
    put_frame, put_head, put_settings, settings,
};
use crate::report::LoadError;
use crate::request_head::RequestHead;

const DEFAULT_WINDOW_BYTES: u32 = 65_535;
const BUFFER_BYTES: usize = 4 * (LARGEST_PAYLOAD + HEAD_BYTES);
/// What stands in front of every gRPC message.
const MESSAGE_HEAD_BYTES: usize = 5;
const CANCEL: u32 = 0x8;
/// Status of a call whose trailers hold none: UNKNOWN.
const NO_STATUS: u16 = 2;
/// Status of a call that the connection lost: UNAVAILABLE.
const LOST: u16 = 14;

/// A call that ended.
#[derive(Debug, PartialEq)]
pub(crate) struct Ended<Tag> {
    /// What the caller gave along.
    pub(crate) tag: Tag,
    /// When its request was written.
    pub(crate) sent: Instant,
    /// gRPC status; zero is an answer.
    pub(crate) status: u16,
}

struct Call<Tag> {
    tag: Tag,
    sent: Instant,
    /// What of the request the peer's windows have not let out.
    unsent: Bytes,
    window: i64,
    answer_bytes: usize,
}

/// State of one connection.
pub(crate) struct Exchange<Tag> {
    head: RequestHead,
    decoder: Decoder<'static>,
    output: Vec<u8>,
    buffer: Box<[u8]>,
    filled: usize,
    /// Calls by stream, oldest first; those that ended amid others leave a gap.
    calls: VecDeque<Option<Call<Tag>>>,
    oldest: u32,
    open: usize,
    /// Calls that the peer does not let start yet.
    waiting: VecDeque<(Tag, Bytes)>,
    /// The call whose request waits for a window.
    blocked: Option<u32>,
    /// A header block whose end has not come: its stream, whether the stream ends with it, and its bytes.
    partial: Option<(u32, bool, Vec<u8>)>,
    most_calls: usize,
    largest_payload: usize,
    stream_window: i64,
    window: i64,
    consumed: usize,
    settled: bool,
    lost: bool,
}

impl<Tag> Exchange<Tag> {
    /// A connection that begins.
    pub(crate) fn new(head: RequestHead) -> Self {
        let mut output = PREFACE.to_vec();
        put_settings(
            &mut output,
            &[(ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, WINDOW_BYTES)],
        );
        let more = WINDOW_BYTES - DEFAULT_WINDOW_BYTES;
        put_frame(&mut output, WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
        Self {
            head,
            decoder: Decoder::new(),
            output,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            filled: 0,
            calls: VecDeque::new(),
            oldest: 1,
            open: 0,
            waiting: VecDeque::new(),
            blocked: None,
            partial: None,
            most_calls: usize::MAX,
            largest_payload: LARGEST_PAYLOAD,
            stream_window: i64::from(DEFAULT_WINDOW_BYTES),
            window: i64::from(DEFAULT_WINDOW_BYTES),
            consumed: 0,
            settled: false,
            lost: false,
        }
    }

    /// Whether the peer has said what it allows.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled
    }

    /// Whether the peer takes no more calls.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Calls that have not ended.
    pub(crate) fn unended(&self) -> usize {
        self.open + self.waiting.len()
    }

    /// What is to be written.
    pub(crate) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Where to read to; say with [`Self::received`] how much came.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        &mut self.buffer[self.filled..]
    }

    /// Calls with a framed message, as soon as the peer allows.
    pub(crate) fn ask(&mut self, tag: Tag, message: Bytes, ended: &mut Vec<Ended<Tag>>) {
        let now = Instant::now();
        if self.lost {
            ended.push(Ended {
                tag,
                sent: now,
                status: LOST,
            });
            return;
        }
        self.waiting.push_back((tag, message));
        self.start_calls(now);
    }

    /// Takes in what was read.
    pub(crate) fn received(
        &mut self,
        bytes: usize,
        ended: &mut Vec<Ended<Tag>>,
    ) -> Result<(), LoadError> {
        self.filled += bytes;
        let buffer = mem::take(&mut self.buffer);
        let mut unread = &buffer[..self.filled];
        let mut outcome = Ok(());
        while let Some(head) = Head::read(unread) {
            if head.length > LARGEST_PAYLOAD {
                outcome = Err(LoadError::Protocol(
                    "a frame is longer than this side allows",
                ));
                break;
            }
            let Some(payload) = unread.get(HEAD_BYTES..HEAD_BYTES + head.length) else {
                break;
            };
            outcome = self.frame(head, payload, ended);
            if outcome.is_err() {
                break;
            }
            unread = &unread[HEAD_BYTES + head.length..];
        }
        let rest = self.filled - unread.len()..self.filled;
        self.filled = rest.len();
        self.buffer = buffer;
        self.buffer.copy_within(rest, 0);
        outcome?;
        if self.consumed >= WINDOW_BYTES as usize / 2 {
            let consumed = mem::take(&mut self.consumed) as u32;
            put_frame(
                &mut self.output,
                WINDOW_UPDATE,
                0,
                0,
                &consumed.to_be_bytes(),
            );
        }
        if !self.waiting.is_empty() || self.blocked.is_some() {
            self.start_calls(Instant::now());
        }
        Ok(())
    }

    /// The connection is gone: all calls end.
    pub(crate) fn lose(&mut self, ended: &mut Vec<Ended<Tag>>) {
        self.lost = true;
        self.output.clear();
        ended.extend(self.calls.drain(..).flatten().map(|call| Ended {
            tag: call.tag,
            sent: call.sent,
            status: LOST,
        }));
        self.open = 0;
        self.refuse_waiting(ended);
    }

    fn refuse_waiting(&mut self, ended: &mut Vec<Ended<Tag>>) {
        let sent = Instant::now();
        ended.extend(self.waiting.drain(..).map(|(tag, _)| Ended {
            tag,
            sent,
            status: LOST,
        }));
    }

    fn start_calls(&mut self, now: Instant) {
        if let Some(stream) = self.blocked.take() {
            self.send(stream);
        }
        while self.blocked.is_none() && self.open < self.most_calls {
            let Some((tag, message)) = self.waiting.pop_front() else {
                return;
            };
            let stream = self.oldest + 2 * self.calls.len() as u32;
            let block = if stream == 1 {
                self.head.first()
            } else {
                self.head.later()
            };
            put_frame(&mut self.output, HEADERS, END_HEADERS, stream, block);
            self.calls.push_back(Some(Call {
                tag,
                sent: now,
                unsent: message,
                window: self.stream_window,
                answer_bytes: 0,
            }));
            self.open += 1;
            self.send(stream);
        }
    }

    /// Writes what the windows let out of a call's request.
    fn send(&mut self, stream: u32) {
        let place = self.place(stream);
        let Some(call) = place.and_then(|place| self.calls.get_mut(place)?.as_mut()) else {
            return;
        };
        while call.unsent.has_remaining() {
            let room = call.window.min(self.window).max(0) as usize;
            let length = call.unsent.len().min(room).min(self.largest_payload);
            if length == 0 {
                self.blocked = Some(stream);
                return;
            }
            let flags = if length == call.unsent.len() {
                END_STREAM
            } else {
                0
            };
            put_head(&mut self.output, length, DATA, flags, stream);
            self.output.extend_from_slice(&call.unsent[..length]);
            call.unsent.advance(length);
            call.window -= length as i64;
            self.window -= length as i64;
        }
    }

    /// Where the call of a stream stands among the calls.
    fn place(&self, stream: u32) -> Option<usize> {
        Some(stream.checked_sub(self.oldest)? as usize / 2)
    }

    fn call(&mut self, stream: u32) -> Option<&mut Call<Tag>> {
        let place = self.place(stream)?;
        self.calls.get_mut(place)?.as_mut()
    }

    fn end(&mut self, stream: u32, status: Option<u16>, ended: &mut Vec<Ended<Tag>>) {
        let place = self.place(stream);
        let Some(call) = place.and_then(|place| self.calls.get_mut(place)?.take()) else {
            return;
        };
        if call.unsent.has_remaining() {
            put_frame(
                &mut self.output,
                RST_STREAM,
                0,
                stream,
                &CANCEL.to_be_bytes(),
            );
        }
        if self.blocked == Some(stream) {
            self.blocked = None;
        }
        self.open -= 1;
        while let Some(None) = self.calls.front() {
            self.calls.pop_front();
            self.oldest += 2;
        }
        let status = match status.unwrap_or(NO_STATUS) {
            // An OK without a message would be a server that only pretends to answer.
            0 if call.answer_bytes < MESSAGE_HEAD_BYTES => NO_STATUS,
            status => status,
        };
        ended.push(Ended {
            tag: call.tag,
            sent: call.sent,
            status,
        });
    }

    fn frame(
        &mut self,
        head: Head,
        payload: &[u8],
        ended: &mut Vec<Ended<Tag>>,
    ) -> Result<(), LoadError> {
        const SHORT: LoadError = LoadError::Protocol("a frame is shorter than it says");
        match head.kind {
            DATA => {
                self.consumed += head.length;
                let content = head.content(payload).ok_or(SHORT)?;
                if let Some(call) = self.call(head.stream) {
                    call.answer_bytes += content.len();
                }
                if head.has(END_STREAM) {
                    self.end(head.stream, None, ended);
                }
            }
            HEADERS => {
                let content = head.content(payload).ok_or(SHORT)?;
                if head.has(END_HEADERS) {
                    return self.headers(head.stream, head.has(END_STREAM), content, ended);
                }
                self.partial = Some((head.stream, head.has(END_STREAM), content.to_vec()));
            }
            CONTINUATION => {
                let Some((stream, ends, mut block)) = self.partial.take() else {
                    return Err(LoadError::Protocol("headers go on that did not begin"));
                };
                block.extend_from_slice(payload);
                if head.has(END_HEADERS) {
                    return self.headers(stream, ends, &block, ended);
                }
                self.partial = Some((stream, ends, block));
            }
            RST_STREAM => self.end(head.stream, Some(LOST), ended),
            SETTINGS if !head.has(ACK) => self.settings(payload)?,
            PING if !head.has(ACK) => put_frame(&mut self.output, PING, ACK, 0, payload),
            GOAWAY => {
                let last = number(payload).ok_or(SHORT)? & 0x7fff_ffff;
                let next = self.oldest + 2 * self.calls.len() as u32;
                for stream in (self.oldest..next)
                    .step_by(2)
                    .filter(|stream| *stream > last)
                {
                    self.end(stream, Some(LOST), ended);
                }
                self.lost = true;
                self.refuse_waiting(ended);
            }
            WINDOW_UPDATE => {
                let more = i64::from(number(payload).ok_or(SHORT)?);
                if head.stream == 0 {
                    self.window += more;
                } else if let Some(call) = self.call(head.stream) {
                    call.window += more;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn headers(
        &mut self,
        stream: u32,
        ends: bool,
        block: &[u8],
        ended: &mut Vec<Ended<Tag>>,
    ) -> Result<(), LoadError> {
        let mut status = None;
        let decoded = self.decoder.decode_with_cb(block, |name, value| {
            if *name == *b"grpc-status" {
                status = str::from_utf8(&value)
                    .ok()
                    .and_then(|text| text.parse().ok());
            }
        });
        if decoded.is_err() {
            return Err(LoadError::Protocol("headers do not decode"));
        }
        if ends {
            self.end(stream, status, ended);
        }
        Ok(())
    }

    fn settings(&mut self, payload: &[u8]) -> Result<(), LoadError> {
        for (identifier, value) in settings(payload) {
            match identifier {
                HEADER_TABLE_SIZE if (value as usize) < self.head.table_bytes() => {
                    return Err(LoadError::Protocol(
                        "the server's header table is too small for a request's headers",
                    ));
                }
                MAX_CONCURRENT_STREAMS => self.most_calls = value as usize,
                MAX_FRAME_SIZE => self.largest_payload = value as usize,
                INITIAL_WINDOW_SIZE => {
                    let more = i64::from(value) - self.stream_window;
                    self.stream_window += more;
                    for call in self.calls.iter_mut().flatten() {
                        call.window += more;
                    }
                }
                _ => {}
            }
        }
        put_frame(&mut self.output, SETTINGS, ACK, 0, &[]);
        self.settled = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
