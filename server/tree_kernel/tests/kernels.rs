//! The kernels against the plain definition of a tree, without ONNX Runtime: this runs under Miri too.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops where something is wrong"
)]

use candlewire_trees::{
    Aggregate, Comparison, Ensemble, Evaluator, Instructions, Node, PostTransform, Scalar, Scratch,
    Task, TreeError, Weight,
};

/// Knuth's MMIX generator.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn number(&mut self) -> f32 {
        self.below(2001) as f32 / 1000.0 - 1.0
    }
}

const FEATURES: usize = 9;
const ORDERED: [Comparison; 4] = [
    Comparison::LessOrEqual,
    Comparison::Less,
    Comparison::GreaterOrEqual,
    Comparison::Greater,
];

/// A sum of random trees with `leaves` leaves each, `target_of` telling which target a tree speaks of.
fn ensemble<T: Scalar>(
    seed: u64,
    trees: usize,
    leaves: usize,
    chain: bool,
    targets: usize,
) -> Ensemble<T> {
    let mut random = Random(seed);
    let mut ensemble = Ensemble {
        name: "random".to_owned(),
        features: FEATURES,
        targets,
        task: Task::Regression,
        aggregate: Aggregate::Sum,
        post_transform: PostTransform::None,
        base_values: Vec::new(),
        nodes: Vec::new(),
        roots: Vec::new(),
        weights: Vec::new(),
        member_sets: Vec::new(),
        has_shared_nodes: false,
    };
    for tree in 0..trees {
        let root = ensemble.nodes.len() as u32;
        ensemble.roots.push(root);
        let mut open = vec![root];
        push_leaf(&mut ensemble, &mut random, tree % targets);
        for _ in 1..leaves {
            // A chain splits the newest leaf, so the tree is as deep as it has leaves.
            let at = if chain {
                open.len() - 1
            } else {
                random.below(open.len())
            };
            let split = open.swap_remove(at) as usize;
            let first = ensemble.nodes.len() as u32;
            ensemble.nodes[split] = Node::Branch {
                feature: random.below(FEATURES) as u32,
                comparison: ORDERED[random.below(4)],
                threshold: T::from_f32(random.number()),
                nan_is_true: random.below(2) == 0,
                on_true: first,
                on_false: first + 1,
            };
            for _ in 0..2 {
                open.push(ensemble.nodes.len() as u32);
                push_leaf(&mut ensemble, &mut random, tree % targets);
            }
        }
    }
    ensemble
}

fn push_leaf<T: Scalar>(ensemble: &mut Ensemble<T>, random: &mut Random, target: usize) {
    ensemble.nodes.push(Node::Leaf {
        first: ensemble.weights.len() as u32,
        count: 1,
    });
    ensemble.weights.push(Weight {
        target: target as u32,
        value: T::from_f32(random.number()),
    });
}

/// The sums by the definition: tree after tree, from zero.
fn definition<T: Scalar>(ensemble: &Ensemble<T>, rows: &[T]) -> Vec<u32> {
    let mut bits = Vec::new();
    for row in rows.chunks(FEATURES) {
        let mut scores = vec![T::default(); ensemble.targets];
        for &root in &ensemble.roots {
            let Node::Leaf { first, .. } = ensemble.nodes[ensemble.leaf_of(root, row) as usize]
            else {
                panic!("no leaf")
            };
            let Weight { target, value } = ensemble.weights[first as usize];
            scores[target as usize] = scores[target as usize] + value;
        }
        bits.extend(scores.iter().map(|score| score.to_f32().to_bits()));
    }
    bits
}

fn check<T: Scalar>(ensemble: &Ensemble<T>, batches: &[usize]) {
    let mut random = Random(7);
    let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1e-45];
    let mut scratch = Scratch::default();
    // Miri has no vector instructions: all three would be the portable kernel.
    let sets = if FEW {
        &Instructions::ALL[..1]
    } else {
        &Instructions::ALL[..]
    };
    for &instructions in sets {
        let evaluator = Evaluator::with_instructions(ensemble.clone(), instructions).unwrap();
        for &batch in batches {
            let value = |random: &mut Random| {
                if random.below(8) == 0 {
                    special[random.below(6)]
                } else {
                    random.number()
                }
            };
            let rows: Vec<T> = (0..batch * FEATURES)
                .map(|_| T::from_f32(value(&mut random)))
                .collect();
            let mut scores = vec![0.0_f32; batch * ensemble.targets];
            evaluator
                .run(&rows, FEATURES, &mut scratch, &mut scores, None)
                .unwrap();
            let bits: Vec<u32> = scores.iter().map(|score| score.to_bits()).collect();
            assert_eq!(
                bits,
                definition(ensemble, &rows),
                "{instructions}, batch {batch}"
            );
        }
    }
}

/// Under Miri a case takes minutes.
const FEW: bool = cfg!(miri);
const BATCHES: &[usize] = if FEW {
    &[1, 5, 28]
} else {
    &[
        0, 1, 3, 4, 7, 8, 9, 15, 16, 19, 20, 24, 28, 31, 32, 33, 40, 55, 56, 63, 64, 65, 200,
    ]
};

#[test]
fn full_trees_of_six_levels() {
    let trees = if FEW { 3 } else { 130 };
    check(&ensemble::<f32>(1, trees, 40, false, 1), BATCHES);
    check(&ensemble::<f32>(2, trees, 25, false, 3), BATCHES);
}

#[test]
fn deep_trees_of_few_leaves() {
    let trees = if FEW { 3 } else { 131 };
    check(&ensemble::<f32>(3, trees, 31, true, 1), BATCHES);
    check(&ensemble::<f32>(4, trees, 32, true, 3), BATCHES);
    check(&ensemble::<f32>(5, trees, 33, true, 2), BATCHES);
}

#[test]
fn trees_around_the_limit_of_a_byte() {
    for leaves in [255, 256, 257, 700] {
        check(
            &ensemble::<f32>(6, if FEW { 1 } else { 9 }, leaves, false, 1),
            BATCHES,
        );
    }
    // Deeper than the partial results of the batch kernels go.
    check(&ensemble::<f32>(7, 3, 90, true, 1), BATCHES);
}

#[test]
fn stumps_and_single_leaves() {
    check(&ensemble::<f32>(8, 5, 1, false, 1), BATCHES);
    check(&ensemble::<f32>(9, 70, 2, false, 2), BATCHES);
}

#[test]
fn doubles() {
    let trees = if FEW { 2 } else { 70 };
    check(&ensemble::<f64>(10, trees, 30, false, 2), BATCHES);
    check(&ensemble::<f64>(11, trees, 20, true, 1), BATCHES);
}

/// More slots than one, two and four registers hold.
#[test]
fn many_slots() {
    let trees = if FEW { 4 } else { 60 };
    for distinct in [60, 100, 200, 300] {
        let mut wide = ensemble::<f32>(12, trees, 50, false, 1);
        let mut random = Random(13);
        for node in &mut wide.nodes {
            if let Node::Branch { feature, .. } = node {
                *feature = random.below(distinct) as u32;
            }
        }
        wide.features = distinct;
        let rows: Vec<f32> = (0..70 * distinct).map(|_| random.number()).collect();
        let mut seen: Option<Vec<u32>> = None;
        for instructions in Instructions::ALL {
            let evaluator = Evaluator::with_instructions(wide.clone(), instructions).unwrap();
            for batch in [1, 70] {
                let mut bits = Vec::new();
                for rows in rows.chunks(batch * distinct) {
                    let mut scores = vec![0.0_f32; batch];
                    evaluator
                        .run(rows, distinct, &mut Scratch::default(), &mut scores, None)
                        .unwrap();
                    bits.extend(scores.iter().map(|score| score.to_bits()));
                }
                assert_eq!(
                    seen.get_or_insert_with(|| bits.clone()),
                    &bits,
                    "{instructions}, {distinct} features"
                );
            }
        }
    }
}

fn refusal(ensemble: Ensemble<f32>) -> String {
    match Evaluator::new(ensemble) {
        Err(TreeError::Unsupported { node, reason }) => {
            assert_eq!(node, "random");
            reason
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_the_fast_path_does_not_hold_is_refused() {
    let mut equality = ensemble::<f32>(14, 2, 4, false, 1);
    for node in &mut equality.nodes {
        if let Node::Branch { comparison, .. } = node {
            *comparison = Comparison::Equal;
        }
    }
    assert!(refusal(equality).contains("equality"));
    let shared = Ensemble {
        has_shared_nodes: true,
        ..ensemble(15, 2, 4, false, 1)
    };
    assert!(refusal(shared).contains("share nodes"));
}

#[test]
fn more_slots_than_the_table_holds_are_refused() {
    let mut wide = ensemble::<f32>(16, 1, 5000, false, 1);
    for (at, node) in wide.nodes.iter_mut().enumerate() {
        if let Node::Branch { feature, .. } = node {
            *feature = at as u32;
        }
    }
    wide.features = wide.nodes.len();
    assert!(refusal(wide.clone()).contains("slots"));
    wide.features = 70_000;
    assert!(refusal(wide).contains("70000 features"));
}

#[test]
fn instructions_are_read_by_name() {
    for instructions in Instructions::ALL {
        assert_eq!(instructions.name().parse(), Ok(instructions));
        assert!(
            Evaluator::<f32>::with_instructions(ensemble(17, 1, 2, false, 1), instructions)
                .unwrap()
                .instructions()
                <= Instructions::detect()
        );
    }
    assert!(
        "sse9"
            .parse::<Instructions>()
            .unwrap_err()
            .to_string()
            .contains("sse9")
    );
}
