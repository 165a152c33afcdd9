//! Golden vectors: inputs and the outputs that a version must reproduce before it serves.

use std::io::Cursor;

use ndarray::{Array1, Array2, Array3};
use ndarray_npy::{NpzReader, ReadNpzError};

use super::bundle::{Bundle, BundleError};
use crate::scoring::engine::{Engine, RowScore, ScoreLayout};

/// Golden rows of a bundle.
pub struct Golden {
    /// Row-major features.
    pub features: Vec<f32>,
    /// Rows of scores, as the bundle's layout says.
    rows: Vec<Vec<f32>>,
}

/// Runs the golden rows through `engine`, which also warms it.
///
/// # Errors
/// An output differs by more than the tolerance, or a signal differs.
pub fn check(bundle: &Bundle, golden: &Golden, engine: &mut dyn Engine) -> Result<(), BundleError> {
    let layout = bundle.layout();
    let rows = golden.rows.len();
    let mut scores = vec![0.0; rows * layout.width()];
    engine
        .score(&golden.features, rows, &mut scores)
        .map_err(|error| BundleError(format!("golden rows: {error}")))?;
    let tolerance = bundle.manifest.golden.absolute_tolerance;
    for (row, (got, wanted)) in scores
        .chunks_exact(layout.width())
        .zip(&golden.rows)
        .enumerate()
    {
        for (column, (&got, &wanted)) in got.iter().zip(wanted).enumerate() {
            // Equal infinities and equal NaNs agree.
            let agrees = got.to_bits() == wanted.to_bits() || (got - wanted).abs() <= tolerance;
            if !agrees {
                return Err(BundleError(format!(
                    "golden row {row}: {} is {got}, {wanted} is expected within {tolerance}",
                    column_name(bundle, column)
                )));
            }
        }
        let policy = bundle.manifest.policy;
        let signal = |values| {
            let probabilities = RowScore::new(layout, values).probabilities();
            let at = |class: usize| probabilities.get(class).copied().unwrap_or(f32::NAN);
            policy.judge(at(bundle.up), at(bundle.down)).signal
        };
        if signal(got) != signal(wanted) {
            return Err(BundleError(format!(
                "golden row {row}: the signal is {:?}, {:?} is expected",
                signal(got),
                signal(wanted)
            )));
        }
    }
    Ok(())
}

/// Reads the golden vectors of `bundle`.
///
/// # Errors
/// The file cannot be read, or its shapes are not the manifest's.
pub fn read(bundle: &Bundle) -> Result<Golden, BundleError> {
    parse(&bundle.golden, bundle.spec.len(), bundle.layout())
}

/// Reads golden vectors of rows of `width` features and scores of `layout`.
///
/// # Errors
/// The bytes are no such vectors.
pub fn parse(bytes: &[u8], width: usize, layout: ScoreLayout) -> Result<Golden, BundleError> {
    let mut reader = NpzReader::new(Cursor::new(bytes)).map_err(|error| unreadable(&error))?;
    let features: Array2<f32> = reader
        .by_name("features.npy")
        .map_err(|error| unreadable(&error))?;
    let probabilities: Array2<f32> = reader
        .by_name("probabilities.npy")
        .map_err(|error| unreadable(&error))?;
    let members: Array3<f32> = reader
        .by_name("member_probabilities.npy")
        .map_err(|error| unreadable(&error))?;
    let mut scalars = Vec::new();
    for name in [
        "probability_low",
        "probability_high",
        "band_low",
        "band_mid",
        "band_high",
        "dissimilarity",
    ] {
        let column: Array1<f32> = reader
            .by_name(&format!("{name}.npy"))
            .map_err(|error| unreadable(&error))?;
        scalars.push((name, column));
    }
    let rows = features.nrows();
    let wide = features.ncols() == width
        && probabilities.dim() == (rows, layout.classes)
        && members.dim() == (rows, layout.members, layout.classes);
    if rows == 0 || !wide {
        return Err(BundleError(
            "golden.npz: shapes differ from the manifest".into(),
        ));
    }
    if let Some((name, column)) = scalars.iter().find(|(_, column)| column.len() != rows) {
        return Err(BundleError(format!(
            "golden.npz: {name} has {} values for {rows} rows",
            column.len()
        )));
    }
    let rows = (0..rows)
        .map(|row| {
            let mut values = probabilities.row(row).to_vec();
            values.extend(scalars.iter().map(|(_, column)| column[row]));
            values.extend(members.index_axis(ndarray::Axis(0), row).iter());
            values
        })
        .collect();
    Ok(Golden {
        features: features.iter().copied().collect(),
        rows,
    })
}

fn unreadable(error: &ReadNpzError) -> BundleError {
    BundleError(format!("golden.npz: {error}"))
}

fn column_name(bundle: &Bundle, column: usize) -> String {
    let classes = bundle.manifest.classes.len();
    let scalars = [
        "probability_low",
        "probability_high",
        "band_low",
        "band_mid",
        "band_high",
        "dissimilarity",
    ];
    if column < classes {
        return format!("probabilities[{column}]");
    }
    scalars.get(column - classes).map_or_else(
        || format!("member_probabilities[{}]", column - classes - scalars.len()),
        ToString::to_string,
    )
}
