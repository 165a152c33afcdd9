//! A few rows through an ONNX Runtime session without an allocation.
//!
//! `Session::run` makes names, output tensors and their type information anew for every run, which costs more than a
//! small model does. Here the tensors for so many rows are made once and ONNX Runtime writes into them.
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

/// The tensors of runs of so many rows.
pub(super) struct BoundRows {
    rows: usize,
    input: Tensor<f32>,
    outputs: [Tensor<f32>; OUTPUTS.len()],
}

impl BoundRows {
    /// Tensors for `rows` rows of `features` and their scores; `None` when a model without members leaves an output
    /// empty.
    pub(super) fn new(
        rows: usize,
        features: usize,
        layout: ScoreLayout,
    ) -> ort::Result<Option<Self>> {
        if rows == 0 || features == 0 || layout.classes == 0 || layout.members == 0 {
            return Ok(None);
        }
        let allocator = Allocator::default();
        let scalar = || Tensor::new(&allocator, [rows]);
        Ok(Some(Self {
            rows,
            input: Tensor::new(&allocator, [rows, features])?,
            outputs: [
                Tensor::new(&allocator, [rows, layout.classes])?,
                scalar()?,
                scalar()?,
                scalar()?,
                scalar()?,
                scalar()?,
                scalar()?,
                Tensor::new(&allocator, [rows, layout.members, layout.classes])?,
            ],
        }))
    }

    /// Scores so many rows.
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
                "{} features for rows of {} together",
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
        let width = (scores.len() / self.rows).max(1);
        let mut offset = 0;
        for output in &self.outputs {
            let (_, values) = output.extract_tensor();
            let columns = (values.len() / self.rows).max(1);
            for (row, values) in scores
                .chunks_exact_mut(width)
                .zip(values.chunks_exact(columns))
            {
                let Some(target) = row.get_mut(offset..offset + columns) else {
                    return Err(EngineError(format!("{width} score values hold no row")));
                };
                target.copy_from_slice(values);
            }
            offset += columns;
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
