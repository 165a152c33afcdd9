//! The constants of a graph that operators of a tail may read.

use std::collections::{HashMap, HashSet};

use prost::Message;

use crate::TreeError;
use crate::attributes::TensorElement;
use crate::onnx_proto::{InitializerProto, TensorProto};
use crate::wire::fields;

/// Field number of `onnx.proto`.
pub(super) const GRAPH_INITIALIZER: u64 = 5;

/// Most values of a constant that is read: larger ones belong to other operators.
const MOST_VALUES: usize = 1 << 12;

/// A constant tensor of few values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Constant {
    pub(super) shape: Vec<usize>,
    pub(super) values: Values,
}

/// A constant's values.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Values {
    Floats(Vec<f32>),
    Integers(Vec<i64>),
}

impl Constant {
    fn of(tensor: &TensorProto) -> Option<Self> {
        let shape: Vec<usize> = tensor
            .dims
            .iter()
            .map(|&size| usize::try_from(size).ok())
            .collect::<Option<_>>()?;
        let count = shape
            .iter()
            .try_fold(1_usize, |product, &size| product.checked_mul(size))?;
        if count > MOST_VALUES {
            return None;
        }
        let values = match tensor.data_type? {
            f32::ELEMENT_TYPE => Values::Floats(elements(tensor, count)?),
            i64::ELEMENT_TYPE => Values::Integers(elements(tensor, count)?),
            _ => return None,
        };
        Some(Self { shape, values })
    }

    /// Whole numbers of a tensor with at most one dimension.
    pub(super) fn integers(&self) -> Option<&[i64]> {
        match &self.values {
            Values::Integers(values) if self.shape.len() <= 1 => Some(values),
            _ => None,
        }
    }
}

fn elements<T: TensorElement>(tensor: &TensorProto, count: usize) -> Option<Vec<T>> {
    let values = match &tensor.raw_data {
        Some(raw) if raw.len() == count * size_of::<T>() => T::from_raw(raw),
        Some(_) => return None,
        None => T::from_typed(tensor),
    };
    (values.len() == count).then_some(values)
}

/// Names of a graph's constants.
pub(super) fn names(graph: &[InitializerProto]) -> HashSet<&str> {
    graph
        .iter()
        .filter_map(|value| value.name.as_deref())
        .collect()
}

/// Those constants of the encoded graph that `wanted` names and that are small numbers of a known type.
pub(super) fn read(
    graph: &[u8],
    wanted: &HashSet<&str>,
) -> Result<HashMap<String, Constant>, TreeError> {
    let mut found = HashMap::new();
    for field in fields(graph)? {
        if field.number != GRAPH_INITIALIZER {
            continue;
        }
        let payload = &graph[field.payload];
        let Some(name) = name_of(payload)? else {
            continue;
        };
        if !wanted.contains(name.as_str()) {
            continue;
        }
        let tensor = TensorProto::decode(payload).map_err(|error| TreeError::Decode {
            reason: error.to_string(),
        })?;
        if let Some(constant) = Constant::of(&tensor) {
            found.insert(name, constant);
        }
    }
    Ok(found)
}

/// The name of an encoded constant.
pub(super) fn name_of(payload: &[u8]) -> Result<Option<String>, TreeError> {
    let constant = InitializerProto::decode(payload).map_err(|error| TreeError::Decode {
        reason: error.to_string(),
    })?;
    Ok(constant.name)
}
