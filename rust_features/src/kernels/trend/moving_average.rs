//! A moving average of the kind that a number names, as TA-Lib's `matype` does.

use super::adaptive_average::{Adaptive, AdaptiveState};
use super::average::Average;
use super::exponential_averages::{Double, Exponential, Tillson, Triple, Wilder, ZeroLag};
use super::exponential_moving_average::ExponentialAverage;
use super::mesa_average::{Mesa, MesaState};
use super::simple_moving_average::{ratio, ratios};
use super::weighted_averages::{Hull, Linear, Mean, Triangular};
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback, Span};
use crate::instructions::{Work, with_half_vectors, with_widest_vectors};
use crate::kernel::{Description, Kernel, output};
use crate::neighbours::{LONGEST, TILE};
use crate::state::{State, Words, WordsMut, state};
use crate::window::slide;

const MEANING: &str = "kind of average, TA-Lib's number: 0 sma, 1 ema, 2 wma, 3 dema, 4 tema, 5 trima, 6 kama, 7 mama (of limits 0.5 and 0.05, whatever the period), 8 t3, 9 hma, 10 none, 11 TA-Lib's default, 12 zlema, 13 rma";
/// T3's volume factor where no parameter gives it.
const VOLUME_FACTOR: f64 = 0.7;

/// The parameter that names the kind of an average.
pub(crate) const fn kind_parameter(name: &'static str, default: i64) -> Parameter {
    Parameter::integer(name, MEANING, default, 0, 13)
}

/// A moving average of any kind.
#[derive(Debug)]
pub(crate) enum MovingAverage {
    None,
    Mean(Mean),
    Exponential(Exponential),
    Linear(Linear),
    Double(Double),
    Triple(Triple),
    Triangular(Triangular),
    Adaptive(Adaptive),
    Mesa(Mesa),
    Tillson(Tillson),
    Hull(Hull),
    ZeroLag(ZeroLag),
    Wilder(Wilder),
}

state! {
    /// What an average of any kind remembers.
    pub(crate) struct MovingAverageState {
        chain: [ExponentialAverage; 6],
        adaptive: AdaptiveState,
        /// Values of a series without history of its own, counted until its window is full.
        filled: u64,
    }
}

impl MovingAverage {
    /// The average of the kind that parameter `kind` numbers; `usual` is TA-Lib's default in this place.
    pub(crate) fn of(
        arguments: &Arguments,
        period: &'static str,
        kind: &'static str,
        usual: i64,
    ) -> Result<Self, ArgumentError> {
        let number = match arguments.integer(kind)? {
            11 => usual,
            number => number,
        };
        let period = arguments.count(period)?;
        if period == 1 {
            return Ok(Self::None);
        }
        Ok(match number {
            0 => Self::Mean(Mean::over(period)),
            1 => Self::Exponential(Exponential::over(period)),
            2 => Self::Linear(Linear::over(period)),
            3 => Self::Double(Double::over(period)),
            4 => Self::Triple(Triple::over(period)),
            5 => Self::Triangular(Triangular::over(period)),
            6 => Self::Adaptive(Adaptive::over(period)),
            7 => Self::Mesa(Mesa::USUAL),
            8 => Self::Tillson(Tillson::over(period, VOLUME_FACTOR)),
            9 => Self::Hull(Hull::over(period)),
            10 => Self::None,
            12 => Self::ZeroLag(ZeroLag::over(period)),
            13 => Self::Wilder(Wilder::over(period)),
            other => {
                return Err(ArgumentError::Contradiction(format!(
                    "{kind} is {other}: give the {MEANING}"
                )));
            }
        })
    }

    /// Values before the first one that has an average.
    pub(crate) fn lookback(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Mean(average) => average.lookback(),
            Self::Exponential(average) => average.lookback(),
            Self::Linear(average) => average.lookback(),
            Self::Double(average) => average.lookback(),
            Self::Triple(average) => average.lookback(),
            Self::Triangular(average) => average.lookback(),
            Self::Adaptive(average) => average.lookback(),
            Self::Mesa(_) => Mesa::LOOKBACK,
            Self::Tillson(average) => average.lookback(),
            Self::Hull(average) => average.lookback(),
            Self::ZeroLag(average) => average.lookback(),
            Self::Wilder(average) => average.lookback(),
        }
    }

    /// Newest values that `push` reads.
    pub(crate) fn taps(&self) -> usize {
        match self {
            Self::Mean(average) => average.taps(),
            Self::Linear(average) => average.taps(),
            Self::Triangular(average) => average.taps(),
            Self::Adaptive(average) => average.taps(),
            Self::Mesa(_) => Mesa::TAPS,
            Self::Hull(average) => average.taps(),
            Self::ZeroLag(average) => average.taps(),
            _ => 0,
        }
    }

    /// Values that `push` must have taken before the first average, if the newest `taps` are always at hand.
    pub(crate) fn settling(&self) -> usize {
        match self {
            Self::Mesa(_) => Mesa::LOOKBACK, // counts the values that it skips
            _ => self.lookback() - self.taps().saturating_sub(1),
        }
    }

    /// Numbers of the kernel's window in which this kind remembers what would be too much for every average.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Self::Mesa(_) => MesaState::WORDS,
            _ => 0,
        }
    }

    /// Numbers of the kernel's window for `push_own`.
    pub(crate) fn own_window(&self) -> usize {
        self.taps() + self.memory()
    }

    /// Takes a value of a series whose newest `taps` values are at hand; the average once it is warm. `memory` is as
    /// long as it says.
    #[inline(always)]
    pub(crate) fn push(
        &self,
        state: &mut MovingAverageState,
        memory: &mut [f64],
        value: f64,
        newest: Option<&[f64]>,
    ) -> Option<f64> {
        let [first, second, third, ..] = &mut state.chain;
        match self {
            Self::None => Some(value),
            Self::Mean(average) => average.push(&mut (), value, newest),
            Self::Exponential(average) => average.push(first, value, newest),
            Self::Linear(average) => average.push(&mut (), value, newest),
            Self::Double(average) => {
                let mut chain = [*first, *second];
                let result = average.push(&mut chain, value, newest);
                [*first, *second] = chain;
                result
            }
            Self::Triple(average) => {
                let mut chain = [*first, *second, *third];
                let result = average.push(&mut chain, value, newest);
                [*first, *second, *third] = chain;
                result
            }
            Self::Triangular(average) => average.push(&mut (), value, newest),
            Self::Adaptive(average) => average.push(&mut state.adaptive, value, newest),
            Self::Mesa(average) => push_mesa(average, memory, value, newest),
            Self::Tillson(average) => average.push(&mut state.chain, value),
            Self::Hull(average) => average.push(&mut (), value, newest),
            Self::ZeroLag(average) => average.push(first, value, newest),
            Self::Wilder(average) => average.push(first, value, newest),
        }
    }

    /// The averages at the first of many values, as [`Average::push_all`] has it; how many. A call, so that not every
    /// kernel has a copy of all kinds.
    pub(crate) fn push_all(
        &self,
        state: &mut MovingAverageState,
        values: &[f64],
        newest: Option<&[f64]>,
        averages: &mut [f64],
    ) -> usize {
        let work = PushAll {
            average: self,
            state,
            values,
            newest,
            averages,
        };
        match self {
            Self::Mean(_) | Self::Linear(_) | Self::Triangular(_) | Self::Hull(_) => {
                with_widest_vectors(work)
            }
            // Recursions.
            _ => with_half_vectors(work),
        }
    }

    /// As `push`, for a kernel's own series, whose newest values `window` keeps: `own_window` numbers, zero at first.
    #[inline(always)]
    pub(crate) fn push_own(
        &self,
        state: &mut MovingAverageState,
        window: &mut [f64],
        value: f64,
    ) -> Option<f64> {
        let (window, memory) = window.split_at_mut(self.taps());
        slide(window, value);
        let full = window.len() as u64;
        if state.filled < full {
            state.filled += 1;
        }
        let newest = (state.filled >= full).then_some(&*window);
        self.push(state, memory, value, newest)
    }

    /// As `push_own` for values of a tile at most; false, with nothing changed, when it cannot.
    #[inline(always)]
    pub(crate) fn push_own_all(
        &self,
        state: &mut MovingAverageState,
        window: &mut [f64],
        added: &[f64],
        averages: &mut [f64],
    ) -> bool {
        let taps = self.taps();
        let Some(window) = window.get_mut(..taps) else {
            return false;
        };
        if taps > LONGEST || state.filled < taps as u64 {
            return false;
        }
        let mut values = [0.0; TILE + LONGEST];
        let past = window.get(1..).unwrap_or_default();
        let length = past.len() + added.len();
        let Some(values) = values.get_mut(..length) else {
            return false;
        };
        values[..past.len()].copy_from_slice(past);
        values[past.len()..].copy_from_slice(added);
        let before = *state;
        if self.push_all(state, added, Some(values), averages) != added.len() {
            *state = before;
            return false;
        }
        window.copy_from_slice(&values[length - taps..]);
        true
    }
}

/// See [`MovingAverage::push_all`].
struct PushAll<'a> {
    average: &'a MovingAverage,
    state: &'a mut MovingAverageState,
    values: &'a [f64],
    newest: Option<&'a [f64]>,
    averages: &'a mut [f64],
}

impl Work for PushAll<'_> {
    type Result = usize;

    #[inline(always)]
    fn run(self) -> usize {
        let Self {
            average,
            state,
            values,
            newest,
            averages,
        } = self;
        let [first, second, third, ..] = &mut state.chain;
        match average {
            MovingAverage::Mean(average) => average.push_all(&mut (), values, newest, averages),
            MovingAverage::Exponential(average) => {
                average.push_all(first, values, newest, averages)
            }
            MovingAverage::Linear(average) => average.push_all(&mut (), values, newest, averages),
            MovingAverage::Double(average) => {
                let mut chain = [*first, *second];
                let taken = average.push_all(&mut chain, values, newest, averages);
                [*first, *second] = chain;
                taken
            }
            MovingAverage::Triple(average) => {
                let mut chain = [*first, *second, *third];
                let taken = average.push_all(&mut chain, values, newest, averages);
                [*first, *second, *third] = chain;
                taken
            }
            MovingAverage::Triangular(average) => {
                average.push_all(&mut (), values, newest, averages)
            }
            MovingAverage::Hull(average) => average.push_all(&mut (), values, newest, averages),
            MovingAverage::ZeroLag(average) => average.push_all(first, values, newest, averages),
            MovingAverage::Wilder(average) => average.push_all(first, values, newest, averages),
            MovingAverage::Tillson(average) => average.push_all(&mut state.chain, values, averages),
            MovingAverage::Adaptive(average) => {
                average.push_all(&mut state.adaptive, values, newest, averages)
            }
            MovingAverage::None | MovingAverage::Mesa(_) => 0,
        }
    }
}

/// Takes a value into an average that remembers in numbers of a window, by the bits of its words.
fn push_mesa(
    average: &Mesa,
    memory: &mut [f64],
    value: f64,
    newest: Option<&[f64]>,
) -> Option<f64> {
    let mut words = [0; MesaState::WORDS];
    for (word, number) in words.iter_mut().zip(&*memory) {
        *word = number.to_bits();
    }
    let mut state = MesaState::load(&mut Words::new(&words));
    let average = average.push(&mut state, value, newest);
    state.store(&mut WordsMut::new(&mut words));
    for (word, number) in words.iter().zip(memory) {
        *number = f64::from_bits(*word);
    }
    average
}

/// Moving average of any kind.
#[derive(Debug)]
pub(crate) struct Ma {
    average: MovingAverage,
    column: Column,
}

impl Kernel for Ma {
    type State = MovingAverageState;
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "ma",
        summary: "moving average of a chosen kind",
        parameters: &[
            Parameter::period("timeperiod", "bars of the average", 30, 1),
            kind_parameter("matype", 0),
            Parameter::column("close"),
        ],
        outputs: &[
            output("ma", "the average that matype names"),
            output("ratio", "value / ma - 1; 0 when ma is 0"),
        ],
        source: "TA-Lib MA",
    };
    const CLASSIC_OUTPUTS: usize = 1;

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            average: MovingAverage::of(arguments, "timeperiod", "matype", 0)?,
            column: arguments.column()?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of(self.column, self.average.taps())
    }

    fn window_len(&self) -> usize {
        self.average.memory()
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.average.lookback()
    }

    #[inline(always)]
    fn step(
        &self,
        state: &mut MovingAverageState,
        window: &mut [f64],
        frame: &Frame<'_>,
    ) -> [f64; 2] {
        let value = frame.current(self.column);
        let newest = frame.last(self.column, self.average.taps());
        match self.average.push(state, window, value, newest) {
            Some(average) => [average, ratio(value, average)],
            None => [f64::NAN; 2],
        }
    }
    #[inline(always)]
    fn span(
        &self,
        state: &mut MovingAverageState,
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let (values, [averages, more @ ..]) = (span.source(), outputs) else {
            return 0;
        };
        let newest = span.sources(self.average.taps());
        let bars = self.average.push_all(state, values, newest, averages);
        if let [cells, ..] = more {
            ratios(values, &averages[..bars], cells);
        }
        bars
    }
}
