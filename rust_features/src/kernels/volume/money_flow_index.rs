//! Money flow index.

use std::ops::Range;

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Span};
use crate::kernel::{Description, Kernel, output};
use crate::known_length::known_length;
use crate::neighbouring_means::all_sums;
use crate::neighbours::{LONGEST, Row, TILE, divide};
use crate::rings::{
    align_ring, place_ring, ring, ring_extend, ring_len, ring_of_each, ring_rows, ring_values,
};
use crate::side_by_side::{Memories, PRICES, SideBySide, each_series, sums_of};
use crate::state::state;
use crate::subnormal::{
    self, Arithmetic, Careful, LEAST_NORMAL, Lifted, Plain, all_factors, all_near, all_subnormal,
    is_near, lift_subnormal,
};
use crate::window::{Finite, all_finite, sum_of};

/// Typical prices this close to each other, as a fraction of their sum, differ by rounding only.
const SAME: f64 = 1e-14;

/// Share of rising bars in the money that flowed.
#[derive(Debug)]
pub(crate) struct Mfi {
    period: usize,
}

state! {
    /// Previous typical price and the flows so far.
    pub(crate) struct MoneyFlow {
        previous_typical: f64,
        /// Bars seen, counted until the window is full.
        bars: u64,
    }
}

impl Kernel for Mfi {
    type State = MoneyFlow;
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "mfi",
        summary: "money flow index",
        parameters: &[Parameter::period("timeperiod", "flows in the sums", 14, 2)],
        outputs: &[output(
            "mfi",
            "100 * positive / (positive + negative) flow of typical price (high + low + close) / 3 times volume; none when the typical price stays; 0 without flow",
        )],
        source: "TA-Lib MFI; Quong and Soudack (1989), Stocks & Commodities 7:3",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
        })
    }

    /// The last flows, negative for falling bars.
    fn window_len(&self) -> usize {
        ring_len(self.period)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period
    }

    const SIDE_BY_SIDE: bool = true;
    const MEMORY_ROWS: bool = true;

    fn align(&self, _state: &mut MoneyFlow, window: &mut [f64]) {
        align_ring(window);
    }

    #[inline(always)]
    fn catch_up(&self, state: &mut MoneyFlow, window: &mut [f64], newest: &Frame<'_>, bars: u64) {
        state.previous_typical = typical(newest);
        place_ring(window, bars);
    }

    fn needed_rows(&self, bars: u64, tell: &mut dyn FnMut(Range<usize>)) {
        ring_rows(0, self.period, bars, tell);
    }

    #[inline(always)]
    fn side_by_side(
        &self,
        memories: &mut Memories<'_>,
        newest: &SideBySide<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let [row] = outputs else {
            return false;
        };
        let volumes = newest.current(Column::Volume);
        let [mut previous, mut flows] = [Row::ZEROS; 2];
        let typical = typical_of_each(newest.current);
        let rows = memories.take_rows();
        if rows.is_some() {
            previous = typical_of_each(newest.previous);
        } else {
            each_series!(memories, |at, state: MoneyFlow| {
                previous.0[at] = std::mem::replace(&mut state.previous_typical, typical.0[at]);
            });
        }
        for (at, cell) in flows.0.iter_mut().enumerate() {
            *cell = signed_flow::<Plain>(typical.0[at], previous.0[at], volumes.0[at]);
        }
        let [mut positive, mut total] = [Row::ZEROS; 2];
        if let Some(rows) = rows {
            let flows = ring_of_each(rows.windows, rows.bars, flows);
            positive = sums_of(flows, |flow, _| rising(flow));
            total = sums_of(flows, |flow, _| flow.abs());
        } else {
            each_series!(memories, |at, state: MoneyFlow, window| {
                // No number but a NaN shows that there are too few bars yet.
                [positive.0[at], total.0[at]] = self
                    .sums(state, window, flows.0[at])
                    .unwrap_or([f64::NAN, 1.0]);
            });
        }
        shares::<Plain>(&positive.0, &total.0, &mut row.0);
        true
    }

    #[inline(always)]
    fn step(&self, state: &mut MoneyFlow, window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        let typical = typical(frame);
        let previous = std::mem::replace(&mut state.previous_typical, typical);
        let flow = signed_flow::<Careful>(typical, previous, frame.bar.volume);
        match self.sums(state, window, flow) {
            Some([positive, total]) => [share::<Careful>(positive, total)],
            None => [f64::NAN],
        }
    }

    #[inline(always)]
    fn span_checks(&self, column: Column) -> bool {
        !matches!(column, Column::Open)
    }

    #[inline(always)]
    fn span(
        &self,
        state: &mut MoneyFlow,
        window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let [cells] = outputs else {
            return 0;
        };
        if state.bars < self.period as u64 || self.period > LONGEST {
            return 0;
        }
        let [_, highs, lows, closes, volumes] = span.prices();
        let mut taken = 0;
        for cells in cells.chunks_mut(TILE) {
            let own = taken..taken + cells.len();
            let bars = [highs, lows, closes, volumes].map(|values| &values[own.clone()]);
            if !self.take_tile(state, window, bars, cells) {
                break;
            }
            taken += cells.len();
        }
        taken
    }
}

impl Mfi {
    /// The index of at most a tile of bars, given their highs, lows, closes and volumes; false, and nothing done, where a
    /// number or flow is not finite.
    #[inline(always)]
    fn take_tile(
        &self,
        state: &mut MoneyFlow,
        window: &mut [f64],
        [highs, lows, closes, volumes]: [&[f64]; 4],
        cells: &mut [f64],
    ) -> bool {
        let bars = cells.len();
        let mut typical = [state.previous_typical; TILE + 1];
        let typical = &mut typical[..=bars];
        let mut finite = Finite::default();
        for (at, cell) in typical[1..].iter_mut().enumerate() {
            *cell = highs[at] + lows[at] + closes[at];
            // One look for four numbers: what is not finite stays in their sum.
            finite.look(*cell + volumes[at]);
        }
        if !finite.all() && ![highs, lows, closes, volumes].into_iter().all(all_finite) {
            return false;
        }
        divide(&mut typical[1..], 3.0);
        let mut flows = [0.0; TILE];
        let flows = &mut flows[..bars];
        // A product with a tiny volume is nothing, which costs nothing.
        let near = all_near(highs) && is_near(state.previous_typical);
        match (near, near && all_factors(volumes)) {
            (false, _) => signed_flows::<Plain>(typical, volumes, flows, is_same::<Plain>),
            (_, true) => signed_flows::<Lifted>(typical, volumes, flows, is_same::<Lifted>),
            _ if all_subnormal(typical) => {
                signed_flows::<Plain>(typical, volumes, flows, is_same_subnormal);
            }
            _ => signed_flows::<Plain>(typical, volumes, flows, is_same::<Lifted>),
        }
        let mut parts = [[0.0; TILE + LONGEST]; 2];
        let past = ring_values(window).get(1..).unwrap_or_default();
        let cut = past.len() + bars;
        let [rises, sizes] = parts.each_mut().map(|values| &mut values[..cut]);
        // Two loops: vectors take only the longer one, and none that chains both.
        for (at, flow) in past.iter().enumerate() {
            (rises[at], sizes[at]) = (rising(*flow), flow.abs());
        }
        let (own_rises, own_sizes) = (&mut rises[past.len()..], &mut sizes[past.len()..]);
        for (at, flow) in flows.iter().enumerate() {
            (own_rises[at], own_sizes[at]) = (rising(*flow), flow.abs());
        }
        let mut totals = [[0.0; TILE]; 2];
        for (totals, values) in totals.iter_mut().zip(&parts) {
            if all_sums(&values[..cut], self.period, &mut totals[..bars]) < bars {
                return false;
            }
        }
        let [rises, sizes] = totals.each_ref().map(|totals| &totals[..bars]);
        if all_near(sizes) {
            shares::<Lifted>(rises, sizes, cells);
        } else {
            shares::<Plain>(rises, sizes, cells);
        }
        state.previous_typical = typical[bars];
        ring_extend(window, flows);
        true
    }

    /// Takes a bar's flow; the sums of positive and of all flows once the window is full. The first bar of all has no flow.
    #[inline(always)]
    fn sums(&self, state: &mut MoneyFlow, window: &mut [f64], flow: f64) -> Option<[f64; 2]> {
        if state.bars == 0 {
            state.bars = 1;
            return None;
        }
        let flows = ring(window, flow);
        if state.bars < self.period as u64 {
            state.bars += 1;
            return None;
        }
        Some(known_length!([flows] of [14] => [sum_of(flows, rising), sum_of(flows, f64::abs)]))
    }
}

/// Flows of some bars, given their typical prices after the one before them, and which of these are the same.
#[inline(always)]
fn signed_flows<A: Arithmetic>(
    typical: &[f64],
    volumes: &[f64],
    flows: &mut [f64],
    is_same: impl Fn(f64, f64) -> bool,
) {
    let bars = flows.len();
    let (previous, own, volumes) = (&typical[..bars], &typical[1..][..bars], &volumes[..bars]);
    for (at, flow) in flows.iter_mut().enumerate() {
        let product = A::product(own[at], volumes[at]);
        *flow = signed(
            product,
            own[at],
            previous[at],
            is_same(own[at], previous[at]),
        );
    }
}

/// The typical price of a bar.
#[inline(always)]
fn typical(frame: &Frame<'_>) -> f64 {
    subnormal::share(frame.bar.high + frame.bar.low + frame.bar.close, 3.0)
}

/// The same for many series.
#[inline(always)]
fn typical_of_each([_, highs, lows, closes, _]: &[Row; PRICES]) -> Row {
    let mut row = Row::ZEROS;
    for (at, cell) in row.0.iter_mut().enumerate() {
        *cell = (highs.0[at] + lows.0[at] + closes.0[at]) / 3.0;
    }
    row
}

/// Money that flowed at a bar, negative when the typical price fell.
#[inline(always)]
fn signed_flow<A: Arithmetic>(typical: f64, previous: f64, volume: f64) -> f64 {
    let flow = A::product(typical, volume);
    signed(flow, typical, previous, is_same::<A>(typical, previous))
}

#[inline(always)]
fn signed(flow: f64, typical: f64, previous: f64, is_same: bool) -> f64 {
    let signed = if typical - previous > 0.0 {
        flow
    } else {
        -flow
    };
    if is_same { 0.0 } else { signed }
}

#[inline(always)]
fn is_same<A: Arithmetic>(typical: f64, previous: f64) -> bool {
    (typical - previous).abs() <= A::product(typical + previous, SAME)
}

/// As [`is_same`] of numbers that [`all_subnormal`] allows.
#[inline(always)]
fn is_same_subnormal(typical: f64, previous: f64) -> bool {
    let (typical, previous) = (lift_subnormal(typical), lift_subnormal(previous));
    let least = (typical + previous).mul_add(SAME, LEAST_NORMAL) - LEAST_NORMAL;
    (typical - previous).abs() <= least
}

#[inline(always)]
fn rising(flow: f64) -> f64 {
    if flow > 0.0 { flow } else { 0.0 }
}

#[inline(always)]
fn shares<A: Arithmetic>(positive: &[f64], total: &[f64], cells: &mut [f64]) {
    let bars = cells.len();
    let (positive, total) = (&positive[..bars], &total[..bars]);
    for (at, cell) in cells.iter_mut().enumerate() {
        *cell = share::<A>(positive[at], total[at]);
    }
}

#[inline(always)]
fn share<A: Arithmetic>(positive: f64, total: f64) -> f64 {
    if total > 0.0 {
        100.0 * A::quotient(positive, total)
    } else {
        0.0
    }
}
