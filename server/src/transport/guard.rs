//! Stands before the services of one connection: lets requests in, bounds their bodies, and follows those that are
//! traced or counted to their end.

use std::{
    convert::Infallible,
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tonic::{Status, body::Body};

use super::{
    access::{Entrance, Permit},
    request_body::{RequestBody, is_stream},
    status::wire,
};
use crate::{
    error::ServeError,
    telemetry::{
        metrics::Metrics,
        traces::{RequestTrace, Traces},
    },
};

/// What answers a request.
pub type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// What the guards of all connections share.
#[derive(Clone)]
pub struct GuardRules {
    /// Longest pause within the message of a unary request.
    pub body_timeout: Duration,
    /// Where refusals count.
    pub metrics: Arc<Metrics>,
    /// Where traces go, when they are on.
    pub traces: Option<Arc<Traces>>,
}

/// The services of one connection, guarded.
pub struct Guarded<S> {
    services: S,
    entrance: Entrance,
    rules: GuardRules,
}

impl<S> Guarded<S> {
    /// Guards `services` for a connection that came in by `entrance`.
    pub const fn new(services: S, entrance: Entrance, rules: GuardRules) -> Self {
        Self {
            services,
            entrance,
            rules,
        }
    }

    fn refuse(&self, error: ServeError) -> Answer {
        self.rules.metrics.count_refusal(wire(&error).reason);
        Box::pin(ready(Ok(Status::from(error).into_http())))
    }
}

impl<S> hyper::service::Service<Request<Incoming>> for Guarded<S>
where
    S: hyper::service::Service<
            Request<RequestBody>,
            Response = Response<Body>,
            Error = Infallible,
            Future = Answer,
        >,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path();
        let mut permit = None;
        if !self.entrance.is_open() {
            match self.entrance.admit(path, request.headers()) {
                Ok(granted) => permit = granted,
                Err(error) => return self.refuse(error),
            }
        }
        let traces = self.rules.traces.as_deref();
        let trace = traces.and_then(|traces| traces.begin(path, request.headers()));
        let patience = (!is_stream(path)).then_some(self.rules.body_timeout);
        let answer = self
            .services
            .call(request.map(|body| RequestBody::new(body, patience)));
        if permit.is_none() && trace.is_none() {
            return answer;
        }
        Box::pin(follow(answer, permit, trace))
    }
}

/// Holds the permit and the trace until the last byte of the answer.
async fn follow(
    answer: Answer,
    permit: Option<Permit>,
    trace: Option<RequestTrace>,
) -> Result<Response<Body>, Infallible> {
    let response = match &trace {
        Some(trace) => trace.within(answer).await,
        None => answer.await,
    };
    response.map(|response| {
        let (head, inner) = response.into_parts();
        let mut followed = Followed {
            inner,
            _permit: permit,
            trace,
        };
        followed.read_status(&head.headers);
        Response::from_parts(head, Body::new(followed))
    })
}

/// The body of an answer that is followed.
struct Followed {
    inner: Body,
    _permit: Option<Permit>,
    trace: Option<RequestTrace>,
}

impl Followed {
    fn read_status(&mut self, headers: &http::HeaderMap) {
        if let (Some(trace), Some(status)) = (&mut self.trace, headers.get(Status::GRPC_STATUS)) {
            trace.set_status(status.as_bytes());
        }
    }
}

impl HttpBody for Followed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(trailers) = frame.trailers_ref()
        {
            self.read_status(trailers);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
