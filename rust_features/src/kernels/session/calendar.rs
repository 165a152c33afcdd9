//! Time of day and day of week of a bar's open, UTC.

use std::f64::consts::TAU;

use crate::arguments::{ArgumentError, Arguments};
use crate::frame::Frame;
use crate::kernel::{Description, Kernel, output};

const MINUTE_NS: i64 = 60_000_000_000;
const MINUTES_PER_DAY: i64 = 24 * 60;
/// 1970-01-01 was a Thursday; days count from Monday.
const EPOCH_WEEKDAY: i64 = 3;

/// Place of a value on a circle.
#[inline(always)]
fn cycle(value: f64, length: f64) -> [f64; 3] {
    let angle = TAU * (value / length);
    [value, libm::sin(angle), libm::cos(angle)]
}

/// Time of day at which the bar opened.
#[derive(Debug)]
pub(crate) struct TimeOfDay;

impl Kernel for TimeOfDay {
    type State = ();
    type Output = [f64; 3];
    const DESCRIPTION: Description = Description {
        name: "time_of_day",
        summary: "time of day of the bar's open, UTC",
        parameters: &[],
        outputs: &[
            output("minute", "minutes since 00:00 UTC, with fractions"),
            output("sin", "sine of the place in the day"),
            output("cos", "cosine of the place in the day"),
        ],
        source: "definition",
    };

    fn new(_arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        0
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 3] {
        let since_midnight_ns = frame
            .bar
            .open_time_ns
            .rem_euclid(MINUTES_PER_DAY * MINUTE_NS);
        cycle(
            since_midnight_ns as f64 / MINUTE_NS as f64,
            MINUTES_PER_DAY as f64,
        )
    }
}

/// Day of the week on which the bar opened.
#[derive(Debug)]
pub(crate) struct DayOfWeek {
    /// The outputs of each day, from Monday.
    days: [[f64; 3]; 7],
}

impl Kernel for DayOfWeek {
    type State = ();
    type Output = [f64; 3];
    const DESCRIPTION: Description = Description {
        name: "day_of_week",
        summary: "day of the week of the bar's open, UTC",
        parameters: &[],
        outputs: &[
            output("day", "0 for Monday to 6 for Sunday"),
            output("sin", "sine of the place in the week of seven days"),
            output("cos", "cosine of the place in the week of seven days"),
        ],
        source: "definition",
    };

    fn new(_arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            days: std::array::from_fn(|day| cycle(day as f64, 7.0)),
        })
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        0
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 3] {
        let days = frame
            .bar
            .open_time_ns
            .div_euclid(MINUTES_PER_DAY * MINUTE_NS);
        self.days[(days + EPOCH_WEEKDAY).rem_euclid(7) as usize]
    }
}
