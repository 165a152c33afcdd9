//! What can go wrong while serving, in the words of the domain.
//!
//! No variant knows gRPC; `transport::status` holds the one table that chooses codes and details.

use std::time::Duration;

use crate::bars::admission::InvalidBar;

/// Why a request could not be answered. Every message names the field, the value and the remedy.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ServeError {
    /// Neither features nor bars were sent, or both.
    #[error(
        "features, bars: exactly one of them must be set, got {got}; send a feature vector or a bar window"
    )]
    RowInput {
        /// "neither" or "both".
        got: &'static str,
    },
    /// The row is not as wide as the model's feature spec.
    #[error(
        "features: model {model:?} takes {expected} values, got {got}; send them in the order of its feature spec"
    )]
    FeatureCount {
        /// Model asked for.
        model: String,
        /// Values sent.
        got: usize,
        /// Values the model takes.
        expected: usize,
    },
    /// A feature is NaN or infinite.
    #[error(
        "features[{index}] ({name}): {value} is not finite; wait for the warm-up or send a finite value"
    )]
    NonFiniteFeature {
        /// Position in the row-major request.
        index: usize,
        /// Name of the feature.
        name: String,
        /// What was sent.
        value: f32,
    },
    /// The packed batch does not hold what `rows` says.
    #[error(
        "features: {rows} rows of {columns} float32 are {expected} bytes, got {got}; fix `rows` or `features`"
    )]
    BatchBytes {
        /// Rows as sent.
        rows: usize,
        /// Features of the model.
        columns: usize,
        /// Bytes that would agree.
        expected: usize,
        /// Bytes as sent.
        got: usize,
    },
    /// Zero rows, or more than the server takes at once.
    #[error("rows: {rows} is outside 1..={limit}; split the batch")]
    RowCount {
        /// Rows as sent.
        rows: usize,
        /// Most rows in one request.
        limit: usize,
    },
    /// The caller's features come from another feature spec.
    #[error(
        "feature_spec_hash: model {model:?} was trained on {expected}, got {got}; compute features with its spec"
    )]
    FeatureSpecMismatch {
        /// Model asked for.
        model: String,
        /// Hash of the model's spec.
        expected: String,
        /// Hash as sent.
        got: String,
    },
    /// A timeframe that does not exist or is not the model's.
    #[error(
        "timeframe: model {model:?} speaks of {expected} bars, got {got:?}; ask a model of that timeframe"
    )]
    WrongTimeframe {
        /// Model asked for.
        model: String,
        /// The model's timeframe.
        expected: String,
        /// Timeframe as sent.
        got: String,
    },
    /// No model of this name.
    #[error(
        "model: {}; known models: {known}",
        if model.is_empty() {
            "none is named, and no route leads from the symbol and timeframe to one".to_owned()
        } else {
            format!("{model:?} is not in the store")
        }
    )]
    ModelNotFound {
        /// Name as sent.
        model: String,
        /// Names that exist, comma separated.
        known: String,
    },
    /// No such version of the model.
    #[error(
        "model_version: model {model:?} has no version {version}; list the versions with `ListModels`"
    )]
    VersionNotFound {
        /// Model asked for.
        model: String,
        /// Version as sent.
        version: u64,
    },
    /// The version exists but cannot score.
    #[error("model_version: version {version} of {model:?} does not serve: {failure}")]
    VersionNotReady {
        /// Model asked for.
        model: String,
        /// Version as sent.
        version: u64,
        /// Why it does not serve.
        failure: String,
    },
    /// A bar of the window is not a bar.
    #[error("bars[{index}].{problem}")]
    InvalidBar {
        /// Position in the window.
        index: usize,
        /// What is wrong with it.
        problem: InvalidBar,
    },
    /// The bars of a window are not in order.
    #[error(
        "bars[{index}].open_time_ns: {got} does not follow {previous}; send one series, oldest first"
    )]
    BarOrder {
        /// Position in the window.
        index: usize,
        /// Time of the bar before.
        previous: i64,
        /// Time as sent.
        got: i64,
    },
    /// The bars of a window are not of one symbol and timeframe.
    #[error(
        "bars[{index}].{field}: {got:?} differs from the first bar's {expected:?}; send bars of one series"
    )]
    MixedBars {
        /// Position in the window.
        index: usize,
        /// `symbol` or `timeframe`.
        field: &'static str,
        /// Value as sent.
        got: String,
        /// Value of the first bar.
        expected: String,
    },
    /// Routes depend on the market's regime, and the request does not tell it.
    #[error(
        "bars: models of timeframe {timeframe:?} are chosen by the market's regime, which is not known; send {needed} \
         bars or more, or name a model"
    )]
    RegimeUnknown {
        /// Timeframe asked for.
        timeframe: String,
        /// Bars that tell the regime.
        needed: usize,
    },
    /// The window is too short for the features to be valid.
    #[error("bars: {got} bars do not cover the warm-up of model {model:?}; send at least {needed}")]
    WindowTooShort {
        /// Model asked for.
        model: String,
        /// Bars sent.
        got: usize,
        /// Bars that the feature spec needs.
        needed: usize,
    },
    /// Too many bars in one window.
    #[error("bars: {got} bars exceed the limit of {limit}; send the warm-up and the bar to score")]
    WindowTooLong {
        /// Bars sent.
        got: usize,
        /// Most bars in one request.
        limit: usize,
    },
    /// A field of a stream or subscription request is missing or out of range.
    #[error("{field}: {problem}")]
    InvalidField {
        /// Name of the field.
        field: &'static str,
        /// Value and remedy.
        problem: String,
    },
    /// A price that is not one.
    #[error("reference_price: {price} must be finite and above zero, or unset")]
    ReferencePrice {
        /// Price as sent.
        price: f64,
    },
    /// The queue of the model is full.
    #[error(
        "model {model:?} has more rows waiting than run in time, or than the {limit} that may wait; retry after {} ms",
        retry_after.as_millis()
    )]
    QueueFull {
        /// Model asked for.
        model: String,
        /// Rows that wait.
        waiting: usize,
        /// Most rows that may wait.
        limit: usize,
        /// When to try again.
        retry_after: Duration,
    },
    /// The server has as many requests as it can answer in time.
    #[error("the server is overloaded; retry after {} ms, or send less at once", retry_after.as_millis())]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// The caller's deadline passed before the model ran.
    #[error("deadline passed {stage}; allow more time or send less at once")]
    DeadlinePassed {
        /// "at admission" or "in the queue".
        stage: &'static str,
    },
    /// The server is shutting down.
    #[error("the server is draining; connect to another or retry")]
    Draining,
    /// The signals asked for are no longer held.
    #[error(
        "after_sequence: {asked} is outside {oldest}..={newest}, the signals still held; subscribe without it"
    )]
    SequenceGone {
        /// Sequence as sent.
        asked: u64,
        /// Oldest sequence that can be resumed behind.
        oldest: u64,
        /// Newest sequence.
        newest: u64,
    },
    /// A slow subscriber that asked to be disconnected.
    #[error(
        "the subscriber fell {behind} signals behind its buffer of {buffer}; resume by sequence number"
    )]
    SubscriberTooSlow {
        /// Signals waiting.
        behind: u64,
        /// Signals it may fall behind.
        buffer: u64,
    },
    /// The caller showed no token that is known.
    #[error(
        "authorization: {problem}; send `authorization: Bearer <token>` with a token of this server"
    )]
    Unauthenticated {
        /// What is wrong with the header.
        problem: &'static str,
    },
    /// The caller's token does not allow the call.
    #[error(
        "authorization: the token of {client:?} lacks the role {role:?}; ask for one that has it"
    )]
    RoleMissing {
        /// Whom the token belongs to.
        client: String,
        /// Role that the call needs.
        role: &'static str,
    },
    /// Models are not loaded and unloaded over the data port.
    #[error(
        "server.repository_control: models are not loaded or unloaded over this port; use `ModelService` on the admin \
         port, or start the server with it"
    )]
    RepositoryClosed,
    /// The client sends more than it may.
    #[error("{client} may send {limit} requests a second; retry after {} ms", retry_after.as_millis().max(1))]
    RateLimited {
        /// Who.
        client: String,
        /// Requests a second.
        limit: u32,
        /// When to try again.
        retry_after: Duration,
    },
    /// The client has more in flight than it may.
    #[error("{client} may have {limit} requests in flight; wait for answers before sending more")]
    TooManyStreams {
        /// Who.
        client: String,
        /// Most requests in flight.
        limit: u32,
    },
    /// A model without an earlier production version.
    #[error("model: {model:?} has no earlier production version to roll back to; promote one")]
    NothingToRollBack {
        /// Model asked for.
        model: String,
    },
    /// The store could not be read or written.
    #[error("store: {0}")]
    Store(String),
    /// The model failed while running. The cause is in the log only.
    #[error("model {model:?} failed to score; the server's log has the cause")]
    Engine {
        /// Model asked for.
        model: String,
    },
}
