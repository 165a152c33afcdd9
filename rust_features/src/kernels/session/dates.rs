//! Dates of the Gregorian calendar, as days since 1970-01-01.

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
}
