//! Turns what a publisher sent into a bar that cannot be nonsense.

use std::fmt;

use candlewire_features::Bar;

/// Length of a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timeframe(u8);

/// Names, and lengths in nanoseconds where the length is fixed.
const TIMEFRAMES: [(&str, Option<i64>); 8] = [
    ("1m", Some(60_000_000_000)),
    ("5m", Some(300_000_000_000)),
    ("15m", Some(900_000_000_000)),
    ("1h", Some(3_600_000_000_000)),
    ("4h", Some(14_400_000_000_000)),
    ("1d", Some(86_400_000_000_000)),
    ("1w", Some(604_800_000_000_000)),
    ("1M", None),
];
/// Longest symbol.
const LONGEST_SYMBOL: usize = 64;

impl Timeframe {
    /// Reads a timeframe's name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        TIMEFRAMES
            .iter()
            .position(|(known, _)| *known == name)
            .map(|index| Self(index as u8))
    }

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        TIMEFRAMES
            .get(usize::from(self.0))
            .map_or("", |(name, _)| name)
    }

    /// Its length, where that is fixed.
    #[must_use]
    pub fn length_ns(self) -> Option<i64> {
        TIMEFRAMES
            .get(usize::from(self.0))
            .and_then(|(_, length)| *length)
    }
}

/// Whether `name` is a timeframe.
#[must_use]
pub fn is_timeframe(name: &str) -> bool {
    Timeframe::parse(name).is_some()
}

/// A bar as sent.
#[derive(Debug, Clone, Copy)]
pub struct RawBar<'a> {
    /// Symbol.
    pub symbol: &'a str,
    /// Timeframe.
    pub timeframe: &'a str,
    /// Times, prices and volume.
    pub bar: Bar,
    /// Whether the bar has closed.
    pub is_final: bool,
}

/// A bar whose symbol, timeframe, time, prices and volume make sense.
#[derive(Debug, Clone, Copy)]
pub struct AdmittedBar<'a> {
    /// Symbol.
    pub symbol: &'a str,
    /// Timeframe.
    pub timeframe: Timeframe,
    /// Times, prices and volume.
    pub bar: Bar,
}

/// What makes a bar nonsense. The message names the field, the value and the remedy.
#[derive(Debug, Clone, PartialEq)]
pub enum InvalidBar {
    /// Empty, too long, or other characters.
    Symbol(String),
    /// None of the timeframes.
    Timeframe(String),
    /// Not above zero.
    Time(i64),
    /// Opens further in the future than allowed.
    FutureTime {
        /// Open time as sent.
        open_time_ns: i64,
        /// Latest open time allowed now.
        latest_ns: i64,
    },
    /// Prices or volume.
    Values(candlewire_features::InvalidBar),
}

impl fmt::Display for InvalidBar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Symbol(symbol) => {
                write!(
                    formatter,
                    "symbol is {symbol:?}: use 1 to {LONGEST_SYMBOL} of A-Z a-z 0-9 . _ - / : ^ = & @"
                )
            }
            Self::Timeframe(timeframe) => {
                write!(
                    formatter,
                    "timeframe is {timeframe:?}: use one of 1m 5m 15m 1h 4h 1d 1w 1M"
                )
            }
            Self::Time(time) => write!(
                formatter,
                "open_time_ns is {time}: send nanoseconds since 1970, above zero"
            ),
            Self::FutureTime {
                open_time_ns,
                latest_ns,
            } => {
                write!(
                    formatter,
                    "open_time_ns is {open_time_ns}: it lies beyond {latest_ns}, check the clock and the unit"
                )
            }
            Self::Values(problem) => problem.fmt(formatter),
        }
    }
}

impl From<candlewire_features::InvalidBar> for InvalidBar {
    fn from(problem: candlewire_features::InvalidBar) -> Self {
        Self::Values(problem)
    }
}

impl<'a> RawBar<'a> {
    /// Parses the bar. `latest_open_time_ns` is the latest time at which it may open.
    ///
    /// # Errors
    /// The first field that makes no sense.
    pub fn admit(&self, latest_open_time_ns: i64) -> Result<AdmittedBar<'a>, InvalidBar> {
        let symbol_is_sound = (1..=LONGEST_SYMBOL).contains(&self.symbol.len())
            && self.symbol.bytes().all(is_symbol_byte);
        if !symbol_is_sound {
            return Err(InvalidBar::Symbol(
                self.symbol.chars().take(LONGEST_SYMBOL).collect(),
            ));
        }
        let timeframe = Timeframe::parse(self.timeframe).ok_or_else(|| {
            InvalidBar::Timeframe(self.timeframe.chars().take(LONGEST_SYMBOL).collect())
        })?;
        let open_time_ns = self.bar.open_time_ns;
        if open_time_ns <= 0 {
            return Err(InvalidBar::Time(open_time_ns));
        }
        if open_time_ns > latest_open_time_ns {
            return Err(InvalidBar::FutureTime {
                open_time_ns,
                latest_ns: latest_open_time_ns,
            });
        }
        self.bar.check()?;
        Ok(AdmittedBar {
            symbol: self.symbol,
            timeframe,
            bar: self.bar,
        })
    }
}

const fn is_symbol_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'.' | b'_' | b'-' | b'/' | b':' | b'^' | b'=' | b'&' | b'@'
        )
}

/// Why a published bar was refused.
#[derive(Debug, Clone, PartialEq)]
pub enum Rejection {
    /// The request carried no bar.
    Missing,
    /// The bar is nonsense.
    Invalid(InvalidBar),
    /// The bar has not closed.
    NotFinal,
    /// Older than the late window allows.
    TooLate {
        /// Bars of the late window.
        late_window: usize,
    },
    /// The server holds as many series as it is allowed to.
    TooManySeries {
        /// Most series.
        limit: usize,
    },
    /// The server is shutting down.
    Draining,
    /// No deployed model serves the series.
    UnknownSymbol {
        /// Symbol as sent.
        symbol: String,
        /// Timeframe as sent.
        timeframe: &'static str,
    },
}

impl fmt::Display for Rejection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(formatter, "bar is missing: send one bar with each request"),
            Self::Invalid(problem) => problem.fmt(formatter),
            Self::NotFinal => write!(
                formatter,
                "is_final is false: send the bar once it has closed"
            ),
            Self::TooLate { late_window } => {
                write!(
                    formatter,
                    "open_time_ns lies more than {late_window} bars back: send bars in time, or raise bars.late_window_bars"
                )
            }
            Self::TooManySeries { limit } => write!(
                formatter,
                "symbol would be series {}, the limit is {limit}",
                limit + 1
            ),
            Self::Draining => write!(
                formatter,
                "the server is draining: send the bar to another or again"
            ),
            Self::UnknownSymbol { symbol, timeframe } => {
                write!(
                    formatter,
                    "symbol {symbol:?} at {timeframe} has no deployed model: train one or accept unknown symbols"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SOUND: Bar = Bar {
        open_time_ns: 1,
        open: 2.0,
        high: 3.0,
        low: 1.0,
        close: 2.5,
        volume: 0.0,
    };

    fn raw(symbol: &str, timeframe: &'static str, bar: Bar) -> Result<(), InvalidBar> {
        RawBar {
            symbol,
            timeframe,
            bar,
            is_final: true,
        }
        .admit(1_000)
        .map(drop)
    }

    #[test]
    fn a_sound_bar_is_admitted() {
        assert_eq!(raw("BRK.B", "1d", SOUND), Ok(()));
        assert_eq!(raw("^GSPC", "1M", SOUND), Ok(()));
    }

    #[test]
    fn each_defect_is_named() {
        let message = |result: Result<(), InvalidBar>| result.unwrap_err().to_string();
        assert!(message(raw("", "1d", SOUND)).starts_with("symbol is \"\""));
        assert!(message(raw("A B", "1d", SOUND)).starts_with("symbol"));
        assert!(message(raw("A", "2d", SOUND)).starts_with("timeframe is \"2d\""));
        assert!(
            message(raw(
                "A",
                "1d",
                Bar {
                    open_time_ns: 0,
                    ..SOUND
                }
            ))
            .starts_with("open_time_ns is 0")
        );
        assert!(
            message(raw(
                "A",
                "1d",
                Bar {
                    open_time_ns: 1_001,
                    ..SOUND
                }
            ))
            .contains("beyond 1000")
        );
        assert!(message(raw("A", "1d", Bar { low: -1.0, ..SOUND })).starts_with("low is -1"));
        assert!(message(raw("A", "1d", Bar { high: 0.5, ..SOUND })).contains("high"));
    }

    proptest! {
        #[test]
        fn whatever_is_admitted_makes_sense(
            symbol in ".{0,70}", timeframe in "(1m|5m|1M|1x|.{0,3})", time in any::<i64>(),
            values in prop::array::uniform5(any::<f64>()),
        ) {
            let [open, high, low, close, volume] = values;
            let bar = Bar { open_time_ns: time, open, high, low, close, volume };
            if let Ok(admitted) = (RawBar { symbol: &symbol, timeframe: &timeframe, bar, is_final: true }).admit(1_000_000) {
                prop_assert!(admitted.bar.low > 0.0 && admitted.bar.high >= admitted.bar.low && admitted.bar.high.is_finite());
                prop_assert!(admitted.symbol.is_ascii() && admitted.timeframe.as_str() == timeframe);
            }
        }
    }
}
