//! What can be wrong with a tree ensemble.

/// Why a node cannot be evaluated here.
///
/// [`TreeError::Malformed`] and [`TreeError::Decode`] say that the file is broken;
/// [`TreeError::Unsupported`] says that it is fine, but that ONNX Runtime must run the node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The bytes are no ONNX model.
    #[error("not an ONNX model: {reason}; export the model again")]
    Decode {
        /// What the decoder met.
        reason: String,
    },
    /// The node breaks the rules of the ONNX specification.
    #[error("node `{node}`: {place}: {reason}")]
    Malformed {
        /// Name of the graph node, or of its first output.
        node: String,
        /// The attribute and the position within it, such as `nodes_truenodeids[17]`.
        place: String,
        /// The value found and what it should have been.
        reason: String,
    },
    /// The node is valid, but the fast path does not hold it.
    #[error("node `{node}`: {reason}; ONNX Runtime evaluates it")]
    Unsupported {
        /// Name of the graph node, or of its first output.
        node: String,
        /// What the fast path lacks.
        reason: String,
    },
    /// The caller's rows or outputs do not fit the ensemble.
    #[error("{field}: {reason}")]
    Shape {
        /// The argument at fault.
        field: &'static str,
        /// The length found and the length needed.
        reason: String,
    },
}
