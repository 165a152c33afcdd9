//! A whole history at once: the same steps as the stream, over columns that are not copied.

use thiserror::Error;

use crate::bar::Bar;
use crate::frame::{Columns, log_returns};
use crate::instructions::{Work, with_widest_vectors};
use crate::plan::Plan;
use crate::runner::Memory;
use crate::spec::{FeatureSpec, GapPolicy};
use crate::streams::missing_bars;
use crate::tile_step::OutputColumn;

/// Bars per pass of all kernels: their rows stay in the second-level cache.
const CHUNK: usize = 256;

/// Why a history cannot be computed; `out` was not touched.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ComputeError {
    /// A column or the output has the wrong length.
    #[error(
        "{name} has length {given}, expected {expected}: pass columns of one length and one value per bar and feature"
    )]
    Length {
        /// Name of the column.
        name: &'static str,
        /// Its length.
        given: usize,
        /// Length implied by `open_time_ns`.
        expected: usize,
    },
    /// A feature compares symbols, and this is one symbol.
    #[error("feature \"{0}\" compares symbols: use compute_panel or a Panel")]
    NeedsPanel(String),
    /// The bars are not in order of time.
    #[error(
        "open_time_ns[{position}] is {open_time_ns}, not after {previous_ns} before it: sort the bars oldest first and drop duplicates"
    )]
    NotAscending {
        /// Position of the offending bar.
        position: usize,
        /// Its open time.
        open_time_ns: i64,
        /// Open time of the bar before it.
        previous_ns: i64,
    },
}

/// Features of every bar of one symbol; `out` is `[bars, features]`, row-major.
///
/// A bad bar has a row of NaN and the bars after it are as if it had not come, exactly as in a [`crate::Series`].
///
/// # Errors
/// A wrong output length, or bars that are not oldest first.
pub fn compute(spec: &FeatureSpec, bars: &[Bar], out: &mut [f64]) -> Result<(), ComputeError> {
    with_columns(bars, |columns| compute_columns(spec, columns, out))
}

fn with_columns<T>(bars: &[Bar], run: impl FnOnce(&Columns<'_>) -> T) -> T {
    let time: Vec<i64> = bars.iter().map(|bar| bar.open_time_ns).collect();
    let column = |value: fn(&Bar) -> f64| bars.iter().map(value).collect::<Vec<f64>>();
    let [open, high, low, close, volume] = [
        column(|bar| bar.open),
        column(|bar| bar.high),
        column(|bar| bar.low),
        column(|bar| bar.close),
        column(|bar| bar.volume),
    ];
    let columns = Columns {
        open_time_ns: &time,
        open: &open,
        high: &high,
        low: &low,
        close: &close,
        volume: &volume,
    };
    run(&columns)
}

/// As [`compute`], from columns.
///
/// # Errors
/// Columns or output of a wrong length, or bars that are not oldest first.
pub fn compute_columns(
    spec: &FeatureSpec,
    columns: &Columns<'_>,
    out: &mut [f64],
) -> Result<(), ComputeError> {
    check(spec, columns, out)?;
    if with_widest_vectors(AllSound(columns.first(columns.len()))) {
        run_segments(spec, columns, out);
        return Ok(());
    }
    let bad: Vec<usize> = (0..columns.len())
        .filter(|bar| columns.bar(*bar).check().is_err())
        .collect();
    let keep = |index: &usize| bad.binary_search(index).is_err();
    let kept: Vec<Bar> = (0..columns.len())
        .filter(keep)
        .map(|bar| columns.bar(bar))
        .collect();
    let features = spec.len();
    compute(spec, &kept, &mut out[..kept.len() * features])?;
    spread(out, features, kept.len(), &bad);
    Ok(())
}

/// Whether every bar makes sense: one pass without a branch, for the usual case.
struct AllSound<'a>(Columns<'a>);

impl Work for AllSound<'_> {
    type Result = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let mut sound = true;
        for bar in 0..self.0.len() {
            sound &= self.0.bar(bar).is_sound();
        }
        sound
    }
}

/// Moves `kept` rows from the front to their places and fills the rows of `bad` bars with NaN.
fn spread(out: &mut [f64], features: usize, kept: usize, bad: &[usize]) {
    let mut source = kept;
    let mut bad = bad.iter().copied().rev().peekable();
    for row in (0..kept + bad.len()).rev() {
        if bad.next_if_eq(&row).is_some() {
            out[row * features..][..features].fill(f64::NAN);
        } else {
            source -= 1;
            out.copy_within(source * features..(source + 1) * features, row * features);
        }
    }
}

fn check(spec: &FeatureSpec, columns: &Columns<'_>, out: &[f64]) -> Result<(), ComputeError> {
    if let Some(feature) = spec.comparing_feature() {
        return Err(ComputeError::NeedsPanel(feature.name().to_owned()));
    }
    let bars = columns.open_time_ns.len();
    let lengths = [
        ("open", columns.open.len(), bars),
        ("high", columns.high.len(), bars),
        ("low", columns.low.len(), bars),
        ("close", columns.close.len(), bars),
        ("volume", columns.volume.len(), bars),
        ("out", out.len(), bars * spec.len()),
    ];
    for (name, given, expected) in lengths {
        if given != expected {
            return Err(ComputeError::Length {
                name,
                given,
                expected,
            });
        }
    }
    if with_widest_vectors(Ascending(columns.open_time_ns)) {
        return Ok(());
    }
    match columns
        .open_time_ns
        .windows(2)
        .position(|pair| pair[0] >= pair[1])
    {
        None => Ok(()),
        Some(before) => Err(ComputeError::NotAscending {
            position: before + 1,
            open_time_ns: columns.open_time_ns[before + 1],
            previous_ns: columns.open_time_ns[before],
        }),
    }
}

/// Runs what lies between gaps after which the spec starts anew.
fn run_segments(spec: &FeatureSpec, columns: &Columns<'_>, out: &mut [f64]) {
    let (GapPolicy::ResetAfter(most), Some(timeframe)) = (spec.gap(), spec.timeframe()) else {
        return run(spec, columns, out);
    };
    let times = columns.open_time_ns;
    let is_gap =
        |bar: &usize| missing_bars(times[bar - 1], times[*bar], timeframe.length_ns()) > most;
    let mut first = 0;
    for end in (1..times.len()).filter(is_gap).chain([times.len()]) {
        let rows = &mut out[first * spec.len()..end * spec.len()];
        run(spec, &columns.range(first..end), rows);
        first = end;
    }
}

/// Fills the columns of the longer timeframes: each bar's features stand from its close to the next one's.
fn run_higher(spec: &FeatureSpec, columns: &Columns<'_>, out: &mut [f64]) {
    for longer in spec.higher() {
        let mut resampler = longer.resampler;
        let mut closed = Vec::new();
        // How many longer bars are closed at each bar.
        let closed_by: Vec<usize> = (0..columns.len())
            .map(|bar| {
                closed.extend(resampler.push(&columns.bar(bar)).into_iter().flatten());
                closed.len()
            })
            .collect();
        let width = longer.columns.len();
        let mut values = vec![f64::NAN; closed.len() * width];
        with_columns(&closed, |columns| {
            run_plan(&longer.plan, columns, &mut values);
        });
        for (row, closed) in out.chunks_exact_mut(spec.len()).zip(closed_by) {
            let newest = closed
                .checked_sub(1)
                .map(|bar| &values[bar * width..][..width]);
            for (at, column) in longer.columns.iter().enumerate() {
                row[*column] = newest.map_or(f64::NAN, |values| values[at]);
            }
        }
    }
}

/// Whether each time is after the one before it.
struct Ascending<'a>(&'a [i64]);

impl Work for Ascending<'_> {
    type Result = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let later = self.0.get(1..).unwrap_or_default();
        let mut ascending = true;
        for (earlier, later) in self.0.iter().zip(later) {
            ascending &= earlier < later;
        }
        ascending
    }
}

fn run(spec: &FeatureSpec, columns: &Columns<'_>, out: &mut [f64]) {
    run_plan(spec.plan(), columns, out);
    run_higher(spec, columns, out);
}

fn run_plan(plan: &Plan, columns: &Columns<'_>, out: &mut [f64]) {
    let mut words = vec![0; plan.words];
    let mut windows = vec![0.0; plan.window];
    let log_returns = log_returns(plan.lookback, &columns.close[..columns.len()]);
    let mut values = vec![0.0; CHUNK * plan.most_outputs];
    for kernel in &plan.kernels {
        kernel.runner.initialise(&mut words[kernel.words.range()]);
    }
    for (chunk, rows) in out.chunks_mut(CHUNK * plan.features).enumerate() {
        let first = chunk * CHUNK;
        let bars = first..first + rows.len() / plan.features;
        for kernel in &plan.kernels {
            let memory = Memory {
                words: &mut words[kernel.words.range()],
                window: &mut windows[kernel.window.range()],
            };
            let classic = kernel.runner.classic_outputs();
            let only_classic = kernel.columns.iter().all(|column| column.output < classic);
            let outputs = if only_classic {
                classic
            } else {
                kernel.runner.outputs()
            };
            if plan.features == 1 && outputs == 1 {
                (kernel.runner).run_bars(
                    memory,
                    (columns, &log_returns),
                    &[],
                    bars.clone(),
                    &mut [rows],
                );
                continue;
            }
            let values = &mut values[..bars.len() * outputs];
            let mut slices: Vec<&mut [f64]> = values.chunks_exact_mut(bars.len()).collect();
            let given = (columns, &log_returns[..]);
            (kernel.runner).run_bars(memory, given, &[], bars.clone(), &mut slices);
            for OutputColumn { output, column } in &kernel.columns {
                let values = &values[*output * bars.len()..][..bars.len()];
                let cells = rows[*column..].iter_mut().step_by(plan.features);
                for (cell, value) in cells.zip(values) {
                    *cell = *value;
                }
            }
        }
    }
}
