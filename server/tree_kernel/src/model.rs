//! The tree nodes of a model.

use std::collections::HashMap;

use prost::Message;

use crate::onnx_proto::{GraphProto, ModelProto, NodeProto, element_type};
use crate::reader::{ML_DOMAIN, TreeOperator, read_node};
use crate::{AnyEnsemble, TreeError};

/// A tree-ensemble node of the main graph.
#[derive(Debug, Clone)]
pub struct TreeNode {
    /// Its place among the graph's nodes.
    pub index: usize,
    /// Its name, or that of its first output.
    pub name: String,
    /// `TreeEnsembleRegressor`, `TreeEnsembleClassifier` or `TreeEnsemble`.
    pub operator: String,
    /// Names of its inputs.
    pub inputs: Vec<String>,
    /// Names of its outputs; an unused label is an empty name.
    pub outputs: Vec<String>,
    /// The checked ensemble, or why there is none.
    pub ensemble: Result<AnyEnsemble, TreeError>,
}

pub(crate) fn decode(bytes: &[u8]) -> Result<GraphProto, TreeError> {
    let model = ModelProto::decode(bytes).map_err(|error| TreeError::Decode {
        reason: error.to_string(),
    })?;
    model.graph.ok_or_else(|| TreeError::Decode {
        reason: "it has no graph".to_owned(),
    })
}

/// Reads every tree-ensemble node of a model's main graph.
///
/// # Errors
///
/// [`TreeError::Decode`] when the bytes are no ONNX model. A node that is broken or not supported is no error of the
/// model: its [`TreeNode::ensemble`] says so.
pub fn read_model(bytes: &[u8]) -> Result<Vec<TreeNode>, TreeError> {
    Ok(tree_nodes(&decode(bytes)?))
}

pub(crate) fn tree_nodes(graph: &GraphProto) -> Vec<TreeNode> {
    let types = ValueTypes::of(graph);
    let tree_node = |(index, node): (usize, &NodeProto)| {
        let operator = TreeOperator::of(node)?;
        let input = node.input.first().map_or(0, |name| types.of_value(name));
        Some(TreeNode {
            index,
            name: node.label(),
            operator: node.op_type().to_owned(),
            inputs: node.input.clone(),
            outputs: node.output.clone(),
            ensemble: read_node(node, operator, input),
        })
    };
    graph
        .node
        .iter()
        .enumerate()
        .filter_map(tree_node)
        .collect()
}

/// Element types of values, as far as they can be told without ONNX Runtime.
struct ValueTypes<'a>(HashMap<&'a str, i32>);

impl<'a> ValueTypes<'a> {
    fn of(graph: &'a GraphProto) -> Self {
        let mut types = HashMap::new();
        for value in graph
            .input
            .iter()
            .chain(&graph.value_info)
            .chain(&graph.output)
        {
            let tensor = value
                .r#type
                .as_ref()
                .and_then(|r#type| r#type.tensor_type.as_ref());
            if let (Some(name), Some(element)) = (
                value.name.as_deref(),
                tensor.and_then(|tensor| tensor.elem_type),
            ) {
                types.insert(name, element);
            }
        }
        for value in &graph.initializer {
            if let (Some(name), Some(element)) = (value.name.as_deref(), value.data_type) {
                types.insert(name, element);
            }
        }
        let mut known = Self(types);
        for node in &graph.node {
            let element = known.of_result(node);
            for output in &node.output {
                known.0.entry(output).or_insert(element);
            }
        }
        known
    }

    /// The type of a node's results: that of its first input, except for operators that choose it themselves.
    fn of_result(&self, node: &NodeProto) -> i32 {
        match (node.domain(), node.op_type()) {
            ("" | "ai.onnx", "Cast") => {
                let to = node
                    .attribute
                    .iter()
                    .find(|attribute| attribute.name.as_deref() == Some("to"));
                to.and_then(|attribute| attribute.i)
                    .and_then(|element| i32::try_from(element).ok())
                    .unwrap_or(0)
            }
            (ML_DOMAIN, "Scaler" | "Normalizer" | "FeatureVectorizer" | "OneHotEncoder") => {
                element_type::FLOAT
            }
            _ => node.input.first().map_or(0, |input| self.of_value(input)),
        }
    }

    /// The ONNX element type of a value; 0 when unknown.
    fn of_value(&self, name: &str) -> i32 {
        self.0.get(name).copied().unwrap_or(0)
    }
}
