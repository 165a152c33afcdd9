//! What the fuzzer kept, by the checks of its targets. Built without optimisation, as by plain `cargo test`, a count
//! that overflows fails here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests may fail loudly"
)]

use std::fs;
use std::path::Path;

#[path = "../fuzz/checks/bar_admission.rs"]
mod bar_admission;
#[path = "../fuzz/checks/feature_spec.rs"]
mod feature_spec;
#[path = "../fuzz/checks/snapshot_restore.rs"]
mod snapshot_restore;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let seeds = fs::read_dir(seeds.join(target)).unwrap();
    let seeds: Vec<_> = seeds
        .map(|seed| fs::read(seed.unwrap().path()).unwrap())
        .collect();
    assert!(!seeds.is_empty());
    seeds
}

#[test]
fn bars_in_any_order_are_admitted_or_change_nothing() {
    for seed in seeds("bar_admission") {
        bar_admission::check(&seed);
    }
}

#[test]
fn texts_are_specs_or_reasons_why_not() {
    for seed in seeds("feature_spec") {
        if let Ok(text) = str::from_utf8(&seed) {
            feature_spec::check(text);
        }
    }
}

#[test]
fn whatever_a_snapshot_counts_its_series_runs() {
    let seeds = seeds("snapshot_restore");
    let restored = seeds.iter().filter(|seed| snapshot_restore::check(seed));
    assert!(
        restored.count() > 0,
        "no kept bytes are restored: is their header still right?"
    );
}
