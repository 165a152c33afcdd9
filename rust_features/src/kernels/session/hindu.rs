//! Dates of Hindu festivals: by the moon's phase at an hour of the day in India, in a month that the sun's sign names.
//!
//! Almanacs weigh more than this and differ among themselves, so that a date may be a day off: more than nine in ten of the
//! days on which India's exchanges closed from 2013 to 2026 are right.
//!
//! Source: Meeus (1998), Astronomical Algorithms, chapters 25 and 47, the largest terms; months and sidereal zodiac of
//! the Report of the Calendar Reform Committee (1955).

use super::dates::{date_of, day_of};
use super::lunar::YEARS;

/// Days of the moon, thirty from new moon to new moon.
const LUNAR_DAYS: f64 = 30.0;
const SYNODIC_MONTH: f64 = 29.530_588_861;
/// A new moon of the mean moon, in days since 1970-01-01.
const NEW_MOON: f64 = 10_962.6;
const EPOCH_2000: f64 = 10_957.5;
const INDIAN_STANDARD_TIME: f64 = 5.5 / 24.0;

/// A day of the moon in a month.
#[derive(Debug, Clone, Copy)]
pub(super) struct Festival {
    /// 0 for Chaitra, the month in which the sun enters the Ram.
    month: i64,
    /// 1 for the one that follows new moon.
    lunar_day: i64,
    /// The festival is on the day at whose hour the lunar day is under way.
    hour: f64,
}

const fn festival(month: i64, lunar_day: i64, hour: f64) -> Festival {
    Festival {
        month,
        lunar_day,
        hour,
    }
}

/// Deepavali of the Tamils, on the eve of new moon; exact for Singapore from 2000 to 2026.
pub(super) const DEEPAVALI: Festival = festival(6, 29, 4.75);

/// Those on which India's exchanges close.
pub(super) const OF_INDIA: [Festival; 9] = [
    // Mahashivratri; Holi, the morning after full moon's evening.
    festival(10, 29, 25.0),
    festival(11, 15, -5.5),
    // Ram Navami, Mahavir Jayanti.
    festival(0, 9, 12.5),
    festival(0, 13, 6.3),
    // Ganesh Chaturthi, Dussehra.
    festival(5, 4, 12.3),
    festival(6, 10, 12.0),
    // Diwali and the day after it, Guru Nanak Jayanti.
    festival(6, 30, 17.6),
    festival(7, 1, 6.5),
    festival(7, 15, 6.5),
];

/// The day of a year on which a festival falls, days since 1970-01-01.
pub(super) fn date(festival: Festival, year: i64) -> Option<i64> {
    let year = YEARS.contains(&year).then_some(year)?;
    let since = day_of(year, 1, 1) as f64 - NEW_MOON;
    let first = (since / SYNODIC_MONTH).floor() as i64 - 1;
    (first..first + 15).find_map(|number| {
        let mean = NEW_MOON + SYNODIC_MONTH * number as f64;
        let begin = instant_of_phase(mean, 0.0);
        let sign = solar_sign(begin);
        // A month in which the sun enters no sign is a leap month.
        if sign == solar_sign(instant_of_phase(mean + SYNODIC_MONTH, 0.0))
            || (sign + 1) % 12 != festival.month
        {
            return None;
        }
        let part = festival.lunar_day as f64 / LUNAR_DAYS;
        let end = instant_of_phase(begin + part * SYNODIC_MONTH, part * 360.0);
        let day = (end + INDIAN_STANDARD_TIME - festival.hour / 24.0).floor() as i64;
        (date_of(day).0 == year).then_some(day)
    })
}

/// The instant near `guess` at which the moon is so many degrees ahead of the sun.
fn instant_of_phase(guess: f64, degrees: f64) -> f64 {
    (0..3).fold(guess, |instant, _| {
        let phase = moon_longitude(instant) - sun_longitude(instant);
        let ahead = (phase - degrees + 180.0).rem_euclid(360.0) - 180.0;
        instant - ahead / 360.0 * SYNODIC_MONTH
    })
}

/// 0 to 11, of the signs that stand fast among the stars.
fn solar_sign(instant: f64) -> i64 {
    let precession = 23.853 + 1.3972 * centuries(instant);
    ((sun_longitude(instant) - precession).rem_euclid(360.0) / 30.0) as i64
}

fn centuries(instant: f64) -> f64 {
    (instant - EPOCH_2000) / 36_525.0
}

fn sine(degrees: f64) -> f64 {
    libm::sin(degrees.to_radians())
}

fn sun_longitude(instant: f64) -> f64 {
    let t = centuries(instant);
    let anomaly = 357.529_11 + 35_999.050_29 * t;
    280.466_46 + 36_000.769_83 * t + 1.9146 * sine(anomaly) + 0.02 * sine(2.0 * anomaly)
}

fn moon_longitude(instant: f64) -> f64 {
    let t = centuries(instant);
    let sun = 357.529_11 + 35_999.050_29 * t;
    let elongation = 297.850_19 + 445_267.111_40 * t;
    let moon = 134.963_40 + 477_198.867_51 * t;
    let node = 93.272_10 + 483_202.017_52 * t;
    let terms = [
        (6.288_77, moon),
        (1.274_03, 2.0 * elongation - moon),
        (0.658_31, 2.0 * elongation),
        (0.213_62, 2.0 * moon),
        (-0.185_12, sun),
        (-0.114_33, 2.0 * node),
        (0.058_79, 2.0 * (elongation - moon)),
        (0.057_07, 2.0 * elongation - sun - moon),
        (0.053_32, 2.0 * elongation + moon),
        (0.045_76, 2.0 * elongation - sun),
        (-0.040_92, sun - moon),
        (-0.034_72, elongation),
        (-0.030_38, sun + moon),
    ];
    let periodic = terms.iter().map(|(size, angle)| size * sine(*angle));
    218.316_45 + 481_267.881_23 * t + periodic.sum::<f64>()
}
