//! The header block of a request, compressed as HPACK (RFC 7541): the first request of a connection spells its headers
//! out and enters them into the table, all later ones name their places in it, as gRPC clients do.

use std::time::Duration;

const POST: u8 = 0x83; // entry 3 of the static table
const HTTP: u8 = 0x86; // entry 6
const AUTHORITY: u8 = 1;
const PATH: u8 = 4;
const CONTENT_TYPE: u8 = 31;
/// A literal that enters the table, six bits of which name an entry.
const LITERAL: u8 = 0x40;
const INDEXED: u8 = 0x80;
const FIRST_DYNAMIC: u8 = 62;
/// What an entry takes beside its name and value.
const ENTRY_BYTES: usize = 32;

/// The header blocks of one kind of request.
#[derive(Clone, Debug)]
pub(crate) struct RequestHead {
    first: Vec<u8>,
    later: Vec<u8>,
    table_bytes: usize,
}

impl RequestHead {
    /// A gRPC request to `path` at `authority`; without `timeout` it may take for ever.
    pub(crate) fn new(authority: &str, path: &str, timeout: Duration) -> Self {
        let timeout = (!timeout.is_zero()).then(|| format!("{}u", timeout.as_micros()));
        let mut first = vec![POST, HTTP];
        let mut table_bytes = 0;
        let mut entries = 0;
        let mut enter = |name: Result<(u8, &str), &str>, value: &str| {
            let name = match name {
                Ok((index, name)) => {
                    first.push(LITERAL | index);
                    name
                }
                Err(name) => {
                    first.push(LITERAL);
                    put_string(&mut first, name);
                    name
                }
            };
            put_string(&mut first, value);
            table_bytes += name.len() + value.len() + ENTRY_BYTES;
            entries += 1;
        };
        enter(Ok((PATH, ":path")), path);
        enter(Ok((AUTHORITY, ":authority")), authority);
        enter(Err("te"), "trailers");
        enter(Ok((CONTENT_TYPE, "content-type")), "application/grpc");
        if let Some(timeout) = &timeout {
            enter(Err("grpc-timeout"), timeout);
        }
        // The newest entry comes first.
        let mut later = vec![POST, HTTP];
        later.extend(
            (0..entries)
                .rev()
                .map(|age| INDEXED | (FIRST_DYNAMIC + age)),
        );
        Self {
            first,
            later,
            table_bytes,
        }
    }

    /// The block of a connection's first request.
    pub(crate) fn first(&self) -> &[u8] {
        &self.first
    }

    /// The block of all others.
    pub(crate) fn later(&self) -> &[u8] {
        &self.later
    }

    /// What the peer's table must hold.
    pub(crate) fn table_bytes(&self) -> usize {
        self.table_bytes
    }
}

/// Appends a string as it is: its length in seven bits and what follows, then its bytes.
fn put_string(out: &mut Vec<u8>, text: &str) {
    const PREFIX: usize = 0x7f;
    if text.len() < PREFIX {
        out.push(text.len() as u8);
    } else {
        out.push(PREFIX as u8);
        let mut rest = text.len() - PREFIX;
        while rest >= 0x80 {
            out.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use loona_hpack::Decoder;

    use super::*;

    fn decoded(decoder: &mut Decoder<'_>, block: &[u8]) -> Vec<(String, String)> {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let headers = decoder.decode(block).unwrap();
        headers
            .into_iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect()
    }

    #[test]
    fn first_and_later_requests_say_the_same() {
        for timeout in [Duration::ZERO, Duration::from_millis(250)] {
            let path = format!("/a.long.{}.Service/Method", "package.".repeat(30));
            let head = RequestHead::new("127.0.0.1:9000", &path, timeout);
            let mut decoder = Decoder::new();
            let mut first = decoded(&mut decoder, head.first());
            let mut later = decoded(&mut decoder, head.later());
            assert!(first.contains(&(":path".into(), path)));
            assert!(first.contains(&("te".into(), "trailers".into())));
            assert_eq!(
                first.contains(&("grpc-timeout".into(), "250000u".into())),
                !timeout.is_zero()
            );
            first.sort();
            later.sort();
            assert_eq!(first, later);
            assert!(head.later().len() < 10);
        }
    }
}
