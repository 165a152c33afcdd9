//! Any bytes as the files of a bundle: manifest, golden vectors and deployment are read or refused, never more.
#![no_main]

use candlewire_server::models::{
    bundle::Manifest,
    deployment::{DeploymentFile, RouteKey},
    golden,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    match choice % 3 {
        0 => drop(serde_json::from_slice::<Manifest>(bytes)),
        1 => {
            if let Ok(file) = serde_json::from_slice::<DeploymentFile>(bytes) {
                let _ = file.route(RouteKey { symbol: "AAPL", timeframe: "1d", ..RouteKey::default() });
            }
        }
        _ => {
            if let Ok(golden) = golden::parse(bytes, 4, candlewire_server::scoring::engine::ScoreLayout { classes: 2, members: 1 }) {
                assert_eq!(golden.features.len() % 4, 0);
            }
        }
    }
});
