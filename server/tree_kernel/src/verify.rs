//! Whether a rewritten model gives the bits of the original one.

use std::fmt;

use ort::session::Session;
use ort::value::{DynValue, Tensor, ValueRef};

use crate::{AnyEnsemble, Node, TreeNode};

/// Rows that one call of a session takes while verifying.
const BATCH: usize = 256;
/// Rows that are compared one by one as well.
const SINGLES: usize = 16;
/// Times that the edge values of all features are shuffled against each other.
const PASSES: u64 = 4;

/// Where two sessions differ first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// Name of the output.
    pub output: String,
    /// The row, counted over all rows given.
    pub row: usize,
    /// What the reference gave.
    pub reference: String,
    /// What the candidate gave.
    pub candidate: String,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            output,
            row,
            reference,
            candidate,
        } = self;
        write!(
            formatter,
            "output `{output}`, row {row}: ONNX Runtime gives {reference}, the tree kernel {candidate}"
        )
    }
}

/// What two evaluations of `rows` (row-major, `columns` features each) are compared by: batches of up to 256 rows, then
/// the first rows one by one; each with the number of its first row.
pub fn batches(rows: &[f32], columns: usize) -> impl Iterator<Item = (usize, &[f32])> {
    let columns = columns.max(1);
    let batches = rows.chunks(BATCH * columns).enumerate();
    let batches = batches.map(|(at, batch)| (at * BATCH, batch));
    batches.chain(rows.chunks(columns).enumerate().take(SINGLES))
}

/// Runs both sessions over `rows` (row-major, `columns` features each) and compares every output bit for bit; all NaN
/// are the same. The rows go in batches of up to 256, and the first ones again one by one.
///
/// # Errors
///
/// Whatever ONNX Runtime says against a run.
pub fn verify(
    reference: &mut Session,
    candidate: &mut Session,
    rows: &[f32],
    columns: usize,
) -> ort::Result<Result<(), Disagreement>> {
    for (first_row, batch) in batches(rows, columns) {
        let agreement = compare(
            reference,
            candidate,
            batch,
            [batch.len() / columns.max(1), columns],
            first_row,
        )?;
        if agreement.is_err() {
            return Ok(agreement);
        }
    }
    Ok(Ok(()))
}

fn compare(
    reference: &mut Session,
    candidate: &mut Session,
    batch: &[f32],
    shape: [usize; 2],
    first_row: usize,
) -> ort::Result<Result<(), Disagreement>> {
    let names: Vec<String> = reference
        .outputs()
        .iter()
        .map(|output| output.name().to_owned())
        .collect();
    let input: DynValue = Tensor::from_array((shape, batch.to_vec()))?.into_dyn();
    let wanted = reference.run(ort::inputs![&input])?;
    let given = candidate.run(ort::inputs![&input])?;
    for name in names {
        let (Some(wanted), Some(given)) = (wanted.get(&name), given.get(&name)) else {
            return Err(ort::Error::new(format!("output `{name}` is missing")));
        };
        let (wanted, given) = (Bits::of(&wanted.view())?, Bits::of(&given.view())?);
        if wanted.0.len() != given.0.len() {
            return Err(ort::Error::new(format!("output `{name}` has another size")));
        }
        if let Some(element) = wanted
            .0
            .iter()
            .zip(&given.0)
            .position(|(wanted, given)| wanted != given)
        {
            let (reference, candidate) = (wanted.show(element), given.show(element));
            let row = first_row + element * shape[0] / wanted.0.len();
            return Ok(Err(Disagreement {
                output: name,
                row,
                reference,
                candidate,
            }));
        }
    }
    Ok(Ok(()))
}

/// An output's elements as bits, and how to print one.
struct Bits(Vec<u64>, fn(u64) -> String);

impl Bits {
    fn of(value: &ValueRef<'_>) -> ort::Result<Self> {
        let float = |x: &f32| u64::from(if x.is_nan() { f32::NAN } else { *x }.to_bits());
        let double = |x: &f64| if x.is_nan() { f64::NAN } else { *x }.to_bits();
        if let Ok((_, values)) = value.try_extract_tensor::<f32>() {
            return Ok(Self(values.iter().map(float).collect(), |bits| {
                f32::from_bits(bits as u32).to_string()
            }));
        }
        if let Ok((_, values)) = value.try_extract_tensor::<f64>() {
            return Ok(Self(values.iter().map(double).collect(), |bits| {
                f64::from_bits(bits).to_string()
            }));
        }
        let (_, values) = value.try_extract_tensor::<i64>()?;
        Ok(Self(
            values.iter().map(|x| x.cast_unsigned()).collect(),
            |bits| bits.cast_signed().to_string(),
        ))
    }

    fn show(&self, element: usize) -> String {
        self.0
            .get(element)
            .map_or_else(String::new, |&bits| (self.1)(bits))
    }
}

/// Rows at the edges of the trees that read the graph input `input`: every threshold, the numbers next to it, zeros,
/// infinities, denormals and NaN, for all features at once and in several mixtures. Row-major with `columns` features.
pub fn edge_rows(nodes: &[TreeNode], input: &str, columns: usize) -> Vec<f32> {
    let mut values = vec![special_values(); columns];
    for node in nodes
        .iter()
        .filter(|node| node.inputs.first().is_some_and(|name| name == input))
    {
        if let Ok(AnyEnsemble::F32(ensemble)) = &node.ensemble {
            for node in &ensemble.nodes {
                if let Node::Branch {
                    feature, threshold, ..
                } = *node
                    && let Some(values) = values.get_mut(feature as usize)
                {
                    values.extend([threshold, threshold.next_up(), threshold.next_down()]);
                }
            }
        }
    }
    for values in &mut values {
        values.sort_by(f32::total_cmp);
        values.dedup_by_key(|value| value.to_bits());
    }
    let count = values.iter().map(Vec::len).max().unwrap_or_default();
    let mut rows = Vec::with_capacity(count * columns * PASSES as usize);
    let mut state = 1_u64;
    for _ in 0..PASSES {
        for values in &mut values {
            shuffle(values, &mut state);
        }
        for row in 0..count {
            rows.extend(values.iter().map(|values| values[row % values.len()]));
        }
    }
    rows
}

fn special_values() -> Vec<f32> {
    let smallest = f32::from_bits(1);
    let mut values = vec![
        0.0,
        -0.0,
        smallest,
        -smallest,
        f32::MIN_POSITIVE,
        -f32::MIN_POSITIVE,
    ];
    values.extend([
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        f32::MIN,
        f32::NAN,
        1.0,
        -1.0,
    ]);
    values
}

/// Fisher–Yates with a fixed congruential generator (Knuth's MMIX constants): the same rows on every load.
fn shuffle(values: &mut [f32], state: &mut u64) {
    for at in (1..values.len()).rev() {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        values.swap(at, (*state >> 33) as usize % (at + 1));
    }
}
