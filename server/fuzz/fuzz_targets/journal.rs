//! Any bytes as a segment of the journal or as a snapshot: reading them never ends the server, and what is read can be
//! written again.
#![no_main]

use std::{io::Cursor, sync::Once};

use candlewire_server::journal::{bars::BarRecord, decisions::DecisionRecord, scores::ScoreRecord, segments, snapshot};
use libfuzzer_sys::fuzz_target;

static QUIET: Once = Once::new();

fuzz_target!(|bytes: &[u8]| {
    // The reader of Arrow panics on some broken offsets, which the server catches: only what is not caught counts.
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    let Some((choice, bytes)) = bytes.split_first() else { return };
    match choice % 4 {
        0 => {
            let mut bars = Vec::<BarRecord>::new();
            segments::decode(bytes.to_vec(), &mut bars);
        }
        1 => {
            let mut decisions = Vec::<DecisionRecord>::new();
            segments::decode(bytes.to_vec(), &mut decisions);
        }
        2 => {
            let mut scores = Vec::<ScoreRecord>::new();
            segments::decode(bytes.to_vec(), &mut scores);
        }
        _ => {
            if let Ok(snapshot) = snapshot::decode(Cursor::new(bytes)) {
                let (_, series) = snapshot.into_parts();
                drop(series.collect::<Result<Vec<_>, _>>());
            }
        }
    }
});
