//! The one table from errors to gRPC codes, stable reasons and the field that is to blame.

use std::{cell::RefCell, collections::HashMap, time::Duration};

use http::{HeaderMap, Response};
use tonic::{Code, Status, body::Body};
use tonic_types::{ErrorDetails, StatusExt};

use crate::error::ServeError;

const DOMAIN: &str = "candlewire";

/// How an error looks on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireError {
    /// gRPC code.
    pub code: Code,
    /// `ErrorInfo.reason`; never changes.
    pub reason: &'static str,
    /// Field of the request that is to blame; empty when none is.
    pub field: &'static str,
}

/// Chooses code, reason and field. There is no catch-all arm: a new error does not compile until someone chooses.
#[must_use]
pub const fn wire(error: &ServeError) -> WireError {
    let (code, reason, field) = match error {
        ServeError::RowInput { .. } => (Code::InvalidArgument, "ROW_INPUT", "features"),
        ServeError::FeatureCount { .. } => (Code::InvalidArgument, "FEATURE_COUNT", "features"),
        ServeError::NonFiniteFeature { .. } => {
            (Code::InvalidArgument, "NON_FINITE_FEATURE", "features")
        }
        ServeError::BatchBytes { .. } => (Code::InvalidArgument, "BATCH_BYTES", "features"),
        ServeError::RowCount { .. } => (Code::InvalidArgument, "ROW_COUNT", "rows"),
        ServeError::FeatureSpecMismatch { .. } => (
            Code::FailedPrecondition,
            "FEATURE_SPEC_MISMATCH",
            "feature_spec_hash",
        ),
        ServeError::WrongTimeframe { .. } => {
            (Code::InvalidArgument, "WRONG_TIMEFRAME", "timeframe")
        }
        ServeError::ModelNotFound { .. } => (Code::NotFound, "MODEL_NOT_FOUND", "model"),
        ServeError::VersionNotFound { .. } => {
            (Code::NotFound, "VERSION_NOT_FOUND", "model_version")
        }
        ServeError::VersionNotReady { .. } => (
            Code::FailedPrecondition,
            "VERSION_NOT_READY",
            "model_version",
        ),
        ServeError::InvalidBar { .. } => (Code::InvalidArgument, "INVALID_BAR", "bars"),
        ServeError::BarOrder { .. } => (Code::InvalidArgument, "BAR_ORDER", "bars"),
        ServeError::MixedBars { .. } => (Code::InvalidArgument, "MIXED_BARS", "bars"),
        ServeError::RegimeUnknown { .. } => (Code::FailedPrecondition, "REGIME_UNKNOWN", "bars"),
        ServeError::WindowTooShort { .. } => (Code::FailedPrecondition, "NOT_READY", "bars"),
        ServeError::WindowTooLong { .. } => (Code::InvalidArgument, "WINDOW_TOO_LONG", "bars"),
        ServeError::InvalidField { field, .. } => (Code::InvalidArgument, "INVALID_FIELD", *field),
        ServeError::ReferencePrice { .. } => {
            (Code::InvalidArgument, "REFERENCE_PRICE", "reference_price")
        }
        ServeError::QueueFull { .. } => (Code::ResourceExhausted, "QUEUE_FULL", ""),
        ServeError::Overloaded { .. } => (Code::ResourceExhausted, "OVERLOADED", ""),
        ServeError::DeadlinePassed { .. } => (Code::DeadlineExceeded, "DEADLINE_PASSED", ""),
        ServeError::Draining => (Code::Unavailable, "DRAINING", ""),
        ServeError::SequenceGone { .. } => (Code::OutOfRange, "SEQUENCE_GONE", "after_sequence"),
        ServeError::SubscriberTooSlow { .. } => {
            (Code::ResourceExhausted, "SUBSCRIBER_TOO_SLOW", "")
        }
        ServeError::Unauthenticated { .. } => (Code::Unauthenticated, "UNAUTHENTICATED", ""),
        ServeError::RoleMissing { .. } => (Code::PermissionDenied, "ROLE_MISSING", ""),
        ServeError::RepositoryClosed => (Code::PermissionDenied, "REPOSITORY_CLOSED", ""),
        ServeError::RateLimited { .. } => (Code::ResourceExhausted, "RATE_LIMITED", ""),
        ServeError::TooManyStreams { .. } => (Code::ResourceExhausted, "TOO_MANY_STREAMS", ""),
        ServeError::NothingToRollBack { .. } => {
            (Code::FailedPrecondition, "NOTHING_TO_ROLL_BACK", "model")
        }
        ServeError::Store(_) => (Code::FailedPrecondition, "STORE", ""),
        ServeError::Engine { .. } => (Code::Internal, "ENGINE", ""),
    };
    WireError {
        code,
        reason,
        field,
    }
}

impl From<ServeError> for Status {
    fn from(error: ServeError) -> Self {
        let WireError {
            code,
            reason,
            field,
        } = wire(&error);
        let message = error.to_string();
        let mut details = ErrorDetails::with_error_info(reason, DOMAIN, metadata(&error));
        if !field.is_empty() {
            details.add_bad_request_violation(field, message.as_str());
        }
        if let ServeError::QueueFull { retry_after, .. }
        | ServeError::Overloaded { retry_after }
        | ServeError::RateLimited { retry_after, .. } = error
        {
            details.set_retry_info(Some(retry_after));
        }
        Self::with_error_details(code, message, details)
    }
}

thread_local! {
    /// The last full queue, and the headers that said so.
    static FULL: RefCell<Option<(FullQueue, HeaderMap)>> = const { RefCell::new(None) };
}

/// What the answer from a full queue says.
#[derive(PartialEq, Eq)]
struct FullQueue {
    model: String,
    limit: usize,
    retry_after: Duration,
}

/// The answer to a call that failed. One from a full queue is kept for the next: in an overload most answers are that
/// one, and to write each anew would cost what refusing is to spare.
pub(super) fn refusal(error: ServeError) -> Response<Body> {
    let ServeError::QueueFull {
        model,
        waiting,
        limit,
        retry_after,
    } = error
    else {
        return Status::from(error).into_http();
    };
    let queue = FullQueue {
        model,
        limit,
        retry_after,
    };
    FULL.with_borrow_mut(|full| {
        if let Some((last, headers)) = full
            && *last == queue
        {
            return headers_alone(headers);
        }
        let status = Status::from(ServeError::QueueFull {
            model: queue.model.clone(),
            waiting,
            limit,
            retry_after,
        });
        let response = status.into_http();
        *full = Some((queue, response.headers().clone()));
        response
    })
}

/// An answer without a body: an error's headers say everything.
pub(super) fn headers_alone(headers: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    response.headers_mut().clone_from(headers);
    response
}

/// Values that a program may want without reading the message.
fn metadata(error: &ServeError) -> HashMap<String, String> {
    let pairs: Vec<(&str, String)> = match error {
        ServeError::FeatureCount { got, expected, .. } => {
            vec![("got", got.to_string()), ("expected", expected.to_string())]
        }
        ServeError::NonFiniteFeature { index, name, .. } => {
            vec![("index", index.to_string()), ("feature", name.clone())]
        }
        ServeError::InvalidBar { index, .. }
        | ServeError::BarOrder { index, .. }
        | ServeError::MixedBars { index, .. } => {
            vec![("index", index.to_string())]
        }
        ServeError::WindowTooShort { got, needed, .. } => {
            vec![("got", got.to_string()), ("needed", needed.to_string())]
        }
        ServeError::SequenceGone { oldest, newest, .. } => vec![
            ("oldest", oldest.to_string()),
            ("newest", newest.to_string()),
        ],
        _ => Vec::new(),
    };
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_is_told_as_any_other_error() {
        let full = |model: &str, waiting, limit, ms| ServeError::QueueFull {
            model: model.to_owned(),
            waiting,
            limit,
            retry_after: Duration::from_millis(ms),
        };
        for (model, waiting, limit, ms) in [
            ("daily", 5, 5, 1),
            ("daily", 7, 5, 1),
            ("daily", 7, 5, 2),
            ("daily", 7, 9, 2),
            ("hourly", 7, 9, 2),
            ("daily", 5, 5, 1),
        ] {
            let anew = Status::from(full(model, waiting, limit, ms)).into_http::<Body>();
            for _ in 0..2 {
                let kept = refusal(full(model, waiting, limit, ms));
                assert_eq!(kept.status(), anew.status());
                assert_eq!(kept.headers(), anew.headers(), "{model} {limit} {ms}");
            }
        }
        let other = refusal(ServeError::Draining);
        assert_eq!(other.headers()[Status::GRPC_STATUS], "14");
    }
}
