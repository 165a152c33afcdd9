//! A straight-line program over the columns of a few rows.

use super::logistic;
use crate::TreeError;
#[cfg(target_arch = "x86_64")]
use crate::avx2::Avx2;

/// Rows that go through the program together.
const ROWS: usize = 64;

/// Most operations and constants of a program: more are better left to ONNX Runtime.
pub(super) const MOST_REGISTERS: usize = 1 << 10;

/// A number of each row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell {
    /// A column of a value that comes in.
    Given { value: usize, column: usize },
    /// The same number in every row.
    Constant(f32),
    /// The result of an operation.
    Result(usize),
}

/// What is computed; all but the last the IEEE standard fixes to the last bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Least,
    Greatest,
    Absolute,
    Negate,
    Root,
    Logistic,
}

/// An operator and what it works on; operators of one number take the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Operation {
    pub(super) operator: Operator,
    pub(super) operands: [Cell; 2],
}

/// What is left of a model's graph, run over rows.
///
/// Every row is computed alone, so its bits depend on no other one.
#[derive(Debug, Clone)]
pub struct RowProgram {
    /// Numbers in a row of each value that comes in.
    widths: Vec<usize>,
    /// Numbers in a row that goes out.
    width: usize,
    /// A number of each of [`ROWS`] rows: constants, then columns that are read, then results.
    registers: Vec<[f32; ROWS]>,
    constants: usize,
    /// Value and column of each register behind the constants.
    loads: Vec<(usize, usize)>,
    steps: Vec<Step>,
    /// The register of each number that goes out.
    stores: Vec<usize>,
}

/// An operation on registers; its result is the next one.
#[derive(Debug, Clone, Copy)]
struct Step {
    operator: Operator,
    operands: [usize; 2],
}

impl RowProgram {
    /// A program that only copies: of values with so many numbers in a row, one after the other.
    #[must_use]
    pub fn copying(widths: &[usize]) -> Self {
        let columns = |(value, &width): (usize, &usize)| {
            (0..width).map(move |column| Cell::Given { value, column })
        };
        let stores: Vec<Cell> = widths.iter().enumerate().flat_map(columns).collect();
        Self::assemble(widths.to_vec(), &[], &stores)
    }

    /// A program that computes of `operations`, in which results refer to earlier ones, those that `stores` need.
    pub(super) fn assemble(widths: Vec<usize>, operations: &[Operation], stores: &[Cell]) -> Self {
        let mut needed = vec![false; operations.len()];
        let mark = |cells: &[Cell], needed: &mut Vec<bool>| {
            for cell in cells {
                if let Cell::Result(number) = cell {
                    needed[*number] = true;
                }
            }
        };
        mark(stores, &mut needed);
        for (number, operation) in operations.iter().enumerate().rev() {
            if needed[number] {
                mark(&operation.operands, &mut needed);
            }
        }
        let steps: Vec<(usize, &Operation)> = operations
            .iter()
            .enumerate()
            .filter(|(number, _)| needed[*number])
            .collect();
        let (mut constants, mut loads) = (Vec::new(), Vec::new());
        let operands = steps.iter().flat_map(|(_, step)| &step.operands);
        for cell in operands.chain(stores) {
            match *cell {
                Cell::Constant(number) if !constants.contains(&number.to_bits()) => {
                    constants.push(number.to_bits());
                }
                Cell::Given { value, column } if !loads.contains(&(value, column)) => {
                    loads.push((value, column));
                }
                _ => {}
            }
        }
        let place = |cell: &Cell| {
            let (kind, first) = match *cell {
                Cell::Constant(number) => {
                    let mut known = constants.iter();
                    (known.position(|bits| *bits == number.to_bits()), 0)
                }
                Cell::Given { value, column } => {
                    let mut known = loads.iter();
                    let found = known.position(|load| *load == (value, column));
                    (found, constants.len())
                }
                Cell::Result(number) => {
                    let mut known = steps.iter();
                    let found = known.position(|(step, _)| *step == number);
                    (found, constants.len() + loads.len())
                }
            };
            first + kind.unwrap_or_default()
        };
        let stores: Vec<usize> = stores.iter().map(place).collect();
        let steps: Vec<Step> = steps
            .iter()
            .map(|(_, operation)| Step {
                operator: operation.operator,
                operands: operation.operands.each_ref().map(place),
            })
            .collect();
        let mut registers: Vec<[f32; ROWS]> = constants
            .iter()
            .map(|bits| [f32::from_bits(*bits); ROWS])
            .collect();
        registers.resize(constants.len() + loads.len() + steps.len(), [0.0; ROWS]);
        Self {
            widths,
            width: stores.len(),
            registers,
            constants: constants.len(),
            loads,
            steps,
            stores,
        }
    }

    /// Numbers in a row that goes out.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Computes `rows` rows of `values`, each row-major, into `scores`.
    ///
    /// # Errors
    ///
    /// [`TreeError::Shape`] when a length does not fit.
    pub fn run(
        &mut self,
        rows: usize,
        values: &[&[f32]],
        scores: &mut [f32],
    ) -> Result<(), TreeError> {
        let wanted = self.widths.iter().map(|width| width * rows);
        if !values.iter().map(|value| value.len()).eq(wanted) {
            let lengths: Vec<usize> = values.iter().map(|value| value.len()).collect();
            let reason = format!(
                "{lengths:?} numbers for {rows} rows of {:?}: pass whole rows",
                self.widths
            );
            return Err(TreeError::Shape {
                field: "values",
                reason,
            });
        }
        if scores.len() != rows * self.width {
            let reason = format!(
                "{} numbers for {rows} rows of {}: pass whole rows",
                scores.len(),
                self.width
            );
            return Err(TreeError::Shape {
                field: "scores",
                reason,
            });
        }
        if self.width == 0 {
            return Ok(());
        }
        for (block, scores) in scores.chunks_mut(ROWS * self.width).enumerate() {
            let (first, rows) = (block * ROWS, scores.len() / self.width);
            self.load(values, first, rows);
            self.compute(rows);
            for (column, register) in self.stores.iter().enumerate() {
                let cells = scores.iter_mut().skip(column).step_by(self.width);
                for (cell, number) in cells.zip(&self.registers[*register]) {
                    *cell = *number;
                }
            }
        }
        Ok(())
    }

    fn load(&mut self, values: &[&[f32]], first: usize, rows: usize) {
        let registers = &mut self.registers[self.constants..];
        for (register, &(value, column)) in registers.iter_mut().zip(&self.loads) {
            let width = self.widths[value];
            let numbers = values[value][first * width + column..].iter();
            for (cell, number) in register[..rows].iter_mut().zip(numbers.step_by(width)) {
                *cell = *number;
            }
        }
    }

    fn compute(&mut self, rows: usize) {
        let first = self.constants + self.loads.len();
        for (target, step) in (first..).zip(&self.steps) {
            let (known, results) = self.registers.split_at_mut(target);
            let Some(result) = results.first_mut() else {
                return;
            };
            let [left, right] = step.operands.map(|register| &known[register][..rows]);
            step.operator.apply(left, right, &mut result[..rows]);
        }
    }
}

impl Operator {
    fn apply(self, left: &[f32], right: &[f32], results: &mut [f32]) {
        match self {
            Self::Add => pairs(left, right, results, |left, right| left + right),
            Self::Subtract => pairs(left, right, results, |left, right| left - right),
            Self::Multiply => pairs(left, right, results, |left, right| left * right),
            Self::Divide => pairs(left, right, results, |left, right| left / right),
            Self::Least => pairs(left, right, results, least),
            Self::Greatest => pairs(left, right, results, greatest),
            Self::Absolute => pairs(left, right, results, |number, _| number.abs()),
            Self::Negate => pairs(left, right, results, |number, _| -number),
            Self::Root => pairs(left, right, results, |number, _| number.sqrt()),
            Self::Logistic => logistic_of_each(left, results),
        }
    }
}

#[inline]
fn pairs(left: &[f32], right: &[f32], results: &mut [f32], of: impl Fn(f32, f32) -> f32) {
    for ((result, left), right) in results.iter_mut().zip(left).zip(right) {
        *result = of(*left, *right);
    }
}

fn logistic_of_each(numbers: &[f32], results: &mut [f32]) {
    // Without instructions that multiply and add at once each of those is a call.
    #[cfg(target_arch = "x86_64")]
    if let Some(kernel) = Avx2::detect() {
        return kernel.logistic(numbers, results);
    }
    for (result, number) in results.iter_mut().zip(numbers) {
        *result = logistic(*number);
    }
}

/// The smaller number, NaN if either is; of two zeros the second, as ONNX Runtime has it with a constant.
#[inline]
fn least(left: f32, right: f32) -> f32 {
    if left.is_nan() || left < right {
        left
    } else {
        right
    }
}

/// The larger number, as [`least`].
#[inline]
fn greatest(left: f32, right: f32) -> f32 {
    if left.is_nan() || left > right {
        left
    } else {
        right
    }
}
