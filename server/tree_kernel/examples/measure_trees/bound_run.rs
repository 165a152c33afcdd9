//! Runs a session into tensors that outlive the call, as the server runs a row.
//!
//! `Session::run` makes names, tensors and their type information anew for every call, which costs more than a small
//! model does and is no part of what is compared here.
#![allow(
    unsafe_code,
    reason = "ort offers no run into tensors that outlive the call"
)]

use std::ffi::{CStr, CString};
use std::ptr;

use ort::AsPointer;
use ort::memory::Allocator;
use ort::session::Session;
use ort::value::{DynTensor, Tensor, ValueType};

use crate::Failure;

/// The tensors of calls of one batch size.
pub(crate) struct BoundRun {
    input_name: CString,
    input: Tensor<f32>,
    output_names: Vec<CString>,
    outputs: Vec<DynTensor>,
}

impl BoundRun {
    /// Tensors for calls of `batch` rows of `columns` features.
    pub(crate) fn new(session: &Session, batch: usize, columns: usize) -> Result<Self, Failure> {
        let allocator = Allocator::default();
        let [input] = session.inputs() else {
            return Err("the model needs one input".into());
        };
        let mut output_names = Vec::new();
        let mut outputs = Vec::new();
        for output in session.outputs() {
            let ValueType::Tensor { ty, shape, .. } = output.dtype() else {
                return Err(format!("output {} is no tensor", output.name()).into());
            };
            let sizes = shape
                .iter()
                .map(|&size| usize::try_from(size).unwrap_or(batch));
            let sizes: Vec<usize> = sizes.collect();
            outputs.push(DynTensor::new(&allocator, *ty, sizes)?);
            output_names.push(CString::new(output.name())?);
        }
        Ok(Self {
            input_name: CString::new(input.name())?,
            input: Tensor::new(&allocator, [batch, columns])?,
            output_names,
            outputs,
        })
    }

    /// Runs `rows`, which are as many as the tensors hold.
    pub(crate) fn run(&mut self, session: &mut Session, rows: &[f32]) -> Result<(), Failure> {
        let (_, input) = self.input.extract_tensor_mut();
        if input.len() != rows.len() {
            return Err(format!("{} values given, {} needed", rows.len(), input.len()).into());
        }
        input.copy_from_slice(rows);
        let input_names = [self.input_name.as_ptr()];
        let inputs = [self.input.ptr()];
        let output_names: [_; 2] = self.pad(|this, at| this.output_names[at].as_ptr());
        let mut outputs: [_; 2] = [ptr::null_mut(); 2];
        for (slot, output) in outputs.iter_mut().zip(&mut self.outputs) {
            *slot = output.ptr_mut();
        }
        if self.outputs.len() > outputs.len() {
            return Err("more than two outputs".into());
        }
        // SAFETY: the session is borrowed exclusively; every name is a live C string and every value a live tensor that
        // `self` owns; ONNX Runtime keeps no pointer after it returns, and checks shapes against the graph.
        unsafe {
            let status = (ort::api().Run)(
                session.ptr_mut(),
                ptr::null(),
                input_names.as_ptr(),
                inputs.as_ptr(),
                inputs.len(),
                output_names.as_ptr(),
                self.outputs.len(),
                outputs.as_mut_ptr(),
            );
            ort::Error::result_from_status(status)?;
        }
        Ok(())
    }

    /// An array of one pointer for each output; null where there is none.
    fn pad<const N: usize>(
        &self,
        of: impl Fn(&Self, usize) -> *const std::ffi::c_char,
    ) -> [*const std::ffi::c_char; N] {
        std::array::from_fn(|at| {
            if at < self.outputs.len() {
                of(self, at)
            } else {
                CStr::as_ptr(c"")
            }
        })
    }
}
