//! Candlewire's data plane: bars and requests in, calibrated scores with bands out.

#[cfg(feature = "python")]
mod python;
