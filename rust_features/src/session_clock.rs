//! Which session a bar belongs to.

use crate::arguments::{ArgumentError, Arguments, Parameter};

const DAY_NS: i64 = 24 * 60 * 60 * 1_000_000_000;
const MINUTE_NS: i64 = 60 * 1_000_000_000;

/// The parameter that says where a session starts.
pub(crate) const SESSION_START: Parameter = Parameter::integer(
    "session_start",
    "minutes after 00:00 UTC at which a session starts; 0 for the UTC day, 1320 for 22:00 the evening before",
    0,
    0,
    24 * 60 - 1,
);

/// Counts sessions of one day each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionClock {
    start_ns: i64,
}

impl SessionClock {
    pub(crate) fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            start_ns: arguments.integer(SESSION_START.name)? * MINUTE_NS,
        })
    }

    /// Number of the session in which a bar opens; another one in another session.
    #[inline(always)]
    pub(crate) fn session(self, open_time_ns: i64) -> i64 {
        open_time_ns
            .saturating_sub(self.start_ns)
            .div_euclid(DAY_NS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_starts_at_its_minute() {
        for start in [0, 1, 225, 1320] {
            let clock = SessionClock {
                start_ns: start * MINUTE_NS,
            };
            for day in [-3, 0, 19_000] {
                let first = day * DAY_NS + start * MINUTE_NS;
                let session = clock.session(first);
                assert_eq!(clock.session(first - 1), session - 1);
                assert_eq!(clock.session(first + DAY_NS - 1), session);
            }
        }
        let clock = SessionClock {
            start_ns: MINUTE_NS,
        };
        assert!(clock.session(i64::MIN) < clock.session(i64::MAX));
    }
}
