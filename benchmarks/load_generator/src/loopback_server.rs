//! A server for the tests: answers every message of every call with an empty one, or refuses.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use h2::server::{self, SendResponse};
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::task;

const EMPTY_MESSAGE: &[u8] = b"\0\0\0\0\0";

/// Serves on a port of its own; every `refuse_each`-th call gets `RESOURCE_EXHAUSTED` (zero: none does).
pub(crate) async fn serve(refuse_each: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let calls = Rc::new(Cell::new(0));
    task::spawn_local(async move {
        while let Ok((socket, _)) = listener.accept().await {
            task::spawn_local(serve_connection(socket, refuse_each, calls.clone()));
        }
    });
    address
}

async fn serve_connection(socket: TcpStream, refuse_each: usize, calls: Rc<Cell<usize>>) {
    let mut connection = server::handshake(socket).await.unwrap();
    while let Some(Ok((request, response))) = connection.accept().await {
        calls.set(calls.get() + 1);
        let refused = refuse_each > 0 && calls.get().is_multiple_of(refuse_each);
        task::spawn_local(answer(request, response, refused));
    }
}

async fn answer(
    mut request: Request<h2::RecvStream>,
    mut response: SendResponse<Bytes>,
    refused: bool,
) {
    let status = if refused { "8" } else { "0" };
    let trailers = HeaderMap::from_iter([(
        "grpc-status".parse().unwrap(),
        HeaderValue::from_static(status),
    )]);
    if refused {
        let mut head = Response::new(());
        *head.headers_mut() = trailers;
        response.send_response(head, true).unwrap();
        return;
    }
    let mut stream = response.send_response(Response::new(()), false).unwrap();
    let mut unread = BytesMut::new();
    while let Some(Ok(chunk)) = request.body_mut().data().await {
        request
            .body_mut()
            .flow_control()
            .release_capacity(chunk.len())
            .unwrap();
        unread.extend_from_slice(&chunk);
        while crate::message_stream::take_message(&mut unread) {
            if stream
                .send_data(Bytes::from_static(EMPTY_MESSAGE), false)
                .is_err()
            {
                return;
            }
        }
    }
    drop(stream.send_trailers(trailers));
}
