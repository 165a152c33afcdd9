//! The caller's deadline, from the `grpc-timeout` header.

use std::time::{Duration, Instant};

use http::HeaderMap;

/// When the caller stops waiting; `None` when it did not say.
pub(crate) fn deadline(headers: &HeaderMap) -> Option<Instant> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    Instant::now().checked_add(parse(text)?)
}

/// Reads up to eight digits and a unit, as the gRPC protocol writes a timeout.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3_600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read() {
        let read = ["1H", "2M", "3S", "4m", "5u", "6n"].map(|text| parse(text).unwrap());
        let expected = [
            3_600_000_000_000,
            120_000_000_000,
            3_000_000_000,
            4_000_000,
            5_000,
            6,
        ]
        .map(Duration::from_nanos);
        assert_eq!(read, expected);
    }

    #[test]
    fn nonsense_is_no_deadline() {
        for text in ["", "S", "1", "-1S", "123456789S", "1x", "é", "1é"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
