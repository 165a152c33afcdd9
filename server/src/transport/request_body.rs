//! The body of a request, with an end to the patience for one that stops half way.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};
use tonic::Status;

/// Methods whose callers send when they have something: silence is no fault there.
const STREAMS: [&str; 5] = [
    "/candlewire.v1.ScoringService/ScoreStream",
    "/candlewire.v1.BarService/Publish",
    "/inference.GRPCInferenceService/ModelStreamInfer",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// Whether callers of `path` send when they have something.
pub(super) fn is_stream(path: &str) -> bool {
    STREAMS.contains(&path)
}

/// A message that comes more slowly than this, once patience is used up, is as good as one that stopped.
const LEAST_BYTES_PER_SECOND: u64 = 1_024;

/// What ends a body early.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A request's body. Nothing is timed while its bytes are there already.
pub struct RequestBody {
    inner: Incoming,
    /// What was read and put back.
    front: Option<Result<Frame<Bytes>, Failure>>,
    patience: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
    /// When it was waited for first.
    waited_since: Option<Instant>,
    received_bytes: u64,
}

impl RequestBody {
    /// A body; a pause longer than `patience` ends it, and so do bytes that drip.
    #[must_use]
    pub fn new(inner: Incoming, patience: Option<Duration>) -> Self {
        Self {
            inner,
            front: None,
            patience,
            timer: None,
            waited_since: None,
            received_bytes: 0,
        }
    }

    /// Puts back what was read last: the next reader gets it again.
    pub(super) fn put_back(&mut self, frame: Result<Frame<Bytes>, Failure>) {
        self.front = Some(frame);
    }

    /// When there will be no more waiting for what comes next.
    fn due(&mut self, patience: Duration) -> Instant {
        let now = Instant::now();
        let since = *self.waited_since.get_or_insert(now);
        let earned = Duration::from_secs(self.received_bytes / LEAST_BYTES_PER_SECOND);
        (now + patience).min(since + patience + earned)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if let Some(frame) = this.front.take() {
            return Poll::Ready(Some(frame));
        }
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(context) {
            this.timer = None;
            if let Some(Ok(data)) = &frame {
                this.received_bytes += data.data_ref().map_or(0, Bytes::len) as u64;
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let Some(patience) = this.patience else {
            return Poll::Pending;
        };
        if this.timer.is_none() {
            let due = this.due(patience);
            this.timer = Some(Box::pin(tokio::time::sleep_until(due)));
        }
        let Some(timer) = &mut this.timer else {
            return Poll::Pending;
        };
        if timer.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        let status = Status::deadline_exceeded(format!(
            "the request's message stopped half way for {} ms, or came at less than {LEAST_BYTES_PER_SECOND} bytes a \
             second; send it whole",
            patience.as_millis()
        ));
        Poll::Ready(Some(Err(status.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.front.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // What was put back is no longer part of what the inner body hints at.
        if self.front.is_none() {
            self.inner.size_hint()
        } else {
            SizeHint::default()
        }
    }
}
