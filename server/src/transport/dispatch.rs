//! Sends a request to the service that its path names.

use std::{convert::Infallible, future::Future, pin::Pin, sync::Arc};

use http::{Request, Response};
use hyper::body::Incoming;
use tonic::{body::Body, service::Routes};
use tower_service::Service;

use crate::scoring::arrivals::Arrivals;

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Services of the data port. The one that is called most is found without the router.
#[derive(Clone)]
pub struct Dispatch<S> {
    hot_prefix: &'static str,
    hot: S,
    others: Routes,
}

impl<S> Dispatch<S> {
    /// Sends paths that begin with `hot_prefix` to `hot`, all others to `others`.
    #[must_use]
    pub const fn new(hot_prefix: &'static str, hot: S, others: Routes) -> Self {
        Self {
            hot_prefix,
            hot,
            others,
        }
    }
}

impl<S> hyper::service::Service<Request<Incoming>> for Dispatch<S>
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        if request.uri().path().starts_with(self.hot_prefix) {
            return Box::pin(self.hot.clone().call(request));
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
