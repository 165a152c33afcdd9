//! The values that a statistic describes: a column of the bar, or the log returns of its closes.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback};
use crate::logarithm::log_ratio;
use crate::state::state;
use crate::trailing::{append, room_for};

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

state! {
    /// Returns so far; unused by columns, which the shared history holds.
    pub(crate) struct SampleState {
        previous_close: f64,
        /// Bars seen, counted until the window is full.
        bars: u64,
        appended: u64,
    }
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
            Source::LogReturn => Lookback::CURRENT_BAR,
        }
    }

    pub(crate) fn window_len(self) -> usize {
        match self.source {
            Source::Column(_) => 0,
            Source::LogReturn => room_for(self.period),
        }
    }

    pub(crate) fn warmup_bars(self) -> usize {
        match self.source {
            Source::Column(_) => self.period - 1,
            Source::LogReturn => self.period,
        }
    }

    /// Takes a bar; the values, oldest first, once there are enough.
    #[inline(always)]
    pub(crate) fn push<'a>(
        self,
        state: &mut SampleState,
        window: &'a mut [f64],
        frame: &Frame<'a>,
    ) -> Option<&'a [f64]> {
        match self.source {
            Source::Column(column) => frame.last(column, self.period),
            Source::LogReturn => {
                let close = frame.bar.close;
                let previous_close = std::mem::replace(&mut state.previous_close, close);
                let warm = state.bars >= self.period as u64;
                if !warm {
                    state.bars += 1;
                    if state.bars == 1 {
                        return None;
                    }
                }
                let returns = append(
                    window,
                    &mut state.appended,
                    log_ratio(close, previous_close),
                );
                warm.then_some(returns)
            }
        }
    }
}
