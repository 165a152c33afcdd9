//! Writes small ONNX models; field numbers are those of the public `onnx.proto`.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub struct Model {
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSet>,
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct OperatorSet {
    #[prost(string, tag = "1")]
    pub domain: String,
    #[prost(int64, tag = "2")]
    pub version: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<Node>,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Node {
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, tag = "4")]
    pub op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<Attribute>,
    #[prost(string, tag = "7")]
    pub domain: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub s: Option<Vec<u8>>,
    #[prost(message, optional, tag = "5")]
    pub t: Option<Tensor>,
    #[prost(float, repeated, packed = "false", tag = "7")]
    pub floats: Vec<f32>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub ints: Vec<i64>,
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub strings: Vec<Vec<u8>>,
    #[prost(int32, tag = "20")]
    pub r#type: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    #[prost(string, tag = "8")]
    pub name: String,
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ValueInfo {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<Type>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Type {
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TensorType {
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Shape {
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Dimension {
    #[prost(int64, optional, tag = "1")]
    pub dim_value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub dim_param: Option<String>,
}

fn attribute(name: &str, r#type: i32) -> Attribute {
    Attribute {
        name: name.to_owned(),
        r#type,
        ..Default::default()
    }
}

pub fn int(name: &str, value: i64) -> Attribute {
    Attribute {
        i: Some(value),
        ..attribute(name, 2)
    }
}

pub fn text(name: &str, value: &str) -> Attribute {
    Attribute {
        s: Some(value.as_bytes().to_vec()),
        ..attribute(name, 3)
    }
}

pub fn floats(name: &str, values: Vec<f32>) -> Attribute {
    Attribute {
        floats: values,
        ..attribute(name, 6)
    }
}

pub fn ints(name: &str, values: Vec<i64>) -> Attribute {
    Attribute {
        ints: values,
        ..attribute(name, 7)
    }
}

pub fn texts(name: &str, values: &[&str]) -> Attribute {
    Attribute {
        strings: values
            .iter()
            .map(|value| value.as_bytes().to_vec())
            .collect(),
        ..attribute(name, 8)
    }
}

pub fn tensor(name: &str, data_type: i32, count: usize, raw_data: Vec<u8>) -> Attribute {
    let tensor = Tensor {
        dims: vec![count as i64],
        data_type,
        name: name.to_owned(),
        raw_data,
    };
    Attribute {
        t: Some(tensor),
        ..attribute(name, 4)
    }
}

/// A node of ONNX's own operators that gives one value.
pub fn plain(operator: &str, inputs: &[&str], output: &str) -> Node {
    Node {
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        name: output.to_owned(),
        op_type: operator.to_owned(),
        ..Node::default()
    }
}

/// A constant of the graph.
pub fn constant_floats(name: &str, dims: &[i64], values: &[f32]) -> Tensor {
    Tensor {
        dims: dims.to_vec(),
        data_type: 1,
        name: name.to_owned(),
        raw_data: values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect(),
    }
}

/// A constant of the graph: whole numbers in a row, or one without a dimension.
pub fn constant_integers(name: &str, dims: &[i64], values: &[i64]) -> Tensor {
    Tensor {
        dims: dims.to_vec(),
        data_type: 7,
        name: name.to_owned(),
        raw_data: values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect(),
    }
}

pub fn value(name: &str, elem_type: i32, dims: &[Option<i64>]) -> ValueInfo {
    let dim = |size: &Option<i64>| match size {
        Some(size) => Dimension {
            dim_value: Some(*size),
            dim_param: None,
        },
        None => Dimension {
            dim_value: None,
            dim_param: Some("N".to_owned()),
        },
    };
    let shape = Shape {
        dim: dims.iter().map(dim).collect(),
    };
    let tensor_type = Some(TensorType {
        elem_type,
        shape: Some(shape),
    });
    ValueInfo {
        name: name.to_owned(),
        r#type: Some(Type { tensor_type }),
    }
}

pub fn model(graph: Graph, ml_version: i64) -> Vec<u8> {
    let opset = |domain: &str, version| OperatorSet {
        domain: domain.to_owned(),
        version,
    };
    let metadata = Entry {
        key: "kept".to_owned(),
        value: "as it was".to_owned(),
    };
    let model = Model {
        ir_version: 10,
        graph: Some(graph),
        opset_import: vec![opset("", 21), opset("ai.onnx.ml", ml_version)],
        metadata_props: vec![metadata],
    };
    model.encode_to_vec()
}
