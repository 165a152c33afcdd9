//! A rewritten model gives the bits of the original one inside ONNX Runtime, and a changed one is caught.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops where something is wrong"
)]

mod support;

use candlewire_trees::{
    Instructions, Outcome, RewriteOptions, Rewritten, TreeError, edge_rows, operator_domain,
    read_model, rewrite_model, verify,
};
use ort::session::Session;
use prost::Message;
use support::onnx_writer::{Graph, Model, Node, model, plain, value};
use support::{Case, LeafKind, Operator, Wish, environment, session};

const FEATURES: usize = 12;

fn rewritten_session(rewritten: &Rewritten) -> Session {
    let builder = Session::builder(environment())
        .unwrap()
        .with_intra_threads(1)
        .unwrap();
    let domain = operator_domain(&rewritten.operators).unwrap();
    builder
        .with_operators(domain)
        .unwrap()
        .commit_from_memory(&rewritten.bytes)
        .unwrap()
}

fn wish(seed: u64) -> Wish {
    Wish {
        seed,
        features: FEATURES,
        trees: 60,
        depth: 5,
        nan_tracks: true,
        early_leaves: 10,
        ..Wish::default()
    }
}

fn nodes_of(bytes: &[u8]) -> Vec<Node> {
    Model::decode(bytes).unwrap().graph.unwrap().node
}

/// Trees of several kinds between plain operators: what a fused model looks like.
fn fused() -> Vec<u8> {
    let three = Wish {
        targets: 3,
        ..wish(2)
    };
    let wishes = [
        wish(1),
        Wish {
            leaves: LeafKind::Every,
            base_values: 3,
            ..three.clone()
        },
        Wish {
            operator: Operator::Classifier,
            post_transform: "SOFTMAX",
            ..three
        },
        Wish {
            modes: vec!["BRANCH_EQ", "BRANCH_LEQ"],
            ..wish(4)
        },
    ];
    let mut nodes = Vec::new();
    for (number, wish) in wishes.into_iter().enumerate() {
        let mut node = nodes_of(&Case::new(wish).model).remove(0);
        node.name = format!("member {number}");
        node.output = node
            .output
            .iter()
            .map(|name| format!("{name}{number}"))
            .collect();
        nodes.push(node);
    }
    nodes.push(plain("Sigmoid", &["scores0"], "up"));
    nodes.push(plain("Add", &["scores1", "scores2"], "sum"));
    nodes.push(plain("Identity", &["scores3"], "kept"));
    let graph = Graph {
        node: nodes,
        name: "fused".to_owned(),
        input: vec![value("features", 1, &[None, Some(FEATURES as i64)])],
        output: vec![
            value("up", 1, &[None, Some(1)]),
            value("sum", 1, &[None, Some(3)]),
            value("kept", 1, &[None, Some(1)]),
        ],
        ..Graph::default()
    };
    model(graph, 3)
}

#[test]
fn a_fused_model_keeps_its_bits() {
    let bytes = fused();
    let nodes = read_model(&bytes).unwrap();
    let edges = edge_rows(&nodes, "features", FEATURES);
    assert!(edges.len() > 100 * FEATURES && edges.iter().any(|x| x.is_nan()));
    let random = Case::new(wish(1)).rows(1000, 9);
    for instructions in Instructions::ALL {
        let rewritten = rewrite_model(
            &bytes,
            RewriteOptions {
                instructions: Some(instructions),
                ..RewriteOptions::default()
            },
        )
        .unwrap();
        let outcomes: Vec<bool> = rewritten
            .report
            .iter()
            .map(|node| matches!(node.outcome, Outcome::Rewritten { trees: 60, .. }))
            .collect();
        assert_eq!(outcomes, [true, true, true, false]);
        let kept = rewritten.report[3].to_string();
        assert!(
            kept.contains("member 3") && kept.contains("equality"),
            "{kept}"
        );
        let (mut reference, mut candidate) =
            (session(&bytes).unwrap(), rewritten_session(&rewritten));
        assert_eq!(
            verify(&mut reference, &mut candidate, &edges, FEATURES).unwrap(),
            Ok(())
        );
        assert_eq!(
            verify(&mut reference, &mut candidate, &random, FEATURES).unwrap(),
            Ok(())
        );
    }
}

#[test]
fn everything_but_the_trees_is_copied() {
    let bytes = fused();
    let rewritten = rewrite_model(&bytes, RewriteOptions::default()).unwrap();
    let (before, after) = (
        Model::decode(&bytes[..]).unwrap(),
        Model::decode(&rewritten.bytes[..]).unwrap(),
    );
    assert_eq!(before.metadata_props, after.metadata_props);
    assert_eq!(before.ir_version, after.ir_version);
    assert_eq!(before.opset_import, after.opset_import[..2]);
    let (before, after) = (before.graph.unwrap(), after.graph.unwrap());
    assert_eq!(
        (&before.input, &before.output),
        (&after.input, &after.output)
    );
    assert_eq!(before.node[3..], after.node[3..]);
    assert!(
        rewritten.bytes.len() < bytes.len() / 2,
        "the rewritten nodes still carry their attributes"
    );
}

#[test]
fn labels_and_scores_of_classifiers_agree() {
    let wishes = [
        Wish {
            operator: Operator::Classifier,
            targets: 2,
            leaves: LeafKind::Fixed(0),
            base_values: 1,
            post_transform: "LOGISTIC",
            ..wish(5)
        },
        Wish {
            operator: Operator::Classifier,
            targets: 4,
            leaves: LeafKind::Every,
            ..wish(6)
        },
        Wish {
            double: true,
            targets: 2,
            ..wish(7)
        },
        Wish {
            double: true,
            operator: Operator::Ensemble,
            ..wish(8)
        },
    ];
    for wish in wishes {
        let case = Case::new(wish.clone());
        let rewritten = rewrite_model(&case.model, RewriteOptions::default()).unwrap();
        let (mut reference, mut candidate) =
            (session(&case.model).unwrap(), rewritten_session(&rewritten));
        for batch in [1, 7, 64, 1000] {
            let rows = case.rows(batch, 3);
            assert!(
                support::ask(&mut reference, &wish, &rows)
                    == support::ask(&mut candidate, &wish, &rows),
                "{wish:?}"
            );
        }
    }
}

/// Changes one number of the only node by the smallest step and tells whether `verify` sees it.
fn is_caught(attribute: &str, place: usize) -> bool {
    let wish = Wish {
        trees: 8,
        depth: 3,
        early_leaves: 0,
        ..wish(11)
    };
    let case = Case::new(wish);
    let mut changed = Model::decode(&case.model[..]).unwrap();
    let node = &mut changed.graph.as_mut().unwrap().node[0];
    let values = node
        .attribute
        .iter_mut()
        .find(|found| found.name == attribute)
        .unwrap();
    let value = &mut values.floats[place];
    *value = if attribute == "nodes_values" {
        value.next_down()
    } else {
        *value + 0.001
    };
    let rewritten = rewrite_model(&changed.encode_to_vec(), RewriteOptions::default()).unwrap();
    let (mut reference, mut candidate) =
        (session(&case.model).unwrap(), rewritten_session(&rewritten));
    let mut rows = edge_rows(&read_model(&case.model).unwrap(), "features", FEATURES);
    rows.extend(case.rows(2000, 5));
    verify(&mut reference, &mut candidate, &rows, FEATURES)
        .unwrap()
        .is_err()
}

#[test]
fn one_changed_leaf_is_caught() {
    for place in [0, 17, 63] {
        assert!(is_caught("target_weights", place), "leaf {place}");
    }
}

#[test]
fn one_changed_threshold_is_caught() {
    assert!(is_caught("nodes_values", 0), "the root of the first tree");
}

#[test]
fn a_model_without_trees_stays_as_it_is() {
    let graph = Graph {
        node: vec![plain("Abs", &["features"], "out")],
        ..Graph::default()
    };
    let bytes = model(graph, 3);
    let rewritten = rewrite_model(&bytes, RewriteOptions::default()).unwrap();
    assert_eq!(rewritten.bytes, bytes);
    assert!(rewritten.operators.is_empty() && rewritten.report.is_empty());
}

#[test]
fn cut_off_models_are_errors() {
    let bytes = Case::new(Wish {
        trees: 2,
        depth: 2,
        ..wish(1)
    })
    .model;
    for length in 0..bytes.len() {
        // A cut between two fields is a valid, smaller message; everything else must say that it cannot be read.
        if let Err(error) = rewrite_model(&bytes[..length], RewriteOptions::default()) {
            assert!(matches!(error, TreeError::Decode { .. }), "{error}");
        }
    }
    assert!(rewrite_model(b"not a model", RewriteOptions::default()).is_err());
}

#[test]
fn small_ensembles_stay_when_they_would_not_gain() {
    for instructions in Instructions::ALL {
        let least = instructions.least_trees();
        let kept = |trees: usize, leave_small: bool| {
            let case = Case::new(Wish { trees, ..wish(6) });
            let options = RewriteOptions {
                instructions: Some(instructions),
                leave_small,
            };
            let rewritten = rewrite_model(&case.model, options).unwrap();
            if rewritten.operators.is_empty() {
                assert_eq!(rewritten.bytes, case.model);
                rewritten.report[0].to_string()
            } else {
                String::new()
            }
        };
        assert_eq!(kept(least, true), "");
        assert_eq!(kept(least - 1, false), "");
        let told = kept(least - 1, true);
        assert!(
            told.contains("left to ONNX Runtime") && told.contains(&format!("from {least} on"))
        );
    }
}
