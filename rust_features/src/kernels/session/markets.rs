//! The markets that a calendar knows: their clocks, hours and holidays.

use std::sync::OnceLock;

use super::holidays::{date_of, india_closed, new_york_closed, new_york_half_day, weekday};
use super::market_holidays as rules;
use super::market_holidays::{Days, Rule};
use super::time_zone::TimeZone;
use crate::arguments::{ArgumentError, Parameter};

const MINUTES_PER_DAY: u16 = 24 * 60;

/// Where a calendar says a market is.
pub(super) const CALENDAR: Parameter = Parameter::choice(
    "calendar",
    "code of the exchange, with its hours of today: XNYS New York, XTSE Toronto, CMES CME Globex (17:00 to 16:00 Chicago), XLON London, XETR Xetra, XPAR Paris, XAMS Amsterdam, XSWX Zurich, XJSE Johannesburg, XNSE and XBOM India, XSES Singapore, XHKG Hong Kong, XSHG Shanghai, XKRX Korea, XTKS Tokyo, XASX Sydney; FX Sunday to Friday 17:00 New York; 24/7 every UTC day; UTC Monday to Friday",
    "XNYS",
    &[
        "XNYS", "XNSE", "FX", "24/7", "UTC", "XTSE", "CMES", "XLON", "XETR", "XPAR", "XAMS",
        "XSWX", "XJSE", "XBOM", "XSES", "XHKG", "XSHG", "XKRX", "XTKS", "XASX",
    ],
);

/// Which days have a session, and which of them end early.
#[derive(Debug, Clone, Copy)]
enum Sessions {
    EveryDay,
    Weekdays,
    NewYork,
    India,
    /// Weekdays but for the first rule's; early on the second's.
    ByYear(Rule, Rule),
}

/// Clock, hours and sessions of one market; minutes since midnight, or since the session's day begins.
#[derive(Debug)]
pub(super) struct Market {
    name: &'static str,
    /// In the IANA database; `None` for UTC.
    zone: Option<&'static str>,
    /// Added to local time, so that a session that opens in the evening falls on one day, the one it ends on.
    pub(super) shift_hours: i64,
    pub(super) open: u16,
    pub(super) close: u16,
    pub(super) early_close: u16,
    /// The close before the first day on which today's held.
    pub(super) former_close: Option<(i64, u16)>,
    /// When trading rests at midday.
    pub(super) pause: Option<(u16, u16)>,
    sessions: Sessions,
}

/// Minutes of a time of day.
const fn at(hour: u16, minute: u16) -> u16 {
    hour * 60 + minute
}

impl Market {
    const fn new(
        name: &'static str,
        zone: &'static str,
        hours: [u16; 2],
        sessions: Sessions,
    ) -> Self {
        Self {
            name,
            zone: Some(zone),
            shift_hours: 0,
            open: hours[0],
            close: hours[1],
            early_close: hours[1],
            former_close: None,
            pause: None,
            sessions,
        }
    }

    const fn around_the_clock(name: &'static str, sessions: Sessions) -> Self {
        Self {
            zone: None,
            ..Self::new(name, "", [0, MINUTES_PER_DAY], sessions)
        }
    }

    const fn early(self, close: u16) -> Self {
        Self {
            early_close: close,
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

    /// Whether there is a session on a day, days since 1970-01-01.
    pub(super) fn is_session(&self, day: i64) -> bool {
        let on_weekday = weekday(day) < 5;
        match self.sessions {
            Sessions::EveryDay => true,
            Sessions::Weekdays => on_weekday,
            Sessions::NewYork => on_weekday && !new_york_closed(day),
            Sessions::India => on_weekday && !india_closed(day),
            Sessions::ByYear(closed, _) => {
                on_weekday && !Days::of(closed, date_of(day).0).contains(day)
            }
        }
    }

    /// Whether a session ends early.
    pub(super) fn is_half(&self, day: i64) -> bool {
        match self.sessions {
            Sessions::NewYork => new_york_half_day(day),
            Sessions::ByYear(_, half) => Days::of(half, date_of(day).0).contains(day),
            _ => false,
        }
    }
}

use Sessions::ByYear;

/// In the order of [`CALENDAR`].
///
/// Source of the hours: the exchanges' own pages on trading hours, regular continuous trading with the closing auction
/// where that is part of the session.
pub(super) static MARKETS: [Market; 20] = [
    Market::new(
        "XNYS",
        "America/New_York",
        [at(9, 30), at(16, 0)],
        Sessions::NewYork,
    )
    .early(at(13, 0)),
    Market::new(
        "XNSE",
        "Asia/Kolkata",
        [at(9, 15), at(15, 30)],
        Sessions::India,
    ),
    Market::new(
        "FX",
        "America/New_York",
        [0, MINUTES_PER_DAY],
        Sessions::Weekdays,
    )
    .shifted(7),
    Market::around_the_clock("24/7", Sessions::EveryDay),
    Market::around_the_clock("UTC", Sessions::Weekdays),
    Market::new(
        "XTSE",
        "America/Toronto",
        [at(9, 30), at(16, 0)],
        ByYear(rules::TORONTO, rules::CHRISTMAS_EVE),
    )
    .early(at(13, 0)),
    // 17:00 to 16:00, an hour before the next session.
    Market::new(
        "CMES",
        "America/Chicago",
        [0, at(23, 0)],
        ByYear(rules::GLOBEX, rules::NONE),
    )
    .shifted(7),
    Market::new(
        "XLON",
        "Europe/London",
        [at(8, 0), at(16, 30)],
        ByYear(rules::LONDON, rules::LAST_SESSIONS),
    )
    .early(at(12, 30)),
    Market::new(
        "XETR",
        "Europe/Berlin",
        [at(9, 0), at(17, 30)],
        ByYear(rules::FRANKFURT, rules::LAST_SESSION),
    )
    .early(at(14, 0)),
    Market::new(
        "XPAR",
        "Europe/Paris",
        [at(9, 0), at(17, 30)],
        ByYear(rules::EURONEXT, rules::EVES),
    )
    .early(at(14, 5)),
    Market::new(
        "XAMS",
        "Europe/Amsterdam",
        [at(9, 0), at(17, 30)],
        ByYear(rules::EURONEXT, rules::EVES),
    )
    .early(at(14, 5)),
    Market::new(
        "XSWX",
        "Europe/Zurich",
        [at(9, 0), at(17, 30)],
        ByYear(rules::ZURICH, rules::NONE),
    ),
    Market::new(
        "XJSE",
        "Africa/Johannesburg",
        [at(9, 0), at(17, 0)],
        ByYear(rules::JOHANNESBURG, rules::NONE),
    ),
    Market::new(
        "XBOM",
        "Asia/Kolkata",
        [at(9, 15), at(15, 30)],
        Sessions::India,
    ),
    Market::new(
        "XSES",
        "Asia/Singapore",
        [at(9, 0), at(17, 0)],
        ByYear(rules::SINGAPORE, rules::NONE),
    ),
    Market::new(
        "XHKG",
        "Asia/Hong_Kong",
        [at(9, 30), at(16, 0)],
        ByYear(rules::HONG_KONG, rules::EVES),
    )
    .early(at(12, 0))
    .pausing(at(12, 0), at(13, 0)),
    Market::new(
        "XSHG",
        "Asia/Shanghai",
        [at(9, 30), at(15, 0)],
        ByYear(rules::SHANGHAI, rules::NONE),
    )
    .pausing(at(11, 30), at(13, 0)),
    Market::new(
        "XKRX",
        "Asia/Seoul",
        [at(9, 0), at(15, 30)],
        ByYear(rules::SEOUL, rules::NONE),
    ),
    // Half an hour longer since 2024-11-05.
    Market {
        former_close: Some((20_032, at(15, 0))),
        ..Market::new(
            "XTKS",
            "Asia/Tokyo",
            [at(9, 0), at(15, 30)],
            ByYear(rules::TOKYO, rules::NONE),
        )
        .pausing(at(11, 30), at(12, 30))
    },
    Market::new(
        "XASX",
        "Australia/Sydney",
        [at(10, 0), at(16, 0)],
        ByYear(rules::SYDNEY, rules::LAST_SESSIONS),
    )
    .early(at(14, 10)),
];
