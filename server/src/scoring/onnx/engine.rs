//! One session, or the trees of a model alone, and what makes scores of their values.

use std::{ffi::CString, sync::Arc};

use candlewire_trees::{BareTrees, CutModel, RowProgram, batches};
use ort::{
    session::{Session, SessionOutputs},
    value::TensorRef,
};

use super::{
    bound_rows::BoundRows,
    ort_error,
    signature::{OUTPUTS, shapes},
};
use crate::scoring::engine::{Engine, EngineError, ModelFile, TreeNodeUse};

/// Most rows that run in tensors made beforehand: a run of more takes long enough to make its own.
const MOST_BOUND_ROWS: usize = 32;
/// Most outputs of a session.
pub(super) const MOST_OUTPUTS: usize = 16;
/// Rows that show which dimensions of an output are fixed: a number that no graph has in that place.
const PROBED_ROWS: usize = 7;

/// An output of a session.
pub(super) struct SessionOutput {
    pub(super) name: CString,
    /// The dimensions of a row.
    pub(super) shape: Vec<usize>,
}

impl SessionOutput {
    /// Numbers in a row.
    pub(super) fn width(&self) -> usize {
        self.shape.iter().product()
    }
}

/// What gives the values that scores are made of, and the program that makes them.
pub(super) struct OnnxEngine {
    source: Source,
    features: usize,
    program: RowProgram,
    /// What evaluates the graph's trees.
    pub(super) tree_nodes: Arc<[TreeNodeUse]>,
}

enum Source {
    Session(Box<BoundSession>),
    Trees(BareTrees),
}

/// A session that knows its outputs.
struct BoundSession {
    session: Session,
    outputs: Vec<SessionOutput>,
    /// Tensors for so few rows, made when they are needed first; none where they are not used.
    few: Vec<Option<BoundRows>>,
}

impl OnnxEngine {
    /// Over a session of the whole graph, whose outputs were checked.
    pub(super) fn whole(session: Session, file: ModelFile<'_>) -> Result<Self, EngineError> {
        let shapes = shapes(file.layout);
        let widths = shapes.each_ref().map(|shape| shape.iter().product());
        let program = RowProgram::copying(&widths);
        let source = BoundSession::new(session, OUTPUTS.into_iter().zip(shapes))?;
        Ok(Self::new(Source::Session(Box::new(source)), file, program))
    }

    /// Over a session of the graph without its tail.
    pub(super) fn cut(
        mut session: Session,
        file: ModelFile<'_>,
        cut: &CutModel,
    ) -> Result<Self, EngineError> {
        let shapes = probe(&mut session, file.features, &cut.values)?;
        let program = tail(cut, &shapes, file)?;
        let names = cut.values.iter().map(String::as_str);
        let source = BoundSession::new(session, names.zip(shapes))?;
        Ok(Self::new(Source::Session(Box::new(source)), file, program))
    }

    /// Over trees alone, of the graph without its tail.
    pub(super) fn of_trees(
        trees: BareTrees,
        file: ModelFile<'_>,
        cut: &CutModel,
    ) -> Result<Self, EngineError> {
        let program = tail(cut, &trees.shapes(), file)?;
        Ok(Self::new(Source::Trees(trees), file, program))
    }

    fn new(source: Source, file: ModelFile<'_>, program: RowProgram) -> Self {
        Self {
            source,
            features: file.features,
            program,
            tree_nodes: Arc::default(),
        }
    }

    /// Whether ONNX Runtime computes anything.
    pub(super) fn has_session(&self) -> bool {
        matches!(self.source, Source::Session(_))
    }

    /// Lets few rows run in tensors made beforehand, if they give the bits of any other run.
    pub(super) fn prepare_few(&mut self, sample: &[f32]) -> Result<(), EngineError> {
        let held = sample.len() / self.features.max(1);
        let width = self.program.width();
        for rows in [1, MOST_BOUND_ROWS.min(held)] {
            let Some(features) = sample.get(..rows * self.features) else {
                continue;
            };
            let mut both = [vec![0.0; rows * width], vec![0.0; rows * width]];
            for (bind, scores) in [false, true].into_iter().zip(&mut both) {
                let Source::Session(source) = &mut self.source else {
                    return Ok(());
                };
                source.few.clear();
                if bind {
                    source.few.resize_with(MOST_BOUND_ROWS + 1, || None);
                }
                self.score(features, rows, scores)?;
            }
            let [wanted, bound] = both.map(|scores| scores.into_iter().map(f32::to_bits));
            if let Source::Session(source) = &mut self.source
                && !bound.eq(wanted)
            {
                tracing::warn!(
                    rows,
                    "rows in tensors made beforehand have other bits; all run as large batches do"
                );
                source.few.clear();
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether another engine gives these rows the same bits; all NaN are the same.
    ///
    /// # Errors
    /// One failed, or they do not agree: the message says where.
    pub(super) fn agrees_with(
        &mut self,
        other: &mut Self,
        rows: &[f32],
    ) -> Result<(), EngineError> {
        let width = self.program.width();
        let bits = |score: &f32| if score.is_nan() { f32::NAN } else { *score }.to_bits();
        for (first, batch) in batches(rows, self.features) {
            let count = batch.len() / self.features.max(1);
            let (mut own, mut others) = (vec![0.0; count * width], vec![0.0; count * width]);
            self.score(batch, count, &mut own)?;
            other.score(batch, count, &mut others)?;
            let differs = |(own, others): (&f32, &f32)| bits(own) != bits(others);
            if let Some(at) = own.iter().zip(&others).position(differs) {
                return Err(EngineError(format!(
                    "score {} of row {}: {} with ONNX Runtime, {} without",
                    at % width,
                    first + at / width,
                    own[at],
                    others[at]
                )));
            }
        }
        Ok(())
    }
}

/// The program of a tail, which gives rows of scores.
fn tail(
    cut: &CutModel,
    shapes: &[Vec<usize>],
    file: ModelFile<'_>,
) -> Result<RowProgram, EngineError> {
    let program = cut.program(shapes, &OUTPUTS).map_err(ort_error)?;
    if program.width() == file.layout.width() {
        return Ok(program);
    }
    Err(EngineError(format!(
        "the tail gives {} numbers a row, {} are needed",
        program.width(),
        file.layout.width()
    )))
}

impl BoundSession {
    fn new<'a>(
        session: Session,
        outputs: impl Iterator<Item = (&'a str, Vec<usize>)>,
    ) -> Result<Self, EngineError> {
        let output = |(name, shape): (&str, Vec<usize>)| {
            let name = CString::new(name).map_err(ort_error)?;
            Ok(SessionOutput { name, shape })
        };
        let outputs: Vec<SessionOutput> =
            outputs.map(output).collect::<Result<_, EngineError>>()?;
        if outputs.len() > MOST_OUTPUTS {
            return Err(EngineError(format!(
                "{} values are read of the graph, at most {MOST_OUTPUTS}",
                outputs.len()
            )));
        }
        Ok(Self {
            session,
            outputs,
            few: Vec::new(),
        })
    }

    /// Runs rows, and gives `take` each output's numbers, row-major.
    fn run(
        &mut self,
        features: &[f32],
        shape: [usize; 2],
        take: impl FnOnce(&[&[f32]]) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let mut values = [&[][..]; MOST_OUTPUTS];
        let [rows, columns] = shape;
        if let Some(place) = self.few.get_mut(rows) {
            if place.is_none() {
                *place = BoundRows::new(rows, columns, &self.outputs)?;
            }
            if let Some(bound) = place {
                bound.run(&mut self.session, &self.outputs, features)?;
                return take(gathered(&mut values, bound.values()));
            }
        }
        let input = TensorRef::from_array_view((shape, features)).map_err(ort_error)?;
        let given = self.session.run(ort::inputs![input]).map_err(ort_error)?;
        let numbers = self.outputs.iter().map(|output| numbers(&given, output));
        let numbers: Vec<&[f32]> = numbers.collect::<Result<_, _>>()?;
        take(&numbers)
    }
}

/// The values, side by side.
fn gathered<'a, 'b>(
    places: &'b mut [&'a [f32]; MOST_OUTPUTS],
    values: impl Iterator<Item = &'a [f32]>,
) -> &'b [&'a [f32]] {
    let mut count = 0;
    for (place, value) in places.iter_mut().zip(values) {
        *place = value;
        count += 1;
    }
    places.get(..count).unwrap_or_default()
}

/// An output's numbers, row-major.
fn numbers<'a>(
    given: &'a SessionOutputs<'_>,
    output: &SessionOutput,
) -> Result<&'a [f32], EngineError> {
    let name = output.name.to_string_lossy();
    let value = given.get(&*name);
    let value = value.ok_or_else(|| EngineError(format!("the graph gave no {name:?}")))?;
    Ok(value.try_extract_tensor::<f32>().map_err(ort_error)?.1)
}

/// The dimensions of a row of each of these outputs.
fn probe(
    session: &mut Session,
    features: usize,
    names: &[String],
) -> Result<Vec<Vec<usize>>, EngineError> {
    let rows = vec![0.0_f32; PROBED_ROWS * features];
    let input =
        TensorRef::from_array_view(([PROBED_ROWS, features], &rows[..])).map_err(ort_error)?;
    let given = session.run(ort::inputs![input]).map_err(ort_error)?;
    let shape = |name: &String| {
        let refuse = |reason: String| EngineError(format!("{name:?} {reason}"));
        let value = given.get(name).ok_or_else(|| refuse("is missing".into()))?;
        let (shape, _) = value.try_extract_tensor::<f32>().map_err(ort_error)?;
        match &shape[..] {
            [first, rest @ ..] if *first == PROBED_ROWS as i64 => {
                Ok(rest.iter().map(|&size| size.max(0) as usize).collect())
            }
            _ => Err(refuse(format!("has shape {shape}, rows must come first"))),
        }
    };
    names.iter().map(shape).collect()
}

impl Engine for OnnxEngine {
    fn score(
        &mut self,
        features: &[f32],
        rows: usize,
        scores: &mut [f32],
    ) -> Result<(), EngineError> {
        let program = &mut self.program;
        let mut make = |values: &[&[f32]]| program.run(rows, values, scores).map_err(ort_error);
        match &mut self.source {
            Source::Session(source) => source.run(features, [rows, self.features], make),
            Source::Trees(trees) => {
                trees.run(features, self.features).map_err(ort_error)?;
                make(gathered(&mut [&[][..]; MOST_OUTPUTS], trees.values()))
            }
        }
    }

    fn tree_nodes(&self) -> &[TreeNodeUse] {
        &self.tree_nodes
    }
}
