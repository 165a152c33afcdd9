//! When markets are open: sessions, their hours and the days between them.

use std::ops::{Range, RangeInclusive};
use std::sync::OnceLock;

use super::dates::{date_of, day_of};
use super::markets::{MARKETS, Market, Year};
use super::time_zone::TimeZone;
use crate::arguments::{ArgumentError, Arguments, Parameter};

pub(super) use super::markets::CALENDAR;

const MINUTE_NS: i64 = 60_000_000_000;
const DAY_NS: i64 = 24 * 60 * MINUTE_NS;
const MINUTES_PER_DAY: f64 = 1440.0;

/// First and last day of the tables: 1900-01-01 and 2199-12-31. Outside, days are computed one by one.
const TABLE: Range<i64> = -25_567..84_006;
/// Days before the table whose sessions count in it.
const BEFORE: i64 = 15;
/// The hours of a day without a session.
#[allow(clippy::reversed_empty_ranges, reason = "no instant lies in it")]
pub(super) const NEVER: RangeInclusive<i64> = 1..=0;

/// How to read the time of a bar.
pub(super) const STAMP: Parameter = Parameter::choice(
    "stamp",
    "instant: the time at which the bar opened; date: 00:00 UTC stands for the session of that date, as daily files write it",
    "instant",
    &["instant", "date"],
);

/// What is known of one day, in eight bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Day {
    /// Minute at which the session opens, or would.
    open: u16,
    /// Minute at which it closes.
    close: u16,
    /// Sessions of the month after this day.
    pub(super) sessions_left: u8,
    /// Sessions of the month up to this day, it included.
    pub(super) sessions_so_far: u8,
    /// Days since the last session before this day.
    pub(super) days_since_session: u8,
    /// 0 for January, with the bits below.
    month: u8,
}

const IS_SESSION: u8 = 1 << 4;
const IS_HALF: u8 = 1 << 5;

impl Day {
    /// Whether there is a session.
    #[inline(always)]
    pub(super) fn is_session(self) -> bool {
        self.month & IS_SESSION != 0
    }

    /// Whether the session closes early.
    #[inline(always)]
    pub(super) fn is_half(self) -> bool {
        self.month & IS_HALF != 0
    }

    /// 0 for January.
    #[inline(always)]
    pub(super) fn month(self) -> u8 {
        self.month & (IS_SESSION - 1)
    }

    /// Minute at which the session opens.
    #[inline(always)]
    pub(super) fn open_minute(self) -> f64 {
        f64::from(self.open)
    }

    /// Minute at which the session closes.
    #[inline(always)]
    pub(super) fn close_minute(self) -> f64 {
        f64::from(self.close)
    }
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
    market: &'static Market,
    zone: &'static TimeZone,
    shift_ns: i64,
    /// Empty where there is none.
    pause: Range<f64>,
    days: &'static [Day],
    /// Bars carry dates, not instants.
    stamped_by_date: bool,
}

impl Calendar {
    /// The calendar that the arguments `calendar` and, where declared, `stamp` name.
    pub(super) fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        static DAYS: [OnceLock<Vec<Day>>; MARKETS.len()] =
            [const { OnceLock::new() }; MARKETS.len()];
        let (place, market) = Market::named(arguments.text("calendar")?);
        let days = DAYS.get(place).map_or(&[][..], |days| {
            days.get_or_init(|| table(market)).as_slice()
        });
        let (from, to) = market.pause.unwrap_or_default();
        Ok(Self {
            market,
            zone: Market::zone(place)?,
            shift_ns: market.shift_hours * 60 * MINUTE_NS,
            pause: f64::from(from)..f64::from(to),
            days,
            stamped_by_date: arguments.text("stamp").is_ok_and(|stamp| stamp == "date"),
        })
    }

    /// Where a bar lies that opened at `open_time_ns`.
    #[inline(always)]
    pub(super) fn place(&self, open_time_ns: i64) -> Place {
        let local_ns = self.local_ns(open_time_ns);
        let day = local_ns.div_euclid(DAY_NS);
        let minute = if self.stamped_by_date {
            self.day(day).open_minute()
        } else {
            local_ns.rem_euclid(DAY_NS) as f64 / MINUTE_NS as f64
        };
        Place { day, minute }
    }

    /// Time since 1970 on the local clock, put forward to where its day begins with the session's date.
    #[inline(always)]
    fn local_ns(&self, open_time_ns: i64) -> i64 {
        if self.stamped_by_date {
            return open_time_ns;
        }
        let local_ns = self.zone.local_ns(open_time_ns);
        local_ns.saturating_add(self.shift_ns)
    }

    /// The day of an instant, and the first later one that may be of another.
    #[inline(always)]
    pub(super) fn day_until(&self, open_time_ns: i64) -> (i64, i64) {
        let (local_ns, until) = if self.stamped_by_date {
            (open_time_ns, i64::MAX)
        } else {
            let (local_ns, until) = self.zone.local_ns_until(open_time_ns);
            (local_ns.saturating_add(self.shift_ns), until)
        };
        let left_ns = DAY_NS - local_ns.rem_euclid(DAY_NS);
        let next_day = open_time_ns.saturating_add(left_ns);
        (local_ns.div_euclid(DAY_NS), next_day.min(until))
    }

    /// The hours of the session of an instant's day, as far as [`Calendar::day_until`] counts it.
    pub(super) fn hours(&self, open_time_ns: i64) -> RangeInclusive<i64> {
        let local_ns = self.local_ns(open_time_ns);
        let day = self.day(local_ns.div_euclid(DAY_NS));
        if !day.is_session() {
            return NEVER;
        }
        if self.stamped_by_date {
            return open_time_ns..=i64::MAX;
        }
        let midnight_ns = open_time_ns.saturating_sub(local_ns.rem_euclid(DAY_NS));
        let instant = |minute: u16| midnight_ns.saturating_add(i64::from(minute) * MINUTE_NS);
        instant(day.open)..=instant(day.close).saturating_sub(1)
    }

    /// What is known of a day.
    #[inline(always)]
    pub(super) fn day(&self, day: i64) -> Day {
        usize::try_from(day - TABLE.start)
            .ok()
            .and_then(|index| self.days.get(index))
            .copied()
            .unwrap_or_else(|| self.day_by_rule(day))
    }

    #[cold]
    fn day_by_rule(&self, day: i64) -> Day {
        let mut year = self.market.year_of(day);
        let counted = counted(day, |day| year.holding(day).is_session(day));
        with_hours(counted, day, year.holding(day))
    }

    /// Whether a minute lies in the rest at midday.
    #[inline(always)]
    pub(super) fn is_pause(&self, minute: f64) -> bool {
        self.pause.contains(&minute)
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

/// Every day of the table; each day's session is looked up once.
fn table(market: &'static Market) -> Vec<Day> {
    let first = TABLE.start - BEFORE;
    let mut year = market.year_of(first);
    let sessions: Vec<bool> = (first..TABLE.end)
        .map(|day| year.holding(day).is_session(day))
        .collect();
    let is_session = |day: i64| {
        usize::try_from(day - first)
            .ok()
            .and_then(|index| sessions.get(index))
            .is_some_and(|is_session| *is_session)
    };
    TABLE
        .map(|day| with_hours(counted(day, is_session), day, year.holding(day)))
        .collect()
}

/// A day's place among the days with a session.
fn counted(day: i64, mut is_session: impl FnMut(i64) -> bool) -> Day {
    let (year, month, _) = date_of(day);
    let first = day_of(year, month, 1);
    let next_month = if month == 12 {
        day_of(year + 1, 1, 1)
    } else {
        day_of(year, month + 1, 1)
    };
    let since = (1..BEFORE).find(|before| is_session(day - before));
    let mut sessions = |days: Range<i64>| days.filter(|day| is_session(*day)).count() as u8;
    let session = IS_SESSION * sessions(day..day + 1);
    Day {
        sessions_left: sessions(day + 1..next_month),
        sessions_so_far: sessions(first..day + 1),
        days_since_session: since.unwrap_or(BEFORE) as u8,
        month: (month - 1) as u8 | session,
        ..Day::default()
    }
}

/// The day with its hours by the rules of its year.
fn with_hours(counted: Day, day: i64, year: &Year) -> Day {
    let early_close = year.early_close(day).filter(|_| counted.is_session());
    let half = if early_close.is_some() { IS_HALF } else { 0 };
    Day {
        open: year.open(day),
        close: early_close.unwrap_or_else(|| year.usual_close(day)),
        month: counted.month | half,
        ..counted
    }
}
