//! HTTP/2 frames as bytes (RFC 9113, sections 4 and 6).

/// What a client's connection begins with.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes in front of every frame.
pub(crate) const HEAD_BYTES: usize = 9;
/// What this side lets a peer send ahead, on a stream and on a connection.
pub(crate) const WINDOW_BYTES: u32 = 4 << 20;
/// Largest payload unless both sides agree on more.
pub(crate) const LARGEST_PAYLOAD: usize = 16_384;

pub(crate) const DATA: u8 = 0x0;
pub(crate) const HEADERS: u8 = 0x1;
pub(crate) const RST_STREAM: u8 = 0x3;
pub(crate) const SETTINGS: u8 = 0x4;
pub(crate) const PING: u8 = 0x6;
pub(crate) const GOAWAY: u8 = 0x7;
pub(crate) const WINDOW_UPDATE: u8 = 0x8;
pub(crate) const CONTINUATION: u8 = 0x9;

pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const ACK: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
const PRIORITY_BYTES: usize = 5;

/// Identifiers of settings.
pub(crate) const HEADER_TABLE_SIZE: u16 = 0x1;
pub(crate) const ENABLE_PUSH: u16 = 0x2;
pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 0x3;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 0x4;
pub(crate) const MAX_FRAME_SIZE: u16 = 0x5;

/// What stands in front of a payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Head {
    /// Bytes of payload.
    pub(crate) length: usize,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    /// Zero is the connection itself.
    pub(crate) stream: u32,
}

impl Head {
    /// The head at the front of `bytes`; `None` when it is not whole yet.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let &[a, b, c, kind, flags, s0, s1, s2, s3] = bytes.first_chunk::<HEAD_BYTES>()?;
        Some(Self {
            length: u32::from_be_bytes([0, a, b, c]) as usize,
            kind,
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff,
        })
    }

    /// Whether all of `flags` are set.
    pub(crate) fn has(self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// The payload of DATA or HEADERS without padding and priority; `None` when it is shorter than it says.
    pub(crate) fn content(self, payload: &[u8]) -> Option<&[u8]> {
        let (mut content, mut padding) = (payload, 0);
        if self.has(PADDED) {
            let (&length, rest) = content.split_first()?;
            (content, padding) = (rest, usize::from(length));
        }
        if self.kind == HEADERS && self.has(PRIORITY) {
            content = content.get(PRIORITY_BYTES..)?;
        }
        content.get(..content.len().checked_sub(padding)?)
    }
}

/// Appends the head of a frame with `length` bytes of payload.
pub(crate) fn put_head(out: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    let [_, a, b, c] = (length as u32).to_be_bytes();
    let [s0, s1, s2, s3] = stream.to_be_bytes();
    out.extend_from_slice(&[a, b, c, kind, flags, s0, s1, s2, s3]);
}

/// Appends a whole frame.
pub(crate) fn put_frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    put_head(out, payload.len(), kind, flags, stream);
    out.extend_from_slice(payload);
}

/// Appends a frame of settings.
pub(crate) fn put_settings(out: &mut Vec<u8>, settings: &[(u16, u32)]) {
    put_head(out, 6 * settings.len(), SETTINGS, 0, 0);
    for (identifier, value) in settings {
        out.extend_from_slice(&identifier.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// The settings of a payload.
pub(crate) fn settings(payload: &[u8]) -> impl Iterator<Item = (u16, u32)> {
    payload
        .as_chunks::<6>()
        .0
        .iter()
        .map(|&[i0, i1, v0, v1, v2, v3]| {
            (
                u16::from_be_bytes([i0, i1]),
                u32::from_be_bytes([v0, v1, v2, v3]),
            )
        })
}

/// The number at the front of a payload.
pub(crate) fn number(payload: &[u8]) -> Option<u32> {
    payload.first_chunk().copied().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_as_it_was_written() {
        let mut out = Vec::new();
        put_head(&mut out, 70_000, DATA, END_STREAM, 9);
        let head = Head::read(&out).unwrap();
        assert_eq!(
            head,
            Head {
                length: 70_000,
                kind: DATA,
                flags: END_STREAM,
                stream: 9
            }
        );
        assert_eq!(Head::read(&out[..8]), None);
    }

    #[test]
    fn padding_and_priority_are_left_out() {
        let head = Head {
            length: 0,
            kind: HEADERS,
            flags: PADDED | PRIORITY,
            stream: 1,
        };
        assert_eq!(head.content(b"\x02PPPPPabc\0\0"), Some(&b"abc"[..]));
        assert_eq!(head.content(b"\x09PPPPPabc"), None);
        assert_eq!(head.content(b"\x00PP"), None);
    }

    #[test]
    fn settings_read_as_they_were_written() {
        let mut out = Vec::new();
        put_settings(
            &mut out,
            &[(ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, 1 << 22)],
        );
        let read: Vec<_> = settings(&out[HEAD_BYTES..]).collect();
        assert_eq!(read, [(ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, 1 << 22)]);
    }
}
