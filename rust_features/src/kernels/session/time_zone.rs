//! Local time, from the time zone database that is compiled in: the same on every machine, whatever the system has.

use std::sync::OnceLock;

use jiff::Timestamp;
use jiff::tz::TimeZoneDatabase;

use crate::arguments::ArgumentError;

const SECOND_NS: i64 = 1_000_000_000;

/// Offsets of one time zone over the whole range of a bar's time.
#[derive(Debug)]
pub(super) struct TimeZone {
    /// First instant of each offset, and the offset, nanoseconds; oldest first.
    offsets: Vec<(i64, i64)>,
}

impl TimeZone {
    /// Coordinated universal time.
    pub(super) fn utc() -> Self {
        Self {
            offsets: vec![(i64::MIN, 0)],
        }
    }

    /// A zone of the IANA database, built once into its cell.
    pub(super) fn shared(
        cell: &'static OnceLock<Option<Self>>,
        name: &str,
    ) -> Result<&'static Self, ArgumentError> {
        cell.get_or_init(|| Self::bundled(name))
            .as_ref()
            .ok_or_else(|| {
                ArgumentError::Contradiction(format!(
                    "time zone {name} is not in this build: build with jiff's bundled database"
                ))
            })
    }

    fn bundled(name: &str) -> Option<Self> {
        let zone = TimeZoneDatabase::bundled().get(name).ok()?;
        let first = Timestamp::from_nanosecond(i128::from(i64::MIN)).ok()?;
        let mut offsets = vec![(
            i64::MIN,
            i64::from(zone.to_offset(first).seconds()) * SECOND_NS,
        )];
        for change in zone.following(first) {
            // The rules go on for ever; bars do not.
            let Ok(from_ns) = i64::try_from(change.timestamp().as_nanosecond()) else {
                break;
            };
            offsets.push((from_ns, i64::from(change.offset().seconds()) * SECOND_NS));
        }
        Some(Self { offsets })
    }

    /// The instant as a local clock shows it, nanoseconds since local 1970-01-01 00:00.
    #[inline(always)]
    pub(super) fn local_ns(&self, time_ns: i64) -> i64 {
        self.local_ns_until(time_ns).0
    }

    /// The same, and the first instant from which the clock has another offset.
    #[inline(always)]
    pub(super) fn local_ns_until(&self, time_ns: i64) -> (i64, i64) {
        let later = self.offsets.partition_point(|(from, _)| *from <= time_ns);
        let offset = self.offsets.get(later.wrapping_sub(1)).map_or(0, |o| o.1);
        let until = self.offsets.get(later).map_or(i64::MAX, |o| o.0);
        (time_ns.saturating_add(offset), until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summer_time_changes_at_the_second() {
        let zone = TimeZone::bundled("America/New_York").unwrap();
        // 2026-03-08 07:00 and 2026-11-01 06:00 UTC; 2100-03-14 07:00 UTC follows the same rule.
        for (change_s, before_h, after_h) in [
            (1_772_953_200, -5, -4),
            (1_793_512_800, -4, -5),
            (4_108_690_800, -5, -4),
        ] {
            let hours = |second: i64| {
                let time_ns = second * SECOND_NS;
                (zone.local_ns(time_ns) - time_ns) / (3600 * SECOND_NS)
            };
            assert_eq!(
                (hours(change_s - 1), hours(change_s)),
                (before_h, after_h),
                "{change_s}"
            );
        }
    }

    #[test]
    fn the_ends_of_time_are_no_trouble() {
        for zone in
            ["America/New_York", "Asia/Kolkata"].map(|name| TimeZone::bundled(name).unwrap())
        {
            for time_ns in [i64::MIN, i64::MIN + 1, 0, i64::MAX] {
                assert!(zone.local_ns(time_ns).abs_diff(time_ns) < 24 * 3600 * 1_000_000_000);
            }
        }
    }
}
