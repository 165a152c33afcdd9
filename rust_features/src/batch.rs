//! A whole history at once: the same steps as the stream, over columns that are not copied.

use thiserror::Error;

use crate::bar::Bar;
use crate::frame::Columns;
use crate::runner::{Memory, Rows};
use crate::spec::FeatureSpec;

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
    compute_columns(spec, &columns, out)
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
    let bad: Vec<usize> = (0..columns.len())
        .filter(|bar| columns.bar(*bar).check().is_err())
        .collect();
    if bad.is_empty() {
        run(spec, columns, out);
        return Ok(());
    }
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

fn run(spec: &FeatureSpec, columns: &Columns<'_>, out: &mut [f64]) {
    let plan = spec.plan();
    let mut words = vec![0; plan.words];
    let mut windows = vec![0.0; plan.window];
    for kernel in &plan.kernels {
        kernel
            .runner
            .initialise(&mut words[kernel.first_word..][..kernel.runner.words()]);
    }
    for (chunk, rows) in out.chunks_mut(CHUNK * plan.features).enumerate() {
        let first = chunk * CHUNK;
        let bars = first..first + rows.len() / plan.features;
        for kernel in &plan.kernels {
            let memory = Memory {
                words: &mut words[kernel.first_word..][..kernel.runner.words()],
                window: &mut windows[kernel.first_window..][..kernel.runner.window_len()],
            };
            let out = Rows {
                values: &mut *rows,
                stride: plan.features,
                columns: &kernel.columns,
            };
            kernel.runner.run_bars(memory, columns, bars.clone(), out);
        }
    }
}
