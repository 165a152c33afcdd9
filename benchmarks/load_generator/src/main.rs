//! Load for the serving benchmarks: pre-encoded gRPC messages over HTTP/2, measured, reported as one line of JSON.
//!
//! The generator knows no message: it sends the bodies it is given to the method it is given, so that one generator
//! measures every server with its own protocol. It speaks HTTP/2 through `h2` without further layers, because it
//! shares the machine with the server it measures.

mod arguments;
mod closed_loop;
mod connection;
mod deliveries;
#[cfg(test)]
mod loopback_server;
mod message_stream;
mod open_loop;
mod pacing;
mod report;

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

/// The load of one thread: a runtime of its own, so that no task ever changes threads.
fn work(
    call: Call,
    load: &Load,
    share: arguments::Share,
    seed: u64,
) -> Result<Recorder, LoadError> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async move {
        match load {
            Load::Closed(closed) => closed_loop::run(call, closed, share).await,
            Load::Open(open) => open_loop::run(call, open, share, seed).await,
            Load::Stream(stream) => message_stream::run(call, stream, share).await,
            Load::Deliver(deliver) => {
                let subscribe = call.with(&deliver.subscribe_method, &deliver.bodies()?)?;
                deliveries::run(call, deliver, subscribe).await
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use bytes::Bytes;

    use super::*;
    use crate::arguments::{Arrivals, Closed, Open, Share};

    const ALL: Share = Share {
        connections: 2,
        fraction: 1.0,
    };

    fn with_server<Answer: Future>(
        refuse_each: usize,
        load: impl FnOnce(Call) -> Answer,
    ) -> Answer::Output {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async move {
            let address = loopback_server::serve(refuse_each).await;
            load(Call::new(&address.to_string(), "/s/m", &[Bytes::from_static(b"row")]).unwrap())
                .await
        })
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
        let recorder = with_server(0, |call| async {
            closed_loop::run(call, &closed(), ALL).await.unwrap()
        });
        let report = report(Load::Closed(closed()), &recorder);
        assert!(report["rate"].as_f64().unwrap() > 100.0, "{report}");
        assert_eq!(report["failures"], serde_json::json!({}));
    }

    #[test]
    fn a_stream_counts_messages() {
        let recorder = with_server(0, |call| async {
            message_stream::run(call, &closed(), ALL).await.unwrap()
        });
        assert!(
            report(Load::Stream(closed()), &recorder)["rate"]
                .as_f64()
                .unwrap()
                > 100.0
        );
    }

    #[test]
    fn an_open_loop_sends_what_is_due_and_tells_refusals_apart() {
        let load = Open {
            rate: 2_000.0,
            arrivals: Arrivals::Constant,
            connections: 2,
            warmup_ms: 0,
            duration_ms: 200,
            tick_us: 0,
            timeout_ms: 1_000,
        };
        let asked = load.clone();
        let recorder = with_server(4, |call| async move {
            open_loop::run(call, &load, ALL, 1).await.unwrap()
        });
        let report = report(Load::Open(asked), &recorder);
        assert_eq!(report["unanswered"], 0);
        let refused = report["failures"]["8"].as_u64().unwrap();
        let answered = report["latency_us"]["count"].as_u64().unwrap();
        assert!((390..=400).contains(&(refused + answered)), "{report}");
        assert!((95..=100).contains(&refused), "{report}");
    }

    #[test]
    fn nobody_listening_is_an_error() {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let call = Call::new("127.0.0.1:1", "/s/m", &[Bytes::new()]).unwrap();
        let error = LocalSet::new()
            .block_on(&runtime, async {
                closed_loop::run(call, &closed(), ALL).await
            })
            .err();
        assert!(
            error
                .unwrap()
                .to_string()
                .starts_with("target 127.0.0.1:1: ")
        );
    }
}
