//! Correlation and beta of two series, by TA-Lib's definitions.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback, Span};
use crate::kernel::{Description, Kernel, output};
use crate::neighbouring_pairs::{Pairs, Spread, spread};
use crate::neighbours::{LONGEST, TILE};
use crate::subnormal::{Arithmetic, Careful, Lifted, Plain, all_near};

/// Columns that TA-Lib reads where it is not told others; its functions name any two.
const COLUMNS: [Column; 2] = [Column::High, Column::Low];

/// Pearson's correlation of two columns.
#[derive(Debug)]
pub(crate) struct Correl {
    period: usize,
}

impl Kernel for Correl {
    type State = ();
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "correl",
        summary: "correlation of highs and lows, as a function of any two series; of two symbols see reference",
        parameters: &[Parameter::period(
            "timeperiod",
            "values of each series",
            30,
            1,
        )],
        outputs: &[output(
            "correl",
            "covariance / (deviation * deviation) of the last timeperiod values; 0 when either does not move",
        )],
        source: "TA-Lib CORREL",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of_each(&COLUMNS, self.period)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period - 1
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        match (frame.highs(self.period), frame.lows(self.period)) {
            (Some(first), Some(second)) => {
                let pairs = first.iter().copied().zip(second.iter().copied());
                let newest = (frame.bar.high, frame.bar.low);
                [correlation(spread(pairs, newest, self.period))]
            }
            _ => [f64::NAN],
        }
    }

    #[inline(always)]
    fn span(
        &self,
        (): &mut (),
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let windows = COLUMNS.map(|column| span.windows(column, self.period));
        let ([Some(first), Some(second)], [cells]) = (windows, outputs) else {
            return 0;
        };
        let mut pairs = Pairs::ZEROS;
        for (tile, cells) in cells.chunks_mut(TILE).enumerate() {
            let own = [first, second]
                .map(|values| &values[tile * TILE..][..cells.len() + self.period - 1]);
            if own.into_iter().any(all_near) {
                // Squares of such distances are zero.
                cells.fill(0.0);
                continue;
            }
            let (mut least, mut most) = (i64::MAX, 0);
            pairs.measure(own[0], own[1], self.period, cells.len(), |at, spread| {
                let [left, right, both] = spread;
                let product = left * right;
                let mut moves = left > 0.0;
                moves &= right > 0.0;
                // As integers, of which vectors find the extremes.
                let size = if moves { product } else { 1.0 };
                let size = size.to_bits().cast_signed();
                (least, most) = (least.min(size), most.max(size));
                cells[at] = if moves { both / product.sqrt() } else { 0.0 };
            });
            if !(has_root(f64::from_bits(least.cast_unsigned()))
                && has_root(f64::from_bits(most.cast_unsigned())))
            {
                pairs.measure(own[0], own[1], self.period, cells.len(), |at, spread| {
                    cells[at] = correlation(spread);
                });
            }
        }
        cells.len()
    }
}

/// Whether a product of variances has all its digits.
#[inline(always)]
fn has_root(product: f64) -> bool {
    let mut has_root = product > 1e-280;
    has_root &= product < 1e300;
    has_root
}

#[inline(always)]
fn correlation([left, right, both]: Spread) -> f64 {
    if left > 0.0 && right > 0.0 {
        let product = left * right;
        let root = if has_root(product) {
            product.sqrt()
        } else {
            left.sqrt() * right.sqrt()
        };
        both / root
    } else {
        0.0
    }
}

/// Slope of the changes of one column over those of another.
#[derive(Debug)]
pub(crate) struct Beta {
    period: usize,
}

impl Kernel for Beta {
    type State = ();
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "beta",
        summary: "slope of the changes of lows over those of highs, as a function of any two series; of two symbols see reference",
        parameters: &[Parameter::period(
            "timeperiod",
            "changes of each series",
            5,
            1,
        )],
        outputs: &[output(
            "beta",
            "covariance / variance of the highs' changes, each value / the one before it - 1, over the last timeperiod; 0 when the highs' do not differ",
        )],
        source: "TA-Lib BETA",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of_each(&COLUMNS, self.period + 1)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        match (frame.highs(self.period + 1), frame.lows(self.period + 1)) {
            (Some(first), Some(second)) => {
                let changes = |values: &[f64]| match values {
                    [before, after] => change::<Careful>(*before, *after),
                    _ => 0.0,
                };
                let newest = [first, second].map(|values| changes(&values[self.period - 1..]));
                let pairs = (first.windows(2).map(changes)).zip(second.windows(2).map(changes));
                [slope(spread(pairs, newest.into(), self.period))]
            }
            _ => [f64::NAN],
        }
    }

    #[inline(always)]
    fn span(
        &self,
        (): &mut (),
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let windows = COLUMNS.map(|column| span.windows(column, self.period + 1));
        let ([Some(first), Some(second)], [cells]) = (windows, outputs) else {
            return 0;
        };
        if self.period > LONGEST {
            return 0;
        }
        let mut pairs = Pairs::ZEROS;
        let mut room = [[0.0; TILE + LONGEST]; 2];
        for (tile, cells) in cells.chunks_mut(TILE).enumerate() {
            let count = cells.len() + self.period - 1;
            for (changes, values) in room.iter_mut().zip([first, second]) {
                let values = &values[tile * TILE..][..=count];
                if all_near(values) {
                    changes_of::<Lifted>(values, &mut changes[..count]);
                } else {
                    changes_of::<Plain>(values, &mut changes[..count]);
                }
            }
            let [x, y] = room.each_ref().map(|changes| &changes[..count]);
            pairs.measure(x, y, self.period, cells.len(), |at, spread| {
                cells[at] = slope(spread);
            });
        }
        cells.len()
    }
}

/// Relative change from one value to the next; none from zero.
#[inline(always)]
fn change<A: Arithmetic>(before: f64, after: f64) -> f64 {
    if before == 0.0 {
        0.0
    } else {
        A::quotient(after - before, before)
    }
}

#[inline(always)]
fn changes_of<A: Arithmetic>(values: &[f64], changes: &mut [f64]) {
    let (before, after) = (&values[..changes.len()], &values[1..][..changes.len()]);
    for (at, cell) in changes.iter_mut().enumerate() {
        *cell = change::<A>(before[at], after[at]);
    }
}

#[inline(always)]
fn slope([variance, _, covariance]: Spread) -> f64 {
    if variance > 0.0 {
        covariance / variance
    } else {
        0.0
    }
}
