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
    MAX_FRAME_SIZE, PING, PREFACE, RST_STREAM, SETTINGS, WINDOW_UPDATE, number, put_frame,
    put_head, put_settings, settings,
};
use crate::report::LoadError;
use crate::request_head::RequestHead;

const WINDOW_BYTES: u32 = 4 << 20;
const DEFAULT_WINDOW_BYTES: u32 = 65_535;
const BUFFER_BYTES: usize = 4 * (LARGEST_PAYLOAD + HEAD_BYTES);
/// What stands in front of every gRPC message.
const MESSAGE_HEAD_BYTES: usize = 5;
const CANCEL: u32 = 0x8;
/// Status of a call whose trailers hold none: UNKNOWN.
pub(crate) const NO_STATUS: u16 = 2;
/// Status of a call that the connection lost: UNAVAILABLE.
pub(crate) const LOST: u16 = 14;

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
        let Some(Some(call)) = self.calls.get_mut(((stream - self.oldest) / 2) as usize) else {
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

    fn call(&mut self, stream: u32) -> Option<&mut Call<Tag>> {
        let place = stream.checked_sub(self.oldest)? / 2;
        self.calls.get_mut(place as usize)?.as_mut()
    }

    fn end(&mut self, stream: u32, status: Option<u16>, ended: &mut Vec<Ended<Tag>>) {
        let Some(place) = stream.checked_sub(self.oldest) else {
            return;
        };
        let Some(call) = self
            .calls
            .get_mut(place as usize / 2)
            .and_then(Option::take)
        else {
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
mod tests {
    use std::time::Duration;

    use super::*;

    fn exchange() -> Exchange<u8> {
        Exchange::new(RequestHead::new("a:1", "/s/m", Duration::ZERO))
    }

    fn take_in(exchange: &mut Exchange<u8>, bytes: &[u8]) -> Result<Vec<(u8, u16)>, LoadError> {
        let mut ended = Vec::new();
        exchange.space()[..bytes.len()].copy_from_slice(bytes);
        exchange.received(bytes.len(), &mut ended)?;
        Ok(ended
            .into_iter()
            .map(|call| (call.tag, call.status))
            .collect())
    }

    fn settled(settings: &[(u16, u32)]) -> Exchange<u8> {
        let mut exchange = exchange();
        let mut bytes = Vec::new();
        put_settings(&mut bytes, settings);
        assert_eq!(take_in(&mut exchange, &bytes).unwrap(), []);
        assert!(exchange.is_settled());
        exchange.output().clear();
        exchange
    }

    fn ask(exchange: &mut Exchange<u8>, tags: &[u8]) {
        for &tag in tags {
            let mut ended = Vec::new();
            exchange.ask(tag, Bytes::from_static(b"\0\0\0\0\x01x"), &mut ended);
            assert_eq!(ended, []);
        }
    }

    /// Streams of the frames of `kind` in the output, and their bytes of payload.
    fn written(exchange: &mut Exchange<u8>, kind: u8) -> Vec<(u32, usize)> {
        let mut found = Vec::new();
        let mut output = mem::take(exchange.output());
        while let Some(head) = Head::read(&output) {
            if head.kind == kind {
                found.push((head.stream, head.length));
            }
            output.drain(..HEAD_BYTES + head.length);
        }
        found
    }

    fn answer(stream: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_frame(&mut bytes, HEADERS, END_HEADERS, stream, b"\x88");
        put_frame(&mut bytes, DATA, 0, stream, b"\0\0\0\0\x01y");
        trailers(&mut bytes, stream, b'0');
        bytes
    }

    fn trailers(bytes: &mut Vec<u8>, stream: u32, status: u8) {
        let block = [b"\x00\x0bgrpc-status\x01".as_slice(), &[status]].concat();
        put_frame(bytes, HEADERS, END_HEADERS | END_STREAM, stream, &block);
    }

    #[test]
    fn answers_end_their_calls_in_any_order_and_cut_anywhere() {
        let bytes = [answer(3), answer(1), answer(5)].concat();
        for cut in 0..bytes.len() {
            let mut exchange = settled(&[]);
            ask(&mut exchange, &[10, 11, 12]);
            assert_eq!(exchange.unended(), 3);
            let mut ended = take_in(&mut exchange, &bytes[..cut]).unwrap();
            ended.extend(take_in(&mut exchange, &bytes[cut..]).unwrap());
            assert_eq!(ended, [(11, 0), (10, 0), (12, 0)]);
            assert_eq!(exchange.unended(), 0);
            ask(&mut exchange, &[13]);
            assert!(written(&mut exchange, HEADERS).contains(&(7, 6)));
        }
    }

    #[test]
    fn what_is_no_answer_has_a_status() {
        let mut exchange = settled(&[]);
        ask(&mut exchange, &[10, 11, 12, 13, 14]);
        let mut bytes = Vec::new();
        trailers(&mut bytes, 1, b'8');
        trailers(&mut bytes, 3, b'0'); // OK without a message
        put_frame(&mut bytes, DATA, END_STREAM, 5, b"\0\0\0\0\0"); // a message without a status
        put_frame(&mut bytes, RST_STREAM, 0, 7, &CANCEL.to_be_bytes());
        put_frame(&mut bytes, GOAWAY, 0, 0, b"\0\0\0\x07\0\0\0\0");
        let ended = take_in(&mut exchange, &bytes).unwrap();
        let expected = [
            (10, 8),
            (11, NO_STATUS),
            (12, NO_STATUS),
            (13, LOST),
            (14, LOST),
        ];
        assert_eq!(ended, expected);
        let mut ended = Vec::new();
        exchange.ask(15, Bytes::new(), &mut ended);
        assert_eq!(ended[0].status, LOST);
    }

    #[test]
    fn a_lost_connection_ends_all_calls() {
        let mut exchange = settled(&[(MAX_CONCURRENT_STREAMS, 1)]);
        ask(&mut exchange, &[10, 11]);
        let mut ended = Vec::new();
        exchange.lose(&mut ended);
        assert!(ended.iter().all(|call| call.status == LOST));
        assert_eq!((ended.len(), exchange.unended()), (2, 0));
    }

    #[test]
    fn no_more_calls_start_than_the_peer_allows() {
        let mut exchange = settled(&[(MAX_CONCURRENT_STREAMS, 2)]);
        ask(&mut exchange, &[10, 11, 12]);
        assert_eq!(written(&mut exchange, HEADERS).len(), 2);
        assert_eq!(take_in(&mut exchange, &answer(1)).unwrap(), [(10, 0)]);
        assert_eq!(written(&mut exchange, HEADERS), [(5, 6)]);
    }

    #[test]
    fn a_request_is_sent_as_the_windows_allow() {
        let mut exchange = settled(&[(INITIAL_WINDOW_SIZE, 20_000)]);
        let mut ended = Vec::new();
        exchange.ask(1, Bytes::from(vec![0; 40_000]), &mut ended);
        exchange.ask(2, Bytes::from(vec![0; 100]), &mut ended);
        let sent = |exchange: &mut Exchange<u8>| written(exchange, DATA);
        assert_eq!(sent(&mut exchange), [(1, 16_384), (1, 3_616)]);
        let mut bytes = Vec::new();
        put_frame(&mut bytes, WINDOW_UPDATE, 0, 1, &20_000_u32.to_be_bytes());
        take_in(&mut exchange, &bytes).unwrap();
        assert_eq!(
            sent(&mut exchange),
            [(1, 16_384), (1, 3_616), (3, 100)],
            "the connection's window holds 65,535"
        );
    }

    #[test]
    fn pings_and_settings_are_answered() {
        let mut exchange = settled(&[]);
        let mut bytes = Vec::new();
        put_frame(&mut bytes, PING, 0, 0, b"12345678");
        put_settings(&mut bytes, &[]);
        take_in(&mut exchange, &bytes).unwrap();
        let output = mem::take(exchange.output());
        let ping = Head::read(&output).unwrap();
        assert!(ping.kind == PING && ping.has(ACK));
        assert_eq!(&output[HEAD_BYTES..HEAD_BYTES + 8], b"12345678");
        let settings = Head::read(&output[HEAD_BYTES + 8..]).unwrap();
        assert!(settings.kind == SETTINGS && settings.has(ACK));
    }

    #[test]
    fn headers_in_parts_are_put_together() {
        let mut exchange = settled(&[]);
        ask(&mut exchange, &[10]);
        let mut bytes = Vec::new();
        put_frame(&mut bytes, DATA, 0, 1, b"\0\0\0\0\0");
        put_frame(&mut bytes, HEADERS, END_STREAM, 1, b"\x00\x0bgrpc-");
        put_frame(&mut bytes, CONTINUATION, 0, 1, b"status");
        put_frame(&mut bytes, CONTINUATION, END_HEADERS, 1, b"\x010");
        assert_eq!(take_in(&mut exchange, &bytes).unwrap(), [(10, 0)]);
    }

    #[test]
    fn bytes_that_are_no_http2_are_an_error() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"\0\0\x01\x09\0\0\0\0\x01x",
        ] {
            assert!(take_in(&mut exchange(), bytes).is_err());
        }
        let mut small = Vec::new();
        put_settings(&mut small, &[(HEADER_TABLE_SIZE, 0)]);
        assert!(take_in(&mut exchange(), &small).is_err());
    }
}
