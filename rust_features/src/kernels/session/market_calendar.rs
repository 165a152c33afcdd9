//! When markets are open: sessions, their hours and the days between them.

use std::sync::OnceLock;

use super::holidays::{date_of, day_of, india_closed, new_york_closed, new_york_half_day, weekday};
use super::time_zone::TimeZone;
use crate::arguments::{ArgumentError, Arguments, Parameter};

const MINUTE_NS: i64 = 60_000_000_000;
const DAY_NS: i64 = 24 * 60 * MINUTE_NS;
const MINUTES_PER_DAY: f64 = 1440.0;

/// First and last day of the tables: 1900-01-01 and 2199-12-31. Outside, days are computed one by one.
const TABLE: std::ops::Range<i64> = -25_567..84_006;

/// Where a calendar says a market is.
pub(super) const CALENDAR: Parameter = Parameter::choice(
    "calendar",
    "XNYS New York stocks; XNSE National Stock Exchange of India; FX Sunday to Friday 17:00 New York; 24/7 every UTC day; UTC Monday to Friday",
    "XNYS",
    &["XNYS", "XNSE", "FX", "24/7", "UTC"],
);

/// How to read the time of a bar.
pub(super) const STAMP: Parameter = Parameter::choice(
    "stamp",
    "instant: the time at which the bar opened; date: 00:00 UTC stands for the session of that date, as daily files write it",
    "instant",
    &["instant", "date"],
);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Market {
    NewYork,
    India,
    ForeignExchange,
    EveryDay,
    Weekdays,
}

/// What is known of one day.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Day {
    /// Whether there is a session.
    pub(super) is_session: bool,
    /// Whether the session closes early.
    pub(super) is_half: bool,
    /// Sessions of the month after this day.
    pub(super) sessions_left: u8,
    /// Sessions of the month up to this day, it included.
    pub(super) sessions_so_far: u8,
    /// Days since the last session before this day.
    pub(super) days_since_session: u8,
    /// 0 for January.
    pub(super) month: u8,
}

/// A bar's place: its session's date and the minutes since that day began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Days since 1970-01-01.
    pub(super) day: i64,
    /// Minutes since the day's start, with fractions.
    pub(super) minute: f64,
}

/// Sessions of one market.
#[derive(Debug)]
pub(super) struct Calendar {
    market: Market,
    zone: &'static TimeZone,
    /// Added to local time, so that a session that opens in the evening falls on one day, the one it ends on.
    shift_ns: i64,
    open_minute: f64,
    close_minute: f64,
    early_close_minute: f64,
    days: &'static [Day],
    /// Bars carry dates, not instants.
    stamped_by_date: bool,
}

impl Calendar {
    /// The calendar that the arguments `calendar` and, where declared, `stamp` name.
    pub(super) fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        static UTC: OnceLock<TimeZone> = OnceLock::new();
        static DAYS: [OnceLock<Vec<Day>>; 5] = [const { OnceLock::new() }; 5];
        let utc = || UTC.get_or_init(TimeZone::utc);
        let clock = |hour: f64, minute: f64| hour * 60.0 + minute;
        let (market, zone, shift_hours, hours) = match arguments.text("calendar")? {
            "XNSE" => (
                Market::India,
                TimeZone::kolkata()?,
                0,
                (clock(9.0, 15.0), clock(15.0, 30.0)),
            ),
            "FX" => (
                Market::ForeignExchange,
                TimeZone::new_york()?,
                7,
                (0.0, MINUTES_PER_DAY),
            ),
            "24/7" => (Market::EveryDay, utc(), 0, (0.0, MINUTES_PER_DAY)),
            "UTC" => (Market::Weekdays, utc(), 0, (0.0, MINUTES_PER_DAY)),
            _ => (
                Market::NewYork,
                TimeZone::new_york()?,
                0,
                (clock(9.0, 30.0), clock(16.0, 0.0)),
            ),
        };
        Ok(Self {
            market,
            zone,
            shift_ns: shift_hours * 60 * MINUTE_NS,
            open_minute: hours.0,
            close_minute: hours.1,
            early_close_minute: clock(13.0, 0.0),
            days: DAYS[market as usize].get_or_init(|| TABLE.map(|day| market.day(day)).collect()),
            stamped_by_date: arguments.text("stamp").is_ok_and(|stamp| stamp == "date"),
        })
    }

    /// Where a bar lies that opened at `open_time_ns`.
    #[inline(always)]
    pub(super) fn place(&self, open_time_ns: i64) -> Place {
        if self.stamped_by_date {
            return Place {
                day: open_time_ns.div_euclid(DAY_NS),
                minute: self.open_minute,
            };
        }
        let local_ns = self
            .zone
            .local_ns(open_time_ns)
            .saturating_add(self.shift_ns);
        Place {
            day: local_ns.div_euclid(DAY_NS),
            minute: local_ns.rem_euclid(DAY_NS) as f64 / MINUTE_NS as f64,
        }
    }

    /// What is known of a day.
    #[inline(always)]
    pub(super) fn day(&self, day: i64) -> Day {
        usize::try_from(day - TABLE.start)
            .ok()
            .and_then(|index| self.days.get(index))
            .copied()
            .unwrap_or_else(|| self.market.day(day))
    }

    /// Minute at which sessions open.
    #[inline(always)]
    pub(super) fn open_minute(&self) -> f64 {
        self.open_minute
    }

    /// Minute at which a session closes.
    #[inline(always)]
    pub(super) fn close_minute(&self, day: Day) -> f64 {
        if day.is_half {
            self.early_close_minute
        } else {
            self.close_minute
        }
    }

    /// Minutes since the midnight of the local clock, for a place of this calendar.
    #[inline(always)]
    pub(super) fn clock_minute(&self, place: Place) -> f64 {
        let minute = place.minute - (self.shift_ns / MINUTE_NS) as f64;
        if minute < 0.0 {
            minute + MINUTES_PER_DAY
        } else {
            minute
        }
    }
}

impl Market {
    fn is_session(self, day: i64) -> bool {
        let on_weekday = weekday(day) < 5;
        match self {
            Self::EveryDay => true,
            Self::Weekdays | Self::ForeignExchange => on_weekday,
            Self::NewYork => on_weekday && !new_york_closed(day),
            Self::India => on_weekday && !india_closed(day),
        }
    }

    #[cold]
    fn day(self, day: i64) -> Day {
        let (year, month, _) = date_of(day);
        let first = day_of(year, month, 1);
        let next_month = if month == 12 {
            day_of(year + 1, 1, 1)
        } else {
            day_of(year, month + 1, 1)
        };
        let sessions = |mut days: std::ops::Range<i64>| {
            days.by_ref().filter(|day| self.is_session(*day)).count() as u8
        };
        let is_session = self.is_session(day);
        let since = (1..15).find(|before| self.is_session(day - before));
        Day {
            is_session,
            is_half: self == Self::NewYork && is_session && new_york_half_day(day),
            sessions_left: sessions(day + 1..next_month),
            sessions_so_far: sessions(first..day + 1),
            days_since_session: since.unwrap_or(15) as u8,
            month: (month - 1) as u8,
        }
    }
}
