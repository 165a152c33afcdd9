//! The exchange, fed with bytes.

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
