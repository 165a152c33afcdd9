//! Watches the frames that a connection reads: whether HTTP/2 began at all, and whether the peer floods it with frames
//! that cost work and carry nothing.
//!
//! The HTTP/2 library below answers every PING and SETTINGS; a peer that sends nothing else keeps a core busy without
//! one request. Resets are not counted: a caller may cancel thousands of calls a second, and the library below ends
//! connections that reset what it has not accepted yet. Only the nine bytes of each frame's head are looked at.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What every HTTP/2 connection begins with.
const PREFACE_BYTES: usize = 24;
const HEAD_BYTES: usize = 9;
const PRIORITY: u8 = 0x2;
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const WINDOW: Duration = Duration::from_secs(1);

/// What the watch saw, for the task that serves the connection.
#[derive(Debug, Default)]
pub struct Sightings {
    began: AtomicBool,
    flooded: AtomicBool,
}

impl Sightings {
    /// Whether the bytes that begin HTTP/2 came.
    #[must_use]
    pub fn began(&self) -> bool {
        self.began.load(Ordering::Relaxed)
    }

    /// Whether the peer sent more control frames than it may.
    #[must_use]
    pub fn flooded(&self) -> bool {
        self.flooded.load(Ordering::Relaxed)
    }
}

/// Finds the frames in a stream of bytes and counts those that only cost.
#[derive(Debug)]
struct FrameCounter {
    most_per_second: u32,
    /// Bytes to pass over: the preface, or the rest of a frame.
    skip: usize,
    in_preface: bool,
    head: [u8; HEAD_BYTES],
    filled: usize,
    window_began: Instant,
    counted: u32,
}

impl FrameCounter {
    fn new(most_per_second: u32) -> Self {
        Self {
            most_per_second,
            skip: PREFACE_BYTES,
            in_preface: true,
            head: [0; HEAD_BYTES],
            filled: 0,
            window_began: Instant::now(),
            counted: 0,
        }
    }

    /// Takes in what was read; true when there were too many control frames.
    fn take(&mut self, mut bytes: &[u8], sightings: &Sightings) -> bool {
        let mut control = 0;
        while !bytes.is_empty() {
            let passed = self.skip.min(bytes.len());
            bytes = bytes.get(passed..).unwrap_or_default();
            self.skip -= passed;
            if self.skip > 0 {
                break;
            }
            if self.in_preface {
                self.in_preface = false;
                sightings.began.store(true, Ordering::Relaxed);
            }
            let wanted = (HEAD_BYTES - self.filled).min(bytes.len());
            let (taken, rest) = bytes.split_at_checked(wanted).unwrap_or((bytes, &[]));
            if let Some(place) = self.head.get_mut(self.filled..self.filled + wanted) {
                place.copy_from_slice(taken);
            }
            self.filled += wanted;
            bytes = rest;
            if self.filled == HEAD_BYTES {
                self.filled = 0;
                let [high, middle, low, kind, flags, ..] = self.head;
                self.skip = u32::from_be_bytes([0, high, middle, low]) as usize;
                let answer = flags & 1 == 1;
                control += u32::from(match kind {
                    PRIORITY => true,
                    SETTINGS | PING => !answer,
                    _ => false,
                });
            }
        }
        control > 0 && self.count(control)
    }

    fn count(&mut self, control: u32) -> bool {
        let now = Instant::now();
        if now - self.window_began > WINDOW {
            self.window_began = now;
            self.counted = 0;
        }
        self.counted = self.counted.saturating_add(control);
        self.counted > self.most_per_second
    }
}

/// A connection's bytes, watched.
pub struct Watched<Io> {
    inner: Io,
    frames: FrameCounter,
    sightings: Arc<Sightings>,
}

impl<Io> Watched<Io> {
    /// Watches what is read from `inner`.
    pub fn new(inner: Io, most_control_frames_per_second: u32) -> (Self, Arc<Sightings>) {
        let sightings = Arc::new(Sightings::default());
        let watched = Self {
            inner,
            frames: FrameCounter::new(most_control_frames_per_second),
            sightings: Arc::clone(&sightings),
        };
        (watched, sightings)
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Watched<Io> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.sightings.flooded() {
            // The connection is being ended: what else comes is not read.
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.inner).poll_read(context, buffer);
        let fresh = buffer.filled().get(before..).unwrap_or_default();
        if this.frames.take(fresh, &this.sightings) {
            this.sightings.flooded.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Watched<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).unwrap().to_be_bytes();
        let mut bytes = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        bytes.resize(bytes.len() + payload, PING);
        bytes
    }

    fn counted(bytes: &[u8], cuts: &[usize]) -> (u32, bool) {
        let sightings = Sightings::default();
        let mut frames = FrameCounter::new(u32::MAX);
        let mut rest = bytes;
        for cut in cuts.iter().copied().chain([bytes.len()]) {
            let (part, left) = rest.split_at(cut.min(rest.len()));
            frames.take(part, &sightings);
            rest = left;
        }
        (frames.counted, sightings.began())
    }

    proptest! {
        #[test]
        fn frames_are_counted_however_the_bytes_are_cut(
            sent in prop::collection::vec((0_u8..10, 0_u8..2, 0_usize..40), 0..20),
            cuts in prop::collection::vec(0_usize..60, 0..30),
        ) {
            let mut bytes = vec![0; PREFACE_BYTES];
            let mut expected = 0;
            for (kind, flags, payload) in sent {
                bytes.extend(frame(kind, flags, payload));
                expected += u32::from(
                    kind == PRIORITY || matches!(kind, SETTINGS | PING) && flags == 0,
                );
            }
            prop_assert_eq!(counted(&bytes, &cuts), (expected, true));
        }
    }

    #[test]
    fn a_flood_is_seen_and_the_preface_alone_is_not_enough() {
        let sightings = Sightings::default();
        let mut frames = FrameCounter::new(3);
        assert!(!frames.take(&[0; PREFACE_BYTES - 1], &sightings));
        assert!(!sightings.began());
        assert!(!frames.take(&[0], &sightings));
        let pings: Vec<u8> = (0..3).flat_map(|_| frame(PING, 0, 8)).collect();
        assert!(!frames.take(&pings, &sightings));
        assert!(sightings.began());
        assert!(frames.take(&frame(PING, 0, 8), &sightings));
    }
}
