//! Any bytes as a request: decoding, admission of bars, tensors and token files never panic, and what they accept
//! keeps its promises.
#![no_main]

use candlewire_server::transport::{
    access::tokens::TokenBook,
    convert,
    inference::{oip::ModelInferRequest, outputs, tensors},
    proto::{
        GetLatestRequest, PublishRequest, ScoreBatchRequest, ScoreRequest, ScoreStreamRequest, SubscribeRequest,
    },
};
use libfuzzer_sys::fuzz_target;
use prost::Message;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    match choice % 8 {
        0 => infer(bytes),
        1 => {
            if let Ok(request) = ScoreRequest::decode(bytes) {
                request.bars.iter().for_each(admit);
            }
        }
        2 => {
            if let Some(bar) = PublishRequest::decode(bytes).ok().and_then(|request| request.bar) {
                admit(&bar);
            }
        }
        3 => drop(ScoreStreamRequest::decode(bytes)),
        4 => drop(ScoreBatchRequest::decode(bytes)),
        5 => drop(SubscribeRequest::decode(bytes)),
        6 => drop(GetLatestRequest::decode(bytes)),
        _ => {
            if let Ok(text) = std::str::from_utf8(bytes)
                && let Ok(book) = TokenBook::parse(text)
            {
                let _ = book.find(bytes);
            }
        }
    }
});

/// A bar that is admitted can be a bar.
fn admit(bar: &candlewire_server::transport::proto::Bar) {
    let raw = convert::raw_bar(bar);
    match raw.admit(i64::MAX) {
        Ok(admitted) => {
            let bar = admitted.bar;
            let prices = [bar.open, bar.high, bar.low, bar.close];
            assert!(prices.iter().all(|price| price.is_finite() && *price > 0.0));
            assert!(bar.low <= bar.open.min(bar.close) && bar.high >= bar.open.max(bar.close));
            assert!(bar.volume >= 0.0 && bar.volume.is_finite());
        }
        Err(problem) => assert!(!problem.to_string().is_empty()),
    }
}

/// Rows that are accepted are as many as the shape says.
fn infer(bytes: &[u8]) {
    let Ok(request) = ModelInferRequest::decode(bytes) else { return };
    if let Ok(wanted) = outputs::wanted(&request) {
        assert!(!wanted.is_empty() && wanted.len() <= outputs::Output::ALL.len());
    }
    match tensors::rows(&request) {
        Ok(read) => {
            let announced: i64 = request.inputs[0].shape.iter().product();
            assert_eq!(read.values.len() as i64, announced);
            assert_eq!(read.values.len() % read.rows, 0);
        }
        Err(problem) => assert!(!problem.to_string().is_empty()),
    }
}
