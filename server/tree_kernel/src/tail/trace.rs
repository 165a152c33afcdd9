//! Follows the columns of each value through the nodes of a tail.

use std::collections::HashMap;

use super::constants::{Constant, Values};
use super::cut::TailOperators;
use super::program::{Cell, MOST_REGISTERS, Operation, Operator, RowProgram};
use crate::TreeError;
use crate::attributes::Attributes;
use crate::onnx_proto::NodeProto;

/// A value with a first dimension of rows.
#[derive(Debug, Clone)]
struct Rows {
    /// The dimensions of a row.
    shape: Vec<usize>,
    /// The numbers of a row, the last dimension fastest.
    cells: Vec<Cell>,
}

/// What is known of the values so far.
pub(super) struct Trace<'a> {
    widths: Vec<usize>,
    values: HashMap<&'a str, Rows>,
    constants: &'a HashMap<String, Constant>,
    operations: Vec<Operation>,
}

/// What a node does.
enum Kind {
    /// A number of two.
    Pairs(Operator),
    /// A number of one.
    Each(Operator),
    /// The same numbers in another shape or order.
    Move(Movement),
}

enum Movement {
    Same,
    Reshape,
    Unsqueeze,
    Squeeze,
    Concat,
    Slice,
    Gather,
}

fn kind(node: &NodeProto) -> Option<Kind> {
    if !matches!(node.domain(), "" | "ai.onnx") {
        return None;
    }
    Some(match node.op_type() {
        "Add" => Kind::Pairs(Operator::Add),
        "Sub" => Kind::Pairs(Operator::Subtract),
        "Mul" => Kind::Pairs(Operator::Multiply),
        "Div" => Kind::Pairs(Operator::Divide),
        "Min" => Kind::Pairs(Operator::Least),
        "Max" => Kind::Pairs(Operator::Greatest),
        "Abs" => Kind::Each(Operator::Absolute),
        "Neg" => Kind::Each(Operator::Negate),
        "Sqrt" => Kind::Each(Operator::Root),
        "Sigmoid" => Kind::Each(Operator::Logistic),
        "Identity" => Kind::Move(Movement::Same),
        "Reshape" => Kind::Move(Movement::Reshape),
        "Unsqueeze" => Kind::Move(Movement::Unsqueeze),
        "Squeeze" => Kind::Move(Movement::Squeeze),
        "Concat" => Kind::Move(Movement::Concat),
        "Slice" => Kind::Move(Movement::Slice),
        "Gather" => Kind::Move(Movement::Gather),
        _ => return None,
    })
}

/// Whether this is an operator of a tail.
pub(super) fn is_known(node: &NodeProto, operators: TailOperators) -> bool {
    let Some(kind) = kind(node) else {
        return false;
    };
    if operators == TailOperators::Exact && matches!(kind, Kind::Each(Operator::Logistic)) {
        return false;
    }
    let inputs = node.input.len();
    let fits = match kind {
        Kind::Each(_) => inputs == 1,
        // Older operator sets have attributes in the place of the second input of the last three.
        Kind::Pairs(_)
        | Kind::Move(Movement::Reshape | Movement::Unsqueeze | Movement::Squeeze) => inputs == 2,
        Kind::Move(Movement::Slice) => inputs >= 3,
        Kind::Move(_) => inputs >= 1,
    };
    fits && node.output.len() == 1
}

impl<'a> Trace<'a> {
    /// Knows the values that come in.
    pub(super) fn new(
        names: &'a [String],
        shapes: &[Vec<usize>],
        constants: &'a HashMap<String, Constant>,
    ) -> Result<Self, TreeError> {
        if names.len() != shapes.len() {
            return Err(TreeError::Shape {
                field: "shapes",
                reason: format!("{} for {} values", shapes.len(), names.len()),
            });
        }
        let given = |(value, shape): (usize, &Vec<usize>)| Rows {
            cells: (0..shape.iter().product())
                .map(|column| Cell::Given { value, column })
                .collect(),
            shape: shape.clone(),
        };
        let rows: Vec<Rows> = shapes.iter().enumerate().map(given).collect();
        Ok(Self {
            widths: rows.iter().map(|rows| rows.cells.len()).collect(),
            values: names.iter().map(String::as_str).zip(rows).collect(),
            constants,
            operations: Vec::new(),
        })
    }

    /// Follows the values through a node.
    pub(super) fn follow(&mut self, node: &'a NodeProto) -> Result<(), TreeError> {
        let known = self.result(node).filter(|rows| {
            rows.cells.len() <= MOST_REGISTERS && self.operations.len() <= MOST_REGISTERS
        });
        let (Some(rows), Some(output)) = (known, node.output.first()) else {
            let reason = format!("{} of such values is not known here", node.op_type());
            return Err(Attributes::new(node).unsupported(reason));
        };
        self.values.insert(output, rows);
        Ok(())
    }

    /// The program that gives these values, one after the other.
    pub(super) fn program(self, outputs: &[&str]) -> Result<RowProgram, TreeError> {
        let mut stores = Vec::new();
        for output in outputs {
            let Some(rows) = self.values.get(output) else {
                return Err(TreeError::Shape {
                    field: "outputs",
                    reason: format!("`{output}` is no value of the model"),
                });
            };
            stores.extend_from_slice(&rows.cells);
        }
        Ok(RowProgram::assemble(self.widths, &self.operations, &stores))
    }

    fn result(&mut self, node: &NodeProto) -> Option<Rows> {
        match kind(node)? {
            Kind::Pairs(operator) => {
                let [left, right] = node.input.as_slice() else {
                    return None;
                };
                let (left, right) = self.operands(left, right)?;
                let (shape, places) = broadcast(&left.shape, &right.shape)?;
                let pairs = places
                    .into_iter()
                    .map(|[l, r]| Some([*left.cells.get(l)?, *right.cells.get(r)?]));
                let pairs: Vec<[Cell; 2]> = pairs.collect::<Option<_>>()?;
                let cells = pairs
                    .into_iter()
                    .map(|operands| self.operate(operator, operands))
                    .collect();
                Some(Rows { shape, cells })
            }
            Kind::Each(operator) => {
                let mut rows = self.values.get(node.input.first()?.as_str())?.clone();
                for cell in &mut rows.cells {
                    *cell = self.operate(operator, [*cell; 2]);
                }
                Some(rows)
            }
            Kind::Move(movement) => self.moved(&movement, node),
        }
    }

    fn operate(&mut self, operator: Operator, operands: [Cell; 2]) -> Cell {
        self.operations.push(Operation { operator, operands });
        Cell::Result(self.operations.len() - 1)
    }

    /// Both operands as rows, of which at least one is no constant.
    fn operands(&self, left: &str, right: &str) -> Option<(Rows, Rows)> {
        match (self.values.get(left), self.values.get(right)) {
            (Some(left), Some(right)) if left.shape.len() == right.shape.len() => {
                Some((left.clone(), right.clone()))
            }
            (Some(left), None) => Some((left.clone(), self.constant(right, &left.shape)?)),
            (None, Some(right)) => Some((self.constant(left, &right.shape)?, right.clone())),
            _ => None,
        }
    }

    /// A constant beside rows of this shape: the same in every row.
    fn constant(&self, name: &str, beside: &[usize]) -> Option<Rows> {
        let constant = self.constants.get(name)?;
        let Values::Floats(values) = &constant.values else {
            return None;
        };
        let mut shape = constant.shape.clone();
        // With as many dimensions as the other value it has one for the rows.
        if shape.len() == beside.len() + 1 && shape.remove(0) != 1 {
            return None;
        }
        let missing = beside.len().checked_sub(shape.len())?;
        shape.splice(0..0, std::iter::repeat_n(1, missing));
        let cells = values.iter().map(|value| Cell::Constant(*value)).collect();
        Some(Rows { shape, cells })
    }

    fn moved(&self, movement: &Movement, node: &NodeProto) -> Option<Rows> {
        let rows = self.values.get(node.input.first()?.as_str())?;
        let whole = |input: usize| {
            let name = node.input.get(input).filter(|name| !name.is_empty())?;
            self.constants.get(name.as_str())
        };
        let integers = |input: usize| whole(input)?.integers();
        let attributes = Attributes::new(node);
        match movement {
            Movement::Same => Some(rows.clone()),
            Movement::Reshape => {
                let ([-1 | 0, shape @ ..], 0) = (integers(1)?, attributes.int("allowzero", 0))
                else {
                    return None;
                };
                let sizes = shape.iter().map(|&size| usize::try_from(size).ok());
                rows.reshaped(sizes.collect::<Option<_>>()?)
            }
            Movement::Unsqueeze => {
                let axes = integers(1)?;
                let dimensions = rows.shape.len() + axes.len();
                let axes: Option<Vec<usize>> =
                    axes.iter().map(|&axis| in_row(axis, dimensions)).collect();
                let axes = axes?;
                let mut sizes = rows.shape.iter().copied();
                let shape = (0..dimensions).map(|axis| {
                    if axes.contains(&axis) {
                        Some(1)
                    } else {
                        sizes.next()
                    }
                });
                rows.reshaped(shape.collect::<Option<_>>()?)
            }
            Movement::Squeeze => {
                let axes = integers(1)?.iter();
                let axes: Option<Vec<usize>> =
                    axes.map(|&axis| in_row(axis, rows.shape.len())).collect();
                let axes = axes?;
                let left = rows.shape.iter().enumerate();
                let left = left.filter(|(axis, _)| !axes.contains(axis));
                rows.reshaped(left.map(|(_, size)| *size).collect())
            }
            Movement::Concat => {
                let axis = in_row(attributes.int("axis", 0), rows.shape.len())?;
                let names = node.input.iter();
                let parts = names.map(|name| self.values.get(name.as_str()));
                concatenated(&parts.collect::<Option<Vec<_>>>()?, axis)
            }
            Movement::Slice => {
                let one = |integers: &[i64]| match integers {
                    [integer] => Some(*integer),
                    _ => None,
                };
                let axis = in_row(one(integers(3)?)?, rows.shape.len())?;
                let step = if node.input.len() > 4 {
                    integers(4)?
                } else {
                    &[1]
                };
                let size = i64::try_from(*rows.shape.get(axis)?).ok()?;
                let clamp = |place: i64| {
                    let from_end = if place < 0 {
                        place.saturating_add(size)
                    } else {
                        place
                    };
                    usize::try_from(from_end.clamp(0, size)).ok()
                };
                let (start, end) = (clamp(one(integers(1)?)?)?, clamp(one(integers(2)?)?)?);
                let step = usize::try_from(one(step)?).ok().filter(|step| *step > 0)?;
                rows.selected(axis, &(start..end).step_by(step).collect::<Vec<_>>())
            }
            Movement::Gather => {
                let axis = in_row(attributes.int("axis", 0), rows.shape.len())?;
                let size = i64::try_from(*rows.shape.get(axis)?).ok()?;
                let indices = whole(1)?;
                let places = indices.integers()?.iter().map(|&index| {
                    let from_end = if index < 0 { index + size } else { index };
                    usize::try_from(from_end).ok().filter(|_| from_end < size)
                });
                let mut taken = rows.selected(axis, &places.collect::<Option<Vec<_>>>()?)?;
                if indices.shape.is_empty() {
                    taken.shape.remove(axis);
                }
                Some(taken)
            }
        }
    }
}

/// A dimension of a row by an axis of the whole value, which has one dimension more; `None` for that of the rows.
fn in_row(axis: i64, dimensions: usize) -> Option<usize> {
    let all = i64::try_from(dimensions).ok()?.checked_add(1)?;
    let axis = if axis < 0 {
        axis.checked_add(all)?
    } else {
        axis
    };
    usize::try_from(axis.checked_sub(1)?)
        .ok()
        .filter(|axis| *axis < dimensions)
}

impl Rows {
    fn reshaped(&self, shape: Vec<usize>) -> Option<Self> {
        let count = shape
            .iter()
            .try_fold(1_usize, |product, &size| product.checked_mul(size))?;
        (count == self.cells.len() && count > 0).then(|| Self {
            shape,
            cells: self.cells.clone(),
        })
    }

    /// How often a dimension repeats, and how many numbers stand behind each of its places.
    fn around(&self, axis: usize) -> Option<(usize, usize)> {
        let (before, rest) = self.shape.split_at_checked(axis)?;
        let behind = rest.get(1..)?;
        Some((before.iter().product(), behind.iter().product()))
    }

    /// Some places of a dimension.
    fn selected(&self, axis: usize, places: &[usize]) -> Option<Self> {
        let (before, behind) = self.around(axis)?;
        let size = self.shape[axis];
        let mut cells = Vec::with_capacity(before * places.len() * behind);
        for outer in 0..before {
            for place in places {
                let first = (outer * size + place) * behind;
                cells.extend_from_slice(self.cells.get(first..first + behind)?);
            }
        }
        let mut shape = self.shape.clone();
        shape[axis] = places.len();
        Some(Self { shape, cells })
    }
}

fn concatenated(parts: &[&Rows], axis: usize) -> Option<Rows> {
    let first = parts.first()?;
    let mut shape = first.shape.clone();
    shape[axis] = 0;
    for part in parts {
        let mut others = part.shape.clone();
        let size = std::mem::take(others.get_mut(axis)?);
        let mut wanted = shape.clone();
        wanted[axis] = 0;
        if others != wanted {
            return None;
        }
        shape[axis] += size;
    }
    let (before, _) = first.around(axis)?;
    let mut cells = Vec::new();
    for outer in 0..before {
        for part in parts {
            let (_, behind) = part.around(axis)?;
            let length = part.shape[axis] * behind;
            cells.extend_from_slice(part.cells.get(outer * length..(outer + 1) * length)?);
        }
    }
    Some(Rows { shape, cells })
}

/// The shape of two shapes together, of one length, and the place in each for every number.
fn broadcast(left: &[usize], right: &[usize]) -> Option<(Vec<usize>, Vec<[usize; 2]>)> {
    if left.len() != right.len() {
        return None;
    }
    let sizes = left
        .iter()
        .zip(right)
        .map(|(&left, &right)| match (left, right) {
            (left, right) if left == right => Some(left),
            (1, size) | (size, 1) => Some(size),
            _ => None,
        });
    let shape: Vec<usize> = sizes.collect::<Option<_>>()?;
    let mut places = vec![[0; 2]];
    for (axis, &size) in shape.iter().enumerate() {
        let next = |[l, r]: [usize; 2], at: usize| {
            let step = |size: usize| if size == 1 { 0 } else { at };
            [
                l * left[axis] + step(left[axis]),
                r * right[axis] + step(right[axis]),
            ]
        };
        if places.len().checked_mul(size)? > MOST_REGISTERS {
            return None;
        }
        places = places
            .iter()
            .flat_map(|&place| (0..size).map(move |at| next(place, at)))
            .collect();
    }
    Some((shape, places))
}
