//! A few rows through an ONNX Runtime session without an allocation.
//!
//! `Session::run` makes names, output tensors and their type information anew for every run, which costs more than a
//! small model does. Here the tensors for so many rows are made once and ONNX Runtime writes into them.
#![allow(
    unsafe_code,
    reason = "ort offers no run into tensors that outlive the call"
)]

use std::{ffi::CStr, ptr::null};

use ort::{AsPointer, memory::Allocator, session::Session, sys, value::Tensor};

use super::{
    engine::{MOST_OUTPUTS, SessionOutput},
    ort_error,
};
use crate::scoring::engine::EngineError;

/// Name of the graph's input.
const INPUT: &CStr = c"features";

/// The tensors of runs of so many rows.
pub(super) struct BoundRows {
    input: Tensor<f32>,
    outputs: Vec<Tensor<f32>>,
}

impl BoundRows {
    /// Tensors for `rows` rows of `features` and what the session gives for them; `None` when one would be empty.
    pub(super) fn new(
        rows: usize,
        features: usize,
        outputs: &[SessionOutput],
    ) -> Result<Option<Self>, EngineError> {
        if rows == 0 || features == 0 || outputs.iter().any(|output| output.width() == 0) {
            return Ok(None);
        }
        let allocator = Allocator::default();
        let tensor = |output: &SessionOutput| {
            let shape = std::iter::once(rows).chain(output.shape.iter().copied());
            Tensor::new(&allocator, shape.collect::<Vec<_>>())
        };
        let made = outputs.iter().map(tensor).collect::<ort::Result<_>>();
        Ok(Some(Self {
            input: Tensor::new(&allocator, [rows, features]).map_err(ort_error)?,
            outputs: made.map_err(ort_error)?,
        }))
    }

    /// Runs so many rows; `outputs` are those of [`Self::new`].
    ///
    /// # Errors
    /// ONNX Runtime failed, or a length does not fit.
    pub(super) fn run(
        &mut self,
        session: &mut Session,
        outputs: &[SessionOutput],
        features: &[f32],
    ) -> Result<(), EngineError> {
        let (_, input) = self.input.extract_tensor_mut();
        if input.len() != features.len() {
            return Err(EngineError(format!(
                "{} features for rows of {} together",
                features.len(),
                input.len()
            )));
        }
        input.copy_from_slice(features);
        let input_names = [INPUT.as_ptr()];
        let inputs = [self.input.ptr()];
        let count = self.outputs.len();
        if count != outputs.len() || count > MOST_OUTPUTS {
            return Err(EngineError(format!(
                "{} names for {count} outputs, at most {MOST_OUTPUTS}",
                outputs.len()
            )));
        }
        let mut names = [null(); MOST_OUTPUTS];
        let mut values = [std::ptr::null_mut(); MOST_OUTPUTS];
        let slots = names.iter_mut().zip(&mut values);
        for ((name, value), (output, tensor)) in slots.zip(outputs.iter().zip(&mut self.outputs)) {
            *name = output.name.as_ptr();
            *value = tensor.ptr_mut();
        }
        let api = ort::api();
        // SAFETY: `session` is borrowed exclusively, so nothing else runs or frees it. Every name is a C string, the
        // outputs' borrowed until the call returned. Every value is a live tensor that `self` owns; `self` is borrowed
        // exclusively, so nothing else reads or writes the tensors meanwhile, and ONNX Runtime keeps no pointer to them
        // after it returns. `count` names and values are set. ONNX Runtime checks shapes against the graph and fails
        // rather than write out of bounds.
        let status = unsafe {
            (api.Run)(
                session.ptr_mut(),
                null(),
                input_names.as_ptr(),
                inputs.as_ptr(),
                inputs.len(),
                names.as_ptr(),
                count,
                values.as_mut_ptr(),
            )
        };
        check(status)
    }

    /// What the last run gave: each output's numbers, row-major.
    pub(super) fn values(&self) -> impl Iterator<Item = &[f32]> {
        self.outputs.iter().map(|output| output.extract_tensor().1)
    }
}

fn check(status: sys::OrtStatusPtr) -> Result<(), EngineError> {
    if status.0.is_null() {
        return Ok(());
    }
    let api = ort::api();
    // SAFETY: a status that is not null is live until it is released, and so is its message, which is copied first.
    let message = unsafe {
        let message = CStr::from_ptr((api.GetErrorMessage)(status.0))
            .to_string_lossy()
            .into_owned();
        (api.ReleaseStatus)(status.0);
        message
    };
    let line = message.lines().next().unwrap_or_default();
    Err(EngineError(line.to_owned()))
}
