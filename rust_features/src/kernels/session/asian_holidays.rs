//! Days on which the Asian markets that keep festivals of the moon are closed or close early.

use super::announced_days as announced;
use super::dates::weekday;
use super::hindu;
use super::lunar::{chinese, clear_and_bright, islamic, korean};
use super::market_holidays::{
    Days, MONDAY, Rule, SATURDAY, SUNDAY, THURSDAY, TUESDAY, WEDNESDAY, last_weekday,
};

/// Hong Kong: the general holidays, and what takes their place when two of them meet or one is a Sunday.
///
/// Source: General Holidays Ordinance, with its amendment of 2011.
pub(super) const HONG_KONG: Rule = |days| {
    let year = days.year();
    let good_friday = days.beside_easter(-2);
    let mut holidays = vec![good_friday, good_friday + 1, good_friday + 3];
    let dates = [(1, 1), (5, 1), (7, 1), (10, 1), (12, 25), (12, 26)];
    holidays.extend(dates.map(|(month, day)| days.date(month, day)));
    let festivals = [(4, 8), (5, 5), (9, 9)];
    holidays.extend(
        festivals
            .into_iter()
            .filter_map(|(month, day)| chinese(year, month, day)),
    );
    holidays.push(clear_and_bright(year));
    let amended = year >= 2012;
    if let Some(new_year) = chinese(year, 1, 1) {
        let first_three = new_year..new_year + 3;
        if amended || first_three.clone().all(|day| weekday(day) != SUNDAY) {
            holidays.extend(first_three);
        } else {
            (new_year - 1..new_year + 3).for_each(|day| days.add(day));
        }
    }
    // The day after Mid-Autumn; one on a Sunday once had no other in its place.
    let after = chinese(year, 8, 16).filter(|day| amended || weekday(*day) != SUNDAY);
    holidays.extend(after);
    // Sorted, so that of two that meet on a Monday the Sunday's moves on.
    holidays.sort_unstable();
    let mut moved = Vec::new();
    for day in holidays {
        if weekday(day) == SUNDAY || days.contains(day) {
            moved.push(day);
        } else {
            days.add(day);
        }
    }
    for day in moved {
        let free =
            (day + 1..day + 15).find(|next| weekday(*next) != SUNDAY && !days.contains(*next));
        days.extend(free);
    }
};

/// Eves of the Lunar New Year, of Christmas and of New Year.
pub(super) const EVES_AND_LUNAR_EVE: Rule = |days| {
    days.fixed(&[(12, 24), (12, 31)]);
    days.extend(chinese(days.year(), 1, 1).map(|new_year| new_year - 1));
};

/// Shanghai: as announced; before and after, as the regulation of 2024 has it and the years since it bridged weekends.
pub(super) const SHANGHAI: Rule = |days| match announced::of(announced::SHANGHAI, days.year()) {
    Some(known) => known.for_each(|date| days.fixed(&[date])),
    None => shanghai_by_regulation(days),
};

/// Source: Regulation on Public Holidays for National Annual Festivals and Memorial Days, as amended in 2024.
fn shanghai_by_regulation(days: &mut Days) {
    let year = days.year();
    bridged(days, days.date(1, 1));
    if weekday(days.date(12, 31) + 1) == TUESDAY {
        days.fixed(&[(12, 31)]);
    }
    bridged(days, clear_and_bright(year));
    if let Some(new_year) = chinese(year, 1, 1) {
        days.extend(new_year - 1..new_year + 7);
    }
    if let Some(dragon_boat) = chinese(year, 5, 5) {
        bridged(days, dragon_boat);
    }
    let labour = days.date(5, 1);
    let before = match weekday(labour) {
        SUNDAY => 1,
        MONDAY => 2,
        _ => 0,
    };
    days.extend(labour - before..labour - before + 5);
    let national = days.date(10, 1);
    match chinese(year, 8, 15).map(|mid_autumn| (mid_autumn, mid_autumn - national)) {
        Some((mid_autumn, -2..0)) => days.extend(mid_autumn..mid_autumn + 8),
        Some((_, 0..8)) => days.extend(national..national + 8),
        other => {
            days.extend(national..national + 7);
            if let Some((mid_autumn, _)) = other {
                bridged(days, mid_autumn);
            }
        }
    }
}

/// A holiday of one day that a weekend follows or precedes, at a distance of a working day at most.
fn bridged(days: &mut Days, day: i64) {
    match weekday(day) {
        TUESDAY => days.extend(day - 1..=day),
        THURSDAY => days.extend(day..day + 2),
        SATURDAY => days.add(day + 2),
        SUNDAY => days.add(day + 1),
        _ => days.add(day),
    }
}

/// On which days a Korean holiday gets a substitute; on another holiday it does so with either.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Substitute {
    Never,
    OfSunday,
    OfWeekend,
}

use Substitute::{Never, OfSunday, OfWeekend};

/// Korea Exchange: public holidays with their substitutes, elections by law, Labour Day and the year's last weekday.
///
/// Source: Regulations on Holidays of Government Offices, with the amendments of 2013, 2021, 2023 and 2026.
pub(super) const SEOUL: Rule = |days| {
    elections_of_korea(days);
    days.add(last_weekday(days.date(12, 31)));
    let holidays = holidays_of_korea(days);
    let mut substitutes = Vec::new();
    for (place, (day, substitute)) in holidays.iter().enumerate() {
        let met = holidays.iter().take(place).find(|(other, _)| other == day);
        let granted = match (weekday(*day), met) {
            (SATURDAY, None) => *substitute == OfWeekend,
            (SUNDAY, None) => *substitute != Never,
            (SATURDAY | SUNDAY, _) | (_, None) => false,
            (_, Some((_, other))) => [*other, *substitute] != [Never; 2],
        };
        if granted {
            substitutes.push(*day);
        }
    }
    days.extend(holidays.iter().map(|(day, _)| *day));
    substitutes.sort_unstable();
    for day in substitutes {
        let free =
            (day + 1..day + 15).find(|next| weekday(*next) < SATURDAY && !days.contains(*next));
        days.extend(free);
    }
};

fn holidays_of_korea(days: &Days) -> Vec<(i64, Substitute)> {
    let year = days.year();
    let since = |first: i64, substitute: Substitute| {
        if year >= first { substitute } else { Never }
    };
    let mut holidays = vec![
        (1, 1, Never),
        (3, 1, since(2022, OfWeekend)),
        (5, 1, since(2026, OfWeekend)),
        (5, 5, since(2014, OfWeekend)),
        (6, 6, Never),
        (8, 15, since(2021, OfWeekend)),
        (10, 3, since(2021, OfWeekend)),
        (12, 25, since(2023, OfWeekend)),
    ];
    if year < 2006 {
        holidays.push((4, 5, Never));
    }
    if !(2008..2026).contains(&year) {
        holidays.push((7, 17, since(2026, OfWeekend)));
    }
    if year >= 2013 {
        holidays.push((10, 9, since(2021, OfWeekend)));
    }
    let dates = holidays.into_iter();
    let mut holidays: Vec<_> = dates
        .map(|(month, day, substitute)| (days.date(month, day), substitute))
        .collect();
    for festival in [korean(year, 1, 1), korean(year, 8, 15)]
        .into_iter()
        .flatten()
    {
        let three = festival - 1..festival + 2;
        holidays.extend(three.map(|day| (day, since(2014, OfSunday))));
    }
    let birthday = korean(year, 4, 8);
    holidays.extend(birthday.map(|day| (day, since(2023, OfWeekend))));
    holidays
}

/// Source: Public Official Election Act, articles 34 and 203, and the presidential elections at the end of full terms.
fn elections_of_korea(days: &mut Days) {
    let first_wednesday_from = |month: i64, day: i64| {
        let first = days.date(month, day);
        first + (WEDNESDAY - weekday(first)).rem_euclid(7)
    };
    let year = days.year();
    let parliament_or_local = match year {
        2000 => Some(days.date(4, 13)),
        2002 => Some(days.date(6, 13)),
        2004 => Some(days.date(4, 15)),
        2005.. if year % 4 == 0 => Some(first_wednesday_from(4, 9)),
        2005.. if year % 4 == 2 => {
            // A week later beside Memorial Day.
            let day = first_wednesday_from(5, 31);
            let beside = (days.date(6, 5)..days.date(6, 8)).contains(&day);
            Some(if beside { day + 7 } else { day })
        }
        _ => None,
    };
    let president = match year {
        2002 | 2007 | 2012 => Some(days.date(12, 19)),
        2022 => Some(days.date(3, 9)),
        2026.. if year % 5 == 0 => Some(first_wednesday_from(3, 25)),
        _ => None,
    };
    days.extend(parliament_or_local);
    days.extend(president);
}

/// Korea's first session of a year, which opens an hour late.
pub(super) const FIRST_SESSION: Rule = |days| {
    let first = (days.date(1, 2)..days.date(1, 9)).find(|day| weekday(*day) < SATURDAY);
    days.extend(first);
};

/// Singapore Exchange.
pub(super) const SINGAPORE: Rule = |days| {
    let year = days.year();
    days.after_sunday(&[(1, 1), (5, 1), (8, 9), (12, 25)]);
    days.easter(&[-2]);
    if let Some(new_year) = chinese(year, 1, 1) {
        days.extend(new_year..new_year + 2);
        if weekday(new_year) == SUNDAY || weekday(new_year + 1) == SUNDAY {
            days.add(new_year + 2);
        }
    }
    // Vesak.
    days.extend(chinese(year, 4, 15).map(not_on_sunday));
    days.extend(hindu::date(hindu::DEEPAVALI, year).map(not_on_sunday));
    match announced::of(announced::SINGAPORE, year) {
        Some(known) => known.for_each(|date| days.fixed(&[date])),
        None => {
            // Hari Raya Puasa and Haji: since 2022 mostly a day after Mecca's.
            for (month, day) in [(10, 1), (12, 10)] {
                days.extend(islamic(year, month, day).map(|day| not_on_sunday(day + 1)));
            }
        }
    }
};

fn not_on_sunday(day: i64) -> i64 {
    day + i64::from(weekday(day) == SUNDAY)
}

/// The exchanges of India: as announced; before and after, what they keep of late on the days it should fall on.
pub(super) const INDIA: Rule = |days| match announced::of(announced::INDIA, days.year()) {
    Some(known) => known.for_each(|date| days.fixed(&[date])),
    None => indian_festivals(days),
};

fn indian_festivals(days: &mut Days) {
    let year = days.year();
    days.fixed(&[(1, 26), (4, 14), (5, 1), (8, 15), (10, 2), (12, 25)]);
    days.easter(&[-2]);
    let hindu = hindu::OF_INDIA.into_iter();
    days.extend(hindu.filter_map(|festival| hindu::date(festival, year)));
    // Id-ul-Fitr, Bakri Id and Muharram: a day after Mecca's.
    for (month, day) in [(10, 1), (12, 10), (1, 10)] {
        days.extend(islamic(year, month, day).map(|day| day + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::session::dates::{date_of, day_of};

    /// Weekdays of a year that a rule keeps, as month times 100 plus day.
    fn weekdays(rule: Rule, year: i64) -> Vec<i64> {
        let days = Days::of(rule, year);
        (day_of(year, 1, 1)..day_of(year + 1, 1, 1))
            .filter(|day| weekday(*day) < SATURDAY && days.contains(*day))
            .map(|day| date_of(day).1 * 100 + date_of(day).2)
            .collect()
    }

    fn announced_in(table: announced::Announced, year: i64) -> Vec<i64> {
        let known = announced::of(table, year).into_iter().flatten();
        known.map(|(month, day)| month * 100 + day).collect()
    }

    #[test]
    fn hong_kong_keeps_what_its_gazette_says() {
        // A fourth day of New Year; Clear and Bright on Easter Monday's eve; Mid-Autumn on a Saturday.
        let published: [(i64, &[i64]); 4] = [
            (
                2013,
                &[
                    101, 211, 212, 213, 329, 401, 404, 501, 517, 612, 701, 920, 1001, 1014, 1225,
                    1226,
                ],
            ),
            (
                2015,
                &[
                    101, 219, 220, 403, 406, 407, 501, 525, 701, 928, 1001, 1021, 1225,
                ],
            ),
            (
                2022,
                &[
                    201, 202, 203, 405, 415, 418, 502, 509, 603, 701, 912, 1004, 1226, 1227,
                ],
            ),
            (
                2026,
                &[
                    101, 217, 218, 219, 403, 406, 407, 501, 525, 619, 701, 1001, 1019, 1225,
                ],
            ),
        ];
        for (year, expected) in published {
            assert_eq!(weekdays(HONG_KONG, year), expected, "{year}");
        }
    }

    #[test]
    fn korea_grants_one_substitute_for_two_holidays_on_a_day() {
        // Children's Day and Buddha's birthday in 2025, Foundation Day and Chuseok in 2028.
        assert!(weekdays(SEOUL, 2025).ends_with(&[1003, 1006, 1007, 1008, 1009, 1225, 1231]));
        assert!(
            weekdays(SEOUL, 2025)
                .windows(2)
                .any(|days| days == [505, 506])
        );
        assert!(!weekdays(SEOUL, 2025).contains(&507));
        let autumn = [1002, 1003, 1004, 1005, 1009, 1225, 1229];
        assert!(weekdays(SEOUL, 2028).ends_with(&autumn));
    }

    #[test]
    fn korea_votes_when_the_law_says() {
        let votes = [
            (2016, 413),
            (2018, 613),
            (2020, 415),
            (2022, 309),
            (2022, 601),
            (2024, 410),
        ];
        for (year, day) in votes
            .into_iter()
            .chain([(2026, 603), (2028, 412), (2030, 612)])
        {
            assert!(weekdays(SEOUL, year).contains(&day), "{year} {day}");
        }
    }

    #[test]
    fn the_regulation_gives_the_days_that_shanghai_announced_of_late() {
        for year in 2023..=2026 {
            let expected = announced_in(announced::SHANGHAI, year);
            assert_eq!(weekdays(shanghai_by_regulation, year), expected, "{year}");
        }
    }

    #[test]
    fn the_rule_gives_nearly_all_days_that_india_announced_of_late() {
        let (mut kept, mut of_those, mut given) = (0, 0, 0);
        for year in 2013..=2026 {
            let expected = announced_in(announced::INDIA, year);
            let days = weekdays(indian_festivals, year);
            kept += expected.len();
            given += days.len();
            of_those += days.iter().filter(|day| expected.contains(day)).count();
        }
        assert!(of_those * 100 >= kept * 93, "{of_those} of {kept}");
        assert!(of_those * 100 >= given * 93, "{of_those} of {given}");
    }

    #[test]
    fn announced_days_are_weekdays_in_order() {
        for table in [announced::SHANGHAI, announced::SINGAPORE, announced::INDIA] {
            let mut last = 0;
            for year in 2000..2030 {
                let days = announced::of(table, year).into_iter().flatten();
                for (month, day) in days {
                    let day = day_of(year, month, day);
                    assert!(weekday(day) < SATURDAY && day > last);
                    last = day;
                }
            }
        }
    }
}
