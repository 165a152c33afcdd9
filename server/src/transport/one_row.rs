//! The unary `Score` call without the general codec.
//!
//! One small message in and one out is what bots send all day. The general codec is made for streams of messages of any
//! length: it buffers, polls and wraps for what a row never needs, and takes as long as the model does. Here a request
//! that came whole, in one frame, is decoded where it lies; every other one is left to the general codec, as if nobody
//! had looked at it.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, BufMut, Bytes};
use http::{HeaderMap, HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body::Frame;
use http_body_util::BodyExt;
use prost::Message;
use tonic::{Status, body::Body, metadata::GRPC_CONTENT_TYPE};

use super::{
    proto::{ScoreRequest, ScoreResponse},
    request_body::RequestBody,
    status::refusal,
};
use crate::error::ServeError;

/// Path of the call.
pub(super) const SCORE: &str = "/candlewire.v1.ScoringService/Score";
/// What stands in front of a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// Scores a row without a wrapper around request and response.
pub trait ScoreOneRow: Send + Sync + 'static {
    /// Scores the row of `request`, whose call came with `headers`.
    fn score_one_row(
        &self,
        headers: &HeaderMap,
        request: ScoreRequest,
    ) -> impl Future<Output = Result<ScoreResponse, ServeError>> + Send;
}

/// Answers `request` by `service`; gives it back as it was when it did not come whole.
pub(super) async fn answer(
    service: &impl ScoreOneRow,
    most_bytes: usize,
    request: Request<RequestBody>,
) -> Result<Response<Body>, Request<RequestBody>> {
    let (head, mut body) = request.into_parts();
    let Some(first) = body.frame().await else {
        return Err(Request::from_parts(head, body));
    };
    let whole = first
        .as_ref()
        .ok()
        .and_then(Frame::data_ref)
        .filter(|_| http_body::Body::is_end_stream(&body))
        .and_then(|data| decode(data, most_bytes));
    let Some(message) = whole else {
        body.put_back(first);
        return Err(Request::from_parts(head, body));
    };
    let response = service.score_one_row(&head.headers, message).await;
    Ok(response.map_or_else(refusal, |response| into_http(&response)))
}

/// The only message of a request; `None` when there is anything unusual about it.
fn decode(data: &Bytes, most_bytes: usize) -> Option<ScoreRequest> {
    let (&[compressed, a, b, c, d], message) = data.split_first_chunk::<PREFIX_BYTES>()?;
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if compressed != 0 || length != message.len() || length > most_bytes {
        return None;
    }
    ScoreRequest::decode(data.slice(PREFIX_BYTES..)).ok()
}

fn into_http(message: &impl Message) -> Response<Body> {
    let length = message.encoded_len();
    // Into a vector, not into `BytesMut`: that one copies each byte of a varint by a call of its own.
    let mut data = Vec::with_capacity(PREFIX_BYTES + length);
    data.put_u8(0);
    data.put_u32(length as u32);
    message.encode_raw(&mut data);
    let mut http = Response::new(Body::new(OneMessage {
        data: data.into(),
        ended: false,
    }));
    http.headers_mut().insert(CONTENT_TYPE, GRPC_CONTENT_TYPE);
    http
}

/// One message and the status of success.
struct OneMessage {
    data: Bytes,
    ended: bool,
}

impl http_body::Body for OneMessage {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.data.has_remaining() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.data)))));
        }
        if std::mem::replace(&mut self.ended, true) {
            return Poll::Ready(None);
        }
        let mut trailers = HeaderMap::with_capacity(1);
        trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn framed(message: &[u8]) -> Bytes {
        let mut data = vec![0];
        data.put_u32(message.len() as u32);
        data.put_slice(message);
        data.into()
    }

    #[test]
    fn a_whole_message_is_decoded() {
        let request = ScoreRequest {
            features: vec![1.0, 2.0],
            model: "daily".into(),
            ..Default::default()
        };
        let decoded = decode(&framed(&request.encode_to_vec()), 1_000);
        assert_eq!(decoded, Some(request));
        assert_eq!(decode(&framed(b""), 1_000), Some(ScoreRequest::default()));
    }

    #[test]
    fn anything_unusual_is_left_to_the_general_codec() {
        let whole = framed(&[0x0a, 0x04, 0, 0, 0, 0]);
        assert!(decode(&whole, 6).is_some());
        assert!(decode(&whole, 5).is_none(), "longer than allowed");
        for cut in 0..whole.len() {
            assert!(decode(&whole.slice(..cut), 1_000).is_none(), "{cut}");
        }
        let two = [whole.clone(), whole.clone()].concat();
        assert!(decode(&two.into(), 1_000).is_none(), "two messages");
        let mut compressed = whole.to_vec();
        compressed[0] = 1;
        assert!(decode(&compressed.into(), 1_000).is_none(), "compressed");
        assert!(decode(&framed(&[0xff]), 1_000).is_none(), "not the message");
    }

    #[tokio::test]
    async fn a_response_is_its_message_and_the_status() {
        let request = ScoreRequest {
            model: "daily".into(),
            ..Default::default()
        };
        let response = into_http(&request);
        assert_eq!(response.headers()[CONTENT_TYPE], GRPC_CONTENT_TYPE);
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()[Status::GRPC_STATUS], "0");
        assert_eq!(body.to_bytes(), framed(&request.encode_to_vec()));
    }
}
