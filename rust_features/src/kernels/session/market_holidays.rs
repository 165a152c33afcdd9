//! Days on which markets are closed or close early, by the rule of each year.
//!
//! What was decided at short notice (storms, mourning, September 2001) is left out on purpose: a calendar that knew of
//! it would look ahead.

use super::dates::{day_of, easter, nth_weekday, observed, weekday};

pub(super) const MONDAY: i64 = 0;
pub(super) const TUESDAY: i64 = 1;
pub(super) const WEDNESDAY: i64 = 2;
pub(super) const THURSDAY: i64 = 3;
pub(super) const FRIDAY: i64 = 4;
pub(super) const SATURDAY: i64 = 5;
pub(super) const SUNDAY: i64 = 6;

/// Most days that a rule gives for one year.
const MOST: usize = 48;

/// Days of one year, weekends among them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Days {
    year: i64,
    kept: [i64; MOST],
    count: usize,
}

/// The days that a market keeps in a year.
pub(super) type Rule = fn(&mut Days);

/// No days.
pub(super) const NONE: Rule = |_| {};

impl Days {
    /// The days of a year by a rule.
    pub(super) fn of(rule: Rule, year: i64) -> Self {
        let mut days = Self {
            year,
            kept: [i64::MIN; MOST],
            count: 0,
        };
        rule(&mut days);
        days
    }

    pub(super) fn contains(&self, day: i64) -> bool {
        self.kept.contains(&day)
    }

    pub(super) fn year(&self) -> i64 {
        self.year
    }

    pub(super) fn extend(&mut self, days: impl IntoIterator<Item = i64>) {
        days.into_iter().for_each(|day| self.add(day));
    }

    pub(super) fn add(&mut self, day: i64) {
        if let Some(free) = self.kept.get_mut(self.count) {
            *free = day;
            self.count += 1;
        }
    }

    fn remove(&mut self, day: i64) {
        for other in &mut self.kept {
            if *other == day {
                *other = i64::MIN;
            }
        }
    }

    pub(super) fn date(&self, month: i64, day: i64) -> i64 {
        day_of(self.year, month, day)
    }

    pub(super) fn fixed(&mut self, dates: &[(i64, i64)]) {
        for (month, day) in dates {
            self.add(self.date(*month, *day));
        }
    }

    /// Dates kept on Monday when they fall on a Sunday.
    pub(super) fn after_sunday(&mut self, dates: &[(i64, i64)]) {
        for (month, day) in dates {
            let day = self.date(*month, *day);
            self.add(day + i64::from(weekday(day) == SUNDAY));
        }
    }

    /// Dates kept on Monday when they fall on a weekend.
    fn after_weekend(&mut self, dates: &[(i64, i64)]) {
        for (month, day) in dates {
            self.add(next_weekday(self.date(*month, *day)));
        }
    }

    /// Days counted from Easter Sunday: -2 is Good Friday.
    pub(super) fn easter(&mut self, distances: &[i64]) {
        for distance in distances {
            self.add(self.beside_easter(*distance));
        }
    }

    pub(super) fn beside_easter(&self, distance: i64) -> i64 {
        easter(self.year) + distance
    }

    fn nth(&mut self, month: i64, wanted: i64, nth: i64) {
        self.add(nth_weekday(self.year, month, wanted, nth));
    }

    /// The last such weekday of a month that is not December.
    fn last(&mut self, month: i64, wanted: i64) {
        self.add(self.last_of(month, wanted));
    }

    fn last_of(&self, month: i64, wanted: i64) -> i64 {
        nth_weekday(self.year, month + 1, wanted, 1) - 7
    }

    /// Christmas and the day after it, each moved behind the other when it falls on a weekend.
    fn christmas_and_boxing_day(&mut self) {
        let christmas = self.date(12, 25);
        let (first, second) = match weekday(christmas) {
            FRIDAY => (0, 3),
            SATURDAY => (2, 3),
            SUNDAY => (2, 1),
            _ => (0, 1),
        };
        self.add(christmas + first);
        self.add(christmas + second);
    }
}

/// The day, or the Monday after it.
fn next_weekday(day: i64) -> i64 {
    match weekday(day) {
        SATURDAY => day + 2,
        SUNDAY => day + 1,
        _ => day,
    }
}

/// The day, or the Friday before it.
pub(super) fn last_weekday(day: i64) -> i64 {
    match weekday(day) {
        SATURDAY => day - 1,
        SUNDAY => day - 2,
        _ => day,
    }
}

/// New York Stock Exchange, rules in force since 1971.
pub(super) const NEW_YORK: Rule = |days| {
    // A New Year's Day on Saturday is not kept: 31 December is a session.
    days.after_sunday(&[(1, 1)]);
    if days.year >= 1998 {
        days.nth(1, MONDAY, 3);
    }
    days.nth(2, MONDAY, 3);
    days.easter(&[-2]);
    days.last(5, MONDAY);
    if days.year >= 2022 {
        days.add(observed(days.date(6, 19)));
    }
    days.add(observed(days.date(7, 4)));
    days.nth(9, MONDAY, 1);
    days.nth(11, THURSDAY, 4);
    days.add(observed(days.date(12, 25)));
};

/// New York Stock Exchange: days before and after holidays, rules in force since 1993.
pub(super) const NEW_YORK_HALVES: Rule = |days| {
    if days.year < 1993 {
        return;
    }
    days.add(nth_weekday(days.year, 11, THURSDAY, 4) + 1);
    let christmas_eve = days.date(12, 24);
    if weekday(christmas_eve) < FRIDAY {
        days.add(christmas_eve);
    }
    let independence = days.date(7, 4);
    let around = match weekday(independence) {
        TUESDAY | WEDNESDAY | FRIDAY if days.year >= 1995 => Some(independence - 1),
        THURSDAY if days.year >= 2013 => Some(independence - 1),
        THURSDAY if days.year >= 1995 => Some(independence + 1),
        _ => None,
    };
    days.extend(around);
};

/// London Stock Exchange: the bank holidays of England, and those proclaimed for jubilees and a coronation.
pub(super) const LONDON: Rule = |days| {
    days.after_weekend(&[(1, 1)]);
    days.easter(&[-2, 1]);
    days.nth(5, MONDAY, 1);
    days.last(5, MONDAY);
    days.last(8, MONDAY);
    days.christmas_and_boxing_day();
    let spring = days.last_of(5, MONDAY);
    match days.year {
        1999 => days.fixed(&[(12, 31)]),
        2002 => {
            days.remove(spring);
            days.fixed(&[(6, 3), (6, 4)]);
        }
        2011 => days.fixed(&[(4, 29)]),
        2012 => {
            days.remove(spring);
            days.fixed(&[(6, 4), (6, 5)]);
        }
        2020 => {
            days.remove(nth_weekday(2020, 5, MONDAY, 1));
            days.fixed(&[(5, 8)]);
        }
        2022 => {
            days.remove(spring);
            days.fixed(&[(6, 2), (6, 3)]);
        }
        2023 => days.fixed(&[(5, 8)]),
        _ => {}
    }
};

/// The last sessions before Christmas and before New Year.
pub(super) const LAST_SESSIONS: Rule = |days| {
    for day in [24, 31] {
        days.add(last_weekday(days.date(12, day)));
    }
};

/// Xetra.
pub(super) const FRANKFURT: Rule = |days| {
    days.fixed(&[(1, 1), (5, 1), (12, 24), (12, 25), (12, 26), (12, 31)]);
    days.easter(&[-2, 1]);
    if (2015..=2021).contains(&days.year) {
        days.easter(&[50]);
    }
    if (2014..=2021).contains(&days.year) {
        days.fixed(&[(10, 3)]);
    }
};

/// The last session of the year, when 31 December is none.
pub(super) const LAST_SESSION: Rule = |days| days.add(last_weekday(days.date(12, 30)));

/// Euronext in Paris and Amsterdam, since 2002.
pub(super) const EURONEXT: Rule = |days| {
    days.fixed(&[(1, 1), (5, 1), (12, 25), (12, 26)]);
    days.easter(&[-2, 1]);
};

/// Christmas Eve and New Year's Eve, when they are sessions.
pub(super) const EVES: Rule = |days| days.fixed(&[(12, 24), (12, 31)]);

/// SIX Swiss Exchange.
pub(super) const ZURICH: Rule = |days| {
    days.fixed(&[(1, 1), (1, 2), (5, 1), (8, 1)]);
    days.fixed(&[(12, 24), (12, 25), (12, 26), (12, 31)]);
    days.easter(&[-2, 1, 39, 50]);
};

/// Toronto Stock Exchange.
pub(super) const TORONTO: Rule = |days| {
    days.after_weekend(&[(1, 1), (7, 1)]);
    days.easter(&[-2]);
    if days.year >= 2008 {
        days.nth(2, MONDAY, 3);
    }
    // Victoria Day: the Monday before 25 May.
    let eve = days.date(5, 24);
    days.add(eve - weekday(eve));
    days.nth(8, MONDAY, 1);
    days.nth(9, MONDAY, 1);
    days.nth(10, MONDAY, 2);
    days.christmas_and_boxing_day();
};

/// Christmas Eve, when it is a session.
pub(super) const CHRISTMAS_EVE: Rule = |days| days.fixed(&[(12, 24)]);

/// Australian Securities Exchange.
pub(super) const SYDNEY: Rule = |days| {
    days.after_weekend(&[(1, 1), (1, 26)]);
    days.easter(&[-2, 1]);
    days.fixed(&[(4, 25)]);
    days.nth(6, MONDAY, 2);
    days.christmas_and_boxing_day();
};

/// Tokyo Stock Exchange: Japan's public holidays, and 31 December to 3 January.
pub(super) const TOKYO: Rule = |days| {
    public_holidays_of_japan(days);
    days.fixed(&[(1, 2), (1, 3), (12, 31)]);
};

/// Source: the law on public holidays of 1948 as amended up to 2020. Before 2007, 4 May is a day between two others.
fn public_holidays_of_japan(days: &mut Days) {
    let year = days.year;
    days.fixed(&[(1, 1), (2, 11), (4, 29), (5, 3), (5, 5), (11, 3), (11, 23)]);
    days.add(days.date(3, equinox(year, 20.8431)));
    days.add(days.date(9, equinox(year, 23.2488)));
    if year >= 2020 {
        days.fixed(&[(2, 23)]);
    } else if (1989..2019).contains(&year) {
        days.fixed(&[(12, 23)]);
    }
    if year >= 2007 {
        days.fixed(&[(5, 4)]);
    }
    if year >= 2000 {
        days.nth(1, MONDAY, 2);
    } else {
        days.fixed(&[(1, 15)]);
    }
    if year >= 2003 {
        days.nth(9, MONDAY, 3);
    } else {
        days.fixed(&[(9, 15)]);
    }
    match year {
        2020 => days.fixed(&[(7, 23), (7, 24), (8, 10)]),
        2021 => days.fixed(&[(7, 22), (7, 23), (8, 8)]),
        _ => {
            match year {
                2003.. => days.nth(7, MONDAY, 3),
                1996..2003 => days.fixed(&[(7, 20)]),
                _ => {}
            }
            match year {
                2000.. => days.nth(10, MONDAY, 2),
                _ => days.fixed(&[(10, 10)]),
            }
            if year >= 2016 {
                days.fixed(&[(8, 11)]);
            }
        }
    }
    if year == 2019 {
        // An emperor's accession, and the days between it and others.
        days.fixed(&[(4, 30), (5, 1), (5, 2), (10, 22)]);
    }
    let named = *days;
    // A day between two holidays is one.
    for day in named.kept.iter().take(named.count) {
        let between = day + 1;
        if named.contains(day + 2) && !named.contains(between) && weekday(between) != SUNDAY {
            days.add(between);
        }
    }
    // One on a Sunday is kept on the next day that is none.
    for day in named.kept.iter().take(named.count) {
        if weekday(*day) == SUNDAY {
            let next = (day + 1..day + 8).find(|next| !named.contains(*next));
            days.add(next.unwrap_or(*day));
        }
    }
}

/// Day of the month of an equinox in Japan, from 1980 to 2099.
///
/// Source: the usual approximation of the almanac of the National Astronomical Observatory of Japan.
fn equinox(year: i64, in_1980: f64) -> i64 {
    let years = year - 1980;
    (in_1980 + 0.242_194 * years as f64) as i64 - years.div_euclid(4)
}

/// Johannesburg Stock Exchange.
pub(super) const JOHANNESBURG: Rule = |days| {
    days.after_sunday(&[(1, 1), (3, 21), (4, 27), (5, 1), (6, 16), (8, 9), (9, 24)]);
    days.after_sunday(&[(12, 16), (12, 26)]);
    days.fixed(&[(12, 25)]);
    days.easter(&[-2, 1]);
};

/// CME Globex, futures on shares: the days without a session.
pub(super) const GLOBEX: Rule = |days| {
    days.after_sunday(&[(1, 1)]);
    days.easter(&[-2]);
    days.add(observed(days.date(12, 25)));
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::session::dates::date_of;

    /// Month and day of those that are no weekends.
    fn weekdays(days: &Days) -> Vec<(i64, i64)> {
        (day_of(days.year, 1, 1)..day_of(days.year + 1, 1, 1))
            .filter(|day| weekday(*day) < SATURDAY && days.contains(*day))
            .map(|day| (date_of(day).1, date_of(day).2))
            .collect()
    }

    #[test]
    fn new_york_holidays_are_those_of_the_exchange() {
        // Published by the exchange for 2021 (New Year's Day of 2022 on a Saturday), 2023 and 2026.
        let published = [
            (
                2021,
                vec![
                    (1, 1),
                    (1, 18),
                    (2, 15),
                    (4, 2),
                    (5, 31),
                    (7, 5),
                    (9, 6),
                    (11, 25),
                    (12, 24),
                ],
            ),
            (
                2022,
                vec![
                    (1, 17),
                    (2, 21),
                    (4, 15),
                    (5, 30),
                    (6, 20),
                    (7, 4),
                    (9, 5),
                    (11, 24),
                    (12, 26),
                ],
            ),
            (
                2023,
                vec![
                    (1, 2),
                    (1, 16),
                    (2, 20),
                    (4, 7),
                    (5, 29),
                    (6, 19),
                    (7, 4),
                    (9, 4),
                    (11, 23),
                    (12, 25),
                ],
            ),
            (
                2026,
                vec![
                    (1, 1),
                    (1, 19),
                    (2, 16),
                    (4, 3),
                    (5, 25),
                    (6, 19),
                    (7, 3),
                    (9, 7),
                    (11, 26),
                    (12, 25),
                ],
            ),
        ];
        for (year, expected) in published {
            assert_eq!(weekdays(&Days::of(NEW_YORK, year)), expected, "{year}");
        }
    }

    #[test]
    fn new_york_half_days_are_those_of_the_exchange() {
        let published = [
            (2002, vec![(7, 5), (11, 29), (12, 24)]),
            (2013, vec![(7, 3), (11, 29), (12, 24)]),
            (2021, vec![(11, 26)]),
            (2023, vec![(7, 3), (11, 24)]),
            (2025, vec![(7, 3), (11, 28), (12, 24)]),
            (2026, vec![(11, 27), (12, 24)]),
        ];
        for (year, expected) in published {
            let halves = weekdays(&Days::of(NEW_YORK_HALVES, year));
            assert_eq!(halves, expected, "{year}");
        }
    }
}
