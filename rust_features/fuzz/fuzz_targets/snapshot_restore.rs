//! Any bytes are a snapshot or a reason why not, checksum included; what is restored runs and is written the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/snapshot_restore.rs"]
mod snapshot_restore;

fuzz_target!(|bytes: &[u8]| {
    snapshot_restore::check(bytes);
});
