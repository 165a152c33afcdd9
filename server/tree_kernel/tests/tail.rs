//! A model without its tail and the program for the tail give the bits of the whole model.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops where something is wrong"
)]

mod support;

use candlewire_trees::TailOperators::{Exact, WithLogistic};
use candlewire_trees::{
    BareTrees, CutModel, RewriteOptions, RowProgram, TreeError, cut_tail, rewrite_model,
};
use ort::{session::Session, value::Tensor};
use proptest::prelude::*;
use prost::Message;
use support::onnx_writer::{
    Attribute, Graph, Model, Node, constant_floats, constant_integers, int, model, plain, value,
};
use support::{Case, Wish, session};

/// Columns of the rows.
const WIDTH: usize = 6;

/// Numbers where operators differ if they differ at all. Zeros of both signs are not compared with each other by the
/// graph below: which of them ONNX Runtime gives depends on the place in the batch.
const SPECIAL: [f32; 12] = [
    0.0,
    -0.0,
    1.5,
    -2.25,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    1e-45,
    -1e-45,
    f32::MIN_POSITIVE,
    f32::MAX,
    f32::MIN,
];

fn with(mut node: Node, attribute: Attribute) -> Node {
    node.attribute.push(attribute);
    node
}

/// A graph whose values stay with ONNX Runtime up to "rows", of [`WIDTH`] columns, and "one", of one.
fn graph(tail: Vec<Node>, outputs: &[(&str, &[i64])]) -> Vec<u8> {
    let mut nodes = vec![
        plain("Tile", &["features", "ones"], "rows"),
        plain("ReduceMax", &["features", "last"], "one"),
    ];
    nodes.extend(tail);
    let shape = |dims: &[i64]| -> Vec<Option<i64>> {
        std::iter::once(None)
            .chain(dims.iter().copied().map(Some))
            .collect()
    };
    let graph = Graph {
        node: nodes,
        name: "with a tail".to_owned(),
        initializer: vec![
            constant_integers("ones", &[2], &[1, 1]),
            constant_integers("last", &[1], &[1]),
            constant_integers("first", &[1], &[0]),
            constant_integers("second axis", &[1], &[-1]),
            constant_integers("from end", &[1], &[-4]),
            constant_integers("far", &[1], &[i64::MAX]),
            constant_integers("by two", &[1], &[2]),
            constant_integers("flat", &[1], &[-1]),
            constant_integers("table", &[3], &[0, 2, 3]),
            constant_integers("places", &[3], &[5, -1, 0]),
            constant_integers("fourth", &[], &[3]),
            constant_floats("unit", &[1], &[1.0]),
            constant_floats("number", &[], &[-3.25]),
            constant_floats("six", &[6], &[1.0, -1.0, 0.5, 3.0, f32::INFINITY, -0.0]),
            constant_floats("row of six", &[1, 6], &[1e-45, 2.0, 7.0, -0.1, 0.3, 1e30]),
            constant_floats("column", &[2, 1], &[2.0, -5.0]),
        ],
        input: vec![value("features", 1, &[None, Some(WIDTH as i64)])],
        output: outputs
            .iter()
            .map(|(name, dims)| value(name, 1, &shape(dims)))
            .collect(),
    };
    model(graph, 3)
}

/// Every operator of a tail, and every way to broadcast.
fn every_operator() -> (Vec<u8>, Vec<&'static str>) {
    let tail = vec![
        plain("Add", &["rows", "number"], "added"),
        plain("Sub", &["unit", "rows"], "less"),
        plain("Mul", &["rows", "six"], "times"),
        plain("Div", &["row of six", "rows"], "over"),
        plain("Div", &["rows", "one"], "shares"),
        plain("Mul", &["added", "less"], "both"),
        plain("Min", &["rows", "unit"], "least"),
        plain("Max", &["number", "rows"], "greatest"),
        plain("Max", &["rows", "row of six"], "above"),
        plain("Abs", &["added"], "size"),
        plain("Neg", &["added"], "negative"),
        plain("Sqrt", &["size"], "root"),
        plain("Identity", &["root"], "same"),
        plain("Sigmoid", &["rows"], "probability"),
        plain(
            "Slice",
            &["rows", "from end", "far", "second axis", "by two"],
            "some",
        ),
        plain("Slice", &["rows", "first", "from end", "last"], "front"),
        with(
            plain("Concat", &["some", "front", "one"], "joined"),
            int("axis", -1),
        ),
        with(
            plain("Gather", &["rows", "places"], "picked"),
            int("axis", 1),
        ),
        with(
            plain("Gather", &["rows", "fourth"], "single"),
            int("axis", 1),
        ),
        plain("Reshape", &["one", "flat"], "scalar"),
        plain("Add", &["scalar", "unit"], "raised"),
        plain("Unsqueeze", &["rows", "last"], "deep"),
        plain("Add", &["deep", "column"], "planes"),
        plain("Squeeze", &["deep", "last"], "shallow"),
        plain("Sub", &["shallow", "rows"], "nothing"),
    ];
    let outputs: Vec<(&str, &[i64])> = vec![
        ("times", &[6]),
        ("over", &[6]),
        ("shares", &[6]),
        ("both", &[6]),
        ("least", &[6]),
        ("greatest", &[6]),
        ("above", &[6]),
        ("negative", &[6]),
        ("probability", &[6]),
        ("same", &[6]),
        ("joined", &[5]),
        ("picked", &[3]),
        ("single", &[]),
        ("raised", &[]),
        ("planes", &[2, 6]),
        ("nothing", &[6]),
        ("one", &[1]),
    ];
    (
        graph(tail, &outputs),
        outputs.iter().map(|(name, _)| *name).collect(),
    )
}

/// What a session gives for `rows`: each output's numbers.
fn run(session: &mut Session, names: &[&str], rows: &[f32]) -> Vec<Vec<f32>> {
    let shape = [rows.len() / WIDTH, WIDTH];
    let input = Tensor::from_array((shape, rows.to_vec())).unwrap();
    let given = session.run(ort::inputs![input]).unwrap();
    let numbers = |name: &&str| given[*name].try_extract_tensor::<f32>().unwrap().1.to_vec();
    names.iter().map(numbers).collect()
}

/// The dimensions of a row of the values where the model ends.
fn shapes(session: &mut Session, cut: &CutModel) -> Vec<Vec<usize>> {
    let input = Tensor::from_array(([7, WIDTH], vec![0.0_f32; 7 * WIDTH])).unwrap();
    let given = session.run(ort::inputs![input]).unwrap();
    let shape = |name: &String| {
        let (shape, _) = given[name.as_str()].try_extract_tensor::<f32>().unwrap();
        shape[1..].iter().map(|&size| size as usize).collect()
    };
    cut.values.iter().map(shape).collect()
}

struct Cut {
    session: Session,
    values: Vec<String>,
    program: RowProgram,
}

impl Cut {
    fn of(bytes: &[u8], outputs: &[&str]) -> Self {
        let cut = cut_tail(bytes, WithLogistic)
            .unwrap()
            .expect("it has a tail");
        let mut session = session(&cut.bytes).unwrap();
        let shapes = shapes(&mut session, &cut);
        let program = cut.program(&shapes, outputs).unwrap();
        Self {
            session,
            values: cut.values,
            program,
        }
    }

    fn run(&mut self, rows: &[f32]) -> Vec<f32> {
        let names: Vec<&str> = self.values.iter().map(String::as_str).collect();
        let values = run(&mut self.session, &names, rows);
        let values: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
        let count = rows.len() / WIDTH;
        let mut scores = vec![0.0; count * self.program.width()];
        self.program.run(count, &values, &mut scores).unwrap();
        scores
    }
}

fn bits(number: f32) -> u32 {
    if number.is_nan() { f32::NAN } else { number }.to_bits()
}

/// Rows of numbers from everywhere.
fn rows(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    (0..count * WIDTH)
        .map(|_| match next() % 3 {
            0 => SPECIAL[next() as usize % SPECIAL.len()],
            1 => f32::from_bits(next() as u32),
            _ => (next() as f32 - 1e9) / 1e8,
        })
        .collect()
}

#[test]
fn every_operator_of_a_tail_has_the_bits_of_onnx_runtime() {
    let (bytes, outputs) = every_operator();
    let mut whole = session(&bytes).unwrap();
    let mut cut = Cut::of(&bytes, &outputs);
    for count in [1, 2, 7, 63, 64, 65, 200] {
        for seed in 0..20 {
            let rows = rows(count, seed);
            let wanted = run(&mut whole, &outputs, &rows);
            let got = cut.run(&rows);
            for (row, got) in got.chunks(cut.program.width()).enumerate() {
                let mut got = got.iter();
                for (name, wanted) in outputs.iter().zip(&wanted) {
                    let width = wanted.len() / count;
                    for wanted in &wanted[row * width..][..width] {
                        let got = *got.next().unwrap();
                        assert_eq!(bits(got), bits(*wanted), "{name}: {got} for {wanted}");
                    }
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn a_row_does_not_depend_on_its_batch(count in 1_usize..150, at in 0_usize..150, seed: u64) {
        let mut program = RowProgram::copying(&[2, 1]);
        let at = at % count;
        let rows = rows(count, seed);
        let (left, right) = rows[..3 * count].split_at(2 * count);
        let mut all = vec![0.0; 3 * count];
        program.run(count, &[left, right], &mut all).unwrap();
        let mut one = [0.0; 3];
        program.run(1, &[&left[2 * at..][..2], &right[at..][..1]], &mut one).unwrap();
        prop_assert_eq!(one.map(f32::to_bits), [left[2 * at], left[2 * at + 1], right[at]].map(f32::to_bits));
        let same = all[3 * at..][..3].iter().map(|x| x.to_bits());
        prop_assert!(same.eq(one.iter().map(|x| x.to_bits())));
    }
}

#[test]
fn a_model_is_cut_behind_the_last_operator_of_another_kind() {
    let tail = vec![
        plain("Add", &["rows", "number"], "before"),
        plain("Sigmoid", &["before"], "probability"),
        plain("Mul", &["probability", "six"], "behind"),
        plain("Abs", &["before"], "beside"),
    ];
    let bytes = graph(
        tail,
        &[("behind", &[6]), ("beside", &[6]), ("before", &[6])],
    );
    let cut = cut_tail(&bytes, Exact).unwrap().unwrap();
    assert_eq!(cut.nodes(), 2, "what a sigmoid reads stays with it");
    assert_eq!(cut.values, ["probability", "before"]);
    let kept = Model::decode(&cut.bytes[..]).unwrap().graph.unwrap();
    let names =
        |nodes: &[Node]| -> Vec<String> { nodes.iter().map(|node| node.name.clone()).collect() };
    assert_eq!(names(&kept.node), ["rows", "one", "before", "probability"]);
    let constants: Vec<&str> = kept
        .initializer
        .iter()
        .map(|value| value.name.as_str())
        .collect();
    assert_eq!(
        constants,
        ["ones", "last", "number"],
        "only those that are still read"
    );
}

#[test]
fn a_model_without_a_tail_is_not_cut() {
    let bytes = graph(vec![plain("Sigmoid", &["rows"], "out")], &[("out", &[6])]);
    assert!(cut_tail(&bytes, Exact).unwrap().is_none());
    // What reads the rows of the caller themselves is no tail: they are no output.
    let bytes = graph(vec![plain("Abs", &["features"], "out")], &[("out", &[6])]);
    assert!(cut_tail(&bytes, WithLogistic).unwrap().is_none());
}

/// Trees, then what a model makes of them.
fn trees_with_a_tail() -> Vec<u8> {
    let mut bytes = Model::decode(&Case::new(trees()).model[..]).unwrap();
    let graph = bytes.graph.as_mut().unwrap();
    graph
        .initializer
        .push(constant_floats("unit", &[1], &[1.0]));
    graph.node.push(plain("Sigmoid", &["scores"], "up"));
    graph.node.push(plain("Sub", &["unit", "up"], "down"));
    graph.node.push(with(
        plain("Concat", &["down", "up"], "both"),
        int("axis", 1),
    ));
    graph.output = vec![
        value("both", 1, &[None, Some(2)]),
        value("scores", 1, &[None, Some(1)]),
    ];
    bytes.encode_to_vec()
}

fn trees() -> Wish {
    Wish {
        seed: 3,
        features: WIDTH,
        trees: 60,
        depth: 5,
        nan_tracks: true,
        ..Wish::default()
    }
}

#[test]
fn a_model_of_trees_needs_no_session() {
    let bytes = trees_with_a_tail();
    let outputs = ["both", "scores"];
    let mut whole = session(&bytes).unwrap();
    let rewritten = rewrite_model(&bytes, RewriteOptions::default()).unwrap();
    let cut = cut_tail(&rewritten.bytes, WithLogistic).unwrap().unwrap();
    let mut trees = BareTrees::of(&cut, &rewritten.operators, "features")
        .unwrap()
        .unwrap();
    let mut program = cut.program(&trees.shapes(), &outputs).unwrap();
    for count in [1, 5, 64, 100] {
        let rows = rows(count, 8);
        let wanted = run(&mut whole, &outputs, &rows);
        trees.run(&rows, WIDTH).unwrap();
        let values: Vec<&[f32]> = trees.values().collect();
        let mut got = vec![0.0; 3 * count];
        program.run(count, &values, &mut got).unwrap();
        for (row, got) in got.chunks(3).enumerate() {
            let wanted = [wanted[0][2 * row], wanted[0][2 * row + 1], wanted[1][row]];
            assert_eq!([got[0], got[1], got[2]].map(bits), wanted.map(bits));
        }
    }
    let none = BareTrees::of(&cut, &rewritten.operators, "other rows").unwrap();
    assert!(none.is_none(), "they read other rows");
    let exact = cut_tail(&rewritten.bytes, Exact).unwrap().unwrap();
    let none = BareTrees::of(&exact, &rewritten.operators, "features").unwrap();
    assert!(none.is_none(), "the sigmoid is left");
}

#[test]
fn a_graph_within_a_node_keeps_the_model_whole() {
    let mut bytes = Model::decode(&every_operator().0[..]).unwrap();
    assert!(
        cut_tail(&bytes.encode_to_vec(), WithLogistic)
            .unwrap()
            .is_some()
    );
    let graph = bytes.graph.as_mut().unwrap();
    // An attribute of the kind that holds a graph, in the bytes of `onnx.proto`.
    let mut encoded = graph.node[0].encode_to_vec();
    encoded.extend([0x2a, 0x02, 0x32, 0x00]);
    let mut whole = Vec::new();
    for (number, node) in graph.node.drain(..).enumerate() {
        let node = if number == 0 {
            encoded.clone()
        } else {
            node.encode_to_vec()
        };
        whole.push(0x0a);
        prost::encoding::encode_varint(node.len() as u64, &mut whole);
        whole.extend(node);
    }
    whole.extend(graph.encode_to_vec());
    bytes.graph = None;
    let mut model = bytes.encode_to_vec();
    model.push(0x3a);
    prost::encoding::encode_varint(whole.len() as u64, &mut model);
    model.extend(whole);
    assert!(cut_tail(&model, WithLogistic).unwrap().is_none());
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    let refused = |tail: Node, shape: &[i64]| {
        let bytes = graph(vec![tail], &[("out", shape)]);
        let cut = cut_tail(&bytes, WithLogistic).unwrap().unwrap();
        let mut session = session(&cut.bytes).unwrap();
        let shapes = shapes(&mut session, &cut);
        match cut.program(&shapes, &["out"]) {
            Err(TreeError::Unsupported { node, reason }) => {
                assert_eq!(node, "out");
                reason
            }
            other => panic!("{other:?}"),
        }
    };
    let of_all_rows = with(plain("Gather", &["rows", "first"], "out"), int("axis", 0));
    assert!(refused(of_all_rows, &[6]).contains("Gather"));
    let turned = plain("Reshape", &["rows", "table"], "out");
    assert!(
        cut_tail(&graph(vec![turned], &[("out", &[2, 3])]), WithLogistic)
            .unwrap()
            .is_some()
    );
    let backwards = plain(
        "Slice",
        &["rows", "far", "first", "last", "second axis"],
        "out",
    );
    assert!(refused(backwards, &[5]).contains("Slice"));
}

#[test]
fn wrong_lengths_are_refused() {
    let mut program = RowProgram::copying(&[2, 1]);
    let mut scores = [0.0; 6];
    let mut refuse =
        |values: &[&[f32]], scores: &mut [f32], field: &str| match program.run(2, values, scores) {
            Err(TreeError::Shape { field: found, .. }) => assert_eq!(found, field),
            other => panic!("{other:?}"),
        };
    refuse(&[&[0.0; 4]], &mut scores, "values");
    refuse(&[&[0.0; 4], &[0.0; 3]], &mut scores, "values");
    refuse(&[&[0.0; 4], &[0.0; 2]], &mut scores[..5], "scores");
    program
        .run(2, &[&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0]], &mut scores)
        .unwrap();
    assert_eq!(
        scores.map(f32::to_bits),
        [1.0, 2.0, 5.0, 3.0, 4.0, 6.0_f32].map(f32::to_bits)
    );
}

#[test]
fn cut_off_models_are_errors() {
    let (bytes, outputs) = every_operator();
    for length in 0..bytes.len() {
        match cut_tail(&bytes[..length], WithLogistic) {
            Ok(None) => {}
            // What still reads as a model may lack anything that the tail needs.
            Ok(Some(cut)) => {
                let shapes = vec![vec![WIDTH]; cut.values.len()];
                let _ = cut.program(&shapes, &outputs);
            }
            Err(error) => assert!(matches!(error, TreeError::Decode { .. }), "{error}"),
        }
    }
}
