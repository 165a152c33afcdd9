//! Any bars in any order: no panic, bad ones change nothing, and the rest is as in a batch of the good ones.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/bar_admission.rs"]
mod bar_admission;

fuzz_target!(|bytes: &[u8]| {
    bar_admission::check(bytes);
});
