//! Where one session ends and the next begins.

use std::ops::{Range, RangeInclusive};

use super::market_calendar::{Calendar, NEVER};
use crate::arguments::{ArgumentError, Arguments, Parameter};

/// Which bars of a date make its session.
pub(super) const HOURS: Parameter = Parameter::choice(
    "hours",
    "all: every bar of the date; regular: bars between the session's open and close, others only look at it",
    "all",
    &["all", "regular"],
);

/// Tells sessions apart.
#[derive(Debug)]
pub(super) struct SessionClock {
    calendar: Calendar,
    regular: bool,
}

impl SessionClock {
    /// The sessions that `calendar`, `stamp` and `hours` name.
    pub(super) fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            calendar: Calendar::new(arguments)?,
            regular: arguments.text(HOURS.name)? == "regular",
        })
    }

    /// Date of the session that a bar is part of; `None` outside regular hours when only these count.
    #[inline(always)]
    pub(super) fn session(&self, open_time_ns: i64) -> Option<i64> {
        let place = self.calendar.place(open_time_ns);
        if self.regular {
            let day = self.calendar.day(place.day);
            let is_open = day.is_session()
                && place.minute >= day.open_minute()
                && place.minute < day.close_minute();
            if !is_open {
                return None;
            }
        }
        Some(place.day)
    }
}

/// Sessions of bars in order of time, looked up once for all bars of a date.
pub(super) struct Sessions<'a> {
    clock: &'a SessionClock,
    day: i64,
    /// Instants that are known to be of that day.
    known: Range<i64>,
    /// Those of its regular hours, where these count.
    hours: RangeInclusive<i64>,
}

impl<'a> Sessions<'a> {
    pub(super) fn of(clock: &'a SessionClock) -> Self {
        Self {
            clock,
            day: 0,
            known: 0..0,
            hours: NEVER,
        }
    }

    /// As [`SessionClock::session`].
    #[inline(always)]
    pub(super) fn at(&mut self, open_time_ns: i64) -> Option<i64> {
        if !self.known.contains(&open_time_ns) {
            self.look_up(open_time_ns);
        }
        let counts = !self.clock.regular || self.hours.contains(&open_time_ns);
        counts.then_some(self.day)
    }

    fn look_up(&mut self, open_time_ns: i64) {
        let SessionClock { calendar, regular } = self.clock;
        let (day, until) = calendar.day_until(open_time_ns);
        (self.day, self.known) = (day, open_time_ns..until);
        if *regular {
            self.hours = calendar.hours(open_time_ns);
        }
    }
}
