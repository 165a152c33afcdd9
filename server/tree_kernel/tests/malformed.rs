//! Broken nodes are refused with the place named; nothing panics or hangs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops where something is wrong"
)]

mod support;

use candlewire_trees::{AnyEnsemble, Evaluator, Scratch, TreeError, read_model};
use prost::Message;
use support::onnx_writer::{self, Attribute, Model, Node};
use support::{Case, Operator, Wish};

fn broken(operator: Operator, change: impl FnOnce(&mut Node)) -> Result<AnyEnsemble, TreeError> {
    let wish = Wish {
        operator,
        trees: 3,
        depth: 2,
        features: 4,
        targets: if operator == Operator::Classifier {
            3
        } else {
            1
        },
        ..Wish::default()
    };
    let mut model = Model::decode(&Case::new(wish).model[..]).unwrap();
    change(&mut model.graph.as_mut().unwrap().node[0]);
    read_model(&model.encode_to_vec())
        .unwrap()
        .remove(0)
        .ensemble
}

fn attribute<'a>(node: &'a mut Node, name: &str) -> &'a mut Attribute {
    node.attribute
        .iter_mut()
        .find(|attribute| attribute.name == name)
        .unwrap()
}

#[track_caller]
fn refuses(operator: Operator, change: impl FnOnce(&mut Node), place: &str, reason: &str) {
    match broken(operator, change) {
        Err(TreeError::Malformed {
            node,
            place: found,
            reason: why,
        }) => {
            assert_eq!(node, "trees");
            assert_eq!(found, place, "{why}");
            assert!(why.contains(reason), "`{why}` does not say `{reason}`");
        }
        other => panic!("{place}: {other:?}"),
    }
}

#[test]
fn the_cases_are_sound_before_they_are_broken() {
    for operator in [
        Operator::Regressor,
        Operator::Classifier,
        Operator::Ensemble,
    ] {
        broken(operator, |_| {}).unwrap();
    }
}

#[test]
fn a_cycle_names_its_node() {
    let loops = |node: &mut Node| attribute(node, "nodes_truenodeids").ints[1] = 0;
    refuses(
        Operator::Regressor,
        loops,
        "nodes_truenodeids[1]",
        "leads back to itself",
    );
    let loops = |node: &mut Node| {
        attribute(node, "nodes_trueleafs").ints[1] = 0;
        attribute(node, "nodes_truenodeids").ints[1] = 0;
    };
    refuses(
        Operator::Ensemble,
        loops,
        "nodes_truenodeids[1]",
        "leads back to itself",
    );
}

#[test]
fn dangling_ids_are_named() {
    refuses(
        Operator::Regressor,
        |node| attribute(node, "nodes_truenodeids").ints[0] = 99,
        "nodes_truenodeids[0]",
        "99",
    );
    refuses(
        Operator::Regressor,
        |node| attribute(node, "nodes_falsenodeids").ints[0] = -1,
        "nodes_falsenodeids[0]",
        "-1",
    );
    refuses(
        Operator::Regressor,
        |node| attribute(node, "target_nodeids").ints[2] = 77,
        "target_nodeids[2]",
        "77",
    );
    refuses(
        Operator::Classifier,
        |node| attribute(node, "class_treeids").ints[2] = 9,
        "class_nodeids[2]",
        "tree 9",
    );
    refuses(
        Operator::Regressor,
        |node| attribute(node, "target_ids").ints[1] = 5,
        "target_ids[1]",
        "below 1",
    );
    refuses(
        Operator::Regressor,
        |node| attribute(node, "nodes_featureids").ints[0] = -3,
        "nodes_featureids[0]",
        "-3",
    );
    refuses(
        Operator::Ensemble,
        |node| attribute(node, "tree_roots").ints[1] = 400,
        "tree_roots[1]",
        "400",
    );
    refuses(
        Operator::Ensemble,
        |node| attribute(node, "leaf_targetids").ints[0] = 3,
        "leaf_targetids[0]",
        "below 1",
    );
}

#[test]
fn lists_of_other_lengths_are_named() {
    let lists = [
        "nodes_nodeids",
        "nodes_featureids",
        "nodes_truenodeids",
        "nodes_falsenodeids",
        "nodes_missing_value_tracks_true",
    ];
    for name in lists {
        refuses(
            Operator::Regressor,
            |node| attribute(node, name).ints.truncate(5),
            name,
            "5 entries",
        );
    }
    refuses(
        Operator::Regressor,
        |node| attribute(node, "nodes_values").floats.truncate(5),
        "nodes_values",
        "5 entries",
    );
    refuses(
        Operator::Regressor,
        |node| attribute(node, "nodes_modes").strings.truncate(5),
        "nodes_modes",
        "5 entries",
    );
    refuses(
        Operator::Regressor,
        |node| attribute(node, "target_weights").floats.truncate(5),
        "target_weights",
        "5 entries",
    );
    refuses(
        Operator::Classifier,
        |node| attribute(node, "class_nodeids").ints.truncate(5),
        "class_nodeids",
        "5 entries",
    );
    refuses(
        Operator::Ensemble,
        |node| attribute(node, "nodes_trueleafs").ints.truncate(5),
        "nodes_trueleafs",
        "5 entries",
    );
    let shorten = |node: &mut Node| {
        attribute(node, "nodes_splits")
            .t
            .as_mut()
            .unwrap()
            .raw_data
            .truncate(6);
    };
    refuses(Operator::Ensemble, shorten, "nodes_splits", "6 bytes");
}

#[test]
fn a_nan_threshold_is_named() {
    refuses(
        Operator::Regressor,
        |node| attribute(node, "nodes_values").floats[0] = f32::NAN,
        "nodes_values[0]",
        "NaN",
    );
}

#[test]
fn unknown_words_are_named() {
    let mode =
        |node: &mut Node| attribute(node, "nodes_modes").strings[0] = b"BRANCH_SIDEWAYS".to_vec();
    refuses(
        Operator::Regressor,
        mode,
        "nodes_modes[0]",
        "BRANCH_SIDEWAYS",
    );
    refuses(
        Operator::Regressor,
        |node| attribute(node, "post_transform").s = Some(b"ODD".to_vec()),
        "post_transform",
        "ODD",
    );
    refuses(
        Operator::Regressor,
        |node| attribute(node, "aggregate_function").s = Some(b"MODE".to_vec()),
        "aggregate_function",
        "MODE",
    );
    refuses(
        Operator::Ensemble,
        |node| attribute(node, "aggregate_function").i = Some(8),
        "aggregate_function",
        "8",
    );
}

#[test]
fn trees_must_be_neighbours_and_ids_unique() {
    refuses(
        Operator::Regressor,
        |node| attribute(node, "nodes_treeids").ints[20] = 0,
        "nodes_treeids[20]",
        "returns to tree 0",
    );
    refuses(
        Operator::Regressor,
        |node| attribute(node, "nodes_nodeids").ints[1] = 0,
        "nodes_nodeids[1]",
        "repeats node 0",
    );
}

#[test]
fn empty_and_huge_counts_are_named() {
    refuses(
        Operator::Regressor,
        |node| attribute(node, "n_targets").i = Some(0),
        "n_targets",
        "from 1",
    );
    refuses(
        Operator::Regressor,
        |node| attribute(node, "n_targets").i = Some(i64::MAX),
        "n_targets",
        "from 1",
    );
    refuses(
        Operator::Regressor,
        |node| node.attribute.clear(),
        "nodes_treeids",
        "is empty",
    );
    refuses(
        Operator::Ensemble,
        |node| attribute(node, "tree_roots").ints.clear(),
        "tree_roots",
        "is empty",
    );
}

#[test]
fn rows_of_a_wrong_shape_are_errors() {
    let Ok(AnyEnsemble::F32(ensemble)) = broken(Operator::Regressor, |_| {}) else {
        panic!("sound")
    };
    let columns = ensemble.features;
    let evaluator = Evaluator::new(ensemble).unwrap();
    let run = |rows: &[f32], columns: usize, scores: usize, labels: Option<&mut [i64]>| {
        let mut out = vec![0.0_f32; scores];
        match evaluator.run(rows, columns, &mut Scratch::default(), &mut out, labels) {
            Err(TreeError::Shape { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        run(&[0.0; 8], columns - 1, 8 / (columns - 1), None),
        "columns"
    );
    assert_eq!(run(&[], 0, 0, None), "columns");
    assert_eq!(run(&vec![0.0; columns + 1], columns, 1, None), "rows");
    assert_eq!(run(&vec![0.0; columns], columns, 2, None), "scores");
    assert_eq!(
        run(&vec![0.0; columns], columns, 1, Some(&mut [0])),
        "labels"
    );
}

#[track_caller]
fn left_to_onnx_runtime(operator: Operator, change: impl FnOnce(&mut Node), reason: &str) {
    let found = broken(operator, change).and_then(|ensemble| match ensemble {
        AnyEnsemble::F32(ensemble) => Evaluator::new(ensemble).map(|_| ()),
        AnyEnsemble::F64(ensemble) => Evaluator::new(ensemble).map(|_| ()),
    });
    match found {
        Err(TreeError::Unsupported { reason: why, .. }) => {
            assert!(why.contains(reason), "`{why}` does not say `{reason}`");
        }
        other => panic!("{reason}: {other:?}"),
    }
}

#[test]
fn valid_nodes_that_are_not_held_say_why() {
    let shares = |node: &mut Node| attribute(node, "nodes_truenodeids").ints[0] = 2;
    left_to_onnx_runtime(Operator::Regressor, shares, "share nodes");
    let equality =
        |node: &mut Node| attribute(node, "nodes_modes").strings[0] = b"BRANCH_EQ".to_vec();
    left_to_onnx_runtime(Operator::Regressor, equality, "equality");
    let strings = |node: &mut Node| {
        node.attribute
            .push(onnx_writer::texts("classlabels_strings", &["a", "b", "c"]));
    };
    left_to_onnx_runtime(Operator::Classifier, strings, "strings");
    let one_leaf = |node: &mut Node| {
        attribute(node, "nodes_trueleafs").ints[0] = 1;
        attribute(node, "nodes_falseleafs").ints[0] = 1;
        attribute(node, "nodes_truenodeids").ints[0] = 0;
        attribute(node, "nodes_falsenodeids").ints[0] = 0;
    };
    left_to_onnx_runtime(Operator::Ensemble, one_leaf, "one leaf");
}

#[test]
fn inputs_of_other_types_are_left_to_onnx_runtime() {
    let mut model = Model::decode(&Case::new(Wish::default()).model[..]).unwrap();
    model.graph.as_mut().unwrap().input[0] = onnx_writer::value("features", 7, &[None, Some(8)]);
    let node = read_model(&model.encode_to_vec()).unwrap().remove(0);
    let reason = node.ensemble.unwrap_err().to_string();
    assert!(reason.contains("element type 7"), "{reason}");
}

#[test]
fn membership_needs_its_set() {
    let member =
        |node: &mut Node| attribute(node, "nodes_modes").t.as_mut().unwrap().raw_data[0] = 6;
    refuses(
        Operator::Ensemble,
        member,
        "membership_values",
        "no set for node 0",
    );
    let with_set = |node: &mut Node| {
        attribute(node, "nodes_modes").t.as_mut().unwrap().raw_data[0] = 6;
        let values = [1.0_f32, 2.0]
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        node.attribute
            .push(onnx_writer::tensor("membership_values", 1, 2, values));
    };
    let Ok(AnyEnsemble::F32(ensemble)) = broken(Operator::Ensemble, with_set) else {
        panic!("sound")
    };
    assert_eq!(ensemble.member_sets, [(0, vec![1.0, 2.0])]);
}

#[test]
fn a_leaf_without_a_weight_is_named() {
    let moves = |node: &mut Node| {
        let first = attribute(node, "target_nodeids").ints[0];
        attribute(node, "target_nodeids").ints[1] = first;
    };
    refuses(
        Operator::Regressor,
        moves,
        "target_nodeids",
        "is a leaf without an entry",
    );
    let extra = |node: &mut Node| {
        node.attribute
            .push(onnx_writer::floats("base_values", vec![1.0; 3]));
    };
    refuses(Operator::Regressor, extra, "base_values", "3 entries");
}
