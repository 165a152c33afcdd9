//! Sends a request to the service that its path names.

use std::{convert::Infallible, future::Future, pin::Pin, sync::Arc};

use http::{Request, Response};
use hyper::body::Incoming;
use tonic::{body::Body, service::Routes};
use tower_service::Service;

use crate::scoring::arrivals::Arrivals;

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Paths of `ScoringService`.
const SCORING: &str = "/candlewire.v1.ScoringService/";
/// Paths of the Open Inference Protocol.
const INFERENCE: &str = "/inference.GRPCInferenceService/";

/// Services of the data port. Those that score are found without the router.
#[derive(Clone)]
pub struct Dispatch<S, I> {
    scoring: S,
    inference: I,
    others: Routes,
}

impl<S, I> Dispatch<S, I> {
    /// Sends the scoring services' paths to them, all others to `others`.
    #[must_use]
    pub const fn new(scoring: S, inference: I, others: Routes) -> Self {
        Self {
            scoring,
            inference,
            others,
        }
    }
}

impl<S, I> hyper::service::Service<Request<Incoming>> for Dispatch<S, I>
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    I: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    I::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path();
        if path.starts_with(SCORING) {
            return Box::pin(self.scoring.clone().call(request));
        }
        if path.starts_with(INFERENCE) {
            return Box::pin(self.inference.clone().call(request));
        }
        Box::pin(self.others.clone().call(request))
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
