//! Input tensors of the Open Inference Protocol as rows of float32, the one type that models take.
//!
//! Every numeric type is converted when nothing is lost but the last bits of a fraction. An integer that float32
//! cannot hold exactly is refused: a score of a neighbouring number would be a score of something else.

use half::{bf16, f16};

use super::oip;
use crate::error::ServeError;

/// Name of the input of every model.
pub const INPUT: &str = "features";

/// Rows of float32.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// Row-major values.
    pub values: Vec<f32>,
    /// Number of rows.
    pub rows: usize,
}

/// A numeric type of elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ElementType {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Bf16,
    Fp32,
    Fp64,
}

impl ElementType {
    const ALL: [(&'static str, Self); 13] = [
        ("BOOL", Self::Bool),
        ("UINT8", Self::Uint8),
        ("UINT16", Self::Uint16),
        ("UINT32", Self::Uint32),
        ("UINT64", Self::Uint64),
        ("INT8", Self::Int8),
        ("INT16", Self::Int16),
        ("INT32", Self::Int32),
        ("INT64", Self::Int64),
        ("FP16", Self::Fp16),
        ("BF16", Self::Bf16),
        ("FP32", Self::Fp32),
        ("FP64", Self::Fp64),
    ];

    fn parse(name: &str) -> Result<Self, ServeError> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, element)| *element).ok_or_else(|| {
            refused(format!(
                "datatype {name:?} is no numeric type; send FP32, or one of BOOL UINT8 UINT16 UINT32 UINT64 INT8 \
                 INT16 INT32 INT64 FP16 BF16 FP64"
            ))
        })
    }

    const fn bytes(self) -> usize {
        match self {
            Self::Bool | Self::Uint8 | Self::Int8 => 1,
            Self::Uint16 | Self::Int16 | Self::Fp16 | Self::Bf16 => 2,
            Self::Uint32 | Self::Int32 | Self::Fp32 => 4,
            Self::Uint64 | Self::Int64 | Self::Fp64 => 8,
        }
    }
}

fn refused(problem: String) -> ServeError {
    ServeError::InvalidField {
        field: "inputs",
        problem,
    }
}

/// Reads the one input tensor of `request`.
///
/// # Errors
/// The tensor is missing, has another name, a shape that does not match its elements, a type that is no number, or a
/// value that float32 cannot hold.
pub fn rows(request: &oip::ModelInferRequest) -> Result<Rows, ServeError> {
    let [tensor] = request.inputs.as_slice() else {
        return Err(refused(format!(
            "{} tensors were sent; send one, {INPUT:?}",
            request.inputs.len()
        )));
    };
    if tensor.name != INPUT {
        return Err(refused(format!(
            "{:?} is no input of the model; its only one is {INPUT:?}",
            tensor.name
        )));
    }
    if tensor.parameters.contains_key("shared_memory_region") {
        return Err(refused(
            "shared memory is not offered; send the elements in the request".into(),
        ));
    }
    let element = ElementType::parse(&tensor.datatype)?;
    let (rows, elements) = shape(&tensor.shape)?;
    let values = match (request.raw_input_contents.as_slice(), &tensor.contents) {
        ([raw], None) => from_raw(element, raw, elements)?,
        ([], Some(contents)) => from_contents(element, contents, elements)?,
        ([], None) => {
            return Err(refused(format!(
                "{INPUT:?} has no elements; fill raw_input_contents or contents"
            )));
        }
        (raw, contents) => {
            let also = if contents.is_some() {
                " and typed contents"
            } else {
                ""
            };
            return Err(refused(format!(
                "one tensor came with {} raw_input_contents{also}; send its elements once",
                raw.len()
            )));
        }
    };
    Ok(Rows { values, rows })
}

/// Rows and elements of `[features]` or `[rows, features]`.
fn shape(shape: &[i64]) -> Result<(usize, usize), ServeError> {
    let count = |size: i64| usize::try_from(size).ok().filter(|size| *size > 0);
    let read = match shape {
        [features] => count(*features).map(|features| (1, features)),
        [rows, features] => count(*rows)
            .zip(count(*features))
            .and_then(|(rows, features)| Some((rows, rows.checked_mul(features)?))),
        _ => None,
    };
    read.ok_or_else(|| {
        refused(format!(
            "shape {shape:?} of {INPUT:?} is none of [rows, features] or [features], all above zero"
        ))
    })
}

fn not_exact(index: usize, value: &dyn std::fmt::Display) -> ServeError {
    refused(format!(
        "{INPUT}[{index}]: {value} cannot be held by float32, the type of the model; scale it or send FP32"
    ))
}

/// The integer as float32, when it is the same number.
fn exact(index: usize, value: i128) -> Result<f32, ServeError> {
    let converted = value as f32;
    if converted as i128 == value {
        Ok(converted)
    } else {
        Err(not_exact(index, &value))
    }
}

/// The nearest float32; what is not finite stays so, and is refused with the feature's name later.
fn nearest(index: usize, value: f64) -> Result<f32, ServeError> {
    let converted = value as f32;
    if value.is_finite() && !converted.is_finite() {
        return Err(not_exact(index, &value));
    }
    Ok(converted)
}

fn truth(index: usize, byte: u8) -> Result<f32, ServeError> {
    match byte {
        0 => Ok(0.0),
        1 => Ok(1.0),
        _ => Err(refused(format!(
            "{INPUT}[{index}]: {byte} is no BOOL; send 0 or 1"
        ))),
    }
}

fn elements_of<const BYTES: usize>(
    raw: &[u8],
    read: impl Fn(usize, [u8; BYTES]) -> Result<f32, ServeError>,
) -> Result<Vec<f32>, ServeError> {
    let (elements, _) = raw.as_chunks::<BYTES>();
    elements
        .iter()
        .enumerate()
        .map(|(index, bytes)| read(index, *bytes))
        .collect()
}

fn from_raw(element: ElementType, raw: &[u8], elements: usize) -> Result<Vec<f32>, ServeError> {
    let expected = elements.checked_mul(element.bytes());
    if expected != Some(raw.len()) {
        return Err(ServeError::InvalidField {
            field: "raw_input_contents",
            problem: format!(
                "{elements} elements of {} bytes were announced, {} bytes came; fix shape, datatype or contents",
                element.bytes(),
                raw.len()
            ),
        });
    }
    match element {
        ElementType::Fp32 => {
            let (words, _) = raw.as_chunks::<4>();
            Ok(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
        }
        ElementType::Bool => elements_of(raw, |index, [byte]: [u8; 1]| truth(index, byte)),
        ElementType::Uint8 => elements_of(raw, |_, [byte]: [u8; 1]| Ok(f32::from(byte))),
        ElementType::Int8 => elements_of(raw, |_, bytes| Ok(f32::from(i8::from_le_bytes(bytes)))),
        ElementType::Uint16 => {
            elements_of(raw, |_, bytes| Ok(f32::from(u16::from_le_bytes(bytes))))
        }
        ElementType::Int16 => elements_of(raw, |_, bytes| Ok(f32::from(i16::from_le_bytes(bytes)))),
        ElementType::Fp16 => elements_of(raw, |_, bytes| Ok(f16::from_le_bytes(bytes).to_f32())),
        ElementType::Bf16 => elements_of(raw, |_, bytes| Ok(bf16::from_le_bytes(bytes).to_f32())),
        ElementType::Uint32 => elements_of(raw, |index, bytes| {
            exact(index, u32::from_le_bytes(bytes).into())
        }),
        ElementType::Int32 => elements_of(raw, |index, bytes| {
            exact(index, i32::from_le_bytes(bytes).into())
        }),
        ElementType::Uint64 => elements_of(raw, |index, bytes| {
            exact(index, u64::from_le_bytes(bytes).into())
        }),
        ElementType::Int64 => elements_of(raw, |index, bytes| {
            exact(index, i64::from_le_bytes(bytes).into())
        }),
        ElementType::Fp64 => elements_of(raw, |index, bytes| {
            nearest(index, f64::from_le_bytes(bytes))
        }),
    }
}

fn from_contents(
    element: ElementType,
    contents: &oip::InferTensorContents,
    elements: usize,
) -> Result<Vec<f32>, ServeError> {
    let values = match element {
        ElementType::Bool => {
            let truths = contents.bool_contents.iter();
            Ok(truths.map(|truth| f32::from(u8::from(*truth))).collect())
        }
        ElementType::Int8 => signed(&contents.int_contents, i8::MIN.into(), i8::MAX.into()),
        ElementType::Int16 => signed(&contents.int_contents, i16::MIN.into(), i16::MAX.into()),
        ElementType::Int32 => signed(&contents.int_contents, i32::MIN, i32::MAX),
        ElementType::Int64 => integers(&contents.int64_contents),
        ElementType::Uint8 => unsigned(&contents.uint_contents, u8::MAX.into()),
        ElementType::Uint16 => unsigned(&contents.uint_contents, u16::MAX.into()),
        ElementType::Uint32 => unsigned(&contents.uint_contents, u32::MAX),
        ElementType::Uint64 => integers(&contents.uint64_contents),
        ElementType::Fp32 => Ok(contents.fp32_contents.clone()),
        ElementType::Fp64 => {
            let numbers = contents.fp64_contents.iter().enumerate();
            numbers
                .map(|(index, value)| nearest(index, *value))
                .collect()
        }
        ElementType::Fp16 | ElementType::Bf16 => Err(refused(
            "FP16 and BF16 have no typed contents in the protocol; fill raw_input_contents".into(),
        )),
    }?;
    if values.len() == elements {
        return Ok(values);
    }
    Err(refused(format!(
        "the shape announces {elements} elements, the contents of its datatype hold {}; fix shape, datatype or contents",
        values.len()
    )))
}

fn integers<T: Copy + Into<i128>>(values: &[T]) -> Result<Vec<f32>, ServeError> {
    let numbered = values.iter().enumerate();
    numbered
        .map(|(index, value)| exact(index, (*value).into()))
        .collect()
}

fn signed(values: &[i32], least: i32, most: i32) -> Result<Vec<f32>, ServeError> {
    within(values, least, most)?;
    integers(values)
}

fn unsigned(values: &[u32], most: u32) -> Result<Vec<f32>, ServeError> {
    within(values, 0, most)?;
    integers(values)
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "bounds are integers; references to them would read worse"
)]
fn within<T: PartialOrd + std::fmt::Display>(
    values: &[T],
    least: T,
    most: T,
) -> Result<(), ServeError> {
    let outside = |value: &T| *value < least || *value > most;
    match values.iter().enumerate().find(|(_, value)| outside(value)) {
        None => Ok(()),
        Some((index, value)) => Err(refused(format!(
            "{INPUT}[{index}]: {value} is outside {least}..={most}, the range of its datatype"
        ))),
    }
}

#[cfg(test)]
#[path = "tensors_tests.rs"]
mod tests;
