//! Days on which markets are closed or close early, by rule.
//!
//! Closures decided at short notice (storms, mourning, September 2001) are left out on purpose: a calendar that knew
//! of them would look ahead.

/// Days since 1970-01-01 of a day of the proleptic Gregorian calendar.
///
/// Source: Hinnant (2013), `days_from_civil`.
pub(super) const fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day of days since 1970-01-01; the inverse of [`day_of`].
pub(super) fn date_of(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = month_from_march + if month_from_march < 10 { 3 } else { -9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_month)
}

/// 0 for Monday to 6 for Sunday.
#[inline(always)]
pub(super) fn weekday(day: i64) -> i64 {
    // 1970-01-01 was a Thursday.
    (day + 3).rem_euclid(7)
}

/// Easter Sunday.
///
/// Source: Butcher's rule, Spencer Jones (1922), General Astronomy.
pub(super) fn easter(year: i64) -> i64 {
    let (a, b, c) = (year % 19, year / 100, year % 100);
    let (d, e, f) = (b / 4, b % 4, (b + 8) / 25);
    let g = (b - f + 1) / 3;
    let h = (19 * a + b - d - g + 15) % 30;
    let (i, k) = (c / 4, c % 4);
    let l = (32 + 2 * e + 2 * i - h - k) % 7;
    let m = (a + 11 * h + 22 * l) / 451;
    let n = h + l - 7 * m + 114;
    day_of(year, n / 31, n % 31 + 1)
}

/// The `nth` such weekday of a month, counted from 1.
pub(super) fn nth_weekday(year: i64, month: i64, wanted: i64, nth: i64) -> i64 {
    let first = day_of(year, month, 1);
    first + (wanted - weekday(first)).rem_euclid(7) + 7 * (nth - 1)
}

/// The weekday on which a holiday of a fixed date is kept: Friday for Saturday, Monday for Sunday.
pub(super) fn observed(day: i64) -> i64 {
    match weekday(day) {
        5 => day - 1,
        6 => day + 1,
        _ => day,
    }
}

/// Whether the New York Stock Exchange keeps a holiday on this weekday; rules in force since 1971.
pub(super) fn new_york_closed(day: i64) -> bool {
    let (year, month, _) = date_of(day);
    match month {
        // A New Year's Day on Saturday is not kept: 31 December is a session.
        1 => {
            let new_year = day_of(year, 1, 1);
            (day == new_year && weekday(new_year) != 5)
                || (day == new_year + 1 && weekday(new_year) == 6)
                || (year >= 1998 && day == nth_weekday(year, 1, 0, 3))
        }
        2 => day == nth_weekday(year, 2, 0, 3),
        3 | 4 => day == easter(year) - 2,
        5 => day == nth_weekday(year, 6, 0, 1) - 7,
        6 => year >= 2022 && day == observed(day_of(year, 6, 19)),
        7 => day == observed(day_of(year, 7, 4)),
        9 => day == nth_weekday(year, 9, 0, 1),
        11 => day == nth_weekday(year, 11, 3, 4),
        12 => day == observed(day_of(year, 12, 25)),
        _ => false,
    }
}

/// Whether the New York Stock Exchange closes at 13:00 on this session; rules in force since 1993.
pub(super) fn new_york_half_day(day: i64) -> bool {
    let (year, month, day_of_month) = date_of(day);
    match (month, day_of_month) {
        (7, 3) => match weekday(day) {
            0 | 1 | 3 => year >= 1995,
            2 => year >= 2013,
            _ => false,
        },
        (7, 5) => (1995..2013).contains(&year) && weekday(day) == 4,
        (11, _) => year >= 1993 && day == nth_weekday(year, 11, 3, 4) + 1,
        (12, 24) => year >= 1993 && weekday(day) <= 3,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_each_others_inverse() {
        assert_eq!(day_of(1970, 1, 1), 0);
        assert_eq!(day_of(2000, 3, 1), 11_017);
        for day in -110_000..110_000 {
            let (year, month, day_of_month) = date_of(day);
            assert_eq!(day_of(year, month, day_of_month), day);
            assert!((1..=12).contains(&month) && (1..=31).contains(&day_of_month));
        }
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
            let closed: Vec<(i64, i64)> = (day_of(year, 1, 1)..day_of(year + 1, 1, 1))
                .filter(|day| weekday(*day) < 5 && new_york_closed(*day))
                .map(|day| (date_of(day).1, date_of(day).2))
                .collect();
            assert_eq!(closed, expected, "{year}");
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
            let half: Vec<(i64, i64)> = (day_of(year, 1, 1)..day_of(year + 1, 1, 1))
                .filter(|day| {
                    weekday(*day) < 5 && !new_york_closed(*day) && new_york_half_day(*day)
                })
                .map(|day| (date_of(day).1, date_of(day).2))
                .collect();
            assert_eq!(half, expected, "{year}");
        }
    }
}
