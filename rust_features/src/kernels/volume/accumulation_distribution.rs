//! Volume weighted by the place of the close in the bar: Chaikin's line and oscillator.

use std::hint::black_box;
use std::ops::Range;

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::bar::Bar;
use crate::frame::{Column, Frame, Span};
use crate::kernel::{Description, Kernel, output};
use crate::state::state;
use crate::subnormal::{
    Arithmetic, Careful, Lifted, Plain, all_factors, all_near, all_subnormal, all_tiny, is_near,
    needs_lift, raise,
};
use crate::window::{Finite, all_finite, flush_tiny};

/// Volume times the place of the close, from -1 at the low to 1 at the high; 0 without range.
#[inline(always)]
pub(super) fn money_flow(bar: &Bar) -> f64 {
    Careful::product(bar.volume, place::<Careful>(bar.high, bar.low, bar.close))
}

/// The place of the close.
#[inline(always)]
pub(super) fn place<A: Arithmetic>(high: f64, low: f64, close: f64) -> f64 {
    let range = high - low;
    if range > 0.0 {
        A::quotient((close - low) - (high - close), range)
    } else {
        0.0
    }
}

/// Columns of a block: highs, lows, closes and volumes.
type Bars<'a> = [&'a [f64]; 4];

/// The flows of a block, of prices as `change` has them; false when a number is not finite.
#[inline(always)]
fn flows_by<A: Arithmetic>(own: Bars<'_>, flows: &mut [f64], change: impl Fn(f64) -> f64) -> bool {
    let bars = flows.len();
    let [highs, lows, closes, volumes] = own.map(|values| &values[..bars]);
    let mut finite = Finite::default();
    // One look for four numbers: what is not finite stays in sums and differences.
    let look = |at: usize| (highs[at] - lows[at]) + (closes[at] - lows[at]) + volumes[at];
    let place = |at: usize| place::<A>(change(highs[at]), change(lows[at]), change(closes[at]));
    if !needs_care(volumes) {
        for (at, flow) in flows.iter_mut().enumerate() {
            *flow = volumes[at] * place(at);
            finite.look(look(at));
        }
        return finite.all() || own.into_iter().all(all_finite);
    }
    for (at, flow) in flows.iter_mut().enumerate() {
        *flow = place(at);
        finite.look(look(at));
    }
    if all_factors(flows) {
        weigh::<Lifted>(flows, volumes);
    } else {
        weigh::<Careful>(flows, volumes);
    }
    finite.all() || own.into_iter().all(all_finite)
}

/// Whether volumes are subnormal, or so are most of their products with a place. Of usual ones none needs a second look.
#[inline(always)]
fn needs_care(volumes: &[f64]) -> bool {
    if !volumes.first().copied().is_some_and(needs_lift) {
        return false;
    }
    let (mut least, mut most) = (u64::MAX, 0);
    for volume in volumes {
        let size = volume.abs().to_bits();
        (least, most) = (least.min(size), most.max(size));
    }
    least < const { f64::MIN_POSITIVE.to_bits() } && is_near(f64::from_bits(most))
}

/// Whether all columns are [`all_subnormal`]: one look at what they have in common.
#[inline(always)]
fn each_subnormal([highs, lows, closes]: [&[f64]; 3]) -> bool {
    let prices = highs.iter().zip(lows).zip(closes);
    let bits = prices.fold(0, |bits, ((high, low), close)| {
        bits | high.to_bits() | low.to_bits() | close.to_bits()
    });
    all_subnormal(&[f64::from_bits(bits)])
}

/// Multiplies each place by its volume.
#[inline(always)]
fn weigh<A: Arithmetic>(places: &mut [f64], volumes: &[f64]) {
    for (place, volume) in places.iter_mut().zip(volumes) {
        *place = A::product(*volume, *place);
    }
}

/// Bars of a block: so few that a processor makes the flows of the next one beside the sums of this one.
const BARS: usize = 24;

/// Gives `take` the flows of a span's first `count` bars in blocks, each with the place of its first bar; the bars
/// taken, up to one with a number that is not finite.
#[inline(always)]
pub(super) fn take_flows(
    span: Span<'_>,
    count: usize,
    mut take: impl FnMut(usize, &[f64]),
) -> usize {
    let [_, highs, lows, closes, volumes] = span.prices();
    let columns = [highs, lows, closes, volumes];
    let mut taken = 0;
    while taken < count {
        let bars = BARS.min(count - taken);
        let own = columns.map(|values| &values[taken..taken + bars]);
        let mut flows = [0.0; BARS];
        let blocks = own.map(<[f64]>::first_chunk::<BARS>);
        let finite = if let [Some(highs), Some(lows), Some(closes), Some(volumes)] = blocks {
            let own: Bars<'_> = [highs, lows, closes, volumes];
            let [prices @ .., _] = own;
            if !is_near(highs[0]) {
                flows_by::<Plain>(own, &mut flows, |price| price)
            } else if each_subnormal(prices) {
                flows_by::<Plain>(own, &mut flows, raise)
            } else if all_near(highs) {
                flows_by::<Lifted>(own, &mut flows, |price| price)
            } else {
                flows_by::<Plain>(own, &mut flows, |price| price)
            }
        } else {
            flows_by::<Careful>(own, &mut flows[..bars], |price| price)
        };
        if !finite {
            break;
        }
        // In memory: a compiler that keeps the whole block in registers runs out of them.
        take(taken, &black_box(&flows)[..bars]);
        taken += bars;
    }
    taken
}

/// Whether these spans look at a column.
#[inline(always)]
fn is_checked(column: Column) -> bool {
    !matches!(column, Column::Open)
}

/// Accumulation/distribution line.
#[derive(Debug)]
pub(crate) struct Ad;

state! {
    /// Running total and what rounding took from it.
    pub(crate) struct RunningTotal {
        total: f64,
        lost: f64,
    }
}

impl Kernel for Ad {
    type State = RunningTotal;
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "ad",
        summary: "accumulation/distribution line",
        parameters: &[],
        outputs: &[output(
            "ad",
            "running sum of volume * ((close - low) - (high - close)) / (high - low); nothing without range",
        )],
        source: "TA-Lib AD; Chaikin",
    };
    const IS_CHAIN: bool = true;

    fn new(_arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        0
    }

    #[inline(always)]
    fn step(&self, state: &mut RunningTotal, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        [state.add(money_flow(&frame.bar))]
    }

    #[inline(always)]
    fn span_checks(&self, column: Column) -> bool {
        is_checked(column)
    }

    #[inline(always)]
    fn span(
        &self,
        state: &mut RunningTotal,
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let [totals] = outputs else {
            return 0;
        };
        let (mut last, mut older) = (Stage::NONE, Stage::NONE);
        let (mut last, mut older) = (&mut last, &mut older);
        let taken = take_flows(span, totals.len(), |first, flows| {
            if let Some(flows) = flows.first_chunk() {
                older.show(totals);
                state.add_block(flows, last, older);
                older.bars = first..first + BARS;
                std::mem::swap(&mut last, &mut older);
                return;
            }
            older.show(totals);
            last.finish(state, totals);
            for (cell, flow) in totals[first..].iter_mut().zip(flows) {
                *cell = state.add(*flow);
            }
        });
        older.show(totals);
        last.finish(state, totals);
        taken
    }
}

impl RunningTotal {
    /// Adds a flow; a line that outlives any outlier keeps the digits of what came after it.
    #[inline(always)]
    fn add(&mut self, flow: f64) -> f64 {
        let total = self.total + flow;
        self.lost += lost(self.total, flow, total);
        self.total = total;
        total + self.lost
    }

    /// Adds a block's flows to the total, for `next`, and beside it what the block before lost: two sums, of which
    /// neither waits for the other.
    #[inline(always)]
    fn add_block(&mut self, flows: &[f64; BARS], last: &mut Stage, next: &mut Stage) {
        next.flows = *flows;
        let losses = last.losses();
        let losses = black_box(&losses);
        next.totals[0] = self.total;
        let totals = &mut next.totals[1..];
        for at in 0..BARS {
            self.total += flows[at];
            totals[at] = self.total;
            self.lost += losses[at];
            last.lost[at] = self.lost;
        }
    }
}

/// A block on its way: first its totals are added up, then what they lost, then both to the line. Each a block later
/// than the one before: a vector that reads what was just written number by number would wait for it.
struct Stage {
    bars: Range<usize>,
    flows: [f64; BARS],
    /// The total before each bar, and after the last.
    totals: [f64; BARS + 1],
    /// What was lost up to each bar.
    lost: [f64; BARS],
}

impl Stage {
    const NONE: Self = Self {
        bars: 0..0,
        flows: [0.0; BARS],
        totals: [0.0; BARS + 1],
        lost: [0.0; BARS],
    };

    #[inline(always)]
    fn losses(&self) -> [f64; BARS] {
        let mut losses = [0.0; BARS];
        for (at, loss) in losses.iter_mut().enumerate() {
            *loss = lost(self.totals[at], self.flows[at], self.totals[at + 1]);
        }
        losses
    }

    /// Writes the line, once it has all it is made of.
    #[inline(always)]
    fn show(&mut self, line: &mut [f64]) {
        let own = line.get_mut(std::mem::take(&mut self.bars));
        if let Some(cells) = own.and_then(|cells| cells.first_chunk_mut::<BARS>()) {
            for (at, cell) in cells.iter_mut().enumerate() {
                *cell = self.totals[at + 1] + self.lost[at];
            }
        }
    }

    /// Adds what is left to add.
    #[inline(always)]
    fn finish(&mut self, state: &mut RunningTotal, line: &mut [f64]) {
        let losses = self.losses();
        for (cell, loss) in self.lost.iter_mut().zip(losses) {
            state.lost += loss;
            *cell = state.lost;
        }
        self.show(line);
        *self = Self::NONE;
    }
}

/// What rounding took from a sum of a total and a flow.
///
/// Source: Neumaier (1974), with the exact error of a sum as Knuth has it, without a branch.
#[inline(always)]
fn lost(before: f64, flow: f64, total: f64) -> f64 {
    let added = total - before;
    (before - (total - added)) + (flow - added)
}

/// Accumulation/distribution oscillator.
#[derive(Debug)]
pub(crate) struct AdOsc {
    keep_fast: f64,
    keep_slow: f64,
    warmup: usize,
}

state! {
    /// Averages of the line, less the line itself.
    pub(crate) struct LineAverages {
        fast: f64,
        slow: f64,
        /// Bars seen, counted until the oscillator is warm.
        bars: u64,
    }
}

impl Kernel for AdOsc {
    type State = LineAverages;
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "adosc",
        summary: "Chaikin accumulation/distribution oscillator",
        parameters: &[
            Parameter::period("fastperiod", "bars of the fast average", 3, 2),
            Parameter::period("slowperiod", "bars of the slow average", 10, 2),
        ],
        outputs: &[output(
            "adosc",
            "fast - slow exponential average of the ad line, both starting at its first value",
        )],
        source: "TA-Lib ADOSC; Chaikin",
    };
    const IS_CHAIN: bool = true;

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        let (fast, slow) = (
            arguments.count("fastperiod")?,
            arguments.count("slowperiod")?,
        );
        let keep = |period: usize| 1.0 - 2.0 / (period as f64 + 1.0);
        Ok(Self {
            keep_fast: keep(fast),
            keep_slow: keep(slow),
            warmup: fast.max(slow) - 1,
        })
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.warmup
    }

    #[inline(always)]
    fn step(&self, state: &mut LineAverages, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        let warm = state.bars >= self.warmup as u64;
        let started = state.bars > 0;
        if !warm {
            state.bars += 1;
        }
        // The line itself cancels in the difference, and with it its rounding: an average of the line less the line
        // falls behind by each flow and keeps a share of its distance.
        if started {
            let flow = money_flow(&frame.bar);
            self.fall_behind(state, flow);
        }
        [if warm {
            state.fast - state.slow
        } else {
            f64::NAN
        }]
    }

    #[inline(always)]
    fn span_checks(&self, column: Column) -> bool {
        is_checked(column)
    }

    #[inline(always)]
    fn span(
        &self,
        state: &mut LineAverages,
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let [differences] = outputs else {
            return 0;
        };
        if state.bars < self.warmup.max(1) as u64 {
            return 0;
        }
        take_flows(span, differences.len(), |first, flows| {
            let cells = &mut differences[first..][..flows.len()];
            match (flows.first_chunk(), cells.first_chunk_mut()) {
                (Some(flows), Some(cells)) => self.take_block(state, flows, cells),
                _ => self.take_each(state, flows, cells),
            }
        })
    }
}

impl AdOsc {
    /// The oscillator after each flow of a block.
    #[inline(always)]
    fn take_block(&self, state: &mut LineAverages, flows: &[f64; BARS], cells: &mut [f64; BARS]) {
        let (mut fast, mut slow) = (state.fast, state.slow);
        // Integers: truths would be packed and moved about more than they are worth.
        let near = |near: i64, flow: &f64| near | i64::from(!is_far(*flow));
        if is_far(fast) & is_far(slow) && flows.iter().fold(0, near) == 0 {
            // Neither average comes near the numbers that count as zero, and nobody need look. What no bar waits for
            // comes before the recursions, and through memory, which keeps them two chains of one operation.
            let (mut fasts, mut slows) = ([0.0; BARS], [0.0; BARS]);
            for (at, flow) in flows.iter().enumerate() {
                (fasts[at], slows[at]) = (-(self.keep_fast * flow), -(self.keep_slow * flow));
            }
            let (fasts, slows) = black_box((&fasts, &slows));
            for (at, cell) in cells.iter_mut().enumerate() {
                fast = self.keep_fast.mul_add(fast, fasts[at]);
                slow = self.keep_slow.mul_add(slow, slows[at]);
                *cell = fast - slow;
            }
            (state.fast, state.slow) = (fast, slow);
        } else if fast == 0.0 && slow == 0.0 && all_tiny(flows) {
            cells.fill(0.0);
        } else {
            self.take_each(state, flows, cells);
        }
    }

    #[inline(always)]
    fn take_each(&self, state: &mut LineAverages, flows: &[f64], cells: &mut [f64]) {
        for (cell, flow) in cells.iter_mut().zip(flows) {
            self.fall_behind(state, *flow);
            *cell = state.fast - state.slow;
        }
    }

    /// Moves both averages, relative to the line, by a flow of the line.
    #[inline(always)]
    fn fall_behind(&self, state: &mut LineAverages, flow: f64) {
        state.fast = flush_tiny(behind(state.fast, self.keep_fast, flow));
        state.slow = flush_tiny(behind(state.slow, self.keep_slow, flow));
    }
}

/// Whether it is zero, or so far from [`crate::window::TINY`] that an average of such numbers does not come near it within a
/// block: a difference of an average and a flow, both rounded and one multiplied, is zero or above 2^-106 of them, and
/// an average keeps a third or more in a bar.
#[inline(always)]
fn is_far(value: f64) -> bool {
    (value == 0.0) | (value.abs() > 1e-240)
}

/// An average of the line, relative to the line, after a flow.
#[inline(always)]
fn behind(average: f64, keep: f64, flow: f64) -> f64 {
    keep.mul_add(average, -(keep * flow))
}
