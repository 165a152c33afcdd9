//! Any text is a spec or a reason why not; a spec is the same read from its canonical form, and it runs.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/feature_spec.rs"]
mod feature_spec;

fuzz_target!(|text: &str| {
    feature_spec::check(text);
});
