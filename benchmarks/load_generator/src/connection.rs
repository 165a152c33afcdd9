//! gRPC calls on one HTTP/2 connection.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use h2::RecvStream;
use h2::client::{self, SendRequest};
use http::header::HeaderMap;
use http::{Method, Request, Uri};
use tokio::net::TcpStream;
use tokio::task;

use crate::report::LoadError;

const WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// Status of a call whose trailers hold none: UNKNOWN.
const NO_STATUS: u16 = 2;
/// Status of a call that the connection lost: UNAVAILABLE.
const LOST: u16 = 14;

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
    pub(crate) fn request(&self, timeout: Duration) -> Request<()> {
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
        if !timeout.is_zero()
            && let Ok(value) = format!("{}u", timeout.as_micros()).parse()
        {
            headers.insert("grpc-timeout", value);
        }
        request
    }

    /// Waits until the server lets another stream start.
    pub(crate) async fn ready(&self) -> Result<SendRequest<Bytes>, h2::Error> {
        self.sender.clone().ready().await
    }

    /// One unary call; returns its gRPC status. Zero is an answer.
    ///
    /// `sends` is called when the call is handed to HTTP/2, which holds it while the server lets no more streams start.
    pub(crate) async fn unary(&self, timeout: Duration, sends: impl FnOnce()) -> u16 {
        self.try_unary(timeout, sends).await.unwrap_or(LOST)
    }

    async fn try_unary(&self, timeout: Duration, sends: impl FnOnce()) -> Result<u16, h2::Error> {
        let mut sender = self.ready().await?;
        sends();
        let (response, mut body) = sender.send_request(self.request(timeout), false)?;
        body.send_data(self.next_frame(), true)?;
        let (head, mut answer) = response.await?.into_parts();
        if let Some(status) = status_of(&head.headers) {
            return Ok(status); // the server refused before it answered: no body follows
        }
        let bytes = read_to_end(&mut answer).await?;
        let status = answer
            .trailers()
            .await?
            .as_ref()
            .and_then(status_of)
            .unwrap_or(NO_STATUS);
        // An OK without a message would be a server that only pretends to answer.
        Ok(if status == 0 && bytes < 5 {
            NO_STATUS
        } else {
            status
        })
    }
}

async fn read_to_end(answer: &mut RecvStream) -> Result<usize, h2::Error> {
    let mut bytes = 0;
    while let Some(chunk) = answer.data().await {
        let chunk = chunk?;
        bytes += chunk.len();
        answer.flow_control().release_capacity(chunk.len())?;
    }
    Ok(bytes)
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
