//! True range and its Wilder average.

use std::hint::black_box;

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Span};
use crate::kernel::{Description, Kernel, output};
use crate::kernels::trend::directional_movement::true_range;
use crate::neighbours::TILE;
use crate::state::state;
use crate::subnormal::all_tiny;
use crate::window::{Finite, all_finite, any_tiny, flush_tiny, is_sum_finite, wilder_shares};

const PERIOD: Parameter = Parameter::period("timeperiod", "bars of Wilder's smoothing", 14, 1);
const SOURCE: &str =
    "TA-Lib ATR, NATR, TRANGE; Wilder (1978), New Concepts in Technical Trading Systems";

state! {
    /// Previous close and the average, or the running sum of its seed.
    pub(crate) struct AverageRange {
        previous_close: f64,
        average: f64,
        /// What the bar since `average` adds to it; not yet in it.
        added: f64,
        /// Bars seen, counted until the average is warm; one more while there is a bar since `average`.
        bars: u64,
    }
}

/// Bars of a block: so few that a processor makes the ranges of the next one beside the recursion of this one.
const BARS: usize = 32;

/// Averages above it stay far from the numbers that count as zero for a block.
const FAR_FROM_TINY: f64 = 1e-280;

/// Wilder's factors over one bar and over two.
#[derive(Clone, Copy)]
struct Factors {
    share: f64,
    keep: f64,
    keep_twice: f64,
}

impl Factors {
    #[inline(always)]
    fn of(period: usize) -> Self {
        let (keep, share) = wilder_shares(period);
        Self {
            share,
            keep,
            keep_twice: keep * keep,
        }
    }
}

/// Highs, lows, closes and the closes before of some bars.
type Bars<'a> = [&'a [f64]; 4];

impl AverageRange {
    /// Whether a bar came since the average was kept.
    #[inline(always)]
    fn is_between(&self, period: usize) -> bool {
        self.bars > period as u64 + 1
    }

    /// See [`Kernel::live`]; not the previous close.
    #[inline(always)]
    pub(crate) fn live(&mut self, show: &mut impl FnMut(&mut f64)) {
        show(&mut self.average);
        show(&mut self.added);
        // Two bars take turns with it.
        let mut bars = f64::from_bits(self.bars);
        show(&mut bars);
        self.bars = bars.to_bits();
    }

    /// Takes a range once the average is warm; the average.
    ///
    /// Every other average follows from the one two bars before, and those between only show: a recursion waits for
    /// one operation in two bars.
    #[inline(always)]
    fn advance(&mut self, period: usize, factors: Factors, range: f64) -> f64 {
        let added = flush_tiny(range) * factors.share;
        let between = self.is_between(period);
        let (keep, since) = if between {
            let since = self.added.mul_add(factors.keep, added);
            (factors.keep_twice, since)
        } else {
            (factors.keep, added)
        };
        let average = flush_tiny(self.average.mul_add(keep, since));
        self.added = added;
        if between {
            self.average = average;
            self.bars -= 1;
        } else {
            self.bars += 1;
        }
        average
    }

    /// What is shown of the average at a span's bars, once it is warm; the bars taken, up to one with a number that is
    /// not finite.
    #[inline(always)]
    pub(crate) fn take_span(
        &mut self,
        period: usize,
        span: Span<'_>,
        cells: &mut [f64],
        show: impl Fn(f64, f64) -> f64,
    ) -> usize {
        let Some(previous) = span.previous_closes() else {
            return 0;
        };
        if self.bars <= period as u64 {
            return 0;
        }
        let factors = Factors::of(period);
        let bars = cells.len();
        let [_, highs, lows, closes, _] = span.prices();
        let given: Bars<'_> = [highs, lows, closes, previous].map(|values| &values[..bars]);
        let mut taken = usize::from(self.is_between(period)).min(bars);
        let (odd, cells) = cells.split_at_mut(taken);
        if !self.take_bars(
            period,
            factors,
            given.map(|values| &values[..taken]),
            odd,
            &show,
        ) {
            return 0;
        }
        let (blocks, tail) = cells.as_chunks_mut::<BARS>();
        let [highs, lows, closes_of, previous] =
            given.map(|values| values[taken..].as_chunks::<BARS>().0);
        let given_blocks = highs.iter().zip(lows).zip(closes_of).zip(previous);
        let mut all = true;
        for (cells, (((highs, lows), closes), previous)) in blocks.iter_mut().zip(given_blocks) {
            if !self.take_block(factors, [highs, lows, closes, previous], cells, &show)
                && !self.take_bars(
                    period,
                    factors,
                    [highs, lows, closes, previous],
                    cells,
                    &show,
                )
            {
                all = false;
                break;
            }
            taken += BARS;
        }
        let rest = given.map(|values| &values[taken..]);
        if all && self.take_bars(period, factors, rest, tail, &show) {
            taken = bars;
        }
        if let [.., close] = closes[..taken] {
            self.previous_close = close;
        }
        taken
    }

    /// False, with nothing changed but cells, when it holds or may hold a tiny number, or one that is not finite.
    #[inline(always)]
    fn take_block(
        &mut self,
        factors: Factors,
        [highs, lows, closes, previous]: [&[f64; BARS]; 4],
        cells: &mut [f64; BARS],
        show: impl Fn(f64, f64) -> f64,
    ) -> bool {
        if any_tiny(&highs[..1]) {
            return self.stays_zero([highs, lows, closes, previous], cells, show);
        }
        let (mut ranges, mut added) = ([0.0; BARS], [0.0; BARS]);
        for at in 0..BARS {
            ranges[at] = true_range(highs[at], lows[at], previous[at]);
            added[at] = ranges[at] * factors.share;
        }
        // A close that is not finite stays in a sum of them, a high or low in the average.
        if any_tiny(&ranges) || !is_sum_finite(closes) {
            return false;
        }
        // In memory: a compiler that keeps the whole block in registers runs out of them, and moves more than it adds.
        let added = black_box(&added);
        let mut average = self.average;
        let pairs = added.as_chunks::<2>().0.iter();
        for (pair, cells) in pairs.zip(cells.as_chunks_mut::<2>().0) {
            let since = pair[0].mul_add(factors.keep, pair[1]);
            cells[0] = average.mul_add(factors.keep, pair[0]);
            average = average.mul_add(factors.keep_twice, since);
            cells[1] = average;
        }
        let far = self.average > FAR_FROM_TINY;
        if !average.is_finite() || (!far && any_tiny(cells)) {
            return false;
        }
        for (cell, close) in cells.iter_mut().zip(closes) {
            *cell = show(*cell, *close);
        }
        (self.average, self.added) = (average, added[BARS - 1]);
        true
    }

    /// Shows an average that is zero and remains so, for all ranges of the block count as zero; false, with nothing
    /// changed, where it may not.
    #[cold]
    #[inline(never)]
    fn stays_zero(
        &self,
        [highs, lows, closes, previous]: [&[f64; BARS]; 4],
        cells: &mut [f64; BARS],
        show: impl Fn(f64, f64) -> f64,
    ) -> bool {
        let mut ranges = [0.0; BARS];
        for at in 0..BARS {
            ranges[at] = true_range(highs[at], lows[at], previous[at]);
        }
        if self.average != 0.0 || self.added != 0.0 || !all_tiny(&ranges) || !all_finite(closes) {
            return false;
        }
        for (cell, close) in cells.iter_mut().zip(closes) {
            *cell = show(0.0, *close);
        }
        true
    }

    /// Bar by bar; false when a number is not finite.
    #[inline(always)]
    fn take_bars(
        &mut self,
        period: usize,
        factors: Factors,
        [highs, lows, closes, previous]: Bars<'_>,
        cells: &mut [f64],
        show: impl Fn(f64, f64) -> f64,
    ) -> bool {
        if ![highs, lows, closes].into_iter().all(all_finite) {
            return false;
        }
        for (at, cell) in cells.iter_mut().enumerate() {
            let range = true_range(highs[at], lows[at], previous[at]);
            *cell = show(self.advance(period, factors, range), closes[at]);
        }
        true
    }

    /// Takes a bar; the average once it is warm.
    #[inline(always)]
    pub(crate) fn push(&mut self, period: usize, frame: &Frame<'_>) -> Option<f64> {
        let range = true_range(frame.bar.high, frame.bar.low, self.previous_close);
        self.previous_close = frame.bar.close;
        if self.bars > period as u64 {
            return Some(self.advance(period, Factors::of(period), range));
        }
        self.bars += 1;
        if self.bars == 1 {
            return None;
        }
        self.average += range;
        if self.bars <= period as u64 {
            return None;
        }
        self.average /= period as f64;
        Some(self.average)
    }
}

/// Whether spans of these averages look at a column.
#[inline(always)]
fn is_checked(column: Column) -> bool {
    matches!(column, Column::High | Column::Low | Column::Close)
}

/// What of an average range lies as rows, for a kernel that remembers nothing else.
macro_rules! rows_of_range {
    () => {
        const MEMORY_ROWS: bool = true;

        #[inline(always)]
        fn live(&self, state: &mut AverageRange, show: &mut impl FnMut(&mut f64)) {
            state.live(show);
        }

        #[inline(always)]
        fn catch_up(
            &self,
            state: &mut AverageRange,
            _window: &mut [f64],
            newest: &Frame<'_>,
            _bars: u64,
        ) {
            state.previous_close = newest.bar.close;
        }
    };
}

/// Average true range.
#[derive(Debug)]
pub(crate) struct Atr {
    period: usize,
}

impl Kernel for Atr {
    type State = AverageRange;
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "atr",
        summary: "average true range",
        parameters: &[PERIOD],
        outputs: &[
            output(
                "atr",
                "Wilder average of the true range, seeded with the mean of the first timeperiod",
            ),
            output("ratio", "atr / close"),
        ],
        source: SOURCE,
    };
    const CLASSIC_OUTPUTS: usize = 1;
    const IS_CHAIN: bool = true;
    const REVISION: u32 = 2;

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
        })
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period
    }

    rows_of_range!();

    #[inline(always)]
    fn step(&self, state: &mut AverageRange, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
        match state.push(self.period, frame) {
            Some(average) => [average, average / frame.bar.close],
            None => [f64::NAN; 2],
        }
    }

    #[inline(always)]
    fn span_checks(&self, column: Column) -> bool {
        is_checked(column)
    }

    #[inline(always)]
    fn span(
        &self,
        state: &mut AverageRange,
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let [averages, ratios @ ..] = outputs else {
            return 0;
        };
        let bars = state.take_span(self.period, span, averages, |average, _| average);
        if let [ratios, ..] = ratios {
            for ((cell, average), close) in
                ratios.iter_mut().zip(&**averages).zip(span.closes(bars))
            {
                *cell = average / close;
            }
        }
        bars
    }
}

/// Average true range in percent of the close.
#[derive(Debug)]
pub(crate) struct Natr {
    period: usize,
}

impl Kernel for Natr {
    type State = AverageRange;
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "natr",
        summary: "normalised average true range",
        parameters: &[PERIOD],
        outputs: &[output("natr", "atr / close * 100")],
        source: SOURCE,
    };
    const IS_CHAIN: bool = true;
    const REVISION: u32 = 2;

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
        })
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period
    }

    rows_of_range!();

    #[inline(always)]
    fn step(&self, state: &mut AverageRange, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        match state.push(self.period, frame) {
            Some(average) => [average / frame.bar.close * 100.0],
            None => [f64::NAN],
        }
    }

    #[inline(always)]
    fn span_checks(&self, column: Column) -> bool {
        is_checked(column)
    }

    #[inline(always)]
    fn span(
        &self,
        state: &mut AverageRange,
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let [cells] = outputs else {
            return 0;
        };
        state.take_span(self.period, span, cells, |average, close| {
            // Nothing over a subnormal number costs a hundred times as much as over another of its sign.
            let mut vanished = average == 0.0;
            vanished &= close != 0.0;
            let close = if vanished {
                1.0_f64.copysign(close)
            } else {
                close
            };
            average / close * 100.0
        })
    }
}

/// True range of one bar.
#[derive(Debug)]
pub(crate) struct TrueRange;

state! {
    /// Previous close.
    pub(crate) struct PreviousClose {
        close: f64,
        known: bool,
    }
}

impl Kernel for TrueRange {
    type State = PreviousClose;
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "trange",
        summary: "true range",
        parameters: &[],
        outputs: &[output(
            "trange",
            "largest of high - low, |high - previous close|, |low - previous close|",
        )],
        source: SOURCE,
    };

    fn new(_arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        1
    }

    #[inline(always)]
    fn step(&self, state: &mut PreviousClose, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        let range = true_range(frame.bar.high, frame.bar.low, state.close);
        state.close = frame.bar.close;
        if std::mem::replace(&mut state.known, true) {
            [range]
        } else {
            [f64::NAN]
        }
    }

    #[inline(always)]
    fn span_checks(&self, column: Column) -> bool {
        is_checked(column)
    }

    #[inline(always)]
    fn span(
        &self,
        state: &mut PreviousClose,
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let (Some(previous), [ranges]) = (span.previous_closes(), outputs) else {
            return 0;
        };
        let given = span.prices();
        let mut taken = 0;
        for ranges in ranges.chunks_mut(TILE) {
            let bars = ranges.len();
            let [_, highs, lows, closes, _] = given.map(|values| &values[taken..taken + bars]);
            let previous = &previous[taken..taken + bars];
            let mut finite = Finite::default();
            for (at, cell) in ranges.iter_mut().enumerate() {
                *cell = true_range(highs[at], lows[at], previous[at]);
                // A high or low that is not finite makes a range of its kind.
                finite.look(*cell);
                finite.look(closes[at]);
            }
            if !finite.all() && ![highs, lows, closes].into_iter().all(all_finite) {
                break;
            }
            if let [.., close] = closes {
                state.close = *close;
            }
            taken += bars;
        }
        taken
    }
}
