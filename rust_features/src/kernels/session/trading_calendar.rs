//! Place of a session among the sessions of its month and year.

use super::cycle::places;
use super::market_calendar::{CALENDAR, Calendar, STAMP};
use crate::arguments::{ArgumentError, Arguments};
use crate::frame::Frame;
use crate::kernel::{Description, Kernel, output};

/// Sessions to the month's end, since its start, and days since the last one.
#[derive(Debug)]
pub(crate) struct TradingCalendar {
    calendar: Calendar,
    months: [[f64; 2]; 12],
}

impl Kernel for TradingCalendar {
    type State = ();
    type Output = [f64; 6];
    const DESCRIPTION: Description = Description {
        name: "trading_calendar",
        summary: "place of the bar's session in its month and year",
        parameters: &[CALENDAR, STAMP],
        outputs: &[
            output(
                "days_to_month_end",
                "sessions of the month after this one; 0 on the last, however the bars run on",
            ),
            output(
                "day_of_month",
                "sessions of the month up to this one, 1 on the first",
            ),
            output(
                "days_since_session",
                "days since the session before: 1, or 3 after a weekend",
            ),
            output("is_half_day", "1 when the session closes early, else 0"),
            output("month_sin", "sine of the month's place in the year"),
            output("month_cos", "cosine of the month's place in the year"),
        ],
        source: "holidays and half days by rule, or as announced before the year began; closures at short notice are not known",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            calendar: Calendar::new(arguments)?,
            months: places(),
        })
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        0
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 6] {
        let place = self.calendar.place(frame.bar.open_time_ns);
        let day = self.calendar.day(place.day);
        let [month_sin, month_cos] = self
            .months
            .get(usize::from(day.month()))
            .copied()
            .unwrap_or_default();
        [
            f64::from(day.sessions_left),
            f64::from(day.sessions_so_far),
            f64::from(day.days_since_session),
            f64::from(day.is_half()),
            month_sin,
            month_cos,
        ]
    }
}
