//! Stochastic oscillator of the relative strength index.

use super::relative_strength_index::{GainsAndLosses, index};
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Block, Column, Frame};
use crate::kernel::{Description, Kernel, output};
use crate::kernels::trend::moving_average::{MovingAverage, MovingAverageState, kind_parameter};
use crate::neighbouring_extremes::{tile_highest, tile_lowest};
use crate::neighbours::{LONGEST, Row, WINDOWS, Wide};
use crate::side_by_side::{self, Memories, MemoryRows, SideBySide};
use crate::state::state;
use crate::window::{highest, lowest, slide};

/// Indices this close to each other, in points, differ by the rounding of a decay only.
const SAME: f64 = 1e-10;

/// Place of the index in its own range.
#[derive(Debug)]
pub(crate) struct StochRsi {
    period: usize,
    fast_k: usize,
    fast_d: MovingAverage,
    column: Column,
}

state! {
    /// The index, its window's filling and the average of fastk.
    pub(crate) struct StochRsiState {
        index: GainsAndLosses,
        fast_d: MovingAverageState,
        /// Indices so far, counted until the window is full.
        filled: u64,
    }
}

impl Kernel for StochRsi {
    type State = StochRsiState;
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "stochrsi",
        summary: "stochastic relative strength index",
        parameters: &[
            Parameter::period("timeperiod", "bars of the index", 14, 2),
            Parameter::period("fastk_period", "indices of the range", 5, 1),
            Parameter::period("fastd_period", "fastk values in fastd", 3, 1),
            kind_parameter("fastd_matype", 0),
            Parameter::column("close"),
        ],
        outputs: &[
            output(
                "fastk",
                "100 * (rsi - lowest rsi) / (highest rsi - lowest rsi); 0 without range",
            ),
            output("fastd", "average of fastk, of the kind fastd_matype"),
        ],
        source: "TA-Lib STOCHRSI; Chande and Kroll (1993), Stocks & Commodities 11:5",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
            fast_k: arguments.count("fastk_period")?,
            fast_d: MovingAverage::of(arguments, "fastd_period", "fastd_matype", 0)?,
            column: arguments.column()?,
        })
    }

    /// The last indices, then the last fastk values.
    fn window_len(&self) -> usize {
        self.fast_k + self.fast_d.own_window()
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period + self.fast_k - 1 + self.fast_d.lookback()
    }

    const SIDE_BY_SIDE: bool = true;
    const MEMORY_ROWS: bool = true;

    /// Other averages remember more than values.
    fn takes_rows(&self) -> bool {
        matches!(self.fast_d, MovingAverage::None | MovingAverage::Mean(_))
    }

    #[inline(always)]
    fn live(&self, state: &mut StochRsiState, show: &mut impl FnMut(&mut f64)) {
        state.index.live(show);
    }

    fn catch_up(
        &self,
        state: &mut StochRsiState,
        window: &mut [f64],
        newest: &Frame<'_>,
        bars: u64,
    ) {
        state.index.previous = newest.current(self.column);
        window[..self.fast_k].rotate_left(self.oldest(bars));
    }

    #[inline(always)]
    fn side_by_side(
        &self,
        memories: &mut Memories<'_>,
        newest: &SideBySide<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let (Some(rows), [fast_ks, fast_ds]) = (memories.take_rows(), outputs) else {
            return false;
        };
        let MemoryRows {
            live: [gains, losses],
            windows,
            bars,
            ..
        } = rows
        else {
            return false;
        };
        let previous = &newest.previous[self.column as usize];
        let values = newest.current(self.column);
        let mut index = Row::ZEROS;
        for (at, cell) in index.0.iter_mut().enumerate() {
            let before = [previous.0[at], gains.0[at], losses.0[at]];
            let mut own = GainsAndLosses::warm(self.period, before);
            *cell = own.push(self.period, values.0[at]).unwrap_or(f64::NAN);
            (gains.0[at], losses.0[at]) = (own.gain, own.loss);
        }
        let (indices, past) = windows.split_at_mut(self.fast_k);
        // Extremes ask for no order.
        indices[self.oldest(bars)] = index;
        let (highs, lows) = (
            side_by_side::highest(indices),
            side_by_side::lowest(indices),
        );
        for (at, cell) in fast_ks.0.iter_mut().enumerate() {
            *cell = place(index.0[at], highs.0[at], lows.0[at]);
        }
        *fast_ds = *fast_ks;
        if !past.is_empty() {
            past.copy_within(1.., 0);
            past[past.len() - 1] = *fast_ks;
            *fast_ds = side_by_side::means(past);
        }
        true
    }

    #[inline(always)]
    fn step(&self, state: &mut StochRsiState, window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
        let Some(index) = state.index.push(self.period, frame.current(self.column)) else {
            return [f64::NAN; 2];
        };
        let (indices, fast_ks) = window.split_at_mut(self.fast_k);
        slide(indices, index);
        let full = self.fast_k as u64;
        state.filled = state.filled.saturating_add(1).min(full);
        if state.filled < full {
            return [f64::NAN; 2];
        }
        let fast_k = place(index, highest(indices), lowest(indices));
        match self.fast_d.push_own(&mut state.fast_d, fast_ks, fast_k) {
            Some(fast_d) => [fast_k, fast_d],
            None => [f64::NAN; 2],
        }
    }

    #[inline(always)]
    fn block(
        &self,
        state: &mut StochRsiState,
        window: &mut [f64],
        block: Block<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let (Some(values), [fast_ks, fast_ds]) = (block.sources(2), outputs) else {
            return false;
        };
        let length = self.fast_k;
        let is_warm = state.index.is_warm(self.period) && state.filled >= length as u64;
        if !is_warm || length > LONGEST {
            return false;
        }
        let before = *state;
        let (window, own_fast_ks) = window.split_at_mut(length);
        let mut indices: Wide = [0.0; _];
        let past = window.get(1..).unwrap_or_default();
        indices[..past.len()].copy_from_slice(past);
        let own = &mut indices[past.len()..][..WINDOWS];
        let mut losses = Row::ZEROS;
        let moves = [&values[1..], &values[..WINDOWS]];
        state
            .index
            .take(self.period, moves, [&mut *own, &mut losses.0]);
        for (cell, loss) in own.iter_mut().zip(&losses.0) {
            *cell = index(*cell, *cell + loss);
        }
        let (mut highs, mut lows) = (Row::ZEROS, Row::ZEROS);
        let indices = &indices[..past.len() + WINDOWS];
        tile_highest(indices, length, &mut highs.0);
        tile_lowest(indices, length, &mut lows.0);
        let own = &indices[past.len()..];
        for (at, cell) in fast_ks.0.iter_mut().enumerate() {
            *cell = place(own[at], highs.0[at], lows.0[at]);
        }
        if !(self.fast_d).push_own_all(&mut state.fast_d, own_fast_ks, &fast_ks.0, &mut fast_ds.0) {
            *state = before;
            return false;
        }
        window.copy_from_slice(&indices[WINDOWS - 1..]);
        true
    }
}

impl StochRsi {
    /// Place of the oldest index among rows that took so many bars.
    fn oldest(&self, bars: u64) -> usize {
        (bars % self.fast_k as u64) as usize
    }
}

/// Place of an index between the highest and the lowest one in percent; 0 without range.
#[inline(always)]
fn place(index: f64, highest: f64, lowest: f64) -> f64 {
    let range = highest - lowest;
    if range > SAME {
        100.0 * ((index - lowest) / range)
    } else {
        0.0
    }
}
