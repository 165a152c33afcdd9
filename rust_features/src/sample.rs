//! The values that a statistic describes: a column of the bar, or the log returns of its closes.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Block, Column, Frame, Lookback};
use crate::neighbours::Row;
use crate::side_by_side::SideBySide;

const LOG_RETURN: &str = "log_return";

/// What a statistic describes, and how many values of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    source: Source,
    period: usize,
}

#[derive(Debug, Clone, Copy)]
enum Source {
    Column(Column),
    LogReturn,
}

/// The parameter that names the values.
pub(crate) const fn source_parameter(default: &'static str) -> Parameter {
    Parameter::choice(
        "source",
        "column of the bar, or log_return for the log returns of the closes",
        default,
        &["open", "high", "low", "close", "volume", LOG_RETURN],
    )
}

impl Sample {
    /// The newest `timeperiod` values of `source`.
    pub(crate) fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        let source = match arguments.text("source")? {
            LOG_RETURN => Source::LogReturn,
            _ => Source::Column(arguments.column()?),
        };
        Ok(Self {
            source,
            period: arguments.count("timeperiod")?,
        })
    }

    pub(crate) fn lookback(self) -> Lookback {
        match self.source {
            Source::Column(column) => Lookback::of(column, self.period),
            Source::LogReturn => Lookback::of_log_returns(self.period),
        }
    }

    pub(crate) fn warmup_bars(self) -> usize {
        match self.source {
            Source::Column(_) => self.period - 1,
            Source::LogReturn => self.period,
        }
    }

    /// The values of many series.
    #[inline(always)]
    pub(crate) fn side_by_side<'a>(self, newest: &SideBySide<'a>) -> Option<&'a [Row]> {
        match self.source {
            Source::Column(column) => newest.last(column, self.period),
            Source::LogReturn => newest.log_returns(self.period),
        }
    }

    /// The windows that end at the bars of a block, side by side; log returns have none.
    #[inline(always)]
    pub(crate) fn neighbours(self, block: Block<'_>) -> Option<&[f64]> {
        match self.source {
            Source::Column(_) => block.sources(self.period),
            Source::LogReturn => None,
        }
    }

    /// The values at a bar, oldest first, once there are enough.
    #[inline(always)]
    pub(crate) fn values<'a>(self, frame: &Frame<'a>) -> Option<&'a [f64]> {
        match self.source {
            Source::Column(column) => frame.last(column, self.period),
            Source::LogReturn => frame.log_returns(self.period),
        }
    }
}
