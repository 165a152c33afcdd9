//! Gives memory that was freed back to the system.
//!
//! Loading a model, taking up a snapshot and writing one need several times what stays. Both allocators of the process
//! keep what is freed for the next need: Rust's until something else is allocated, the C library's, from which ONNX
//! Runtime and Python take theirs, for good. A server that loads once and then is quiet would hold it for days.
#![allow(
    unsafe_code,
    reason = "the allocators' own functions, which take no pointers"
)]

unsafe extern "C" {
    /// Of mimalloc, which is linked in as the allocator; its crate declares it only beside much else.
    safe fn mi_collect(force: bool);
}

/// Gives back what this thread and the allocators' common stock hold unused. Takes milliseconds: it belongs after rare,
/// large work, on a thread that serves nobody.
pub(crate) fn give_back() {
    mi_collect(true);
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes no pointer, locks the arenas one by one, and frees only what nothing points to.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn resident_mb() -> usize {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4 / 1_024
    }

    #[test]
    fn what_was_freed_goes_back_to_the_system_at_once() {
        // Other tests of this process take memory meanwhile: one try that they leave alone is enough.
        let gave_back = (0..8).any(|_| {
            let before = resident_mb();
            let pieces: Vec<Vec<u8>> = (0..32_768).map(|size| vec![1; 8_192 + size % 7]).collect();
            let held = resident_mb();
            drop(pieces);
            give_back();
            held >= before + 200 && resident_mb() <= before + 100
        });
        assert!(gave_back);
    }
}
