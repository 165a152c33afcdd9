//! Price oscillators: distance of a fast moving average from a slow one.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::kernels::trend::moving_average::{MovingAverage, MovingAverageState, kind_parameter};
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
                [
                    difference,
                    if value == 0.0 {
                        0.0
                    } else {
                        difference / value
                    },
                ]
            }
            None => [f64::NAN; 2],
        }
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
            Some((_, _, 0.0)) => [0.0],
            Some((_, fast, slow)) => [(fast - slow) / slow * 100.0],
            None => [f64::NAN],
        }
    }
}
