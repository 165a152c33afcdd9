//! Chaikin money flow.

use super::accumulation_distribution::{money_flow, place, take_flows};
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback, Span};
use crate::kernel::{Description, Kernel, output};
use crate::known_length::known_length;
use crate::neighbours::{LONGEST, Row, TILE, WINDOWS, divide_by_widths, sums};
use crate::side_by_side::{Memories, SideBySide, sums_of};
use crate::state::state;
use crate::subnormal::{Plain, quotient};
use crate::trailing::{self, append, room_for, rows_for, sums_after_append};
use crate::window::sum;

/// Sum of money flows as a share of the volume.
#[derive(Debug)]
pub(crate) struct ChaikinMoneyFlow {
    period: usize,
}

state! {
    /// How far the window of flows is filled.
    pub(crate) struct Flows {
        appended: u64,
    }
}

impl Kernel for ChaikinMoneyFlow {
    type State = Flows;
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "chaikin_money_flow",
        summary: "Chaikin money flow",
        parameters: &[Parameter::period("timeperiod", "bars in the sums", 20, 1)],
        outputs: &[output(
            "money_flow",
            "sum of the ad line's steps / sum of volume over the last timeperiod bars; 0 without volume",
        )],
        source: "Chaikin; the steps are TA-Lib AD's",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of(Column::Volume, self.period)
    }

    fn window_len(&self) -> usize {
        room_for(self.period)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period - 1
    }

    const SIDE_BY_SIDE: bool = true;
    const MEMORY_ROWS: bool = true;

    fn window_rows(&self) -> (usize, usize) {
        (1, rows_for(self.period))
    }

    fn align(&self, state: &mut Flows, window: &mut [f64]) {
        trailing::align(window, &mut state.appended);
    }

    #[inline(always)]
    fn catch_up(&self, state: &mut Flows, _window: &mut [f64], _newest: &Frame<'_>, bars: u64) {
        state.appended = trailing::appended_rows(bars);
    }

    #[inline(always)]
    fn side_by_side(
        &self,
        memories: &mut Memories<'_>,
        newest: &SideBySide<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let (Some(volumes), [row]) = (newest.last(Column::Volume, self.period), outputs) else {
            return false;
        };
        let [highs, lows, closes, now] =
            [Column::High, Column::Low, Column::Close, Column::Volume].map(|at| newest.current(at));
        let mut flows = Row::ZEROS;
        for (at, cell) in flows.0.iter_mut().enumerate() {
            *cell = now.0[at] * place::<Plain>(highs.0[at], lows.0[at], closes.0[at]);
        }
        *row = sums_after_append!(memories, flows, |at, state: Flows, window| {
            let flows = append(window, &mut state.appended, flows.0[at]);
            known_length!([flows] of [20] => sum(flows))
        });
        let volumes = sums_of(volumes, |volume, _| volume);
        for (cell, volume) in row.0.iter_mut().zip(&volumes.0) {
            *cell = if *volume > 0.0 { *cell / volume } else { 0.0 };
        }
        true
    }

    #[inline(always)]
    fn span(
        &self,
        state: &mut Flows,
        window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let (Some(given), [cells]) = (span.windows(Column::Volume, self.period), outputs) else {
            return 0;
        };
        let past = self.period - 1;
        if self.period > LONGEST {
            return 0;
        }
        // As many as a tile has, and what its first windows hold of the past.
        let (mut flows, mut volumes) = ([0.0; TILE + LONGEST], [0.0; TILE + LONGEST]);
        let kept = trailing::newest(window, state.appended);
        for (flow, kept) in flows.iter_mut().zip(kept.get(1..).unwrap_or_default()) {
            *flow = *kept;
        }
        let added = &mut flows[past..];
        let bars = take_flows(span, cells.len().min(TILE), |first, flows| {
            added[first..][..flows.len()].copy_from_slice(flows);
        });
        if bars == 0 {
            return 0;
        }
        volumes[..past + bars].copy_from_slice(&given[..past + bars]);
        for (block, cells) in cells[..bars].chunks_mut(WINDOWS).enumerate() {
            let own = block * WINDOWS..(block + 1) * WINDOWS + past;
            let (mut shares, volumes) = (
                sums(&flows[own.clone()], self.period),
                sums(&volumes[own], self.period),
            );
            divide_by_widths(&mut shares.0, &volumes.0, 0.0);
            cells.copy_from_slice(&shares.0[..cells.len()]);
        }
        let newest = &flows[bars - 1..][..self.period];
        trailing::replace(window, &mut state.appended, newest);
        bars
    }

    #[inline(always)]
    fn step(&self, state: &mut Flows, window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        let flows = append(window, &mut state.appended, money_flow(&frame.bar));
        let Some(volumes) = frame.volumes(self.period) else {
            return [f64::NAN];
        };
        let volume = sum(volumes);
        [if volume > 0.0 {
            quotient(sum(flows), volume)
        } else {
            0.0
        }]
    }
}
