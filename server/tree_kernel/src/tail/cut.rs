//! Where a model can end earlier, and the model that does.

use std::collections::{HashMap, HashSet};

use prost::Message;

use super::constants::{self, Constant, GRAPH_INITIALIZER};
use super::program::RowProgram;
use super::trace::{Trace, is_known};
use crate::TreeError;
use crate::model::decode;
use crate::onnx_proto::{
    GraphProto, NodeProto, TensorTypeProto, TypeProto, ValueInfoProto, element_type,
};
use crate::wire::{fields, push_field};

/// Field numbers of `onnx.proto`.
const MODEL_GRAPH: u64 = 7;
const GRAPH_NODE: u64 = 1;
const GRAPH_OUTPUT: u64 = 12;
const GRAPH_VALUE_INFO: u64 = 13;

/// Which operators a tail may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TailOperators {
    /// Those that have one result.
    Exact,
    /// The logistic function too, with the bits of ONNX Runtime where it multiplies and adds at once.
    WithLogistic,
}

/// A model without its tail.
#[derive(Debug, Clone)]
pub struct CutModel {
    /// The model; its outputs are `values`.
    pub bytes: Vec<u8>,
    /// Names of the values where it ends, tensors of `f32` with a first dimension of rows.
    pub values: Vec<String>,
    tail: Vec<NodeProto>,
    constants: HashMap<String, Constant>,
}

impl CutModel {
    /// How many nodes were cut off.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.tail.len()
    }

    /// The program for the nodes that were cut off.
    ///
    /// `shapes` holds the dimensions of a row of each of [`Self::values`]; the program gives, for each row, all numbers
    /// of the first of `outputs`, then those of the next.
    ///
    /// # Errors
    ///
    /// [`TreeError::Unsupported`] when a node needs what is not known here; [`TreeError::Shape`] when there are not as
    /// many shapes as values, or an output is unknown.
    pub fn program(
        &self,
        shapes: &[Vec<usize>],
        outputs: &[&str],
    ) -> Result<RowProgram, TreeError> {
        let mut trace = Trace::new(&self.values, shapes, &self.constants)?;
        for node in &self.tail {
            trace.follow(node)?;
        }
        trace.program(outputs)
    }
}

/// Cuts the tail off a model: all operators known here on which nothing depends but outputs.
///
/// `None` when there is none, or when the graph is of a kind that is not looked into.
///
/// # Errors
///
/// [`TreeError::Decode`] when the bytes are no ONNX model.
pub fn cut_tail(bytes: &[u8], operators: TailOperators) -> Result<Option<CutModel>, TreeError> {
    let graph = decode(bytes)?;
    let has_graphs = |node: &NodeProto| {
        let mut attributes = node.attribute.iter();
        attributes.any(|attribute| attribute.g.is_some() || !attribute.graphs.is_empty())
    };
    // A graph within a node may read any value of this one.
    if graph.node.iter().any(has_graphs) {
        return Ok(None);
    }
    let in_tail = tail_of(&graph, operators);
    let (tail, kept): (Vec<_>, Vec<_>) = graph
        .node
        .iter()
        .zip(&in_tail)
        .partition(|(_, in_tail)| **in_tail);
    if tail.is_empty() {
        return Ok(None);
    }
    let tail: Vec<NodeProto> = tail.into_iter().map(|(node, _)| node.clone()).collect();
    let read_later: HashSet<&str> = names_read(kept.iter().map(|(node, _)| *node)).collect();
    let constants = constants::names(&graph.initializer);
    let values = values_before(&graph, &tail, &constants);
    let known = constants::read(encoded_graph(bytes)?, &names_read(tail.iter()).collect())?;
    let ended = Ending {
        graph: &graph,
        in_tail: &in_tail,
        values: &values,
        read_later: &read_later,
    };
    let mut out = Vec::with_capacity(bytes.len());
    for field in fields(bytes)? {
        if field.number == MODEL_GRAPH {
            push_field(&mut out, MODEL_GRAPH, &ended.encode(&bytes[field.payload])?);
        } else {
            out.extend_from_slice(&bytes[field.whole]);
        }
    }
    Ok(Some(CutModel {
        bytes: out,
        values,
        tail,
        constants: known,
    }))
}

/// Which nodes are known here and have no reader but others of that kind.
fn tail_of(graph: &GraphProto, operators: TailOperators) -> Vec<bool> {
    let constants = constants::names(&graph.initializer);
    let given: HashSet<&str> = graph
        .input
        .iter()
        .filter_map(|value| value.name.as_deref())
        .filter(|name| !constants.contains(name))
        .collect();
    let mut read_elsewhere: HashSet<&str> = HashSet::new();
    let mut in_tail = vec![false; graph.node.len()];
    // Nodes are in topological order, so all readers of a node come after it.
    for (node, in_tail) in graph.node.iter().zip(&mut in_tail).rev() {
        let read = node.output.iter();
        let is_read = read
            .map(String::as_str)
            .any(|name| read_elsewhere.contains(name));
        let reads_rows = node
            .input
            .iter()
            .any(|name| !name.is_empty() && !constants.contains(name.as_str()));
        // A value that the caller gives is no output of the model.
        let reads_given = node.input.iter().any(|name| given.contains(name.as_str()));
        *in_tail = is_known(node, operators) && !is_read && reads_rows && !reads_given;
        if !*in_tail {
            read_elsewhere.extend(node.input.iter().map(String::as_str));
        }
    }
    in_tail
}

fn names_read<'a>(nodes: impl Iterator<Item = &'a NodeProto>) -> impl Iterator<Item = &'a str> {
    nodes
        .flat_map(|node| node.input.iter().map(String::as_str))
        .filter(|name| !name.is_empty())
}

/// What the tail reads, and outputs that it does not compute, each once.
fn values_before(graph: &GraphProto, tail: &[NodeProto], constants: &HashSet<&str>) -> Vec<String> {
    let computed: HashSet<&str> = tail
        .iter()
        .flat_map(|node| node.output.iter().map(String::as_str))
        .collect();
    let outputs = graph
        .output
        .iter()
        .filter_map(|value| value.name.as_deref());
    let mut values: Vec<String> = Vec::new();
    for name in names_read(tail.iter()).chain(outputs) {
        let is_new = !values.iter().any(|value| value == name);
        if is_new && !computed.contains(name) && !constants.contains(name) {
            values.push(name.to_owned());
        }
    }
    values
}

fn encoded_graph(bytes: &[u8]) -> Result<&[u8], TreeError> {
    let graph = fields(bytes)?
        .into_iter()
        .find(|field| field.number == MODEL_GRAPH);
    Ok(graph
        .and_then(|field| bytes.get(field.payload))
        .unwrap_or_default())
}

/// How a graph ends before its tail.
struct Ending<'a> {
    graph: &'a GraphProto,
    in_tail: &'a [bool],
    values: &'a [String],
    /// Names that the nodes that stay read.
    read_later: &'a HashSet<&'a str>,
}

impl Ending<'_> {
    /// Copies the graph without the nodes of the tail, the constants that only they read, and the outputs.
    fn encode(&self, graph: &[u8]) -> Result<Vec<u8>, TreeError> {
        let mut out = Vec::with_capacity(graph.len());
        let mut in_tail = self.in_tail.iter();
        for field in fields(graph)? {
            let stays = match field.number {
                GRAPH_NODE => in_tail.next() == Some(&false),
                GRAPH_INITIALIZER => {
                    let name = constants::name_of(&graph[field.payload])?;
                    self.is_read(&name.unwrap_or_default())
                }
                GRAPH_OUTPUT => false,
                GRAPH_VALUE_INFO => {
                    let value = ValueInfoProto::decode(&graph[field.payload]).ok();
                    let name = value.and_then(|value| value.name);
                    self.is_read(&name.unwrap_or_default())
                }
                _ => true,
            };
            if stays {
                out.extend_from_slice(&graph[field.whole]);
            }
        }
        for name in self.values {
            let float = TypeProto {
                tensor_type: Some(TensorTypeProto {
                    elem_type: Some(element_type::FLOAT),
                }),
            };
            let value = ValueInfoProto {
                name: Some(name.clone()),
                r#type: Some(float),
            };
            push_field(&mut out, GRAPH_OUTPUT, &value.encode_to_vec());
        }
        Ok(out)
    }

    fn is_read(&self, name: &str) -> bool {
        // Old models list their constants among the inputs too.
        let is_input = || {
            let mut inputs = self.graph.input.iter();
            inputs.any(|value| value.name.as_deref() == Some(name))
        };
        self.read_later.contains(name) || is_input()
    }
}
