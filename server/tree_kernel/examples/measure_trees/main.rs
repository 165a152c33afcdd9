//! Times one model on request, so that a driver can take turns between the sides of a comparison.
//!
//! ```text
//! measure_trees MODEL.onnx ROWS.f32 COLUMNS
//! ```
//!
//! `ROWS.f32` holds little-endian float32 rows. The program writes one JSON line about the model, then answers each line
//! `SIDE BATCH ROWS` on its input with the nanoseconds of processor time that `ROWS` rows took in calls of `BATCH` rows. Sides are
//! `onnxruntime`, and `session` or `kernel` followed by `-` and an instruction set: in an ONNX Runtime session, or bare.

mod bound_run;

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::PathBuf;

use cpu_time::ThreadTime;

use candlewire_trees::{
    AnyEvaluator, Evaluator, Instructions, RewriteOptions, Rewritten, Scratch, edge_rows,
    operator_domain, read_model, rewrite_model, verify,
};
use ort::environment::Environment;
use ort::session::Session;

use bound_run::BoundRun;

type Failure = Box<dyn Error>;

struct Rows {
    values: Vec<f32>,
    columns: usize,
    next: usize,
}

impl Rows {
    fn read(path: &str, columns: usize) -> Result<Self, Failure> {
        let bytes = std::fs::read(path)?;
        let values = bytes
            .as_chunks()
            .0
            .iter()
            .map(|value| f32::from_le_bytes(*value))
            .collect();
        Ok(Self {
            values,
            columns,
            next: 0,
        })
    }

    /// The next rows; starts over at the end.
    fn take(&mut self, count: usize) -> &[f32] {
        if (self.next + count) * self.columns > self.values.len() {
            self.next = 0;
        }
        let start = self.next * self.columns;
        self.next += count;
        &self.values[start..start + count * self.columns]
    }
}

/// One instruction set: the model rewritten for it, a session over it, and its one operator bare.
struct Side {
    instructions: Instructions,
    rewritten: Rewritten,
    session: Session,
    scratch: Scratch<f32>,
}

impl Side {
    fn new(
        environment: &Environment,
        model: &[u8],
        instructions: Instructions,
    ) -> Result<Self, Failure> {
        let rewritten = rewrite_model(
            model,
            RewriteOptions {
                instructions: Some(instructions),
                ..RewriteOptions::default()
            },
        )?;
        let builder =
            one_thread(environment)?.with_operators(operator_domain(&rewritten.operators)?)?;
        let session = { builder }.commit_from_memory(&rewritten.bytes)?;
        Ok(Self {
            instructions,
            rewritten,
            session,
            scratch: Scratch::default(),
        })
    }

    fn evaluator(&self) -> Option<&Evaluator<f32>> {
        match &self.rewritten.operators.first()?.evaluator {
            AnyEvaluator::F32(evaluator) => Some(evaluator),
            AnyEvaluator::F64(_) => None,
        }
    }
}

fn one_thread(environment: &Environment) -> Result<ort::session::builder::SessionBuilder, Failure> {
    let builder = Session::builder(environment)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?;
    Ok(builder.with_intra_op_spinning(false)?)
}

/// Times `calls` calls of a session, each with new rows.
fn time_session(
    session: &mut Session,
    rows: &mut Rows,
    batch: usize,
    calls: usize,
) -> Result<u128, Failure> {
    let mut bound = BoundRun::new(session, batch, rows.columns)?;
    let start = ThreadTime::now();
    for _ in 0..calls {
        bound.run(session, rows.take(batch))?;
    }
    Ok(start.elapsed().as_nanos())
}

/// Median processor time of reading the model's bytes and building its evaluators, in milliseconds.
fn build_ms(model: &[u8]) -> Result<f64, Failure> {
    let mut times = Vec::new();
    for _ in 0..5 {
        let start = ThreadTime::now();
        std::hint::black_box(rewrite_model(model, RewriteOptions::default())?);
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, rows, columns] = &arguments[..] else {
        return Err("usage: measure_trees MODEL.onnx ROWS.f32 COLUMNS".into());
    };
    let model = std::fs::read(model)?;
    let mut rows = Rows::read(rows, columns.parse()?)?;
    let library = PathBuf::from(
        std::env::var_os("ORT_DYLIB_PATH").ok_or("set ORT_DYLIB_PATH to libonnxruntime.so")?,
    );
    let environment = ort::init_from(library)?.build()?;
    let mut original = one_thread(&environment)?.commit_from_memory(&model)?;
    let mut sides = Vec::new();
    for instructions in Instructions::ALL {
        sides.push(Side::new(&environment, &model, instructions)?);
    }

    let edges = edge_rows(&read_model(&model)?, "features", rows.columns);
    let mut checked = 0;
    for side in &mut sides {
        for rows in [
            &edges,
            &rows.values[..rows.values.len().min(4096 * rows.columns)],
        ] {
            checked += rows.len() / columns.parse::<usize>()?;
            if let Err(disagreement) =
                verify(&mut original, &mut side.session, rows, columns.parse()?)?
            {
                return Err(format!("{}: {disagreement}", side.instructions).into());
            }
        }
    }
    let nodes: Vec<String> = sides
        .iter()
        .flat_map(|side| &side.rewritten.report)
        .map(ToString::to_string)
        .collect();
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{{\"build_ms\": {:.3}, \"rows_bit_equal\": {checked}, \"detected\": \"{}\", \"nodes\": {nodes:?}}}",
        build_ms(&model)?,
        Instructions::detect(),
    )?;
    out.flush()?;

    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, batch, total] = words[..] else {
            return Err(format!("`{line}` is not SIDE BATCH ROWS").into());
        };
        let (batch, total): (usize, usize) = (batch.parse()?, total.parse()?);
        writeln!(
            out,
            "{}",
            time(name, batch, total, &mut original, &mut sides, &mut rows)?
        )?;
        out.flush()?;
    }
    Ok(())
}

fn time(
    name: &str,
    batch: usize,
    total: usize,
    original: &mut Session,
    sides: &mut [Side],
    rows: &mut Rows,
) -> Result<u128, Failure> {
    let columns = rows.columns;
    let calls = total.div_ceil(batch);
    if name == "onnxruntime" {
        return time_session(original, rows, batch, calls);
    }
    let (kind, instructions) = name
        .split_once('-')
        .ok_or_else(|| format!("`{name}` is no side"))?;
    let instructions: Instructions = instructions.parse()?;
    let side = sides
        .iter_mut()
        .find(|side| side.instructions == instructions)
        .ok_or("no such side")?;
    if kind == "session" {
        return time_session(&mut side.session, rows, batch, calls);
    }
    let mut scratch = std::mem::take(&mut side.scratch);
    let evaluator = side
        .evaluator()
        .ok_or("the model has no float tree node that the kernel holds")?;
    let mut scores = vec![0.0_f32; batch * evaluator.ensemble().targets];
    let start = ThreadTime::now();
    for _ in 0..calls {
        evaluator.run(rows.take(batch), columns, &mut scratch, &mut scores, None)?;
        std::hint::black_box(&scores);
    }
    let elapsed = start.elapsed().as_nanos();
    side.scratch = scratch;
    Ok(elapsed)
}
