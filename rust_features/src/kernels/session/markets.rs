//! The markets that a calendar knows: their clocks, hours and holidays.

use std::sync::OnceLock;

use super::asian_holidays as asia;
use super::dates::{date_of, day_of, weekday};
use super::market_holidays as rules;
use super::market_holidays::{Days, Rule, SATURDAY};
use super::time_zone::TimeZone;
use crate::arguments::{ArgumentError, Parameter};

const MINUTES_PER_DAY: u16 = 24 * 60;

/// Where a calendar says a market is.
pub(super) const CALENDAR: Parameter = Parameter::choice(
    "calendar",
    "code of the exchange, with its hours of today: XNYS New York, XTSE Toronto, CMES CME Globex, futures on shares (17:00 to 16:00 Chicago), XLON London, XETR Xetra, XPAR Paris, XAMS Amsterdam, XSWX Zurich, XJSE Johannesburg, XNSE and XBOM India, XSES Singapore, XHKG Hong Kong, XSHG Shanghai, XKRX Korea, XTKS Tokyo, XASX Sydney; FX Sunday to Friday 17:00 New York; 24/7 every UTC day; UTC Monday to Friday",
    "XNYS",
    &[
        "XNYS", "XNSE", "FX", "24/7", "UTC", "XTSE", "CMES", "XLON", "XETR", "XPAR", "XAMS",
        "XSWX", "XJSE", "XBOM", "XSES", "XHKG", "XSHG", "XKRX", "XTKS", "XASX",
    ],
);

/// Clock, hours and sessions of one market; minutes since midnight, or since the session's day begins.
#[derive(Debug)]
pub(super) struct Market {
    name: &'static str,
    /// In the IANA database; `None` for UTC.
    zone: Option<&'static str>,
    /// Added to local time, so that a session that opens in the evening falls on one day, the one it ends on.
    pub(super) shift_hours: i64,
    open: u16,
    close: u16,
    /// The close before the first day on which today's held.
    former_close: Option<(i64, u16)>,
    /// When trading rests at midday.
    pub(super) pause: Option<(u16, u16)>,
    on_weekends: bool,
    /// Days without a session.
    closed: Rule,
    /// Sessions that close early.
    early: &'static [(Rule, u16)],
    /// Sessions that open late.
    late: Option<(Rule, u16)>,
}

/// What a market's rules say of one year.
pub(super) struct Year {
    market: &'static Market,
    number: i64,
    closed: Days,
    early: Vec<(Days, u16)>,
    late: Option<(Days, u16)>,
}

impl Year {
    fn of(market: &'static Market, number: i64) -> Self {
        let days = |(rule, minute): &(Rule, u16)| (Days::of(*rule, number), *minute);
        Self {
            market,
            number,
            closed: Days::of(market.closed, number),
            early: market.early.iter().map(days).collect(),
            late: market.late.as_ref().map(days),
        }
    }

    /// The year of a day, which this one may be already.
    pub(super) fn holding(&mut self, day: i64) -> &Self {
        let number = date_of(day).0;
        if number != self.number {
            *self = Self::of(self.market, number);
        }
        self
    }

    /// Whether there is a session on a day of this year, days since 1970-01-01.
    pub(super) fn is_session(&self, day: i64) -> bool {
        (self.market.on_weekends || weekday(day) < SATURDAY) && !self.closed.contains(day)
    }

    /// Minute at which a session opens.
    pub(super) fn open(&self, day: i64) -> u16 {
        let late = self.late.as_ref().filter(|(days, _)| days.contains(day));
        late.map_or(self.market.open, |(_, minute)| *minute)
    }

    /// Minute at which a session closes early, if it does.
    pub(super) fn early_close(&self, day: i64) -> Option<u16> {
        let found = self.early.iter().find(|(days, _)| days.contains(day));
        found.map(|(_, minute)| *minute)
    }

    /// Minute at which a session closes, or would close, that does not close early.
    pub(super) fn usual_close(&self, day: i64) -> u16 {
        let former = self.market.former_close.filter(|(until, _)| day < *until);
        former.map_or(self.market.close, |(_, minute)| minute)
    }
}

/// Minutes of a time of day.
const fn at(hour: u16, minute: u16) -> u16 {
    hour * 60 + minute
}

impl Market {
    const fn new(name: &'static str, zone: &'static str, hours: [u16; 2], closed: Rule) -> Self {
        Self {
            name,
            zone: Some(zone),
            shift_hours: 0,
            open: hours[0],
            close: hours[1],
            former_close: None,
            pause: None,
            on_weekends: false,
            closed,
            early: &[],
            late: None,
        }
    }

    const fn around_the_clock(name: &'static str, on_weekends: bool) -> Self {
        Self {
            zone: None,
            on_weekends,
            ..Self::new(name, "", [0, MINUTES_PER_DAY], rules::NONE)
        }
    }

    const fn early(self, early: &'static [(Rule, u16)]) -> Self {
        Self { early, ..self }
    }

    /// Closing at another time before a day.
    const fn formerly_until(self, day: i64, close: u16) -> Self {
        Self {
            former_close: Some((day, close)),
            ..self
        }
    }

    const fn late(self, sessions: Rule, open: u16) -> Self {
        Self {
            late: Some((sessions, open)),
            ..self
        }
    }

    const fn pausing(self, from: u16, to: u16) -> Self {
        Self {
            pause: Some((from, to)),
            ..self
        }
    }

    const fn shifted(self, hours: i64) -> Self {
        Self {
            shift_hours: hours,
            ..self
        }
    }

    /// Number and market of a name that [`CALENDAR`] takes; the first one of any other.
    pub(super) fn named(name: &str) -> (usize, &'static Self) {
        let mut markets = MARKETS.iter().enumerate();
        let found = markets.find(|(_, market)| market.name == name);
        found.unwrap_or((0, &MARKETS[0]))
    }

    /// The market's clock, built once.
    pub(super) fn zone(place: usize) -> Result<&'static TimeZone, ArgumentError> {
        static UTC: OnceLock<TimeZone> = OnceLock::new();
        static ZONES: [OnceLock<Option<TimeZone>>; MARKETS.len()] =
            [const { OnceLock::new() }; MARKETS.len()];
        match (ZONES.get(place), MARKETS.get(place).and_then(|m| m.zone)) {
            (Some(cell), Some(name)) => TimeZone::shared(cell, name),
            _ => Ok(UTC.get_or_init(TimeZone::utc)),
        }
    }

    /// What the rules say of the year of a day.
    pub(super) fn year_of(&'static self, day: i64) -> Year {
        Year::of(self, date_of(day).0)
    }
}

/// In the order of [`CALENDAR`].
///
/// Source of the hours: the exchanges' own pages on trading hours, regular continuous trading with the closing auction
/// where that is part of the session.
pub(super) static MARKETS: [Market; 20] = [
    Market::new(
        "XNYS",
        "America/New_York",
        [at(9, 30), at(16, 0)],
        rules::NEW_YORK,
    )
    .early(&[(rules::NEW_YORK_HALVES, at(13, 0))]),
    Market::new("XNSE", "Asia/Kolkata", [at(9, 15), at(15, 30)], asia::INDIA),
    Market::new("FX", "America/New_York", [0, MINUTES_PER_DAY], rules::NONE).shifted(7),
    Market::around_the_clock("24/7", true),
    Market::around_the_clock("UTC", false),
    Market::new(
        "XTSE",
        "America/Toronto",
        [at(9, 30), at(16, 0)],
        rules::TORONTO,
    )
    .early(&[(rules::CHRISTMAS_EVE, at(13, 0))]),
    // 17:00 to 16:00, an hour before the next session; noon is 19:00 on the session's clock.
    Market::new("CMES", "America/Chicago", [0, at(23, 0)], rules::GLOBEX)
        .early(&[
            (rules::NEW_YORK, at(19, 0)),
            (rules::NEW_YORK_HALVES, at(19, 15)),
        ])
        .shifted(7),
    Market::new(
        "XLON",
        "Europe/London",
        [at(8, 0), at(16, 30)],
        rules::LONDON,
    )
    .early(&[(rules::LAST_SESSIONS, at(12, 30))]),
    Market::new(
        "XETR",
        "Europe/Berlin",
        [at(9, 0), at(17, 30)],
        rules::FRANKFURT,
    )
    .early(&[(rules::LAST_SESSION, at(14, 0))]),
    Market::new(
        "XPAR",
        "Europe/Paris",
        [at(9, 0), at(17, 30)],
        rules::EURONEXT,
    )
    .early(&[(rules::EVES, at(14, 5))]),
    Market::new(
        "XAMS",
        "Europe/Amsterdam",
        [at(9, 0), at(17, 30)],
        rules::EURONEXT,
    )
    .early(&[(rules::EVES, at(14, 5))]),
    Market::new(
        "XSWX",
        "Europe/Zurich",
        [at(9, 0), at(17, 30)],
        rules::ZURICH,
    ),
    Market::new(
        "XJSE",
        "Africa/Johannesburg",
        [at(9, 0), at(17, 0)],
        rules::JOHANNESBURG,
    ),
    Market::new("XBOM", "Asia/Kolkata", [at(9, 15), at(15, 30)], asia::INDIA),
    Market::new(
        "XSES",
        "Asia/Singapore",
        [at(9, 0), at(17, 0)],
        asia::SINGAPORE,
    )
    .early(&[(asia::EVES_AND_LUNAR_EVE, at(12, 0))]),
    Market::new(
        "XHKG",
        "Asia/Hong_Kong",
        [at(9, 30), at(16, 0)],
        asia::HONG_KONG,
    )
    .early(&[(asia::EVES_AND_LUNAR_EVE, at(12, 0))])
    .pausing(at(12, 0), at(13, 0)),
    Market::new(
        "XSHG",
        "Asia/Shanghai",
        [at(9, 30), at(15, 0)],
        asia::SHANGHAI,
    )
    .pausing(at(11, 30), at(13, 0)),
    Market::new("XKRX", "Asia/Seoul", [at(9, 0), at(15, 30)], asia::SEOUL)
        .late(asia::FIRST_SESSION, at(10, 0))
        .formerly_until(day_of(2016, 8, 1), at(15, 0)),
    Market::new("XTKS", "Asia/Tokyo", [at(9, 0), at(15, 30)], rules::TOKYO)
        .pausing(at(11, 30), at(12, 30))
        .formerly_until(day_of(2024, 11, 5), at(15, 0)),
    Market::new(
        "XASX",
        "Australia/Sydney",
        [at(10, 0), at(16, 0)],
        rules::SYDNEY,
    )
    .early(&[(rules::LAST_SESSIONS, at(14, 10))]),
];
