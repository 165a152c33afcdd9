//! Load for the serving benchmarks: pre-encoded gRPC messages over HTTP/2, measured, reported as one line of JSON.
//!
//! The generator knows no message: it sends the bodies it is given to the method it is given, so that one generator
//! measures every server with its own protocol. Unary calls speak HTTP/2 by frames of our own, because the generator
//! shares the machine with the server it measures; streams go through `h2`.

mod arguments;
mod closed_loop;
mod connection;
mod deliveries;
mod exchange;
mod frames;
#[cfg(test)]
mod loopback_server;
mod message_stream;
mod open_loop;
mod pacing;
mod report;
mod request_head;
mod sockets;

use std::process::ExitCode;
use std::thread;

use clap::Parser;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

use crate::arguments::{Arguments, Load};
use crate::connection::Call;
use crate::report::{LoadError, Recorder, Report};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("candlewire-load-generator: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Splits the load over the threads, runs it, and reports as JSON.
fn run(arguments: &Arguments) -> Result<String, LoadError> {
    let call = Call::new(&arguments.target, &arguments.method, &arguments.bodies()?)?;
    let shares = arguments.shares();
    let workers: Vec<_> = shares
        .into_iter()
        .enumerate()
        .map(|(index, share)| {
            let call = call.clone();
            let load = arguments.load.clone();
            thread::spawn(move || work(call, &load, share, index as u64))
        })
        .collect();
    let mut all = Recorder::new()?;
    for worker in workers {
        let recorder = worker.join().map_err(|_| LoadError::WorkerPanicked)??;
        all.merge(&recorder)?;
    }
    Ok(serde_json::to_string(&Report::new(arguments, &all))?)
}

/// The load of one thread, which shares nothing with the others.
fn work(
    call: Call,
    load: &Load,
    share: arguments::Share,
    seed: u64,
) -> Result<Recorder, LoadError> {
    match load {
        Load::Closed(closed) => closed_loop::run(&call, closed, share),
        Load::Open(open) => open_loop::run(&call, open, share, seed),
        Load::Stream(stream) => with_runtime(message_stream::run(call, stream, share)),
        Load::Deliver(deliver) => {
            let subscribe = call.with(&deliver.subscribe_method, &deliver.bodies()?)?;
            with_runtime(deliveries::run(call, deliver, subscribe))
        }
    }
}

fn with_runtime(
    load: impl Future<Output = Result<Recorder, LoadError>>,
) -> Result<Recorder, LoadError> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, load)
}

#[cfg(test)]
mod tests {
    use std::future;
    use std::sync::mpsc;

    use bytes::Bytes;

    use super::*;
    use crate::arguments::{Arrivals, Closed, Open, Share};

    const ALL: Share = Share {
        connections: 2,
        fraction: 1.0,
    };

    /// A server on a thread of its own, which ends with the process.
    fn server(refuse_each: usize) -> Call {
        let (started, address) = mpsc::channel();
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, async move {
                started
                    .send(loopback_server::serve(refuse_each).await)
                    .unwrap();
                future::pending::<()>().await;
            });
        });
        let address = address.recv().unwrap().to_string();
        Call::new(&address, "/s/m", &[Bytes::from_static(b"row")]).unwrap()
    }

    fn closed() -> Closed {
        Closed {
            connections: 2,
            in_flight: 4,
            warmup_ms: 20,
            duration_ms: 150,
        }
    }

    fn report(load: Load, recorder: &Recorder) -> serde_json::Value {
        let arguments = Arguments {
            target: String::new(),
            method: String::new(),
            body: Vec::new(),
            threads: 1,
            load,
        };
        serde_json::to_value(Report::new(&arguments, recorder)).unwrap()
    }

    #[test]
    fn a_closed_loop_counts_answers() {
        let recorder = closed_loop::run(&server(0), &closed(), ALL).unwrap();
        let report = report(Load::Closed(closed()), &recorder);
        assert!(report["rate"].as_f64().unwrap() > 100.0, "{report}");
        assert_eq!(report["failures"], serde_json::json!({}));
    }

    #[test]
    fn a_stream_counts_messages() {
        let recorder = with_runtime(message_stream::run(server(0), &closed(), ALL)).unwrap();
        assert!(
            report(Load::Stream(closed()), &recorder)["rate"]
                .as_f64()
                .unwrap()
                > 100.0
        );
    }

    #[test]
    fn an_open_loop_sends_what_is_due_and_tells_refusals_apart() {
        for tick_us in [0, 2_000] {
            sends_what_is_due(tick_us);
        }
    }

    /// Whatever the ticks, as much is sent, and what an answer waits for its tick counts.
    fn sends_what_is_due(tick_us: u64) {
        let load = Open {
            rate: 2_000.0,
            arrivals: Arrivals::Constant,
            connections: 2,
            warmup_ms: 0,
            duration_ms: 200,
            tick_us,
            timeout_ms: 1_000,
        };
        let recorder = open_loop::run(&server(4), &load, ALL, 1).unwrap();
        let report = report(Load::Open(load), &recorder);
        assert_eq!(report["unanswered"], 0);
        let refused = report["failures"]["8"].as_u64().unwrap();
        let answered = report["latency_us"]["count"].as_u64().unwrap();
        assert!((390..=400).contains(&(refused + answered)), "{report}");
        assert!((95..=100).contains(&refused), "{report}");
        let mean_us = report["latency_us"]["mean"].as_f64().unwrap();
        assert!(mean_us > tick_us as f64, "{report}");
    }

    #[test]
    fn an_answer_is_looked_for_while_no_request_is_due() {
        let load = Open {
            rate: 20.0,
            arrivals: Arrivals::Constant,
            connections: 1,
            warmup_ms: 0,
            duration_ms: 300,
            tick_us: 100,
            timeout_ms: 0,
        };
        let recorder = open_loop::run(&server(0), &load, ALL, 1).unwrap();
        let report = report(Load::Open(load), &recorder);
        // Half of the time between two requests.
        assert!(
            report["latency_us"]["mean"].as_f64().unwrap() < 25_000.0,
            "{report}"
        );
    }

    #[test]
    fn a_refused_caller_asks_again_after_a_pause() {
        let recorder = closed_loop::run(&server(2), &closed(), ALL).unwrap();
        let report = report(Load::Closed(closed()), &recorder);
        let refused = report["failures"]["8"].as_u64().unwrap();
        // Eight callers, one refusal each in 20 ms at most.
        assert!((8..=8 * 9).contains(&refused), "{report}");
    }

    #[test]
    fn messages_longer_than_a_window_arrive_whole() {
        let call = server(0);
        let long = Bytes::from(vec![7; 300_000]);
        let call = call.with("/s/m", &[long]).unwrap();
        let recorder = closed_loop::run(&call, &closed(), ALL).unwrap();
        let report = report(Load::Closed(closed()), &recorder);
        assert!(report["rate"].as_f64().unwrap() > 20.0, "{report}");
        assert_eq!(report["failures"], serde_json::json!({}));
    }

    #[test]
    fn nobody_listening_is_an_error() {
        let call = Call::new("127.0.0.1:1", "/s/m", &[Bytes::new()]).unwrap();
        let error = closed_loop::run(&call, &closed(), ALL).err().unwrap();
        assert!(error.to_string().starts_with("target 127.0.0.1:1: "));
    }
}
