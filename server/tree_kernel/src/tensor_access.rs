//! The tensors of a running operator, straight from ONNX Runtime's C API.
//!
//! `ort`'s own view of a value looks up its memory, type and symbolic shape with a dozen calls and allocations, which
//! costs more than evaluating a small ensemble. All unsafe code of the custom operator is in this file.
#![allow(unsafe_code, reason = "ONNX Runtime's C API")]

use std::ptr;
use std::slice;

use ort::AsPointer;
use ort::operator::ComputeContext;
use ort::sys;

use crate::Scalar;

/// A number type of the tensors here; the operator declares it to ONNX Runtime, which checks every graph against it.
pub(crate) trait TensorNumber: Copy {}
impl TensorNumber for f32 {}
impl TensorNumber for f64 {}
impl TensorNumber for i64 {}

/// Rows and columns of the operator's input; a tensor of one dimension is one row.
pub(crate) struct Input<'a, T> {
    pub(crate) values: &'a [T],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

fn check(status: sys::OrtStatusPtr) -> ort::Result<()> {
    // SAFETY: the status comes from a call just made and is given up here.
    unsafe { ort::Error::result_from_status(status) }
}

/// Reads input 0 of an operator that declares it as `T`.
pub(crate) fn input<T: Scalar + TensorNumber>(
    context: &ComputeContext,
) -> ort::Result<Input<'_, T>> {
    let api = ort::api();
    let missing = || ort::Error::new("tree kernel: features: the input is missing");
    let mut value = ptr::null();
    // SAFETY: the context is alive for the whole call of the operator.
    check(unsafe { (api.KernelContext_GetInput)(context.ptr(), 0, &raw mut value) })?;
    if value.is_null() {
        return Err(missing());
    }
    let (rows, columns) = shape(value)?;
    let length = rows.checked_mul(columns).ok_or_else(missing)?;
    let mut data = ptr::null_mut();
    // SAFETY: `value` is a tensor of this context; nothing is written through the pointer.
    check(unsafe { (api.GetTensorMutableData)(value.cast_mut(), &raw mut data) })?;
    if length == 0 || data.is_null() {
        return Ok(Input {
            values: &[],
            rows,
            columns,
        });
    }
    // SAFETY: ONNX Runtime runs the operator only on a tensor of the declared type, whose elements are as many as its
    // shape says; it outlives the call, and nobody writes to an input.
    let values = unsafe { slice::from_raw_parts(data.cast::<T>().cast_const(), length) };
    Ok(Input {
        values,
        rows,
        columns,
    })
}

fn shape(value: *const sys::OrtValue) -> ort::Result<(usize, usize)> {
    let api = ort::api();
    let mut info = ptr::null_mut();
    // SAFETY: `value` is a tensor of the running operator; the information is released below.
    check(unsafe { (api.GetTensorTypeAndShape)(value, &raw mut info) })?;
    let mut count = 0;
    let mut sizes = [0_i64; 2];
    // SAFETY: `info` is alive, and at most two sizes are written to the two places.
    let read = unsafe {
        check((api.GetDimensionsCount)(info, &raw mut count)).and_then(|()| {
            let taken = count.min(sizes.len());
            check((api.GetDimensions)(info, sizes.as_mut_ptr(), taken))
        })
    };
    // SAFETY: released once, after the last use.
    unsafe { (api.ReleaseTensorTypeAndShapeInfo)(info) };
    read?;
    let size = |at: usize| usize::try_from(sizes[at]).unwrap_or_default();
    match count {
        1 => Ok((1, size(0))),
        2 => Ok((size(0), size(1))),
        _ => Err(ort::Error::new(format!(
            "tree kernel: features: needs 1 or 2 dimensions, got {count}"
        ))),
    }
}

/// The operator's outputs, to be written in full.
pub(crate) struct Outputs<'a, O> {
    pub(crate) labels: Option<&'a mut [i64]>,
    pub(crate) scores: &'a mut [O],
}

/// Makes the outputs of an operator that declares its scores as `O`, after its labels if it gives any.
pub(crate) fn outputs<O: TensorNumber>(
    context: &ComputeContext,
    gives_labels: bool,
    rows: usize,
    targets: usize,
) -> ort::Result<Outputs<'_, O>> {
    // SAFETY: the types are those of `TreeOperator::outputs`, and each output is asked for once.
    unsafe {
        let labels = if gives_labels {
            Some(output(context, 0, &[rows])?)
        } else {
            None
        };
        let scores = output(context, usize::from(gives_labels), &[rows, targets])?;
        Ok(Outputs { labels, scores })
    }
}

/// Makes an output that the operator declares as `T`, to be written in full.
///
/// # Safety
///
/// The output at `index` must be declared as `T`, and asked for once in a call of the operator.
#[allow(
    clippy::mut_from_ref,
    reason = "the memory is ONNX Runtime's, and each output is asked for once"
)]
unsafe fn output<'a, T: TensorNumber>(
    context: &'a ComputeContext,
    index: usize,
    sizes: &[usize],
) -> ort::Result<&'a mut [T]> {
    let api = ort::api();
    let mut dimensions = [0_i64; 2];
    for (dimension, &size) in dimensions.iter_mut().zip(sizes) {
        *dimension = size as i64;
    }
    let length = sizes.iter().product();
    let mut value = ptr::null_mut();
    let mut data = ptr::null_mut();
    // SAFETY: the context is alive, and `dimensions` holds as many sizes as are announced.
    unsafe {
        let count = sizes.len().min(dimensions.len());
        check((api.KernelContext_GetOutput)(
            context.ptr().cast_mut(),
            index,
            dimensions.as_ptr(),
            count,
            &raw mut value,
        ))?;
        if value.is_null() {
            return Err(ort::Error::new(format!(
                "tree kernel: output {index} is missing"
            )));
        }
        check((api.GetTensorMutableData)(value, &raw mut data))?;
    }
    if length == 0 || data.is_null() {
        return Ok(&mut []);
    }
    let data = data.cast::<T>();
    // SAFETY: ONNX Runtime made a tensor of the declared type with `length` elements for this call, and by the caller's
    // word this is the only slice over it. Its memory may be uninitialised, so it is filled before a reference is made.
    unsafe {
        ptr::write_bytes(data, 0, length);
        Ok(slice::from_raw_parts_mut(data, length))
    }
}
