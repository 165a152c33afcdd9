//! Sends a request to the service that its path names.

use std::{convert::Infallible, sync::Arc};

use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Buf;
use tonic::{Code, Status, body::Body, codec::CompressionEncoding, service::Routes};
use tower_service::Service;

use super::{
    guard::Answer,
    one_row::{self, ScoreOneRow},
    proto::scoring_service_server::{ScoringService, ScoringServiceServer},
    request_body::RequestBody,
    status::headers_alone,
    together::{Next, announce_next},
};
use crate::{
    error::ServeError,
    scoring::gate::{Gate, RETRY_AFTER},
};

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
        if is_compressed(request) {
            self.compressed.clone()
        } else {
            self.plain.clone()
        }
    }
}

fn is_compressed(request: &Request<RequestBody>) -> bool {
    let encoding = request.headers().get(ENCODING);
    encoding.is_some_and(|encoding| encoding != "identity")
}

/// Calls that the gate guards: one small request each, whose cost is known before it is read.
const GUARDED: [&str; 2] = [one_row::SCORE, "/inference.GRPCInferenceService/ModelInfer"];

/// What is read of a refused request at most.
const DISCARDED_BYTES: usize = 64 << 10;

/// The scoring service, and how to reach it without the general codec.
pub struct ScoringCalls<T: ScoringService> {
    service: Arc<T>,
    most_bytes: usize,
    general: Compressible<ScoringServiceServer<T>>,
}

impl<T: ScoringService + ScoreOneRow> ScoringCalls<T> {
    /// Calls of `service` with messages of at most `most_bytes`; those that compress may use `encodings`.
    #[must_use]
    pub fn new(service: T, most_bytes: usize, encodings: &[CompressionEncoding]) -> Self {
        let service = Arc::new(service);
        let plain = ScoringServiceServer::from_arc(Arc::clone(&service))
            .max_decoding_message_size(most_bytes);
        let mut compressed = plain.clone();
        for encoding in encodings {
            compressed = compressed
                .accept_compressed(*encoding)
                .send_compressed(*encoding);
        }
        Self {
            service,
            most_bytes,
            general: Compressible { plain, compressed },
        }
    }

    async fn answer_one_row(&self, request: Request<RequestBody>) -> Response<Body> {
        let general = match one_row::answer(&*self.service, self.most_bytes, request).await {
            Ok(response) => return response,
            Err(request) => self.general.plain.clone().call(request),
        };
        // In a box: few requests take this way, and all would carry it.
        let Ok(response) = Box::pin(general).await;
        response
    }
}

/// Services of the data port. Those that score are found without the router.
#[derive(Clone)]
pub struct Dispatch<T: ScoringService, I> {
    scoring: Arc<ScoringCalls<T>>,
    inference: Compressible<I>,
    others: Compressible<Routes>,
    gate: Arc<Gate>,
    refusal: Arc<HeaderMap>,
}

impl<T: ScoringService, I> Dispatch<T, I> {
    /// Sends the scoring services' paths to them, all others to `others`; `gate` says what is too much.
    #[must_use]
    pub fn new(
        scoring: ScoringCalls<T>,
        inference: Compressible<I>,
        others: Compressible<Routes>,
        gate: Arc<Gate>,
    ) -> Self {
        let status = Status::from(ServeError::Overloaded {
            retry_after: RETRY_AFTER,
        });
        Self {
            scoring: Arc::new(scoring),
            inference,
            others,
            gate,
            refusal: Arc::new(status.into_http::<Body>().headers().clone()),
        }
    }

    /// Refuses `request`, once its body is here: what comes for a stream that is over would count as the caller's error.
    fn refuse(&self, request: Request<RequestBody>) -> Answer {
        announce_next(Next::Refused);
        let response = headers_alone(&self.refusal);
        let mut body = request.into_body();
        Box::pin(async move {
            let mut discarded = 0;
            while discarded < DISCARDED_BYTES
                && let Some(Ok(frame)) = body.frame().await
            {
                discarded += frame.data_ref().map_or(0, Buf::remaining);
            }
            Ok(response)
        })
    }
}

impl<T, I> hyper::service::Service<Request<RequestBody>> for Dispatch<T, I>
where
    T: ScoringService + ScoreOneRow,
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
        if !GUARDED.contains(&path) {
            return self.send(request);
        }
        let Some(admitted) = self.gate.admit() else {
            return self.refuse(request);
        };
        announce_next(Next::Small);
        if path == one_row::SCORE && !is_compressed(&request) {
            let scoring = Arc::clone(&self.scoring);
            return Box::pin(async move {
                let response = scoring.answer_one_row(request).await;
                admitted.left_with(is_refused(&response));
                Ok(response)
            });
        }
        let answer = self.send(request);
        Box::pin(async move {
            let Ok(response) = answer.await;
            admitted.left_with(is_refused(&response));
            Ok(response)
        })
    }
}

/// Whether there was no room for what is answered so.
fn is_refused(response: &Response<Body>) -> bool {
    let status = response.headers().get(Status::GRPC_STATUS);
    status.is_some_and(|status| Code::from_bytes(status.as_bytes()) == Code::ResourceExhausted)
}

impl<T, I> Dispatch<T, I>
where
    T: ScoringService,
    I: Service<Request<RequestBody>, Response = Response<Body>, Error = Infallible> + Clone,
    I::Future: Send + 'static,
{
    fn send(&self, request: Request<RequestBody>) -> Answer {
        let path = request.uri().path();
        if path.starts_with(SCORING) {
            return self.scoring.general.choose(&request).call(request);
        }
        if path.starts_with(INFERENCE) {
            return Box::pin(self.inference.choose(&request).call(request));
        }
        Box::pin(self.others.choose(&request).call(request))
    }
}
