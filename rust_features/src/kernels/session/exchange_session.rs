//! Place of a bar in its market's session.

use super::cycle::sine_and_cosine;
use super::market_calendar::{CALENDAR, Calendar};
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::Frame;
use crate::kernel::{Description, Kernel, output};

/// Minutes since the open and to the close.
#[derive(Debug)]
pub(crate) struct Session {
    calendar: Calendar,
    edge_minutes: f64,
}

impl Kernel for Session {
    type State = ();
    type Output = [f64; 8];
    const DESCRIPTION: Description = Description {
        name: "session",
        summary: "place of the bar's open in the regular session of its market",
        parameters: &[
            CALENDAR,
            Parameter::integer(
                "edge_minutes",
                "minutes after the open and before the close that is_opening and is_closing cover",
                30,
                1,
                1440,
            ),
        ],
        outputs: &[
            output(
                "minute",
                "minutes since the session's open, with fractions; negative before it",
            ),
            output(
                "minutes_to_close",
                "minutes to the session's close, early on half days; negative after it",
            ),
            output(
                "progress",
                "minute / length of the session, held between 0 and 1",
            ),
            output(
                "is_open",
                "1 when the bar opened within the session, 0 before, after, in the rest at midday and on holidays",
            ),
            output(
                "is_opening",
                "1 in the first edge_minutes of the session, else 0",
            ),
            output(
                "is_closing",
                "1 in the last edge_minutes of the session, else 0",
            ),
            output("sin", "sine of progress as a full circle"),
            output("cos", "cosine of progress as a full circle"),
        ],
        source: "opening hours of the exchanges; holidays and half days by rule or as announced, time zones from the IANA database",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            calendar: Calendar::new(arguments)?,
            edge_minutes: arguments.count("edge_minutes")? as f64,
        })
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        0
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 8] {
        let place = self.calendar.place(frame.bar.open_time_ns);
        let day = self.calendar.day(place.day);
        let (open, close) = (day.open_minute(), day.close_minute());
        let (since, left) = (place.minute - open, close - place.minute);
        let is_pause = self.calendar.is_pause(place.minute);
        let is_open = day.is_session() && since >= 0.0 && left > 0.0 && !is_pause;
        let progress = (since / (close - open)).clamp(0.0, 1.0);
        let [sin, cos] = sine_and_cosine(progress);
        [
            since,
            left,
            progress,
            f64::from(is_open),
            f64::from(is_open && since < self.edge_minutes),
            f64::from(is_open && left <= self.edge_minutes),
            sin,
            cos,
        ]
    }
}
