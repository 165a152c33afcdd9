//! Any bytes as a model: reading and rewriting never panic or hang, and what is accepted can be evaluated.
//!
//! What comes out is compared: the kernels of all instruction sets must find the leaves of the plain definition.
#![no_main]

use candlewire_trees::{AnyEnsemble, Ensemble, Evaluator, Instructions, RewriteOptions, Scalar, Scratch, TailOperators};
use libfuzzer_sys::fuzz_target;

/// Wider rows only cost time.
const COLUMNS: usize = 512;

fuzz_target!(|bytes: &[u8]| {
    let _ = candlewire_trees::rewrite_model(bytes, RewriteOptions::default());
    cut(bytes);
    let Ok(nodes) = candlewire_trees::read_model(bytes) else { return };
    for node in nodes {
        match node.ensemble {
            Ok(AnyEnsemble::F32(ensemble)) => compare(&ensemble),
            Ok(AnyEnsemble::F64(ensemble)) => compare(&ensemble),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
});

/// A tail that can be cut off is followed without a panic, and what becomes a program runs.
fn cut(bytes: &[u8]) {
    for operators in [TailOperators::Exact, TailOperators::WithLogistic] {
        let Ok(Some(cut)) = candlewire_trees::cut_tail(bytes, operators) else { continue };
        let shapes = vec![vec![3]; cut.values.len()];
        let names: Vec<&str> = cut.values.iter().map(String::as_str).collect();
        let Ok(mut program) = cut.program(&shapes, &names) else { continue };
        let rows = vec![1.5; 3 * 65];
        let values: Vec<&[f32]> = cut.values.iter().map(|_| &rows[..]).collect();
        let mut scores = vec![0.0; 65 * program.width()];
        program.run(65, &values, &mut scores).expect("the lengths fit");
    }
}

/// All instruction sets give the portable kernel's bits, for one row and for a batch.
fn compare<T: Scalar>(ensemble: &Ensemble<T>) {
    if ensemble.features > COLUMNS || ensemble.targets > 64 {
        return;
    }
    let columns = ensemble.features.max(1);
    let values = [0.0, -0.0, 1.5, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -1e-45];
    let rows: Vec<T> = (0..65 * columns).map(|at| T::from_f32(values[(at * 7 + at / columns) % values.len()])).collect();
    for &root in &ensemble.roots {
        ensemble.leaf_of(root, &rows[..columns]);
    }
    let mut expected: Option<Vec<u32>> = None;
    for instructions in Instructions::ALL {
        let Ok(evaluator) = Evaluator::with_instructions(ensemble.clone(), instructions) else { return };
        let mut scores = vec![0.0_f32; 65 * ensemble.targets];
        evaluator.run(&rows, columns, &mut Scratch::default(), &mut scores, None).expect("the lengths fit");
        let mut single = vec![0.0_f32; ensemble.targets];
        evaluator.run(&rows[..columns], columns, &mut Scratch::default(), &mut single, None).expect("the lengths fit");
        let bits = |scores: &[f32]| -> Vec<u32> {
            scores.iter().map(|score| if score.is_nan() { f32::NAN } else { *score }.to_bits()).collect()
        };
        assert_eq!(bits(&single), bits(&scores[..ensemble.targets]), "a row depends on its batch");
        let bits = bits(&scores);
        assert_eq!(expected.get_or_insert_with(|| bits.clone()), &bits, "{instructions}");
    }
}
