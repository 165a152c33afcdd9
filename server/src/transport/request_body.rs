//! The body of a request, with an end to the patience for one that stops half way.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;
use tonic::Status;

/// Methods whose callers send when they have something: silence is no fault there.
const STREAMS: [&str; 5] = [
    "/candlewire.v1.ScoringService/ScoreStream",
    "/candlewire.v1.BarService/Publish",
    "/inference.GRPCInferenceService/ModelStreamInfer",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// A request's body. Nothing is timed while its bytes are there already.
pub struct RequestBody {
    inner: Incoming,
    patience: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    /// The body of a request to `path`; a pause longer than `patience` in a unary one ends it.
    #[must_use]
    pub fn new(inner: Incoming, path: &str, patience: Duration) -> Self {
        Self {
            inner,
            patience: (!STREAMS.contains(&path)).then_some(patience),
            timer: None,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(context) {
            this.timer = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let Some(patience) = this.patience else {
            return Poll::Pending;
        };
        let timer = this
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        if timer.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        let status = Status::deadline_exceeded(format!(
            "the request's message stopped half way for {} ms; send it whole",
            patience.as_millis()
        ));
        Poll::Ready(Some(Err(status.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
