//! One kernel over plain columns, as a function library offers it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;

use crate::arguments::{Argument, ArgumentError, Arguments};
use crate::frame::{Column, Columns, log_returns};
use crate::instructions::{Work, with_widest_vectors};
use crate::kernel::Description;
use crate::runner::{Memory, Runner};
use crate::spec::{FeatureRequest, SpecError, find_kernel};

/// Bars that are checked and then run: they stay in the first-level cache.
const CHUNK: usize = 1024;

/// Times of bars that have none. Memory that is never touched costs nothing.
static TIMES: [i64; 1 << 16] = [0; 1 << 16];

/// Times of more bars, kept for the next call: fresh memory would cost a page fault every 512 bars.
static MORE_TIMES: Mutex<Option<Arc<[i64]>>> = Mutex::new(None);

/// At least as many times as there are bars.
fn times(bars: usize) -> Arc<[i64]> {
    let mut kept = MORE_TIMES.lock().unwrap_or_else(PoisonError::into_inner);
    match &*kept {
        Some(times) if times.len() >= bars => Arc::clone(times),
        _ => {
            let times: Arc<[i64]> = vec![0; bars].into();
            *kept = Some(Arc::clone(&times));
            times
        }
    }
}

/// Why columns or outputs do not fit an indicator.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IndicatorError {
    /// A column differs in length from the first one.
    #[error("{name} has length {given}, expected {expected}: pass columns of one length")]
    Length {
        /// Name of the column.
        name: &'static str,
        /// Its length.
        given: usize,
        /// Length of the first column.
        expected: usize,
    },
    /// No column at all.
    #[error("no column was passed: pass at least one")]
    NoColumn,
    /// No such output.
    #[error("output {given} was asked for, the kernel has {outputs}: count from 0")]
    UnknownOutput {
        /// Output asked for.
        given: usize,
        /// Outputs of the kernel.
        outputs: usize,
    },
}

/// What an output's cells may hold: the numbers themselves, or whole ones with 0 for NaN, which is how TA-Lib shows a
/// pattern's signals.
pub trait Cell: Copy {
    /// The number as such a cell.
    fn of(number: f64) -> Self;

    /// The cells that a kernel may write its numbers to; `None` where they must become others first.
    fn numbers(cells: &mut [Self]) -> Option<&mut [f64]>;

    /// The cells that a kernel may write signals to.
    fn signals(cells: &mut [Self]) -> Option<&mut [i32]>;
}

impl Cell for f64 {
    #[inline(always)]
    fn of(number: f64) -> Self {
        number
    }

    fn numbers(cells: &mut [Self]) -> Option<&mut [f64]> {
        Some(cells)
    }

    fn signals(_cells: &mut [Self]) -> Option<&mut [i32]> {
        None
    }
}

impl Cell for i32 {
    /// Whole numbers that an `i32` holds; others are not rounded in any promised way.
    #[inline(always)]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the lower half is the number"
    )]
    fn of(number: f64) -> Self {
        // Next to such a number doubles are 1 apart, and its bits end like an integer's: vectors can do that.
        const WHOLE: f64 = 1.5 * (1_u64 << 52) as f64;
        let whole = if number.is_nan() { 0.0 } else { number };
        (whole + WHOLE).to_bits() as Self
    }

    fn numbers(_cells: &mut [Self]) -> Option<&mut [f64]> {
        None
    }

    fn signals(cells: &mut [Self]) -> Option<&mut [i32]> {
        Some(cells)
    }
}

/// Writes numbers to cells.
struct Convert<'a, T>(&'a [f64], &'a mut [T]);

impl<T: Cell> Work for Convert<'_, T> {
    type Result = ();

    #[inline(always)]
    fn run(self) {
        for (cell, value) in self.1.iter_mut().zip(self.0) {
            *cell = T::of(*value);
        }
    }
}

/// A kernel with its parameters, ready for any columns.
#[derive(Debug)]
pub struct Indicator {
    runner: Box<dyn Runner>,
    description: &'static Description,
}

impl Indicator {
    /// Builds an indicator; unset parameters take their defaults.
    ///
    /// # Errors
    /// An unknown kernel or parameter, a value out of range, or a kernel that compares symbols.
    pub fn new(kernel: &str, parameters: BTreeMap<String, Argument>) -> Result<Self, SpecError> {
        let request = FeatureRequest {
            name: kernel.to_owned(),
            kernel: kernel.to_owned(),
            parameters,
            output: None,
            timeframe: None,
        };
        let entry = find_kernel(&request)?;
        let refuse = |reason| SpecError::Argument {
            feature: request.name.clone(),
            kernel: entry.description.name,
            reason,
        };
        if entry.build_across.is_some() {
            return Err(refuse(ArgumentError::Contradiction(
                "it compares symbols: name it in a spec and use a panel".to_owned(),
            )));
        }
        let arguments = Arguments::complete(entry.description.parameters, &request.parameters)
            .map_err(refuse)?;
        Ok(Self {
            runner: (entry.build)(&arguments).map_err(refuse)?,
            description: entry.description,
        })
    }

    /// What the kernel is.
    pub fn description(&self) -> &'static Description {
        self.description
    }

    /// Writes outputs by their number, each of the columns' length, NaN (as [`Cell`] has it) before its warm-up.
    ///
    /// Columns that are not passed look like the first one; a kernel that reads them gives values without meaning.
    /// Numbers need only be finite, so that an indicator of an indicator is possible. At a bar with another number
    /// the outputs are NaN, and later ones are as if that bar had not come.
    ///
    /// # Errors
    /// Columns of different lengths, or an output that the kernel does not have.
    pub fn compute<T: Cell>(
        &self,
        columns: &[(Column, &[f64])],
        outputs: &mut [(usize, &mut [T])],
    ) -> Result<(), IndicatorError> {
        let Some((_, first)) = columns.first() else {
            return Err(IndicatorError::NoColumn);
        };
        let expected = first.len();
        let given = columns
            .iter()
            .map(|(column, values)| (Column::NAMES[*column as usize], values.len()));
        for (name, given) in given.chain(outputs.iter().map(|(_, output)| ("output", output.len())))
        {
            if given != expected {
                return Err(IndicatorError::Length {
                    name,
                    given,
                    expected,
                });
            }
        }
        let known = self.runner.outputs();
        if let Some((given, _)) = outputs.iter().find(|(output, _)| *output >= known) {
            return Err(IndicatorError::UnknownOutput {
                given: *given,
                outputs: known,
            });
        }
        if self.run(columns, outputs) {
            return Ok(());
        }
        let good: Vec<usize> = (0..expected)
            .filter(|bar| columns.iter().all(|(_, values)| values[*bar].is_finite()))
            .collect();
        let kept: Vec<(Column, Vec<f64>)> = columns
            .iter()
            .map(|(column, values)| (*column, good.iter().map(|bar| values[*bar]).collect()))
            .collect();
        let kept: Vec<(Column, &[f64])> = kept
            .iter()
            .map(|(column, values)| (*column, &values[..]))
            .collect();
        let mut fronts: Vec<(usize, &mut [T])> = outputs
            .iter_mut()
            .map(|(number, output)| (*number, &mut output[..good.len()]))
            .collect();
        self.run(&kept, &mut fronts);
        for (_, output) in outputs {
            let mut end = expected;
            for (source, bar) in good.iter().enumerate().rev() {
                output[bar + 1..end].fill(T::of(f64::NAN));
                output[*bar] = output[source];
                end = *bar;
            }
            output[..end].fill(T::of(f64::NAN));
        }
        Ok(())
    }

    /// False at a value that is not finite; what the outputs hold is then worth nothing.
    fn run<T: Cell>(
        &self,
        columns: &[(Column, &[f64])],
        outputs: &mut [(usize, &mut [T])],
    ) -> bool {
        let Some((_, first)) = columns.first() else {
            return true;
        };
        let of = |wanted: Column| {
            columns
                .iter()
                .find(|(column, _)| *column == wanted)
                .map_or(*first, |(_, values)| *values)
        };
        let bars = first.len();
        let more_times = (bars > TIMES.len()).then(|| times(bars));
        let open_time_ns = more_times.as_deref().unwrap_or(&TIMES);
        let open_time_ns = &open_time_ns[..bars];
        let all = Columns {
            open_time_ns,
            open: of(Column::Open),
            high: of(Column::High),
            low: of(Column::Low),
            close: of(Column::Close),
            volume: of(Column::Volume),
        };
        let span_checks = columns
            .iter()
            .all(|(column, _)| self.runner.span_checks(*column));
        if span_checks
            && let [(0, cells)] = outputs
            && let Some(cells) = T::signals(cells)
            && self.runner.run_signals(&all, cells)
        {
            return true;
        }
        let log_returns = log_returns(self.runner.lookback(), all.close);
        let mut words = vec![0; self.runner.words()];
        let mut window = vec![0.0; self.runner.window_len()];
        self.runner.initialise(&mut words);
        let classic = self.runner.classic_outputs();
        let width = if outputs.iter().all(|(output, _)| *output < classic) {
            classic
        } else {
            self.runner.outputs()
        };
        let in_order = outputs.iter().map(|(output, _)| *output).eq(0..width)
            && outputs
                .iter_mut()
                .all(|(_, cells)| T::numbers(cells).is_some());
        let mut values = vec![0.0; if in_order { 0 } else { CHUNK.min(bars) * width }];
        // In one go where nothing is looked at twice.
        let once = in_order && span_checks;
        let chunk = if once { bars.max(1) } else { CHUNK };
        for first in (0..bars).step_by(chunk) {
            let end = bars.min(first + chunk);
            let memory = Memory {
                words: &mut words,
                window: &mut window,
            };
            let mut slices: Vec<&mut [f64]> = if in_order {
                let own = outputs.iter_mut();
                own.filter_map(|(_, output)| T::numbers(&mut output[first..end]))
                    .collect()
            } else {
                values.chunks_exact_mut(end - first).take(width).collect()
            };
            let given = (&all, &log_returns[..]);
            if !(self.runner).run_bars(memory, given, columns, first..end, &mut slices) {
                return false;
            }
            if !in_order {
                for (at, output) in &mut *outputs {
                    let column = &values[*at * (end - first)..][..end - first];
                    with_widest_vectors(Convert(column, &mut output[first..end]));
                }
            }
        }
        true
    }
}
