//! The fields of an encoded protobuf message, as byte ranges: lets a rewrite copy what it does not understand.

use std::ops::Range;

use crate::TreeError;

/// One field of a message.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) number: u64,
    /// Tag, length and payload.
    pub(crate) whole: Range<usize>,
    /// The payload of a length-delimited field; empty for the other kinds.
    pub(crate) payload: Range<usize>,
}

fn broken(at: usize) -> TreeError {
    TreeError::Decode {
        reason: format!("the field at byte {at} is cut off or has an unknown kind"),
    }
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// All fields of the message in `bytes`, in order.
pub(crate) fn fields(bytes: &[u8]) -> Result<Vec<Field>, TreeError> {
    let mut fields = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let tag = varint(bytes, &mut at).ok_or_else(|| broken(start))?;
        let mut payload = at..at;
        let end = match tag & 7 {
            0 => varint(bytes, &mut at).map(|_| at),
            1 => at.checked_add(8),
            5 => at.checked_add(4),
            2 => varint(bytes, &mut at).and_then(|length| {
                let end = at.checked_add(usize::try_from(length).ok()?)?;
                payload = at..end;
                Some(end)
            }),
            _ => None,
        };
        at = end
            .filter(|&end| end <= bytes.len())
            .ok_or_else(|| broken(start))?;
        fields.push(Field {
            number: tag >> 3,
            whole: start..at,
            payload,
        });
    }
    Ok(fields)
}

/// Appends a length-delimited field.
pub(crate) fn push_field(out: &mut Vec<u8>, number: u64, payload: &[u8]) {
    push_varint(out, number << 3 | 2);
    push_varint(out, payload.len() as u64);
    out.extend_from_slice(payload);
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
