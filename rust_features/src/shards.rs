//! The streams of a panel, shared out so that several threads can step them.

use std::sync::{Mutex, PoisonError};

use crate::bar::Bar;
use crate::lanes::Mode;
use crate::neighbours::WINDOWS;
use crate::plan::PlannedKernel;
use crate::snapshot::{Reader, SnapshotError, Writer};
use crate::spec::FeatureSpec;
use crate::streams::{Report, Streams};

/// Neighbouring symbols that lie in one shard: a few whole tiles.
const BLOCK: usize = 4 * WINDOWS;

/// Bars of a call for each thread: to start one takes as long as a few tens of them.
const BARS_OF_A_THREAD: usize = 512;

/// More threads than any machine has cores for: a mistyped number must not exhaust memory.
const MOST_THREADS: usize = 1024;

/// Series in the order of their symbols; blocks of them go to the shards in turn.
#[derive(Debug, Clone)]
pub(crate) struct Shards {
    shards: Vec<Streams>,
    symbols: usize,
}

/// Rows of one call that lie side by side and belong to one shard.
struct Run<'a> {
    first_row: usize,
    lanes: &'a [usize],
    bars: &'a [Bar],
    out: &'a mut [f64],
}

impl Shards {
    /// Series for some symbols, stepped by at most `threads` threads; 0 for as many as there are cores.
    pub(crate) fn new(spec: &FeatureSpec, symbols: usize, threads: usize) -> Self {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            given => given.min(MOST_THREADS),
        };
        let lanes = |shard| {
            let all = (0..symbols).step_by(BLOCK).skip(shard).step_by(threads);
            all.map(|first| BLOCK.min(symbols - first)).sum()
        };
        Self {
            shards: (0..threads)
                .map(|shard| Streams::new(spec, lanes(shard)))
                .collect(),
            symbols,
        }
    }

    pub(crate) fn threads(&self) -> usize {
        self.shards.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.symbols
    }

    /// Shard of a symbol, and lane in it.
    #[inline]
    fn place(&self, symbol: usize) -> (usize, usize) {
        let (block, threads) = (symbol / BLOCK, self.shards.len());
        (block % threads, block / threads * BLOCK + symbol % BLOCK)
    }

    pub(crate) fn bars_seen(&self, symbol: usize) -> u64 {
        let (shard, lane) = self.place(symbol);
        self.shards[shard].bars_seen(lane)
    }

    /// Close of a symbol's newest bar; see [`crate::lanes::Lanes::close_at`].
    pub(crate) fn close_at(&self, symbol: usize, open_time_ns: i64) -> Option<f64> {
        let (shard, lane) = self.place(symbol);
        self.shards[shard].base().close_at(lane, open_time_ns)
    }

    /// Words and window of a kernel, of one symbol.
    pub(crate) fn memory(
        &mut self,
        kernel: &PlannedKernel,
        symbol: usize,
    ) -> (&mut [u64], &mut [f64]) {
        let (shard, lane) = self.place(symbol);
        self.shards[shard].base_mut().memory(kernel, lane)
    }

    /// Appends one empty series.
    pub(crate) fn add(&mut self, spec: &FeatureSpec) {
        let (shard, _) = self.place(self.symbols);
        self.shards[shard].add(spec);
        self.symbols += 1;
    }

    /// Makes every series as if it had seen no bar.
    pub(crate) fn reset(&mut self, spec: &FeatureSpec) {
        for shard in &mut self.shards {
            for lane in 0..shard.len() {
                shard.reset(spec, lane);
            }
        }
    }

    /// Writes one series.
    pub(crate) fn save(&self, spec: &FeatureSpec, symbol: usize, writer: &mut Writer) {
        let (shard, lane) = self.place(symbol);
        self.shards[shard].save(spec, lane, writer);
    }

    /// Reads what `save` wrote into a series.
    pub(crate) fn load(
        &mut self,
        spec: &FeatureSpec,
        symbol: usize,
        reader: &mut Reader<'_>,
    ) -> Result<(), SnapshotError> {
        let (shard, lane) = self.place(symbol);
        self.shards[shard].load(spec, lane, reader)
    }

    /// As [`Streams::step`].
    pub(crate) fn step(
        &mut self,
        spec: &FeatureSpec,
        mode: Mode,
        (symbols, bars): (&[usize], &[Bar]),
        out: &mut [f64],
        report: &mut dyn FnMut(usize, Report),
    ) {
        if let [only] = &mut self.shards[..] {
            return only.step(spec, mode, (symbols, bars), out, report);
        }
        let places: Vec<(usize, usize)> =
            symbols.iter().map(|symbol| self.place(*symbol)).collect();
        let runs = places.chunk_by(|a, b| a.0 == b.0).count();
        if runs <= self.shards.len() + places.len() / WINDOWS {
            return self.step_runs(spec, mode, (&places, bars), out, report);
        }
        // Too short for whole tiles: all rows of a shard together, each symbol's in their order.
        let mut order: Vec<usize> = (0..places.len()).collect();
        order.sort_by_key(|row| places[*row].0);
        let places: Vec<_> = order.iter().map(|row| places[*row]).collect();
        let bars: Vec<_> = order.iter().map(|row| bars[*row]).collect();
        let mut cells = vec![0.0; out.len()];
        self.step_runs(
            spec,
            mode,
            (&places, &bars),
            &mut cells,
            &mut |row, what| {
                report(order[row], what);
            },
        );
        let width = spec.len();
        for (cells, row) in cells.chunks_exact(width).zip(&order) {
            out[row * width..][..width].copy_from_slice(cells);
        }
    }

    /// Steps bars whose shards and lanes are known.
    fn step_runs(
        &mut self,
        spec: &FeatureSpec,
        mode: Mode,
        (places, bars): (&[(usize, usize)], &[Bar]),
        mut out: &mut [f64],
        report: &mut dyn FnMut(usize, Report),
    ) {
        let lanes: Vec<usize> = places.iter().map(|(_, lane)| *lane).collect();
        let mut shares: Vec<Vec<Run<'_>>> = self.shards.iter().map(|_| Vec::new()).collect();
        let mut first_row = 0;
        for run in places.chunk_by(|a, b| a.0 == b.0) {
            let rows = first_row..first_row + run.len();
            let (own, rest) = out.split_at_mut(run.len() * spec.len());
            out = rest;
            shares[run[0].0].push(Run {
                first_row,
                lanes: &lanes[rows.clone()],
                bars: &bars[rows.clone()],
                out: own,
            });
            first_row = rows.end;
        }
        let work = self.shards.iter_mut().zip(shares);
        let work: Vec<_> = work.filter(|(_, runs)| !runs.is_empty()).collect();
        let threads = work.len().min(places.len() / BARS_OF_A_THREAD);
        let (work, reports) = (Mutex::new(work), Mutex::new(Vec::new()));
        let next = || work.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let take = || {
            while let Some((streams, runs)) = next() {
                for Run {
                    first_row,
                    lanes,
                    bars,
                    out,
                } in runs
                {
                    streams.step(spec, mode, (lanes, bars), out, &mut |row, what| {
                        let mut reports = reports.lock().unwrap_or_else(PoisonError::into_inner);
                        reports.push((first_row + row, what));
                    });
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads {
                // Where the system has no thread left, this one does the work.
                let _ = std::thread::Builder::new().spawn_scoped(scope, take);
            }
            take();
        });
        for (row, what) in reports.into_inner().unwrap_or_else(PoisonError::into_inner) {
            report(row, what);
        }
    }
}
