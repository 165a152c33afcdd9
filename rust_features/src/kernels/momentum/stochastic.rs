//! Stochastic oscillator.

use std::ops::Range;

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Block, Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::kernels::trend::moving_average::{MovingAverage, MovingAverageState, kind_parameter};
use crate::known_length::known_length;
use crate::neighbours::{self, LONGEST, Row, WINDOWS, Wide};
use crate::rings::{
    ring, ring_extend, ring_len, ring_of_each, ring_rows, ring_values, turn_back, turn_ring,
};
use crate::side_by_side::{self, Memories, SideBySide, each_series};
use crate::state::state;
use crate::subnormal::{Arithmetic, Careful, Lifted, Plain, all_near};
use crate::window::{highest, lowest, mean};

/// Place of the close in the range of the last bars, smoothed twice.
#[derive(Debug)]
pub(crate) struct Stoch {
    fast_k: usize,
    slow_k: usize,
    slow_d: usize,
}

state! {
    /// Raw values in the window so far, counted until it is full.
    pub(crate) struct StochState {
        filled: u64,
    }
}

impl Kernel for Stoch {
    type State = StochState;
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "stoch",
        summary: "stochastic oscillator",
        parameters: &[
            Parameter::period("fastk_period", "bars of the range", 5, 1),
            Parameter::period("slowk_period", "raw values in slowk", 3, 1),
            Parameter::period("slowd_period", "slowk values in slowd", 3, 1),
        ],
        outputs: &[
            output(
                "slowk",
                "sma of 100 * (close - lowest low) / (highest high - lowest low); raw value 0 without range",
            ),
            output("slowd", "sma of slowk"),
        ],
        source: "TA-Lib STOCH with simple averages; Lane (1984), Stocks & Commodities 2:3",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            fast_k: arguments.count("fastk_period")?,
            slow_k: arguments.count("slowk_period")?,
            slow_d: arguments.count("slowd_period")?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of_each(&[Column::High, Column::Low], self.fast_k)
    }

    /// The last raw values, then the last slowk values.
    fn window_len(&self) -> usize {
        ring_len(self.slow_k) + ring_len(self.slow_d)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.fast_k + self.slow_k + self.slow_d - 3
    }

    const SIDE_BY_SIDE: bool = true;
    const MEMORY_ROWS: bool = true;

    fn align_rows(&self, _state: &mut StochState, window: &mut [f64]) {
        let (raws, slow_ks) = window.split_at_mut(ring_len(self.slow_k));
        turn_ring(raws);
        turn_ring(slow_ks);
    }

    fn catch_up(
        &self,
        _state: &mut StochState,
        window: &mut [f64],
        _newest: &Frame<'_>,
        bars: u64,
    ) {
        let (raws, slow_ks) = window.split_at_mut(ring_len(self.slow_k));
        turn_back(raws, bars);
        turn_back(slow_ks, bars);
    }

    fn needed_rows(&self, bars: u64, tell: &mut dyn FnMut(Range<usize>)) {
        ring_rows(0, self.slow_k, bars, tell);
        ring_rows(ring_len(self.slow_k), self.slow_d, bars, tell);
    }

    #[inline(always)]
    fn side_by_side(
        &self,
        memories: &mut Memories<'_>,
        newest: &SideBySide<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let (Some(highs), Some(lows), [slow_ks, slow_ds]) = (
            newest.last(Column::High, self.fast_k),
            newest.last(Column::Low, self.fast_k),
            outputs,
        ) else {
            return false;
        };
        let (highs, lows) = (side_by_side::highest(highs), side_by_side::lowest(lows));
        let mut raws = Row::ZEROS;
        let closes = &newest.current(Column::Close).0;
        places_between::<Plain>(&highs, &lows, closes, &mut raws);
        if let Some(rows) = memories.take_rows() {
            let (raw_ring, slow_k_ring) = rows.windows.split_at_mut(ring_len(self.slow_k));
            *slow_ks = side_by_side::means(ring_of_each(raw_ring, rows.bars, raws));
            *slow_ds = side_by_side::means(ring_of_each(slow_k_ring, rows.bars, *slow_ks));
            return true;
        }
        each_series!(memories, |at, state: StochState, window| {
            [slow_ks.0[at], slow_ds.0[at]] = self.smooth(state, window, raws.0[at]);
        });
        true
    }

    #[inline(always)]
    fn step(&self, state: &mut StochState, window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
        let Some(raw) = place_in_range(frame, self.fast_k) else {
            return [f64::NAN; 2];
        };
        self.smooth(state, window, raw)
    }

    #[inline(always)]
    fn block(
        &self,
        state: &mut StochState,
        window: &mut [f64],
        block: Block<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let lengths = [self.fast_k, self.slow_k, self.slow_d];
        let warm = state.filled >= (self.slow_k + self.slow_d - 1) as u64;
        if !warm || lengths.iter().any(|length| *length > LONGEST) {
            return false;
        }
        let (Some(raws), [slow_ks, slow_ds]) = (places_in_range(block, self.fast_k), outputs)
        else {
            return false;
        };
        let (raw_ring, slow_k_ring) = window.split_at_mut(ring_len(self.slow_k));
        *slow_ks = means_over_ring(raw_ring, &raws, self.slow_k);
        *slow_ds = means_over_ring(slow_k_ring, slow_ks, self.slow_d);
        true
    }
}

impl Stoch {
    /// Takes a raw value; both averages, NaN until the second is warm.
    #[inline(always)]
    fn smooth(&self, state: &mut StochState, window: &mut [f64], raw: f64) -> [f64; 2] {
        let (raws, slow_ks) = window.split_at_mut(ring_len(self.slow_k));
        let slow_k = mean(ring(raws, raw));
        let slow_d = mean(ring(slow_ks, slow_k));
        let full = (self.slow_k + self.slow_d - 1) as u64;
        state.filled = state.filled.saturating_add(1).min(full);
        if state.filled < full {
            return [f64::NAN; 2];
        }
        [slow_k, slow_d]
    }
}

/// Means of the last `length` values at each bar of a block, whose own values go into the ring.
#[inline(always)]
fn means_over_ring(ring: &mut [f64], added: &Row, length: usize) -> Row {
    let mut values: Wide = [0.0; WINDOWS + LONGEST];
    let past = ring_values(ring).get(1..).unwrap_or_default();
    for (cell, value) in values.iter_mut().zip(past.iter().chain(&added.0)) {
        *cell = *value;
    }
    ring_extend(ring, &added.0);
    neighbours::means(&values[..length + WINDOWS - 1], length)
}

/// Place of the close in the range of the newest `bars` bars in percent; 0 without range.
#[inline(always)]
pub(super) fn place_in_range(frame: &Frame<'_>, bars: usize) -> Option<f64> {
    let (highs, lows) = (frame.highs(bars)?, frame.lows(bars)?);
    let (high, low) = known_length!([highs, lows] of [14] => (highest(highs), lowest(lows)));
    Some(place_between::<Careful>(high, low, frame.bar.close))
}

/// As [`place_in_range`] for the bars of a block and a range of at most [`LONGEST`] bars.
#[inline(always)]
fn places_in_range(block: Block<'_>, bars: usize) -> Option<Row> {
    if bars > LONGEST {
        return None;
    }
    let highs = neighbours::highest(block.highs(bars)?, bars);
    let lows = neighbours::lowest(block.lows(bars)?, bars);
    let mut places = Row::ZEROS;
    if all_near(&highs.0) {
        places_between::<Lifted>(&highs, &lows, block.close()?, &mut places);
    } else {
        places_between::<Plain>(&highs, &lows, block.close()?, &mut places);
    }
    Some(places)
}

#[inline(always)]
fn places_between<A: Arithmetic>(
    highs: &Row,
    lows: &Row,
    closes: &[f64; WINDOWS],
    places: &mut Row,
) {
    for (at, place) in places.0.iter_mut().enumerate() {
        *place = place_between::<A>(highs.0[at], lows.0[at], closes[at]);
    }
}

#[inline(always)]
fn place_between<A: Arithmetic>(high: f64, low: f64, close: f64) -> f64 {
    let range = high - low;
    if range > 0.0 {
        100.0 * A::quotient(close - low, range)
    } else {
        0.0
    }
}

/// Place of the close in the range of the last bars, smoothed once.
#[derive(Debug)]
pub(crate) struct StochF {
    fast_k: usize,
    fast_d: MovingAverage,
}

impl Kernel for StochF {
    type State = MovingAverageState;
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "stochf",
        summary: "fast stochastic oscillator",
        parameters: &[
            Parameter::period("fastk_period", "bars of the range", 5, 1),
            Parameter::period("fastd_period", "fastk values in fastd", 3, 1),
            kind_parameter("fastd_matype", 0),
        ],
        outputs: &[
            output(
                "fastk",
                "100 * (close - lowest low) / (highest high - lowest low); 0 without range",
            ),
            output("fastd", "average of fastk, of the kind fastd_matype"),
        ],
        source: "TA-Lib STOCHF; Lane (1984), Stocks & Commodities 2:3",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            fast_k: arguments.count("fastk_period")?,
            fast_d: MovingAverage::of(arguments, "fastd_period", "fastd_matype", 0)?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of_each(&[Column::High, Column::Low], self.fast_k)
    }

    /// The last fastk values.
    fn window_len(&self) -> usize {
        self.fast_d.own_window()
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.fast_k - 1 + self.fast_d.lookback()
    }

    #[inline(always)]
    fn step(
        &self,
        state: &mut MovingAverageState,
        window: &mut [f64],
        frame: &Frame<'_>,
    ) -> [f64; 2] {
        let Some(fast_k) = place_in_range(frame, self.fast_k) else {
            return [f64::NAN; 2];
        };
        match self.fast_d.push_own(state, window, fast_k) {
            Some(fast_d) => [fast_k, fast_d],
            None => [f64::NAN; 2],
        }
    }
    #[inline(always)]
    fn block(
        &self,
        state: &mut MovingAverageState,
        window: &mut [f64],
        block: Block<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let (Some(places), [fast_ks, fast_ds]) = (places_in_range(block, self.fast_k), outputs)
        else {
            return false;
        };
        *fast_ks = places;
        (self.fast_d).push_own_all(state, window, &fast_ks.0, &mut fast_ds.0)
    }
}
