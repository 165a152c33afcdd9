//! Lengths of bars, and bars of a longer timeframe made from those of a shorter one.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::bar::Bar;

const MINUTE_NS: i64 = 60_000_000_000;
const DAY_NS: i64 = 24 * 60 * MINUTE_NS;
/// Weeks begin on Monday; the epoch was a Thursday.
const FIRST_MONDAY_NS: i64 = 4 * DAY_NS;

/// How long a bar lasts: minutes, hours, days or weeks, in UTC.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timeframe {
    count: u16,
    unit: char,
}

impl Timeframe {
    /// Reads `5m`, `1h`, `4h`, `1d` or `1w`; a number of the unit that divides the next longer one.
    pub fn parse(text: &str) -> Option<Self> {
        let (count, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let unit = unit.chars().next()?;
        let in_next = match unit {
            'm' => 60,
            'h' => 24,
            'd' | 'w' => 1,
            _ => return None,
        };
        let canonical = !count.starts_with(['0', '+']);
        let count: u16 = count.parse().ok()?;
        let fits = canonical && count < in_next.max(2) && in_next % count == 0;
        fits.then_some(Self { count, unit })
    }

    /// Length in nanoseconds.
    pub fn length_ns(self) -> i64 {
        let unit = match self.unit {
            'm' => MINUTE_NS,
            'h' => 60 * MINUTE_NS,
            'd' => DAY_NS,
            _ => 7 * DAY_NS,
        };
        i64::from(self.count) * unit
    }

    /// Open time of the bar that a moment belongs to.
    pub fn open_of(self, time_ns: i64) -> i64 {
        let origin = if self.unit == 'w' { FIRST_MONDAY_NS } else { 0 };
        let into_bar = time_ns.wrapping_sub(origin).rem_euclid(self.length_ns());
        time_ns.saturating_sub(into_bar)
    }
}

impl fmt::Display for Timeframe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.count, self.unit)
    }
}

impl Serialize for Timeframe {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Debug for Timeframe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Timeframe({self})")
    }
}

/// Makes bars of a longer timeframe from bars of a shorter one, as they come.
///
/// A longer bar closes with the shorter bar that ends where it ends; when that one is missing, with the next bar,
/// which opens after its end. So no longer bar is seen before its close. The first one is left out unless the stream
/// begins at its open, because part of it would be missing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resampler {
    from: Timeframe,
    to: Timeframe,
    pub(crate) partial: Option<Bar>,
    /// Whether the partial bar lacks what came before the stream began.
    pub(crate) torn: bool,
    pub(crate) started: bool,
}

impl Resampler {
    /// Nothing where `to` is not a multiple of `from`, or not longer.
    pub fn new(from: Timeframe, to: Timeframe) -> Option<Self> {
        let (short, long) = (from.length_ns(), to.length_ns());
        (long > short && long % short == 0).then_some(Self {
            from,
            to,
            partial: None,
            torn: false,
            started: false,
        })
    }

    /// Shorter bars in a longer one.
    pub(crate) fn ratio(&self) -> usize {
        usize::try_from(self.to.length_ns() / self.from.length_ns()).unwrap_or(1)
    }

    /// As it was before the first bar.
    pub(crate) fn reset(&mut self) {
        (self.partial, self.torn, self.started) = (None, false, false);
    }

    /// Takes the next bar of the shorter timeframe; gives the bars that are closed by now, at most two.
    ///
    /// Bars must make sense and come in order of time, as a series takes them.
    pub fn push(&mut self, bar: &Bar) -> [Option<Bar>; 2] {
        let open_time_ns = self.to.open_of(bar.open_time_ns);
        let overdue = match self.partial {
            Some(partial) if partial.open_time_ns != open_time_ns => self.close(),
            _ => None,
        };
        if let Some(partial) = &mut self.partial {
            partial.high = if bar.high > partial.high {
                bar.high
            } else {
                partial.high
            };
            partial.low = if bar.low < partial.low {
                bar.low
            } else {
                partial.low
            };
            partial.close = bar.close;
            partial.volume += bar.volume;
        } else {
            self.torn = !self.started && bar.open_time_ns != open_time_ns;
            self.started = true;
            self.partial = Some(Bar {
                open_time_ns,
                ..*bar
            });
        }
        let end = bar.open_time_ns.saturating_add(self.from.length_ns());
        let ends = end >= open_time_ns.saturating_add(self.to.length_ns());
        [overdue, if ends { self.close() } else { None }]
    }

    fn close(&mut self) -> Option<Bar> {
        let bar = self.partial.take()?;
        // Volumes may add up to infinity, which no series takes.
        (!std::mem::take(&mut self.torn) && bar.is_sound()).then_some(bar)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(minute: i64, price: f64) -> Bar {
        Bar {
            open_time_ns: minute * MINUTE_NS,
            open: price,
            high: price + 1.0,
            low: price - 1.0,
            close: price + 0.5,
            volume: 2.0,
        }
    }

    #[test]
    fn names_are_read_strictly() {
        for name in ["1m", "5m", "15m", "30m", "1h", "4h", "12h", "1d", "1w"] {
            assert_eq!(
                Timeframe::parse(name).map(|t| t.to_string()).as_deref(),
                Some(name)
            );
        }
        for name in [
            "", "m", "0m", "7m", "60m", "24h", "2d", "2w", "1M", "-5m", "+5m", "05m", "5 m", "5µ",
        ] {
            assert_eq!(Timeframe::parse(name), None, "{name}");
        }
    }

    #[test]
    fn weeks_begin_on_monday() {
        let week = Timeframe::parse("1w").expect("a timeframe");
        for day in 4..11 {
            assert_eq!(week.open_of(day * DAY_NS + 5), FIRST_MONDAY_NS);
        }
        assert_eq!(week.open_of(3 * DAY_NS), FIRST_MONDAY_NS - 7 * DAY_NS);
    }

    #[test]
    fn a_longer_bar_is_seen_at_its_close_and_not_before() {
        let of = |name| Timeframe::parse(name).expect("a timeframe");
        let mut resampler = Resampler::new(of("1m"), of("5m")).expect("a multiple");
        // The stream begins inside a bar, which is left out.
        for minute in 3..9 {
            assert_eq!(resampler.push(&bar(minute, 10.0)), [None, None]);
        }
        let closed = Bar {
            open_time_ns: 5 * MINUTE_NS,
            open: 10.0,
            high: 21.0,
            low: 9.0,
            close: 20.5,
            volume: 10.0,
        };
        assert_eq!(resampler.push(&bar(9, 20.0)), [None, Some(closed)]);
        // The last minute is missing: the bar is seen with the next one.
        assert_eq!(resampler.push(&bar(10, 10.0)), [None, None]);
        let [overdue, ends] = resampler.push(&bar(19, 30.0));
        assert_eq!(overdue.map(|bar| bar.open_time_ns), Some(10 * MINUTE_NS));
        assert_eq!(ends.map(|bar| bar.open_time_ns), Some(15 * MINUTE_NS));
        assert_eq!(Resampler::new(of("5m"), of("5m")), None);
        assert_eq!(Resampler::new(of("15m"), of("1m")), None);
    }
}
