//! Clock and weekday of a market.

use super::cycle::{places, sine_and_cosine};
use super::dates::weekday;
use super::market_calendar::{CALENDAR, Calendar, STAMP};
use crate::arguments::{ArgumentError, Arguments};
use crate::frame::Frame;
use crate::kernel::{Description, Kernel, output};

/// Local hour and weekday of the bar's open.
#[derive(Debug)]
pub(crate) struct LocalTime {
    calendar: Calendar,
    weekdays: [[f64; 2]; 7],
}

impl Kernel for LocalTime {
    type State = ();
    type Output = [f64; 6];
    const DESCRIPTION: Description = Description {
        name: "local_time",
        summary: "local clock and weekday of the bar's open in its market",
        parameters: &[CALENDAR, STAMP],
        outputs: &[
            output(
                "hour",
                "hours since local midnight, with fractions; the session's open where bars carry dates",
            ),
            output("hour_sin", "sine of the place in the day of 24 hours"),
            output("hour_cos", "cosine of the place in the day of 24 hours"),
            output(
                "weekday",
                "0 for Monday to 6 for Sunday; the FX week's Sunday evening is Monday",
            ),
            output("weekday_sin", "sine of the place in the week of seven days"),
            output(
                "weekday_cos",
                "cosine of the place in the week of seven days",
            ),
        ],
        source: "time zones from the IANA database",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            calendar: Calendar::new(arguments)?,
            weekdays: places(),
        })
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        0
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 6] {
        let place = self.calendar.place(frame.bar.open_time_ns);
        let minute = self.calendar.clock_minute(place);
        let [hour_sin, hour_cos] = sine_and_cosine(minute / 1440.0);
        let weekday = weekday(place.day);
        let [weekday_sin, weekday_cos] = self.weekdays[weekday as usize];
        [
            minute / 60.0,
            hour_sin,
            hour_cos,
            weekday as f64,
            weekday_sin,
            weekday_cos,
        ]
    }
}
