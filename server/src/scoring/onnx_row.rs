//! One row through an ONNX Runtime session without an allocation.
//!
//! `Session::run` makes names, output tensors and their type information anew for every run, which costs more than a
//! small model does. Here the tensors of one row are made once and ONNX Runtime writes into them.
#![allow(
    unsafe_code,
    reason = "ort offers no run into tensors that outlive the call"
)]

use std::ffi::CStr;

use ort::{AsPointer, memory::Allocator, session::Session, sys, value::Tensor};

use super::engine::{EngineError, ScoreLayout};

/// Name of the graph's input.
const INPUT: &CStr = c"features";
/// Names of the graph's outputs, in the order of [`ScoreLayout`].
const OUTPUTS: [&CStr; 8] = [
    c"probabilities",
    c"probability_low",
    c"probability_high",
    c"band_low",
    c"band_mid",
    c"band_high",
    c"dissimilarity",
    c"member_probabilities",
];

/// The tensors of one row.
pub(super) struct RowTensors {
    input: Tensor<f32>,
    outputs: [Tensor<f32>; OUTPUTS.len()],
}

impl RowTensors {
    /// Tensors for one row of `features` and its scores; `None` when a model without members leaves an output empty.
    pub(super) fn new(features: usize, layout: ScoreLayout) -> ort::Result<Option<Self>> {
        if features == 0 || layout.classes == 0 || layout.members == 0 {
            return Ok(None);
        }
        let allocator = Allocator::default();
        let scalar = || Tensor::new(&allocator, [1_usize]);
        Ok(Some(Self {
            input: Tensor::new(&allocator, [1_usize, features])?,
            outputs: [
                Tensor::new(&allocator, [1_usize, layout.classes])?,
                scalar()?,
                scalar()?,
                scalar()?,
                scalar()?,
                scalar()?,
                scalar()?,
                Tensor::new(&allocator, [1_usize, layout.members, layout.classes])?,
            ],
        }))
    }

    /// Scores one row.
    ///
    /// # Errors
    /// ONNX Runtime failed, or a length does not fit.
    pub(super) fn score(
        &mut self,
        session: &mut Session,
        features: &[f32],
        scores: &mut [f32],
    ) -> Result<(), EngineError> {
        let (_, input) = self.input.extract_tensor_mut();
        if input.len() != features.len() {
            return Err(EngineError(format!(
                "{} features for a row of {}",
                features.len(),
                input.len()
            )));
        }
        input.copy_from_slice(features);
        let input_names = [INPUT.as_ptr()];
        let inputs = [self.input.ptr()];
        let output_names = OUTPUTS.map(CStr::as_ptr);
        let mut outputs = self.outputs.each_mut().map(AsPointer::ptr_mut);
        let api = ort::api();
        // SAFETY: `session` is borrowed exclusively, so nothing else runs or frees it. Every name is a C string of
        // static life. Every value is a live tensor that `self` owns; `self` is borrowed exclusively, so nothing else
        // reads or writes the tensors meanwhile, and ONNX Runtime keeps no pointer to them after it returns. The
        // lengths are those of the arrays. ONNX Runtime checks shapes against the graph and fails rather than write
        // out of bounds.
        let status = unsafe {
            (api.Run)(
                session.ptr_mut(),
                std::ptr::null(),
                input_names.as_ptr(),
                inputs.as_ptr(),
                inputs.len(),
                output_names.as_ptr(),
                output_names.len(),
                outputs.as_mut_ptr(),
            )
        };
        check(status)?;
        let mut offset = 0;
        for output in &self.outputs {
            let (_, values) = output.extract_tensor();
            let Some(target) = scores.get_mut(offset..offset + values.len()) else {
                return Err(EngineError(format!(
                    "{} score values hold no row",
                    scores.len()
                )));
            };
            target.copy_from_slice(values);
            offset += values.len();
        }
        Ok(())
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
