//! Features that compare symbols: what a panel adds once every bar of a moment has been stepped.
//!
//! A moment is one bar time within one call. Such a feature sees the bars of its own moment and nothing later; a bar
//! that comes in another call is not seen. Hence a panel that gets all bars of a time in one call, and
//! [`crate::compute_panel`] over the whole history, agree bit for bit.

mod cross_section;
mod reference;

use std::fmt::Debug;

use crate::arguments::{ArgumentError, Arguments};
use crate::bar::{Bar, BarStatus};
use crate::kernel::Kernel;
use crate::lanes::Mode;
use crate::plan::{Plan, PlannedKernel};
use crate::runner::Entry;
use crate::shards::Shards;
use crate::tile_step::OutputColumn;

/// A kernel that sees other symbols' bars. Its [`Kernel::step`] sees one symbol and gives NaN.
///
/// Its state and windows lie with those of all kernels, so that reset and snapshots hold for it too.
pub(crate) trait AcrossSymbols: Debug + Send + Sync {
    /// Name of the feature that it compares; it must stand before this kernel's own in the spec.
    fn compared_feature(&self) -> Option<&str> {
        None
    }

    /// Symbol that it compares with.
    fn reference(&self) -> Option<&str> {
        None
    }

    /// Fills the kernel's columns for the bars of one moment.
    fn run(&self, moment: &mut Moment<'_>);
}

/// A kernel of a plan that compares symbols.
#[derive(Debug)]
pub(crate) struct Across {
    pub(crate) kernel: Box<dyn AcrossSymbols>,
    /// Column of the compared feature.
    pub(crate) compared: Option<usize>,
}

/// The bars of one bar time and the memory of one kernel.
pub(crate) struct Moment<'a> {
    /// Symbol and row of each bar.
    pub(crate) rows: &'a [(usize, usize)],
    /// Close of each bar.
    pub(crate) closes: &'a [f64],
    /// Close of the reference symbol's bar of this time.
    pub(crate) reference_close: Option<f64>,
    /// Column of the compared feature.
    pub(crate) compared: usize,
    pub(crate) mode: Mode,
    series: &'a mut Shards,
    kernel: &'a PlannedKernel,
    /// Rows of all features.
    out: &'a mut [f64],
    features: usize,
}

impl Moment<'_> {
    /// Words and window of a symbol.
    pub(crate) fn memory(&mut self, symbol: usize) -> (&mut [u64], &mut [f64]) {
        self.series.memory(self.kernel, symbol)
    }

    /// The compared feature of a row.
    pub(crate) fn value(&self, row: usize) -> f64 {
        self.out[row * self.features + self.compared]
    }

    /// Writes the outputs of a row.
    pub(crate) fn write(&mut self, row: usize, outputs: &[f64]) {
        for OutputColumn { output, column } in &self.kernel.columns {
            self.out[row * self.features + column] = outputs[*output];
        }
    }
}

/// Kernels that compare symbols; they need a panel.
pub const KERNELS: &[Entry] = &[
    Entry::across::<cross_section::CrossSection>(),
    Entry::across::<reference::Reference>(),
];

pub(crate) type BuildAcross = fn(&Arguments) -> Result<Box<dyn AcrossSymbols>, ArgumentError>;

/// Builds the half of a kernel that sees other symbols.
pub(crate) fn build<K: Kernel + AcrossSymbols>(
    arguments: &Arguments,
) -> Result<Box<dyn AcrossSymbols>, ArgumentError> {
    Ok(Box::new(K::new(arguments)?))
}

/// Fills the columns of every kernel of the plan that compares symbols, moment by moment.
///
/// `symbol_of` finds the index of a symbol; bars with a status other than applied are left out.
pub(crate) fn step(
    plan: &Plan,
    mode: Mode,
    series: &mut Shards,
    (symbol_of_row, bars, statuses): (&[usize], &[Bar], &[BarStatus]),
    symbol_of: impl Fn(&str) -> Option<usize>,
    out: &mut [f64],
) {
    let applied = |row: &usize| statuses[*row].is_applied();
    let mut rows: Vec<(usize, usize)> = (0..bars.len())
        .filter(applied)
        .map(|row| (symbol_of_row[row], row))
        .collect();
    rows.sort_by_key(|(_, row)| bars[*row].open_time_ns);
    let mut closes = Vec::with_capacity(rows.len());
    for rows in rows.chunk_by(|a, b| bars[a.1].open_time_ns == bars[b.1].open_time_ns) {
        let open_time_ns = bars[rows[0].1].open_time_ns;
        closes.clear();
        closes.extend(rows.iter().map(|(_, row)| bars[*row].close));
        for planned in &plan.kernels {
            let Some(Across { kernel, compared }) = &planned.across else {
                continue;
            };
            let reference_close = kernel.reference().and_then(&symbol_of).and_then(|symbol| {
                match rows.iter().position(|(other, _)| *other == symbol) {
                    Some(position) => Some(closes[position]),
                    None => series.close_at(symbol, open_time_ns),
                }
            });
            kernel.run(&mut Moment {
                rows,
                closes: &closes,
                reference_close,
                compared: compared.unwrap_or(0),
                mode,
                series: &mut *series,
                kernel: planned,
                out: &mut *out,
                features: plan.features,
            });
        }
    }
}
