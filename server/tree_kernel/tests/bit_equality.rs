//! Every kernel gives the bits of one-thread ONNX Runtime.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops where something is wrong"
)]

mod support;

use candlewire_trees::{
    AnyEnsemble, Ensemble, Evaluator, Instructions, Output, Scalar, Scratch, Task, TreeError,
    read_model,
};
use proptest::prelude::*;
use support::{Answer, Case, LeafKind, Operator, Wish, ask, bits, bits_double, session};

const BATCHES: [usize; 12] = [1, 2, 7, 8, 12, 20, 33, 63, 64, 65, 1000, 1024];

fn evaluate<T: Scalar, O: Output>(
    ensemble: &Ensemble<T>,
    rows: &[T],
    columns: usize,
    instructions: Instructions,
) -> Result<(Vec<O>, Vec<i64>), TreeError> {
    let evaluator = Evaluator::with_instructions(ensemble.clone(), instructions)?;
    let count = rows.len() / columns;
    let mut scores = vec![O::default(); count * ensemble.targets];
    let mut labels = vec![
        -1;
        if matches!(ensemble.task, Task::Regression) {
            0
        } else {
            count
        }
    ];
    let labels_out = if labels.is_empty() {
        None
    } else {
        Some(&mut labels[..])
    };
    evaluator.run(
        rows,
        columns,
        &mut Scratch::default(),
        &mut scores,
        labels_out,
    )?;
    Ok((scores, labels))
}

fn ours(case: &Case, rows: &[f32], instructions: Instructions) -> Result<Answer, TreeError> {
    let mut nodes = read_model(&case.model)?;
    let columns = case.wish.features;
    let (scores, labels) = match nodes.remove(0).ensemble? {
        AnyEnsemble::F32(ensemble) => {
            let (scores, labels) = evaluate::<f32, f32>(&ensemble, rows, columns, instructions)?;
            (bits(&scores), labels)
        }
        AnyEnsemble::F64(ensemble) => {
            let rows: Vec<f64> = rows.iter().map(|&x| f64::from(x)).collect();
            if case.wish.operator == Operator::Ensemble {
                let (scores, labels) =
                    evaluate::<f64, f64>(&ensemble, &rows, columns, instructions)?;
                (bits_double(&scores), labels)
            } else {
                let (scores, labels) =
                    evaluate::<f64, f32>(&ensemble, &rows, columns, instructions)?;
                (bits(&scores), labels)
            }
        }
    };
    Ok(Answer { scores, labels })
}

/// Compares all instruction sets with ONNX Runtime over some batches; the wish is in the message.
fn check(wish: &Wish, batches: &[usize]) {
    let case = Case::new(wish.clone());
    let mut session = session(&case.model).unwrap_or_else(|error| panic!("{wish:?}: {error}"));
    for &batch in batches {
        let rows = case.rows(batch, wish.seed ^ batch as u64);
        let theirs = ask(&mut session, wish, &rows);
        for instructions in Instructions::ALL {
            let ours = ours(&case, &rows, instructions)
                .unwrap_or_else(|error| panic!("{wish:?}: {error}"));
            if ours != theirs {
                let place = ours
                    .scores
                    .iter()
                    .zip(&theirs.scores)
                    .position(|(ours, theirs)| ours != theirs);
                let label = ours
                    .labels
                    .iter()
                    .zip(&theirs.labels)
                    .position(|(ours, theirs)| ours != theirs);
                panic!("{wish:?}: {instructions}, batch {batch}: score {place:?}, label {label:?}");
            }
        }
    }
}

const ORDERED: [&str; 4] = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT"];

fn modes() -> impl Strategy<Value = Vec<&'static str>> {
    prop_oneof![
        prop::sample::select(ORDERED.to_vec()).prop_map(|mode| vec![mode]),
        Just(ORDERED.to_vec()),
    ]
}

fn transforms() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "NONE",
        "LOGISTIC",
        "SOFTMAX",
        "SOFTMAX_ZERO",
        "PROBIT",
    ])
}

prop_compose! {
    /// Sizes are skewed so that most cases are quick and some reach the limits.
    fn shapes()(
        seed in any::<u64>(),
        double in prop::bool::weighted(0.2),
        (trees, depth) in prop_oneof![
            4 => (1_usize..40, 1_usize..8),
            2 => (1_usize..12, 8_usize..=20),
            1 => (200_usize..=2000, 1_usize..7),
        ],
        early_leaves in prop::sample::select(vec![0_usize, 10, 30]),
        features in prop_oneof![3 => 1_usize..12, 2 => 12_usize..80, 1 => 80_usize..=400],
        targets in 1_usize..=5,
        modes in modes(),
        thresholds in prop_oneof![Just(1_usize), 2_usize..60, 200_usize..400],
        nan_tracks in any::<bool>(),
    ) -> Wish {
        // A deep tree without early leaves would have a million nodes.
        let early_leaves = if depth > 9 { early_leaves.max(25) } else { early_leaves };
        Wish { seed, double, trees, depth, early_leaves, features, targets, modes, thresholds, nan_tracks, ..Wish::default() }
    }
}

prop_compose! {
    fn regressors()(
        shape in shapes(),
        operator in prop::sample::select(vec![Operator::Regressor, Operator::Regressor, Operator::Ensemble]),
        kind in 0_usize..4,
        with_base in any::<bool>(),
        post_transform in transforms(),
        aggregate in prop::sample::select(vec!["SUM", "SUM", "SUM", "AVERAGE", "MIN", "MAX"]),
    ) -> Wish {
        let leaves = match kind {
            0 if operator == Operator::Regressor => LeafKind::Every,
            1 => LeafKind::Mixed,
            _ => LeafKind::PerTree,
        };
        let base_values = if with_base && operator == Operator::Regressor { shape.targets } else { 0 };
        Wish { operator, leaves, base_values, post_transform, aggregate, ..shape }
    }
}

prop_compose! {
    fn classifiers()(
        shape in shapes(),
        kind in 0_usize..4,
        base in 0_usize..3,
        post_transform in transforms(),
        positive in any::<bool>(),
    ) -> Wish {
        let targets = shape.targets.max(2);
        let leaves = match (kind, targets) {
            (0, _) => LeafKind::Every,
            (1, 2) => LeafKind::Fixed(0),
            (2, 2) => LeafKind::Fixed(1),
            (1, _) => LeafKind::Mixed,
            _ => LeafKind::PerTree,
        };
        let base_values = if targets == 2 { base } else if base > 0 { targets } else { 0 };
        Wish { operator: Operator::Classifier, targets, leaves, base_values, post_transform, positive, ..shape }
    }
}

fn batches(wish: &Wish) -> Vec<usize> {
    // All batch sizes when the case is small, else those at the edges of the kernels.
    if wish.trees * wish.features < 3000 {
        BATCHES.to_vec()
    } else {
        vec![1, 7, 64, 65]
    }
}

proptest! {
    // PROPTEST_CASES asks for more than a quick run has time for.
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").map_or(48, |cases| cases.parse().unwrap()),
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_regressors(wish in regressors()) {
        check(&wish, &batches(&wish));
    }

    #[test]
    fn random_classifiers(wish in classifiers()) {
        let case = Case::new(wish.clone());
        // What ONNX Runtime leaves undefined is refused; there is nothing to compare.
        if let Err(TreeError::Unsupported { reason, .. }) = ours(&case, &[], Instructions::Portable) {
            prop_assert!(reason.contains("undefined"), "{reason}");
            return Ok(());
        }
        check(&wish, &batches(&wish));
    }
}
