//! Price oscillators: distance of a fast moving average from a slow one.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback, Span};
use crate::kernel::{Description, Kernel, output};
use crate::kernels::trend::moving_average::{MovingAverage, MovingAverageState, kind_parameter};
use crate::neighbours::WINDOWS;
use crate::state::state;

const PARAMETERS: [Parameter; 4] = [
    Parameter::period(
        "fastperiod",
        "bars of the fast average; the longer of both periods is the slow one",
        12,
        1,
    ),
    Parameter::period("slowperiod", "bars of the slow average", 26, 2),
    kind_parameter("matype", 1),
    Parameter::column("close"),
];

/// A fast and a slow average of one kind.
#[derive(Debug)]
struct FastAndSlow {
    fast: MovingAverage,
    slow: MovingAverage,
    column: Column,
}

state! {
    /// What both averages remember.
    pub(crate) struct FastAndSlowState {
        fast: MovingAverageState,
        slow: MovingAverageState,
    }
}

impl FastAndSlow {
    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        let (fast, slow) = (
            arguments.count("fastperiod")?,
            arguments.count("slowperiod")?,
        );
        // The longer period is the slow one, as in TA-Lib.
        let (fast_name, slow_name) = if fast > slow {
            ("slowperiod", "fastperiod")
        } else {
            ("fastperiod", "slowperiod")
        };
        Ok(Self {
            fast: MovingAverage::of(arguments, fast_name, "matype", 1)?,
            slow: MovingAverage::of(arguments, slow_name, "matype", 1)?,
            column: arguments.column()?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of(self.column, self.fast.taps().max(self.slow.taps()))
    }

    /// What the fast and the slow average remember.
    fn window_len(&self) -> usize {
        self.fast.memory() + self.slow.memory()
    }

    /// Value, fast and slow average once both are warm.
    #[inline(always)]
    fn push(
        &self,
        state: &mut FastAndSlowState,
        window: &mut [f64],
        frame: &Frame<'_>,
    ) -> Option<(f64, f64, f64)> {
        let (fast_memory, slow_memory) = window.split_at_mut(self.fast.memory());
        let value = frame.current(self.column);
        let newest = |average: &MovingAverage| frame.last(self.column, average.taps());
        let fast = self
            .fast
            .push(&mut state.fast, fast_memory, value, newest(&self.fast));
        let slow = self
            .slow
            .push(&mut state.slow, slow_memory, value, newest(&self.slow));
        Some((value, fast?, slow?))
    }

    /// Gives `show` the number of each bar of a span, its fast and its slow average; the bars taken, none while an
    /// average is not warm.
    #[inline(always)]
    fn push_all(
        &self,
        state: &mut FastAndSlowState,
        span: Span<'_>,
        bars: usize,
        mut show: impl FnMut(usize, f64, f64),
    ) -> usize {
        let values = &span.source()[..bars];
        let (mut fast, mut slow) = ([0.0; WINDOWS], [0.0; WINDOWS]);
        let mut taken = 0;
        for values in values.chunks(WINDOWS) {
            let newest = |average: &MovingAverage| {
                let windows = span.sources(average.taps())?;
                windows.get(taken..)
            };
            let (fast, slow) = (&mut fast[..values.len()], &mut slow[..values.len()]);
            let before = *state;
            let [fast_newest, slow_newest] = [newest(&self.fast), newest(&self.slow)];
            let both = [
                self.fast
                    .push_all(&mut state.fast, values, fast_newest, fast),
                self.slow
                    .push_all(&mut state.slow, values, slow_newest, slow),
            ];
            if both != [values.len(); 2] {
                *state = before;
                break;
            }
            for (at, (fast, slow)) in fast.iter().zip(&*slow).enumerate() {
                show(taken + at, *fast, *slow);
            }
            taken += values.len();
        }
        taken
    }
}

/// Absolute price oscillator.
#[derive(Debug)]
pub(crate) struct Apo(FastAndSlow);

impl Kernel for Apo {
    type State = FastAndSlowState;
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "apo",
        summary: "absolute price oscillator",
        parameters: &PARAMETERS,
        outputs: &[
            output(
                "apo",
                "fast average - slow average, each seeded at its own start",
            ),
            output("ratio", "apo / value; 0 when the value is 0"),
        ],
        source: "TA-Lib APO",
    };
    const CLASSIC_OUTPUTS: usize = 1;
    const IS_CHAIN: bool = true;

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        FastAndSlow::new(arguments).map(Self)
    }

    fn lookback(&self) -> Lookback {
        self.0.lookback()
    }

    fn window_len(&self) -> usize {
        self.0.window_len()
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.0.slow.lookback()
    }

    #[inline(always)]
    fn step(
        &self,
        state: &mut FastAndSlowState,
        window: &mut [f64],
        frame: &Frame<'_>,
    ) -> [f64; 2] {
        match self.0.push(state, window, frame) {
            Some((value, fast, slow)) => {
                let difference = fast - slow;
                [difference, relative(difference, value)]
            }
            None => [f64::NAN; 2],
        }
    }

    #[inline(always)]
    fn span(
        &self,
        state: &mut FastAndSlowState,
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let [differences, more @ ..] = outputs else {
            return 0;
        };
        let bars = differences.len();
        let taken = (self.0).push_all(state, span, bars, |at, fast, slow| {
            differences[at] = fast - slow;
        });
        if let [cells, ..] = more {
            let pairs = differences[..taken].iter().zip(span.source());
            for (cell, (difference, value)) in cells.iter_mut().zip(pairs) {
                *cell = relative(*difference, *value);
            }
        }
        taken
    }
}

/// A difference as a share of a value; 0 when that is 0.
#[inline(always)]
fn relative(difference: f64, value: f64) -> f64 {
    if value == 0.0 {
        0.0
    } else {
        difference / value
    }
}

/// Percentage price oscillator.
#[derive(Debug)]
pub(crate) struct Ppo(FastAndSlow);

impl Kernel for Ppo {
    type State = FastAndSlowState;
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "ppo",
        summary: "percentage price oscillator",
        parameters: &PARAMETERS,
        outputs: &[output(
            "ppo",
            "(fast average - slow average) / slow average * 100, each seeded at its own start; 0 when the slow one is 0",
        )],
        source: "TA-Lib PPO",
    };
    const IS_CHAIN: bool = true;

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        FastAndSlow::new(arguments).map(Self)
    }

    fn lookback(&self) -> Lookback {
        self.0.lookback()
    }

    fn window_len(&self) -> usize {
        self.0.window_len()
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.0.slow.lookback()
    }

    #[inline(always)]
    fn step(
        &self,
        state: &mut FastAndSlowState,
        window: &mut [f64],
        frame: &Frame<'_>,
    ) -> [f64; 1] {
        match self.0.push(state, window, frame) {
            Some((_, fast, slow)) => [relative(fast - slow, slow) * 100.0],
            None => [f64::NAN],
        }
    }

    #[inline(always)]
    fn span(
        &self,
        state: &mut FastAndSlowState,
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let [cells] = outputs else {
            return 0;
        };
        let bars = cells.len();
        (self.0).push_all(state, span, bars, |at, fast, slow| {
            cells[at] = relative(fast - slow, slow) * 100.0;
        })
    }
}
