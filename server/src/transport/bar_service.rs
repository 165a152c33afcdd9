//! `BarService` over the bar pipeline.

use std::{collections::VecDeque, pin::Pin, sync::Arc};

use futures_util::{Stream, StreamExt, stream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::{
    convert,
    proto::{self, bar_service_server::BarService},
};
use crate::{bars::pipeline::Pipeline, error::ServeError};

/// Most bars of one stream that are taken in together.
const CHUNK_BARS: usize = 256;

/// The service.
#[derive(Clone)]
pub struct Bars {
    pipeline: Arc<Pipeline>,
    draining: CancellationToken,
}

impl Bars {
    /// Serves `pipeline`; streams end when `draining` is cancelled.
    #[must_use]
    pub const fn new(pipeline: Arc<Pipeline>, draining: CancellationToken) -> Self {
        Self { pipeline, draining }
    }
}

type Acknowledgement = Result<proto::PublishResponse, Status>;

#[tonic::async_trait]
impl BarService for Bars {
    type PublishStream = Pin<Box<dyn Stream<Item = Acknowledgement> + Send>>;

    async fn publish(
        &self,
        request: Request<Streaming<proto::PublishRequest>>,
    ) -> Result<Response<Self::PublishStream>, Status> {
        let messages = request.into_inner();
        let draining = self.draining.clone();
        let pipeline = Arc::clone(&self.pipeline);
        let chunks = Box::pin(
            messages
                .take_until(draining.clone().cancelled_owned())
                .ready_chunks(CHUNK_BARS),
        );
        let acknowledged =
            stream::unfold((chunks, pipeline), |(mut chunks, pipeline)| async move {
                let chunk = chunks.next().await?;
                let answers = take_in(&pipeline, chunk).await;
                Some((stream::iter(answers), (chunks, pipeline)))
            })
            .flatten();
        let ending = stream::once(async move {
            draining
                .is_cancelled()
                .then(|| Err(ServeError::Draining.into()))
        });
        Ok(Response::new(Box::pin(
            acknowledged.chain(ending.filter_map(std::future::ready)),
        )))
    }
}

async fn take_in(
    pipeline: &Arc<Pipeline>,
    chunk: Vec<Result<proto::PublishRequest, Status>>,
) -> VecDeque<Acknowledgement> {
    let mut broken = None;
    let mut requests = Vec::with_capacity(chunk.len());
    for message in chunk {
        match message {
            Ok(request) => requests.push(request),
            // Nothing follows a broken message; what came before it is answered first.
            Err(status) => broken = Some(status),
        }
    }
    let pipeline = Arc::clone(pipeline);
    // A publisher that leaves must not stop bars half way: they are in their series already.
    let task = tokio::spawn(async move {
        let bars: Vec<_> = requests
            .iter()
            .map(|request| request.bar.as_ref().map(convert::raw_bar))
            .collect();
        let published = pipeline.publish(&bars).await;
        let answers = requests
            .iter()
            .zip(&published.fates)
            .map(|(request, fate)| {
                Ok(convert::publish_response(
                    request,
                    fate,
                    published.journaled,
                ))
            });
        answers.collect::<VecDeque<_>>()
    });
    let mut answers = task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "bars were not taken in");
        VecDeque::from([Err(Status::internal("bars were not taken in"))])
    });
    answers.extend(broken.map(Err));
    answers
}
