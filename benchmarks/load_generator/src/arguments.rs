//! The command line.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::report::LoadError;

/// Closed- and open-loop gRPC load; prints one line of JSON.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    /// Server, as `host:port`; plain text.
    #[arg(long)]
    pub(crate) target: String,
    /// Path of the method.
    #[arg(long, default_value = "/candlewire.v1.ScoringService/Score")]
    pub(crate) method: String,
    /// File with one encoded request message; given again, the requests are sent in turn.
    #[arg(long = "body", required = true)]
    pub(crate) body: Vec<PathBuf>,
    /// Threads, each with its share of the connections.
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
    #[command(subcommand)]
    pub(crate) load: Load,
}

/// Kind of load.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Load {
    /// Every caller waits for its answer before it asks again.
    Closed(Closed),
    /// Requests are sent when they are due, whatever the answers do; latency counts from the due time.
    Open(Open),
    /// One bidirectional stream a connection, with a number of messages in flight on it.
    Stream(Closed),
    /// One publisher sends what is due while subscribers listen.
    Deliver(Deliver),
}

/// A closed loop.
#[derive(Args, Clone, Debug)]
pub(crate) struct Closed {
    /// Connections.
    #[arg(long, default_value_t = 1)]
    pub(crate) connections: usize,
    /// Requests in flight on each connection.
    #[arg(long, default_value_t = 1)]
    pub(crate) in_flight: usize,
    /// Load before measuring, milliseconds.
    #[arg(long, default_value_t = 500)]
    pub(crate) warmup_ms: u64,
    /// Measured load, milliseconds.
    #[arg(long, default_value_t = 3_000)]
    pub(crate) duration_ms: u64,
}

/// An open loop.
#[derive(Args, Clone, Debug)]
pub(crate) struct Open {
    /// Requests per second, over all connections.
    #[arg(long)]
    pub(crate) rate: f64,
    /// How requests arrive.
    #[arg(long, value_enum, default_value_t = Arrivals::Poisson)]
    pub(crate) arrivals: Arrivals,
    /// Connections.
    #[arg(long, default_value_t = 8)]
    pub(crate) connections: usize,
    /// Load before measuring, milliseconds.
    #[arg(long, default_value_t = 500)]
    pub(crate) warmup_ms: u64,
    /// Measured load, milliseconds.
    #[arg(long, default_value_t = 5_000)]
    pub(crate) duration_ms: u64,
    /// Send at most so often, everything that is due at once, and look for answers as often, microseconds: a timer a
    /// request, or to be woken by each answer, costs as much as sending. Both kinds of waiting count as latency.
    #[arg(long, default_value_t = 0)]
    pub(crate) tick_us: u64,
    /// `grpc-timeout` of each request, milliseconds; zero sends none.
    #[arg(long, default_value_t = 0)]
    pub(crate) timeout_ms: u64,
}

/// A publisher and its subscribers.
#[derive(Args, Clone, Debug)]
pub(crate) struct Deliver {
    /// Messages per second.
    #[arg(long)]
    pub(crate) rate: f64,
    /// How messages follow each other.
    #[arg(long, value_enum, default_value_t = Arrivals::Poisson)]
    pub(crate) arrivals: Arrivals,
    /// Path of the method that subscribes.
    #[arg(long)]
    pub(crate) subscribe_method: String,
    /// File with one encoded subscription; given S times, subscriber k sends the (k mod S)-th and gets every S-th message
    /// from that one on.
    #[arg(long, required = true)]
    pub(crate) subscribe_body: Vec<PathBuf>,
    /// Subscribers.
    #[arg(long, default_value_t = 1)]
    pub(crate) subscribers: usize,
    /// Connections of the subscribers.
    #[arg(long, default_value_t = 1)]
    pub(crate) connections: usize,
    /// Load before measuring, milliseconds.
    #[arg(long, default_value_t = 500)]
    pub(crate) warmup_ms: u64,
    /// Measured load, milliseconds.
    #[arg(long, default_value_t = 3_000)]
    pub(crate) duration_ms: u64,
}

/// How requests arrive.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Arrivals {
    /// At equal distances.
    Constant,
    /// At exponential distances, as independent callers do.
    Poisson,
}

/// What one thread has to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Share {
    /// Its connections.
    pub(crate) connections: usize,
    /// Its part of the whole load, 0 to 1.
    pub(crate) fraction: f64,
}

impl Arguments {
    /// The encoded requests.
    pub(crate) fn bodies(&self) -> Result<Vec<Bytes>, LoadError> {
        read(&self.body)
    }

    /// Connections of all threads.
    pub(crate) fn connections(&self) -> usize {
        match &self.load {
            Load::Closed(closed) | Load::Stream(closed) => closed.connections,
            Load::Open(open) => open.connections,
            Load::Deliver(deliver) => deliver.connections,
        }
    }

    /// How the connections are split over the threads; a thread without a connection is not started.
    pub(crate) fn shares(&self) -> Vec<Share> {
        let connections = match &self.load {
            Load::Deliver(_) => 1, // the order of the messages is that of one publisher
            _ => self.connections().max(1),
        };
        let threads = self.threads.clamp(1, connections);
        (0..threads)
            .map(|index| {
                let share = connections / threads + usize::from(index < connections % threads);
                Share {
                    connections: share,
                    fraction: share as f64 / connections as f64,
                }
            })
            .collect()
    }
}

impl Deliver {
    /// The encoded subscriptions.
    pub(crate) fn bodies(&self) -> Result<Vec<Bytes>, LoadError> {
        read(&self.subscribe_body)
    }
}

fn read(paths: &[PathBuf]) -> Result<Vec<Bytes>, LoadError> {
    let read = |path: &PathBuf| {
        fs::read(path)
            .map(Bytes::from)
            .map_err(|source| LoadError::Body {
                path: path.clone(),
                source,
            })
    };
    paths.iter().map(read).collect()
}

/// Milliseconds as a duration.
pub(crate) fn milliseconds(value: u64) -> Duration {
    Duration::from_millis(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(line: &str) -> Arguments {
        Arguments::parse_from(line.split_whitespace())
    }

    #[test]
    fn connections_are_split_over_threads_without_rest() {
        let shares =
            arguments("g --target a:1 --body b --threads 3 closed --connections 8").shares();
        assert_eq!(
            shares
                .iter()
                .map(|share| share.connections)
                .collect::<Vec<_>>(),
            [3, 3, 2]
        );
        assert!((shares.iter().map(|share| share.fraction).sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_thread_without_a_connection_is_not_started() {
        assert_eq!(
            arguments("g --target a:1 --body b --threads 8 closed")
                .shares()
                .len(),
            1
        );
    }
}
