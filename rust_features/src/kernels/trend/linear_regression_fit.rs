//! How well a straight line fits the last values.

use super::linear_regression::{PARAMETERS, SOURCE};
use crate::arguments::{ArgumentError, Arguments};
use crate::frame::{Block, Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::known_length::known_length;
use crate::moments::are_all_equal;
use crate::neighbours::{Row, WINDOWS, deviations, divide, sums_over};
use crate::side_by_side::{self, Memories, SideBySide, of_one};
use crate::subnormal::{Arithmetic, Lifted, Plain, all_near, is_near, share};
use crate::window::{sum_over, weighted_deviation};

/// What the fit needs to know of its period.
#[derive(Debug)]
pub(super) struct Fit {
    pub(super) column: Column,
    /// Weights that turn values into the slope: each place's distance from the middle, scaled.
    pub(super) weights: Box<[f64]>,
    /// Sum of the squared distances of all places from the middle.
    squares: f64,
}

/// A fitted line.
#[derive(Debug, Clone, Copy)]
struct Line<'a> {
    /// What it is fitted to.
    values: &'a [f64],
    /// Newest value.
    value: f64,
    /// Mean of the values less the newest one: their differences are exact where values are close.
    mean_change: f64,
    slope: f64,
}

impl Line<'_> {
    /// Distance of one of the values from their mean.
    #[inline(always)]
    fn distance(&self, value: f64) -> f64 {
        (value - self.value) - self.mean_change
    }
}

impl Fit {
    pub(super) fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        let period = arguments.count("timeperiod")?;
        let half = (period - 1) as f64 / 2.0;
        let distances = (0..period).map(|place| place as f64 - half);
        let squares: f64 = distances.clone().map(|distance| distance * distance).sum();
        Ok(Self {
            column: arguments.column()?,
            weights: distances.map(|distance| distance / squares).collect(),
            squares,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of(self.column, self.weights.len())
    }

    /// The line through as many values as there are weights, `value` the last of them.
    #[inline(always)]
    fn line<'a>(values: &'a [f64], weights: &[f64], value: f64) -> Line<'a> {
        Line {
            values,
            value,
            mean_change: share(
                sum_over([values], |[other]| other - value),
                values.len() as f64,
            ),
            slope: weighted_deviation(values, weights, value),
        }
    }

    /// The newest values of many series, and their lines: mean changes and slopes.
    #[inline(always)]
    fn lines_of_each<'a>(&self, newest: &SideBySide<'a>) -> Option<(&'a Row, [Row; 2])> {
        let rows = newest.last(self.column, self.weights.len())?;
        let values = rows.last()?;
        let mut changes = side_by_side::sums_over([rows], |[other], at| other - values.0[at]);
        for change in &mut changes.0 {
            *change /= rows.len() as f64;
        }
        let slopes = side_by_side::weighted_deviations(rows, &self.weights, values);
        Some((values, [changes, slopes]))
    }

    /// The lines of a block's bars.
    #[inline(always)]
    fn lines(&self, block: Block<'_>) -> Option<[Row; 2]> {
        let (windows, values) = (block.sources(self.weights.len())?, block.source()?);
        let [mut changes, slopes] = deviations(windows, &self.weights, values);
        divide(&mut changes.0, self.weights.len() as f64);
        Some([changes, slopes])
    }
}

/// How straight the last values lie.
#[derive(Debug)]
pub(crate) struct LinearRegR2(Fit);

impl Kernel for LinearRegR2 {
    type State = ();
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "linearreg_r2",
        summary: "fit of the linear regression",
        parameters: &PARAMETERS,
        outputs: &[output(
            "r2",
            "share of the values' variance that the line explains, 0 to 1; 0 when they are all the same",
        )],
        source: SOURCE,
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Fit::new(arguments).map(Self)
    }

    fn lookback(&self) -> Lookback {
        self.0.lookback()
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.0.weights.len() - 1
    }

    const SIDE_BY_SIDE: bool = true;

    #[inline(always)]
    fn side_by_side(
        &self,
        _memories: &mut Memories<'_>,
        newest: &SideBySide<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let fit = &self.0;
        let (Some((newest_values, [changes, slopes])), Some(rows), [row]) = (
            fit.lines_of_each(newest),
            newest.last(fit.column, fit.weights.len()),
            outputs,
        ) else {
            return false;
        };
        let totals = side_by_side::sums_over([rows], |[value], at| {
            let distance = (value - newest_values.0[at]) - changes.0[at];
            distance * distance
        });
        let mut extreme = 0;
        for (at, cell) in row.0.iter_mut().enumerate() {
            let total = totals.0[at];
            extreme |= i64::from(!is_safe(total));
            let share = slopes.0[at] * slopes.0[at] * fit.squares / total;
            *cell = if share > 1.0 { 1.0 } else { share };
        }
        if extreme != 0 {
            for (at, (cell, total)) in row.0.iter_mut().zip(&totals.0).enumerate() {
                if is_safe(*total) {
                    continue;
                }
                let line = Line {
                    values: &of_one(rows, at),
                    value: newest_values.0[at],
                    mean_change: changes.0[at],
                    slope: slopes.0[at],
                };
                *cell = explained(&line, fit.squares);
            }
        }
        true
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        let fit = &self.0;
        let weights = &*fit.weights;
        // No closure: it would stay a call, and be compiled without wide vectors.
        match frame.last(fit.column, weights.len()) {
            Some(values) => known_length!([values, weights] of [14] => {
                [explained(&Fit::line(values, weights, frame.current(fit.column)), fit.squares)]
            }),
            None => [f64::NAN],
        }
    }

    #[inline(always)]
    fn block(
        &self,
        (): &mut (),
        _window: &mut [f64],
        block: Block<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let fit = &self.0;
        let length = fit.weights.len();
        let (Some(lines), Some(windows), Some(values), [row]) = (
            fit.lines(block),
            block.sources(length),
            block.source(),
            outputs,
        ) else {
            return false;
        };
        let [changes, slopes] = &lines;
        if are_all_equal(windows) {
            *row = Row::ZEROS;
            return true;
        }
        if all_near(windows) {
            *row = explained_near_zero(windows, values, &lines, (length, fit.squares));
            return true;
        }
        for (at, value) in values.iter().enumerate() {
            let line = Line {
                values: &windows[at..at + length],
                value: *value,
                mean_change: changes.0[at],
                slope: slopes.0[at],
            };
            row.0[at] = explained(&line, fit.squares);
        }
        true
    }
}

/// Sums of squares that lost nothing below the range of numbers, nor left it.
const SAFE_SQUARES: (f64, f64) = (1e-200, 1e200);

#[inline(always)]
fn is_safe(squares: f64) -> bool {
    squares > SAFE_SQUARES.0 && squares < SAFE_SQUARES.1
}

/// Share of the variance of the values that the line explains; 0 when they are all the same.
#[inline(always)]
fn explained(line: &Line<'_>, squares: f64) -> f64 {
    let total = sum_over([line.values], |[value]| {
        let distance = line.distance(value);
        distance * distance
    });
    let share = if is_safe(total) {
        line.slope * line.slope * squares / total
    } else {
        explained_of_extreme(line, squares)
    };
    if share > 1.0 { 1.0 } else { share }
}

/// The same where squares of the values would vanish or overflow.
#[cold]
#[inline(never)]
fn explained_of_extreme(line: &Line<'_>, squares: f64) -> f64 {
    let sizes = line.values.iter().chain([&line.value, &line.slope]);
    if sizes.fold(true, |near, value| near & is_near(*value)) {
        explained_by_scale::<Lifted>(line, squares)
    } else {
        explained_by_scale::<Plain>(line, squares)
    }
}

#[inline(always)]
fn explained_by_scale<A: Arithmetic>(line: &Line<'_>, squares: f64) -> f64 {
    // Distances are measured by their own sum.
    let scale = sum_over([line.values], |[value]| line.distance(value).abs());
    if scale == 0.0 {
        return 0.0;
    }
    let total = sum_over([line.values], |[value]| {
        let part = A::quotient(line.distance(value), scale);
        part * part
    });
    share_of(A::quotient(line.slope, scale), squares, total)
}

#[inline(always)]
fn share_of(slope: f64, squares: f64, total: f64) -> f64 {
    let fitted = slope * slope * squares;
    if total > 0.0 { fitted / total } else { 0.0 }
}

/// As [`explained_by_scale`] of windows of values near zero side by side.
#[inline(always)]
fn explained_near_zero(
    windows: &[f64],
    values: &[f64; WINDOWS],
    [changes, slopes]: &[Row; 2],
    (length, squares): (usize, f64),
) -> Row {
    let distance = |value: f64, at: usize| (value - values[at]) - changes.0[at];
    let scales = sums_over([windows], length, |[value], at| distance(value, at).abs());
    let totals = sums_over([windows], length, |[value], at| {
        let part = Lifted::quotient(distance(value, at), scales.0[at]);
        part * part
    });
    let mut row = Row::ZEROS;
    for (at, cell) in row.0.iter_mut().enumerate() {
        let slope = Lifted::quotient(slopes.0[at], scales.0[at]);
        let share = share_of(slope, squares, totals.0[at]);
        let share = if share > 1.0 { 1.0 } else { share };
        *cell = if scales.0[at] == 0.0 { 0.0 } else { share };
    }
    row
}
