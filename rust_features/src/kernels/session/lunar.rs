//! Dates of the calendars that follow the moon, as days since 1970-01-01.

use icu_calendar::cal::hijri::UmmAlQura;
use icu_calendar::cal::{ChineseTraditional, Hijri, KoreanTraditional};
use icu_calendar::types::Month;
use icu_calendar::{AsCalendar, Date};

use super::dates::{date_of, day_of};

/// Years whose months are known; before and after them dates would be guessed.
pub(super) const YEARS: std::ops::RangeInclusive<i64> = 1900..=2100;

/// 1970-01-01, counted from the first day of the year 1.
const EPOCH: i64 = 719_163;

/// A day of the Chinese year that begins in `year`, not of a leap month.
pub(super) fn chinese(year: i64, month: u8, day: u8) -> Option<i64> {
    let known = YEARS.contains(&year).then_some(year)?;
    day_in(ChineseTraditional::new(), known, month, day)
}

/// A day of the Korean year that begins in `year`: its new moons are those of Seoul's clock.
pub(super) fn korean(year: i64, month: u8, day: u8) -> Option<i64> {
    let known = YEARS.contains(&year).then_some(year)?;
    day_in(KoreanTraditional::new(), known, month, day)
}

/// Such a day of the Islamic years in `year`, by the calendar of Mecca; some years have two.
pub(super) fn islamic(year: i64, month: u8, day: u8) -> impl Iterator<Item = i64> {
    // Twelve months of the moon are about eleven days shorter than a year.
    let first = (year - 622) * 33 / 32;
    let years = YEARS.contains(&year).then_some(first - 1..first + 3);
    years
        .into_iter()
        .flatten()
        .filter_map(move |islamic| day_in(Hijri::<UmmAlQura>::default(), islamic, month, day))
        .filter(move |day| date_of(*day).0 == year)
}

fn day_in(calendar: impl AsCalendar, year: i64, month: u8, day: u8) -> Option<i64> {
    let year = i32::try_from(year).ok()?;
    let date = Date::try_new(year.into(), Month::new(month), day, calendar).ok()?;
    Some(date.to_rata_die().to_i64_date() - EPOCH)
}

/// The Clear and Bright day, or Tomb-Sweeping Day, when the sun is at 15°.
///
/// The straight line through these days is right on every one from 1970 to 2100, by the theory of the sun in Meeus
/// (1998), Astronomical Algorithms, chapter 25.
pub(super) fn clear_and_bright(year: i64) -> i64 {
    let days = 0.96 + 365.2422 * (year - 1980) as f64;
    day_of(1980, 4, 4) + days.floor() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    type MonthAndDay = (i64, i64);

    /// Lunar New Year and the middle of the eighth month, as the Hong Kong Observatory publishes them.
    ///
    /// Years with a leap month before, between and behind; in 2033 it is the eleventh, so that all of 2034 is late.
    const PUBLISHED: [(i64, MonthAndDay, MonthAndDay); 9] = [
        (2000, (2, 5), (9, 12)),
        (2004, (1, 22), (9, 28)),
        (2014, (1, 31), (9, 8)),
        (2020, (1, 25), (10, 1)),
        (2023, (1, 22), (9, 29)),
        (2025, (1, 29), (10, 6)),
        (2033, (1, 31), (9, 8)),
        (2034, (2, 19), (9, 27)),
        (2100, (2, 9), (9, 18)),
    ];

    #[test]
    fn chinese_and_korean_festivals_are_on_the_published_dates() {
        for (year, new_year, autumn) in PUBLISHED {
            for calendar in [chinese, korean] {
                let expected = day_of(year, new_year.0, new_year.1);
                assert_eq!(calendar(year, 1, 1), Some(expected), "{year}");
                let expected = day_of(year, autumn.0, autumn.1);
                assert_eq!(calendar(year, 8, 15), Some(expected), "{year}");
            }
        }
    }

    #[test]
    fn seoul_is_an_hour_ahead_of_the_moon_of_china() {
        // New moons between midnight in Seoul and midnight in Beijing.
        assert_eq!(chinese(2023, 4, 8), Some(day_of(2023, 5, 26)));
        assert_eq!(korean(2023, 4, 8), Some(day_of(2023, 5, 27)));
        assert_eq!(chinese(2027, 1, 1), Some(day_of(2027, 2, 6)));
        assert_eq!(korean(2027, 1, 1), Some(day_of(2027, 2, 7)));
    }

    #[test]
    fn years_without_published_months_have_no_festivals() {
        for year in [1899, 2101] {
            assert_eq!(chinese(year, 1, 1), None);
            assert_eq!(korean(year, 1, 1), None);
            assert_eq!(islamic(year, 10, 1).count(), 0);
        }
        assert!((1900..=2100).all(|year| chinese(year, 8, 15).is_some()));
    }

    #[test]
    fn clear_and_bright_days_are_those_of_the_observatory() {
        // 2005, 2038 and 2071 come minutes after midnight.
        let fifth = [
            2001, 2005, 2007, 2011, 2015, 2019, 2023, 2027, 2031, 2035, 2038, 2039, 2071,
        ];
        for year in 2000..=2100 {
            let day = clear_and_bright(year) - day_of(year, 4, 1) + 1;
            assert!((4..=5).contains(&day), "{year}");
            assert!(day == 5 || !fifth.contains(&year), "{year}");
        }
        for year in [2000, 2004, 2009, 2020, 2024, 2025, 2028, 2042, 2099] {
            assert_eq!(clear_and_bright(year), day_of(year, 4, 4), "{year}");
        }
    }

    #[test]
    fn an_islamic_festival_may_come_twice_a_year() {
        let days = |year| islamic(year, 10, 1).collect::<Vec<_>>();
        assert_eq!(days(2024), [day_of(2024, 4, 10)]);
        assert_eq!(days(2025), [day_of(2025, 3, 30)]);
        assert_eq!(days(2033).len(), 2);
        assert!((1900..=2100).all(|year| (1..=2).contains(&days(year).len())));
    }
}
