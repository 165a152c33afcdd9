//! MESA adaptive moving average.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback, Span};
use crate::instructions::{Work, with_half_vectors};
use crate::kernel::{Description, Kernel, output};
use crate::neighbours::TILE;
use crate::state::state;
use crate::subnormal::{all_near, is_lifted_tiny, is_near, lift, lifted_product, lower};
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

/// What the numbers of an average are: prices, or prices that were lifted.
trait Scale {
    /// `value * factor`.
    fn product(value: f64, factor: f64) -> f64;
    /// The value, or zero once it has decayed.
    fn flush(value: f64) -> f64;
}

struct Usual;

impl Scale for Usual {
    #[inline(always)]
    fn product(value: f64, factor: f64) -> f64 {
        value * factor
    }

    #[inline(always)]
    fn flush(value: f64) -> f64 {
        flush_tiny(value)
    }
}

/// With the bits of the usual ones, for numbers near zero.
struct Lifted;

impl Scale for Lifted {
    #[inline(always)]
    fn product(value: f64, factor: f64) -> f64 {
        lifted_product(value, factor)
    }

    #[inline(always)]
    fn flush(value: f64) -> f64 {
        if is_lifted_tiny(value) { 0.0 } else { value }
    }
}

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
    fn push<S: Scale>(&mut self, is_even: bool, place: usize, gain: f64, input: f64) -> f64 {
        let half = if is_even {
            &mut self.even
        } else {
            &mut self.odd
        };
        let newest = S::product(input, 0.0962);
        let mut value = newest;
        if let Some(oldest) = half.scaled.get_mut(place) {
            value -= *oldest;
            *oldest = newest;
        }
        value -= half.scaled_input;
        half.scaled_input = S::product(half.input, 0.5769);
        value += half.scaled_input;
        half.input = input;
        S::product(value, gain)
    }

    fn visit(&mut self, mut visit: impl FnMut(&mut f64)) {
        for half in [&mut self.even, &mut self.odd] {
            half.scaled.iter_mut().for_each(&mut visit);
            visit(&mut half.input);
            visit(&mut half.scaled_input);
        }
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
    fn push<S: Scale>(&mut self, [third, second, first, value]: [f64; 4], size: f64) -> f64 {
        self.sum += value;
        self.sum -= self.leaving;
        self.weighted += S::product(value, 4.0);
        self.leaving = third;
        let afresh =
            S::product(value, 4.0) + S::product(first, 3.0) + S::product(second, 2.0) + third;
        let drift = (self.weighted - afresh).abs();
        if drift > S::product(afresh.abs() + size, MOST_DRIFT) {
            self.weighted = afresh;
            self.sum = third + second + first + value;
        }
        let smoothed = S::product(self.weighted, 0.1);
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

impl MesaState {
    /// Visits every number that is a price, or grows with prices.
    fn visit(&mut self, mut visit: impl FnMut(&mut f64)) {
        self.detrender.visit(&mut visit);
        self.quadrature.visit(&mut visit);
        self.in_phase_shift.visit(&mut visit);
        self.quadrature_shift.visit(&mut visit);
        self.in_phase_even.iter_mut().for_each(&mut visit);
        self.in_phase_odd.iter_mut().for_each(&mut visit);
        for price in [
            &mut self.mama,
            &mut self.smoothing.sum,
            &mut self.smoothing.weighted,
            &mut self.smoothing.leaving,
        ] {
            visit(price);
        }
    }

    /// Whether the smoothed phase counts as zero, and its squares are none.
    #[inline(always)]
    fn is_phase_tiny(&self) -> bool {
        self.smooth_quadrature == 0.0 && self.smooth_in_phase == 0.0
    }
}

impl MamaState {
    fn visit(&mut self, mut visit: impl FnMut(&mut f64)) {
        self.mesa.visit(&mut visit);
        visit(&mut self.fama);
    }

    /// Whether every price in it can be lifted.
    fn can_lift(mut self) -> bool {
        let mut near = true;
        self.visit(|price| near &= is_near(*price));
        near && self.mesa.is_phase_tiny()
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
        let (mama, _) = self.settle::<Usual>(state, value, newest)?;
        is_warm.then_some(mama)
    }

    /// Takes a value; the average and its weight from the thirteenth value on.
    #[inline(always)]
    fn settle<S: Scale>(
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
        let smoothed = state.smoothing.push::<S>(*newest, state.mama.abs());
        if bar < FIRST_TRANSFORMED {
            return None;
        }
        let phase = Self::phase::<S>(state, bar.is_multiple_of(2), smoothed);
        let fall = (state.phase - phase).max(1.0);
        state.phase = phase;
        let alpha = if fall > 1.0 {
            (self.fast_limit / fall).max(self.slow_limit)
        } else {
            self.fast_limit
        };
        state.mama = S::product(value, alpha) + S::product(state.mama, 1.0 - alpha);
        Some((state.mama, alpha))
    }

    /// Phase of the cycle in degrees; moves the cycle's period on.
    #[inline(always)]
    fn phase<S: Scale>(state: &mut MesaState, is_even: bool, smoothed: f64) -> f64 {
        let gain = 0.075 * state.period + 0.54;
        let place = state.place as usize;
        let detrended = state.detrender.push::<S>(is_even, place, gain, smoothed);
        let quadrature = state.quadrature.push::<S>(is_even, place, gain, detrended);
        let (now, later) = if is_even {
            (&state.in_phase_even, &mut state.in_phase_odd)
        } else {
            (&state.in_phase_odd, &mut state.in_phase_even)
        };
        let in_phase = now[1];
        *later = [detrended, later[0]];
        let shifted = state
            .in_phase_shift
            .push::<S>(is_even, place, gain, in_phase);
        let shifted_back = state
            .quadrature_shift
            .push::<S>(is_even, place, gain, quadrature);
        if is_even {
            state.place = (state.place + 1) % 3;
        }
        let q = S::product(quadrature + shifted, 0.2) + S::product(state.smooth_quadrature, 0.8);
        let i = S::product(in_phase - shifted_back, 0.2) + S::product(state.smooth_in_phase, 0.8);
        let real = i * state.smooth_in_phase + q * state.smooth_quadrature;
        let imaginary = i * state.smooth_quadrature - q * state.smooth_in_phase;
        state.real = flush_tiny(0.2 * real + 0.8 * state.real);
        state.imaginary = flush_tiny(0.2 * imaginary + 0.8 * state.imaginary);
        state.smooth_quadrature = S::flush(q);
        state.smooth_in_phase = S::flush(i);
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
        let Some((mama, alpha)) = self.mesa.settle::<Usual>(&mut state.mesa, value, newest) else {
            return [f64::NAN; 4];
        };
        let outputs = Self::outputs::<Usual>(state, value, mama, alpha);
        if is_warm { outputs } else { [f64::NAN; 4] }
    }

    /// Only for values near zero, which take steps much longer.
    #[inline(always)]
    fn span(
        &self,
        state: &mut MamaState,
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let bars = span.source().len().min(TILE);
        let newest = span.sources(Mesa::TAPS).unwrap_or_default();
        let Some(newest) = newest.get(..bars + Mesa::TAPS - 1) else {
            return 0;
        };
        if !all_near(newest) {
            return 0;
        }
        // A copy: numbers whose place is known elsewhere could not stay in registers from step to step.
        let mut own = *state;
        let taken = self.take_near(&mut own, newest, bars, outputs);
        *state = own;
        taken
    }
}

impl Mama {
    /// Takes values near zero, given with the taps before the first of them, lifted; none where a number on the way is
    /// not near zero.
    #[cold]
    #[inline(never)]
    fn take_near(
        &self,
        state: &mut MamaState,
        values: &[f64],
        bars: usize,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        with_half_vectors(Near {
            average: self,
            state,
            values,
            bars,
            outputs,
        })
    }

    /// The outputs, given the average and its weight.
    #[inline(always)]
    fn outputs<S: Scale>(state: &mut MamaState, value: f64, mama: f64, alpha: f64) -> [f64; 4] {
        let share = 0.5 * alpha;
        state.fama = S::product(mama, share) + S::product(state.fama, 1.0 - share);
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

struct Near<'a, 'o> {
    average: &'a Mama,
    state: &'a mut MamaState,
    values: &'a [f64],
    bars: usize,
    outputs: &'a mut [&'o mut [f64]],
}

impl Work for Near<'_, '_> {
    type Result = usize;

    #[inline(always)]
    fn run(self) -> usize {
        let mut room = [0.0; TILE + Mesa::TAPS - 1];
        if self.state.mesa.bars < FIRST_VALID || !self.state.can_lift() {
            return 0;
        }
        for (cell, value) in room.iter_mut().zip(self.values) {
            *cell = lift(*value);
        }
        let mut next = *self.state;
        next.visit(|price| *price = lift(*price));
        for (at, newest) in room.windows(Mesa::TAPS).take(self.bars).enumerate() {
            let value = newest[Mesa::TAPS - 1];
            let mesa = &self.average.mesa;
            let settled = mesa.settle::<Lifted>(&mut next.mesa, value, Some(newest));
            // Squares of anything else are not lifted.
            let (Some((mama, alpha)), true) = (settled, next.mesa.is_phase_tiny()) else {
                return 0;
            };
            let [mama, fama, rest @ ..] = Mama::outputs::<Lifted>(&mut next, value, mama, alpha);
            let shown = [lower(mama), lower(fama), rest[0], rest[1]];
            for (cells, value) in self.outputs.iter_mut().zip(shown) {
                cells[at] = value;
            }
        }
        next.visit(|price| *price = lower(*price));
        *self.state = next;
        self.bars
    }
}
