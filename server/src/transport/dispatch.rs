//! Sends a request to the service that its path names.

use std::{convert::Infallible, future::Future, sync::Arc};

use http::{Request, Response};
use tonic::{body::Body, service::Routes};
use tower_service::Service;

use super::{guard::Answer, request_body::RequestBody};
use crate::scoring::arrivals::Arrivals;

/// Paths of `ScoringService`.
const SCORING: &str = "/candlewire.v1.ScoringService/";
/// Paths of the Open Inference Protocol.
const INFERENCE: &str = "/inference.GRPCInferenceService/";
/// Says how a request is compressed; a caller that compresses is answered compressed.
const ENCODING: &str = "grpc-encoding";

/// One service twice: as it is for most callers, and as it is for those that compress.
///
/// Most clients say that they could read gzip without wanting it: only one that compresses its own messages is taken
/// to ask for it.
#[derive(Clone)]
pub struct Compressible<S> {
    /// Answers as it is.
    pub plain: S,
    /// Answers compressed.
    pub compressed: S,
}

impl<S: Clone> Compressible<S> {
    fn choose(&self, request: &Request<RequestBody>) -> S {
        let encoding = request.headers().get(ENCODING);
        if encoding.is_none_or(|encoding| encoding == "identity") {
            self.plain.clone()
        } else {
            self.compressed.clone()
        }
    }
}

/// Services of the data port. Those that score are found without the router.
#[derive(Clone)]
pub struct Dispatch<S, I> {
    scoring: Compressible<S>,
    inference: Compressible<I>,
    others: Compressible<Routes>,
}

impl<S, I> Dispatch<S, I> {
    /// Sends the scoring services' paths to them, all others to `others`.
    #[must_use]
    pub const fn new(
        scoring: Compressible<S>,
        inference: Compressible<I>,
        others: Compressible<Routes>,
    ) -> Self {
        Self {
            scoring,
            inference,
            others,
        }
    }
}

impl<S, I> hyper::service::Service<Request<RequestBody>> for Dispatch<S, I>
where
    S: Service<Request<RequestBody>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    I: Service<Request<RequestBody>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    I::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<RequestBody>) -> Answer {
        let path = request.uri().path();
        if path.starts_with(SCORING) {
            return Box::pin(self.scoring.choose(&request).call(request));
        }
        if path.starts_with(INFERENCE) {
            return Box::pin(self.inference.choose(&request).call(request));
        }
        Box::pin(self.others.choose(&request).call(request))
    }
}

/// Spawns the requests of a connection, announcing each until it is first looked at.
#[derive(Clone)]
pub struct AnnouncingExecutor {
    arrivals: Arc<Arrivals>,
}

impl AnnouncingExecutor {
    /// Announces to `arrivals`.
    #[must_use]
    pub const fn new(arrivals: Arc<Arrivals>) -> Self {
        Self { arrivals }
    }
}

impl<F> hyper::rt::Executor<F> for AnnouncingExecutor
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, request: F) {
        let announced = self.arrivals.announce();
        tokio::spawn(async move {
            drop(announced);
            request.await
        });
    }
}
