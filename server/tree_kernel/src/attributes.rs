//! Typed access to the attributes of a graph node, with errors that name the place.

use crate::TreeError;
use crate::onnx_proto::{AttributeProto, NodeProto, TensorProto, element_type};

/// The attributes of one node.
pub(crate) struct Attributes<'a> {
    node: &'a NodeProto,
    label: String,
}

impl<'a> Attributes<'a> {
    pub(crate) fn new(node: &'a NodeProto) -> Self {
        Self {
            node,
            label: node.label(),
        }
    }

    /// The node's name in messages.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// An error at a place within this node.
    pub(crate) fn malformed(
        &self,
        place: impl Into<String>,
        reason: impl Into<String>,
    ) -> TreeError {
        TreeError::Malformed {
            node: self.label.clone(),
            place: place.into(),
            reason: reason.into(),
        }
    }

    /// A refusal that leaves the node to ONNX Runtime.
    pub(crate) fn unsupported(&self, reason: impl Into<String>) -> TreeError {
        TreeError::Unsupported {
            node: self.label.clone(),
            reason: reason.into(),
        }
    }

    fn find(&self, name: &str) -> Option<&'a AttributeProto> {
        self.node
            .attribute
            .iter()
            .find(|attribute| attribute.name.as_deref() == Some(name))
    }

    pub(crate) fn int(&self, name: &str, default: i64) -> i64 {
        self.find(name)
            .and_then(|attribute| attribute.i)
            .unwrap_or(default)
    }

    pub(crate) fn ints(&self, name: &str) -> &'a [i64] {
        self.find(name).map_or(&[], |attribute| &attribute.ints)
    }

    pub(crate) fn floats(&self, name: &str) -> &'a [f32] {
        self.find(name).map_or(&[], |attribute| &attribute.floats)
    }

    pub(crate) fn text(&self, name: &str, default: &str) -> Result<String, TreeError> {
        match self.find(name).and_then(|attribute| attribute.s.as_ref()) {
            None => Ok(default.to_owned()),
            Some(bytes) => self.utf8(bytes, name),
        }
    }

    pub(crate) fn strings(&self, name: &str) -> &'a [Vec<u8>] {
        self.find(name).map_or(&[], |attribute| &attribute.strings)
    }

    fn utf8(&self, bytes: &[u8], place: &str) -> Result<String, TreeError> {
        String::from_utf8(bytes.to_vec()).map_err(|_| self.malformed(place, "is not UTF-8 text"))
    }

    /// A tensor attribute of `f32` or `f64` values, if present. ONNX Runtime wants the input's own type.
    pub(crate) fn tensor<T: TensorElement>(&self, name: &str) -> Result<Option<Vec<T>>, TreeError> {
        let Some(tensor) = self.find(name).and_then(|attribute| attribute.t.as_ref()) else {
            return Ok(None);
        };
        let found = tensor.data_type.unwrap_or_default();
        if found != T::ELEMENT_TYPE {
            let reason = format!(
                "holds element type {found}, needs {} to match the input",
                T::ELEMENT_TYPE
            );
            return Err(self.malformed(name, reason));
        }
        let count = tensor
            .dims
            .iter()
            .try_fold(1_i64, |product, &size| product.checked_mul(size));
        let values = match &tensor.raw_data {
            Some(raw) if raw.len() % size_of::<T>() == 0 => T::from_raw(raw),
            Some(raw) => {
                let reason = format!(
                    "raw data of {} bytes is no whole number of elements",
                    raw.len()
                );
                return Err(self.malformed(name, reason));
            }
            None => T::from_typed(tensor),
        };
        if count != Some(values.len() as i64) {
            let reason = format!(
                "shape {:?} does not match {} values",
                tensor.dims,
                values.len()
            );
            return Err(self.malformed(name, reason));
        }
        Ok(Some(values))
    }

    /// Checks that a list is as long as the nodes are many.
    pub(crate) fn same_length(
        &self,
        name: &str,
        found: usize,
        wanted_name: &str,
        wanted: usize,
    ) -> Result<(), TreeError> {
        if found == wanted {
            return Ok(());
        }
        Err(self.malformed(
            name,
            format!("has {found} entries, but {wanted_name} has {wanted}"),
        ))
    }

    /// An entry of a list that counts something: not negative, and below 2^31.
    pub(crate) fn index(&self, name: &str, at: usize, value: i64) -> Result<u32, TreeError> {
        i32::try_from(value)
            .ok()
            .and_then(|value| u32::try_from(value).ok())
            .ok_or_else(|| {
                self.malformed(
                    format!("{name}[{at}]"),
                    format!("is {value}, must be from 0 to 2147483647"),
                )
            })
    }
}

/// A type that tensors may hold.
pub(crate) trait TensorElement: Sized {
    const ELEMENT_TYPE: i32;
    fn from_raw(raw: &[u8]) -> Vec<Self>;
    fn from_typed(tensor: &TensorProto) -> Vec<Self>;
}

/// A number that a tensor holds in a list of its own, or raw with the lowest byte first.
macro_rules! number_of_tensors {
    ($number:ty, $element:ident, $list:ident) => {
        impl TensorElement for $number {
            const ELEMENT_TYPE: i32 = element_type::$element;

            fn from_raw(raw: &[u8]) -> Vec<Self> {
                let numbers = raw.as_chunks().0.iter();
                numbers.map(|bytes| Self::from_le_bytes(*bytes)).collect()
            }

            fn from_typed(tensor: &TensorProto) -> Vec<Self> {
                tensor.$list.clone()
            }
        }
    };
}

number_of_tensors!(f32, FLOAT, float_data);
number_of_tensors!(f64, DOUBLE, double_data);
number_of_tensors!(i64, INT64, int64_data);

impl TensorElement for u8 {
    const ELEMENT_TYPE: i32 = element_type::UINT8;

    fn from_raw(raw: &[u8]) -> Vec<Self> {
        raw.to_vec()
    }

    fn from_typed(tensor: &TensorProto) -> Vec<Self> {
        // The specification stores small integers in the 32-bit field; values outside a byte fail the mode check.
        tensor
            .int32_data
            .iter()
            .map(|&value| Self::try_from(value).unwrap_or(Self::MAX))
            .collect()
    }
}
