//! One market bar, and what makes a bar unusable.

use thiserror::Error;

/// One closed bar of one symbol.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bar {
    /// Open time of the bar, nanoseconds since the Unix epoch, UTC.
    pub open_time_ns: i64,
    /// First traded price, quote currency.
    pub open: f64,
    /// Highest traded price, quote currency.
    pub high: f64,
    /// Lowest traded price, quote currency.
    pub low: f64,
    /// Last traded price, quote currency.
    pub close: f64,
    /// Traded volume in the market's own unit.
    pub volume: f64,
}

/// Why a bar cannot advance a series.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum InvalidBar {
    /// A field is NaN or infinite.
    #[error("{field} is {value}: send a finite number or leave the bar out")]
    NotFinite {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        value: f64,
    },
    /// A price is zero or negative.
    #[error("{field} is {value}: prices must be above zero")]
    PriceNotAboveZero {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        value: f64,
    },
    /// Open or close lies outside low..high, or high is below low.
    #[error("{field} {value} lies outside low {low} .. high {high}: correct the bar at its source")]
    InconsistentPrices {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        value: f64,
        /// Low of the bar.
        low: f64,
        /// High of the bar.
        high: f64,
    },
    /// The volume is negative.
    #[error("volume is {value}: send zero or more")]
    NegativeVolume {
        /// Its value.
        value: f64,
    },
    /// The bar is not newer than the last one of its series.
    #[error(
        "open_time_ns {open_time_ns} is not after the last bar's {last_open_time_ns}: send bars oldest first"
    )]
    OutOfOrder {
        /// Open time of the bar.
        open_time_ns: i64,
        /// Open time of the newest bar of the series.
        last_open_time_ns: i64,
    },
}

/// What a panel did with one bar, as one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum BarStatus {
    /// The bar advanced its series.
    #[default]
    Applied = 0,
    /// A field is NaN or infinite; nothing changed.
    NotFinite = 1,
    /// A price is zero or negative; nothing changed.
    PriceNotAboveZero = 2,
    /// Open, high, low and close contradict each other; nothing changed.
    InconsistentPrices = 3,
    /// The volume is negative; nothing changed.
    NegativeVolume = 4,
    /// The bar is not newer than the last one; nothing changed.
    OutOfOrder = 5,
    /// The bar advanced its series, and bars are missing before it; only where the spec asks for it.
    AppliedAfterGap = 6,
    /// So many bars are missing that the series started anew with this bar; only where the spec asks for it.
    ResetAfterGap = 7,
}

impl BarStatus {
    /// Whether the bar advanced its series.
    pub const fn is_applied(self) -> bool {
        matches!(
            self,
            Self::Applied | Self::AppliedAfterGap | Self::ResetAfterGap
        )
    }
}

impl From<&InvalidBar> for BarStatus {
    fn from(reason: &InvalidBar) -> Self {
        match reason {
            InvalidBar::NotFinite { .. } => Self::NotFinite,
            InvalidBar::PriceNotAboveZero { .. } => Self::PriceNotAboveZero,
            InvalidBar::InconsistentPrices { .. } => Self::InconsistentPrices,
            InvalidBar::NegativeVolume { .. } => Self::NegativeVolume,
            InvalidBar::OutOfOrder { .. } => Self::OutOfOrder,
        }
    }
}

impl Bar {
    /// Whether the bar's own values make sense.
    ///
    /// # Errors
    /// The first field that does not, with its value and the remedy.
    #[inline]
    pub fn check(&self) -> Result<(), InvalidBar> {
        if self.is_sound() {
            Ok(())
        } else {
            self.explain()
        }
    }

    /// Whether `check` passes. NaN fails every comparison, infinity the last ones; none of them is a branch.
    #[inline(always)]
    #[allow(
        clippy::needless_bitwise_bool,
        reason = "a lazy operator is a branch, and a branch stops vectors"
    )]
    pub(crate) fn is_sound(&self) -> bool {
        (self.low > 0.0)
            & (self.low <= self.open)
            & (self.low <= self.close)
            & (self.open <= self.high)
            & (self.close <= self.high)
            & (self.high < f64::INFINITY)
            & (self.volume >= 0.0)
            & (self.volume < f64::INFINITY)
    }

    #[cold]
    fn explain(&self) -> Result<(), InvalidBar> {
        let prices = [
            ("open", self.open),
            ("high", self.high),
            ("low", self.low),
            ("close", self.close),
        ];
        for (field, value) in prices.into_iter().chain([("volume", self.volume)]) {
            if !value.is_finite() {
                return Err(InvalidBar::NotFinite { field, value });
            }
        }
        for (field, value) in prices {
            if value <= 0.0 {
                return Err(InvalidBar::PriceNotAboveZero { field, value });
            }
        }
        let (low, high) = (self.low, self.high);
        for (field, value) in prices {
            if value < low || value > high {
                return Err(InvalidBar::InconsistentPrices {
                    field,
                    value,
                    low,
                    high,
                });
            }
        }
        if self.volume < 0.0 {
            return Err(InvalidBar::NegativeVolume { value: self.volume });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: Bar = Bar {
        open_time_ns: -1,
        open: 2.0,
        high: 3.0,
        low: 1.0,
        close: 2.5,
        volume: 0.0,
    };

    #[test]
    fn a_sound_bar_passes() {
        assert_eq!(SOUND.check(), Ok(()));
    }

    #[test]
    fn each_defect_has_its_own_reason() {
        let cases = [
            (
                Bar {
                    close: f64::NAN,
                    ..SOUND
                },
                BarStatus::NotFinite,
            ),
            (
                Bar {
                    volume: f64::INFINITY,
                    ..SOUND
                },
                BarStatus::NotFinite,
            ),
            (
                Bar {
                    high: f64::INFINITY,
                    ..SOUND
                },
                BarStatus::NotFinite,
            ),
            (Bar { low: 0.0, ..SOUND }, BarStatus::PriceNotAboveZero),
            (Bar { low: -1.0, ..SOUND }, BarStatus::PriceNotAboveZero),
            (Bar { high: 0.5, ..SOUND }, BarStatus::InconsistentPrices),
            (Bar { open: 3.5, ..SOUND }, BarStatus::InconsistentPrices),
            (
                Bar {
                    close: 0.5,
                    ..SOUND
                },
                BarStatus::InconsistentPrices,
            ),
            (
                Bar {
                    volume: -1.0,
                    ..SOUND
                },
                BarStatus::NegativeVolume,
            ),
        ];
        for (bar, status) in cases {
            let reason = bar.check().expect_err("the bar is bad");
            assert_eq!(BarStatus::from(&reason), status, "{bar:?}: {reason}");
        }
    }
}
