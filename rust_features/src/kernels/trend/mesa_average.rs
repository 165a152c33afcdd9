//! MESA adaptive moving average.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::state::state;
use crate::window::flush_tiny;

/// First bar whose smoothed price enters the transform: the bars that TA-Lib skips.
const FIRST_TRANSFORMED: u64 = 12;
/// First valid bar: TA-Lib lets the average settle from zero for twenty bars.
const FIRST_VALID: u64 = 32;
/// TA-Lib's limits of the newest value's weight.
const FAST_LIMIT: f64 = 0.5;
const SLOW_LIMIT: f64 = 0.05;
/// Drift of the smoothing, relative to its values, at which it begins anew.
const MOST_DRIFT: f64 = 1e-8;
const DEGREES: f64 = 180.0 / std::f64::consts::PI;

state! {
    /// One Hilbert transform of the values at every second bar.
    pub(crate) struct Half {
        /// The last three inputs times 0.0962, in a ring.
        scaled: [f64; 3],
        input: f64,
        scaled_input: f64,
    }
}

state! {
    /// A Hilbert transform; bars with an even number and those with an odd one keep apart.
    pub(crate) struct Hilbert {
        even: Half,
        odd: Half,
    }
}

impl Hilbert {
    #[inline(always)]
    fn push(&mut self, is_even: bool, place: usize, gain: f64, input: f64) -> f64 {
        let half = if is_even {
            &mut self.even
        } else {
            &mut self.odd
        };
        let newest = 0.0962 * input;
        let mut value = newest;
        if let Some(oldest) = half.scaled.get_mut(place) {
            value -= *oldest;
            *oldest = newest;
        }
        value -= half.scaled_input;
        half.scaled_input = 0.5769 * half.input;
        value += half.scaled_input;
        half.input = input;
        value * gain
    }
}

state! {
    /// Weighted sum of the last four values, as it runs.
    pub(crate) struct Smoothing {
        sum: f64,
        weighted: f64,
        /// What leaves the sums next.
        leaving: f64,
    }
}

impl Smoothing {
    /// Takes one of the first three values.
    #[inline(always)]
    fn begin(&mut self, value: f64, weight: f64) {
        self.sum += value;
        self.weighted += value * weight;
    }

    /// Takes a value after three others, newest last; the weighted mean.
    ///
    /// Sums that run, in TA-Lib's order of operations: where the in-phase part of a cycle vanishes, as on coarse ticks,
    /// their rounding decides the phase, and no other rounding gives TA-Lib's average. `size` is that of the values.
    #[inline(always)]
    fn push(&mut self, [third, second, first, value]: [f64; 4], size: f64) -> f64 {
        self.sum += value;
        self.sum -= self.leaving;
        self.weighted += value * 4.0;
        self.leaving = third;
        let afresh = 4.0 * value + 3.0 * first + 2.0 * second + third;
        let drift = (self.weighted - afresh).abs();
        if drift > MOST_DRIFT * (afresh.abs() + size) {
            self.weighted = afresh;
            self.sum = third + second + first + value;
        }
        let smoothed = self.weighted * 0.1;
        self.weighted -= self.sum;
        smoothed
    }
}

state! {
    /// The average, phase and the period of the dominant cycle.
    pub(crate) struct MesaState {
        /// Bars seen, counted until the first valid one, then alternating.
        bars: u64,
        /// Place in the rings of the transforms.
        place: u64,
        detrender: Hilbert,
        quadrature: Hilbert,
        in_phase_shift: Hilbert,
        quadrature_shift: Hilbert,
        /// Detrended price of two and three bars ago, for even and odd bars.
        in_phase_even: [f64; 2],
        in_phase_odd: [f64; 2],
        smooth_in_phase: f64,
        smooth_quadrature: f64,
        real: f64,
        imaginary: f64,
        period: f64,
        phase: f64,
        mama: f64,
        smoothing: Smoothing,
    }
}

state! {
    /// The average and a slower one of it.
    pub(crate) struct MamaState {
        mesa: MesaState,
        fama: f64,
    }
}

/// An average whose speed follows the phase of the dominant cycle.
#[derive(Debug)]
pub(crate) struct Mesa {
    fast_limit: f64,
    slow_limit: f64,
}

impl Mesa {
    /// With TA-Lib's limits, where no parameter gives them.
    pub(crate) const USUAL: Self = Self {
        fast_limit: FAST_LIMIT,
        slow_limit: SLOW_LIMIT,
    };

    /// Values before the first one that has an average.
    pub(crate) const LOOKBACK: usize = FIRST_VALID as usize;

    /// Newest values that `push` reads.
    pub(crate) const TAPS: usize = 4;

    /// Takes a value; the average once it is warm.
    #[inline(always)]
    pub(crate) fn push(
        &self,
        state: &mut MesaState,
        value: f64,
        newest: Option<&[f64]>,
    ) -> Option<f64> {
        let is_warm = state.bars >= FIRST_VALID;
        let (mama, _) = self.settle(state, value, newest)?;
        is_warm.then_some(mama)
    }

    /// Takes a value; the average and its weight from the thirteenth value on.
    #[inline(always)]
    fn settle(
        &self,
        state: &mut MesaState,
        value: f64,
        newest: Option<&[f64]>,
    ) -> Option<(f64, f64)> {
        let bar = state.bars;
        // Once valid, only whether the number is even counts: 32, 33, 32, 33 …
        state.bars = if bar > FIRST_VALID {
            FIRST_VALID
        } else {
            bar + 1
        };
        if bar < const { Self::TAPS as u64 - 1 } {
            state.smoothing.begin(value, (bar + 1) as f64);
            return None;
        }
        let newest = newest?.first_chunk::<{ Self::TAPS }>()?;
        let smoothed = state.smoothing.push(*newest, state.mama.abs());
        if bar < FIRST_TRANSFORMED {
            return None;
        }
        let phase = Self::phase(state, bar.is_multiple_of(2), smoothed);
        let fall = (state.phase - phase).max(1.0);
        state.phase = phase;
        let alpha = if fall > 1.0 {
            (self.fast_limit / fall).max(self.slow_limit)
        } else {
            self.fast_limit
        };
        state.mama = alpha * value + (1.0 - alpha) * state.mama;
        Some((state.mama, alpha))
    }

    /// Phase of the cycle in degrees; moves the cycle's period on.
    #[inline(always)]
    fn phase(state: &mut MesaState, is_even: bool, smoothed: f64) -> f64 {
        let gain = 0.075 * state.period + 0.54;
        let place = state.place as usize;
        let detrended = state.detrender.push(is_even, place, gain, smoothed);
        let quadrature = state.quadrature.push(is_even, place, gain, detrended);
        let (now, later) = if is_even {
            (&state.in_phase_even, &mut state.in_phase_odd)
        } else {
            (&state.in_phase_odd, &mut state.in_phase_even)
        };
        let in_phase = now[1];
        *later = [detrended, later[0]];
        let shifted = state.in_phase_shift.push(is_even, place, gain, in_phase);
        let shifted_back = state
            .quadrature_shift
            .push(is_even, place, gain, quadrature);
        if is_even {
            state.place = (state.place + 1) % 3;
        }
        let q = 0.2 * (quadrature + shifted) + 0.8 * state.smooth_quadrature;
        let i = 0.2 * (in_phase - shifted_back) + 0.8 * state.smooth_in_phase;
        let real = i * state.smooth_in_phase + q * state.smooth_quadrature;
        let imaginary = i * state.smooth_quadrature - q * state.smooth_in_phase;
        state.real = flush_tiny(0.2 * real + 0.8 * state.real);
        state.imaginary = flush_tiny(0.2 * imaginary + 0.8 * state.imaginary);
        state.smooth_quadrature = flush_tiny(q);
        state.smooth_in_phase = flush_tiny(i);
        let before = state.period;
        if state.imaginary != 0.0 && state.real != 0.0 {
            state.period = 360.0 / (libm::atan(state.imaginary / state.real) * DEGREES);
        }
        state.period = state.period.min(1.5 * before).max(0.67 * before);
        state.period = 0.2 * state.period.clamp(6.0, 50.0) + 0.8 * before;
        if in_phase == 0.0 {
            0.0
        } else {
            libm::atan(quadrature / in_phase) * DEGREES
        }
    }
}

/// The average of a column, and a slower one of it.
#[derive(Debug)]
pub(crate) struct Mama {
    mesa: Mesa,
    column: Column,
}

impl Kernel for Mama {
    type State = MamaState;
    type Output = [f64; 4];
    const DESCRIPTION: Description = Description {
        name: "mama",
        summary: "MESA adaptive moving average",
        parameters: &[
            Parameter::number(
                "fastlimit",
                "largest weight of the newest value",
                FAST_LIMIT,
                0.01,
                0.99,
            ),
            Parameter::number(
                "slowlimit",
                "smallest weight of the newest value",
                SLOW_LIMIT,
                0.01,
                0.99,
            ),
            Parameter::column("close"),
        ],
        outputs: &[
            output(
                "mama",
                "mama + (value - mama) * alpha, alpha = fastlimit / fall of the phase in degrees, at least slowlimit; from 0 at the thirteenth bar",
            ),
            output("fama", "fama + (mama - fama) * alpha / 2"),
            output("ratio", "value / mama - 1; 0 when mama is 0"),
            output("spread", "mama / fama - 1; 0 when fama is 0"),
        ],
        source: "TA-Lib MAMA; Ehlers (2001), MESA and Trading Market Cycles",
    };
    const CLASSIC_OUTPUTS: usize = 2;
    const REVISION: u32 = 2;

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            mesa: Mesa {
                fast_limit: arguments.number("fastlimit")?,
                slow_limit: arguments.number("slowlimit")?,
            },
            column: arguments.column()?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of(self.column, Mesa::TAPS)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        Mesa::LOOKBACK
    }

    #[inline(always)]
    fn step(&self, state: &mut MamaState, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 4] {
        let is_warm = state.mesa.bars >= FIRST_VALID;
        let value = frame.current(self.column);
        let newest = frame.last(self.column, Mesa::TAPS);
        let Some((mama, alpha)) = self.mesa.settle(&mut state.mesa, value, newest) else {
            return [f64::NAN; 4];
        };
        state.fama = 0.5 * alpha * mama + (1.0 - 0.5 * alpha) * state.fama;
        if !is_warm {
            return [f64::NAN; 4];
        }
        let ratio = |over: f64, under: f64| {
            if under == 0.0 {
                0.0
            } else {
                over / under - 1.0
            }
        };
        [
            mama,
            state.fama,
            ratio(value, mama),
            ratio(mama, state.fama),
        ]
    }
}
