//! gRPC streams on one HTTP/2 connection.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::{self, SendRequest};
use http::header::HeaderMap;
use http::{Method, Request, Uri};
use tokio::net::TcpStream;
use tokio::task;

use crate::frames::WINDOW_BYTES;
use crate::report::LoadError;
use crate::request_head::RequestHead;

/// What to send where.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    target: String,
    uri: Uri,
    frames: Vec<Bytes>,
}

impl Call {
    /// A call of `method` at `target` with each of `bodies` in turn.
    pub(crate) fn new(target: &str, method: &str, bodies: &[Bytes]) -> Result<Self, LoadError> {
        let uri = Uri::builder()
            .scheme("http")
            .authority(target)
            .path_and_query(method)
            .build()
            .map_err(|source| LoadError::Target {
                target: target.to_owned(),
                source,
            })?;
        Ok(Self {
            target: target.to_owned(),
            uri,
            frames: bodies.iter().map(frame).collect(),
        })
    }

    /// A call of another method at the same target.
    pub(crate) fn with(&self, method: &str, bodies: &[Bytes]) -> Result<Self, LoadError> {
        Self::new(&self.target, method, bodies)
    }

    /// Where it goes.
    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// Its headers.
    pub(crate) fn head(&self, timeout: Duration) -> RequestHead {
        RequestHead::new(&self.target, self.uri.path(), timeout)
    }

    /// The request messages, framed, over and over.
    pub(crate) fn messages_in_turn(&self) -> impl Iterator<Item = Bytes> {
        self.frames.iter().cloned().cycle()
    }

    /// How many messages there are.
    pub(crate) fn messages(&self) -> usize {
        self.frames.len().max(1)
    }

    /// Opens a connection and lets it run until it is dropped.
    pub(crate) async fn connect(&self) -> Result<Connection, LoadError> {
        let socket =
            TcpStream::connect(&self.target)
                .await
                .map_err(|source| LoadError::Connect {
                    target: self.target.clone(),
                    source,
                })?;
        socket.set_nodelay(true)?;
        let (sender, connection) = client::Builder::new()
            .initial_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_concurrent_reset_streams(1024)
            .handshake::<_, Bytes>(socket)
            .await?;
        task::spawn_local(async move {
            // A lost connection shows in the calls that it carried.
            drop(connection.await);
        });
        Ok(Connection {
            sender,
            call: Rc::new(self.clone()),
            next: Rc::new(Cell::new(0)),
        })
    }
}

/// A message behind the five bytes that gRPC puts in front: not compressed, length.
fn frame(body: &Bytes) -> Bytes {
    let mut framed = BytesMut::with_capacity(body.len() + 5);
    framed.put_u8(0);
    framed.put_u32(body.len() as u32);
    framed.put_slice(body);
    framed.freeze()
}

/// One connection; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Bytes>,
    call: Rc<Call>,
    next: Rc<Cell<usize>>,
}

impl Connection {
    /// The next request message, framed.
    pub(crate) fn next_frame(&self) -> Bytes {
        let index = self.next.get();
        self.next.set((index + 1) % self.call.frames.len());
        self.call.frames[index].clone()
    }

    /// One of the messages, framed.
    pub(crate) fn frame(&self, number: usize) -> Bytes {
        self.call.frames[number].clone()
    }

    /// The headers of a call.
    pub(crate) fn request(&self) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.call.uri.clone();
        *request.version_mut() = http::Version::HTTP_2;
        let headers = request.headers_mut();
        headers.insert("te", http::HeaderValue::from_static("trailers"));
        headers.insert(
            "content-type",
            http::HeaderValue::from_static("application/grpc"),
        );
        request
    }

    /// Waits until the server lets another stream start.
    pub(crate) async fn ready(&self) -> Result<SendRequest<Bytes>, h2::Error> {
        self.sender.clone().ready().await
    }
}

/// The `grpc-status` of headers or trailers.
pub(crate) fn status_of(headers: &HeaderMap) -> Option<u16> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_says_its_length() {
        assert_eq!(
            &frame(&Bytes::from_static(b"abc"))[..],
            b"\x00\x00\x00\x00\x03abc"
        );
    }

    #[test]
    fn requests_are_sent_in_turn() {
        let call = Call::new(
            "a:1",
            "/s/m",
            &[Bytes::from_static(b"x"), Bytes::from_static(b"y")],
        )
        .unwrap();
        assert_eq!(call.frames.len(), 2);
        assert_eq!(call.uri.path(), "/s/m");
    }
}
