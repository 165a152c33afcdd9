//! First bar of a session, and the move since the session before.

use super::market_calendar::{CALENDAR, Calendar, STAMP};
use crate::arguments::{ArgumentError, Arguments};
use crate::frame::Frame;
use crate::kernel::{Description, Kernel, output};
use crate::state::state;

/// Whether a bar comes after a night.
#[derive(Debug)]
pub(crate) struct Overnight {
    calendar: Calendar,
}

state! {
    /// The bar before.
    pub(crate) struct Before {
        day: i64,
        close: f64,
        seen: bool,
    }
}

impl Kernel for Overnight {
    type State = Before;
    type Output = [f64; 3];
    const DESCRIPTION: Description = Description {
        name: "overnight",
        summary: "first bar of a session's date and the gap before it",
        parameters: &[CALENDAR, STAMP],
        outputs: &[
            output(
                "flag",
                "1 when the bar's date in its market is not that of the bar before, else 0",
            ),
            output(
                "days",
                "days between the dates of the two bars, 0 within one",
            ),
            output(
                "log_return",
                "ln(open / close of the bar before) on the first bar of a date, else 0",
            ),
        ],
        source: "time zones from the IANA database",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            calendar: Calendar::new(arguments)?,
        })
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        1
    }

    #[inline(always)]
    fn step(&self, state: &mut Before, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 3] {
        let now = Before {
            day: self.calendar.place(frame.bar.open_time_ns).day,
            close: frame.bar.close,
            seen: true,
        };
        let before = std::mem::replace(state, now);
        if !before.seen {
            return [f64::NAN; 3];
        }
        if now.day == before.day {
            return [0.0; 3];
        }
        [
            1.0,
            now.day.saturating_sub(before.day) as f64,
            libm::log(frame.bar.open / before.close),
        ]
    }
}
