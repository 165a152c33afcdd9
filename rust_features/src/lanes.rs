//! Every kernel of one spec for many series, stepped kernel by kernel over small tiles of series.

use std::borrow::Cow;
use std::ops::Range;

use crate::bar::{Bar, InvalidBar};
use crate::frame::{Frame, KEPT};
use crate::history::{History, Undo};
use crate::neighbours::WINDOWS;
use crate::newest::{Newest, tile_of};
use crate::output::Output;
use crate::plan::{Plan, PlannedKernel};
use crate::read_through::read_through;
use crate::runner::Memory;
use crate::snapshot::{Reader, SnapshotError, Writer};
use crate::subnormal::is_near;
use crate::tile_memories::{LaneMemory, TileMemories};
use crate::tile_step::{Tile, TileMemory};
use crate::tiled::Tiled;

/// Series per tile: enough to pay for a virtual call and for bringing a kernel's code nearer, which costs more than
/// bringing the rows from the second-level cache.
const TILE: usize = WINDOWS;

/// Bytes of all series that stay near: then to read them through costs more than it saves.
const FAR: usize = 20 << 20;

/// Whether a step is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The bar becomes part of the series.
    Update,
    /// The bar is only looked at.
    Peek,
}

/// Memory of `lanes` series; each is a lane.
#[derive(Debug, Clone)]
pub(crate) struct Lanes {
    count: usize,
    history: History,
    words: Tiled<u64>,
    windows: Tiled<f64>,
    newest: Newest,
    tile_memories: TileMemories,
}

impl Lanes {
    pub(crate) fn new(plan: &Plan, lanes: usize) -> Self {
        let mut new = Self {
            count: lanes,
            history: History::new(plan.lookback, lanes),
            words: Tiled::new(plan.words, lanes),
            windows: Tiled::new(plan.window, lanes),
            newest: Newest::default(),
            tile_memories: TileMemories::default(),
        };
        for lane in 0..lanes {
            new.initialise(plan, lane);
        }
        new
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn bars_seen(&self, lane: usize) -> u64 {
        self.history.bars_seen(lane)
    }

    /// Open time of the newest bar.
    pub(crate) fn last_open_time_ns(&self, lane: usize) -> Option<i64> {
        self.history.last_open_time_ns(lane)
    }

    /// A copy of one lane alone.
    pub(crate) fn extract(&self, plan: &Plan, lane: usize) -> Self {
        let mut alone = Self::new(plan, 1);
        alone.history = self.history_of(lane);
        for kernel in &plan.kernels {
            let (words, window) = alone.memory(kernel, 0);
            words.copy_from_slice(self.words.of(kernel.words, lane));
            window.copy_from_slice(self.windows.of(kernel.window, lane));
            let memory = Memory { words, window };
            (self.tile_memories).settle_alone(kernel, lane, memory, &self.newest);
        }
        alone
    }

    /// Appends one empty lane.
    pub(crate) fn add(&mut self, plan: &Plan) {
        let parts = plan.kernels.iter();
        (self.words).grow(self.count + 1, parts.clone().map(|kernel| kernel.words));
        (self.windows).grow(self.count + 1, parts.map(|kernel| kernel.window));
        self.count += 1;
        self.history.grow(self.count);
        self.initialise(plan, self.count - 1);
    }

    /// Makes a lane as if it had seen no bar.
    pub(crate) fn reset(&mut self, plan: &Plan, lane: usize) {
        self.newest.settle(lane, &mut self.history);
        self.forget_memory_rows(plan, lane);
        self.history.clear(lane);
        self.newest.forget_one(lane);
        self.initialise(plan, lane);
    }

    fn initialise(&mut self, plan: &Plan, lane: usize) {
        for kernel in &plan.kernels {
            let (words, window) = self.memory(kernel, lane);
            kernel.runner.initialise(words);
            window.fill(0.0);
        }
    }

    /// Words and window of one kernel, of one lane.
    pub(crate) fn memory(
        &mut self,
        kernel: &PlannedKernel,
        lane: usize,
    ) -> (&mut [u64], &mut [f64]) {
        (
            self.words.of_mut(kernel.words, lane),
            self.windows.of_mut(kernel.window, lane),
        )
    }

    /// Close of a lane's newest bar when that bar has this time and a kernel looks back on closes.
    pub(crate) fn close_at(&self, lane: usize, open_time_ns: i64) -> Option<f64> {
        if self.history.last_open_time_ns(lane) != Some(open_time_ns) {
            None
        } else if self.newest.is_ahead(lane) {
            self.newest.close(lane)
        } else {
            self.history.newest_close(lane)
        }
    }

    /// History of one lane alone, with its newest bars.
    fn history_of(&self, lane: usize) -> History {
        let mut alone = self.history.alone(lane);
        if self.newest.is_ahead(lane) {
            self.newest.settle_alone(lane, &mut alone);
        }
        alone
    }

    /// Writes one lane.
    pub(crate) fn save(&self, plan: &Plan, lane: usize, writer: &mut Writer) {
        if self.newest.is_ahead(lane) {
            self.history_of(lane).save(0, writer);
        } else {
            self.history.save(lane, writer);
        }
        let memories: Vec<_> = (plan.kernels.iter())
            .map(|kernel| self.aligned(kernel, lane))
            .collect();
        for (words, _) in &memories {
            writer.words(words);
        }
        for (_, window) in &memories {
            writer.floats(window);
        }
    }

    /// Words and window of a kernel, of one lane, as they are whether they lie as rows or not.
    fn aligned(&self, kernel: &PlannedKernel, lane: usize) -> (Cow<'_, [u64]>, Cow<'_, [f64]>) {
        let mut words = Cow::from(self.words.of(kernel.words, lane));
        let mut window = Cow::from(self.windows.of(kernel.window, lane));
        if kernel.rows.is_some() {
            let (words, window) = (words.to_mut(), window.to_mut());
            let memory = Memory {
                words: &mut *words,
                window: &mut *window,
            };
            (self.tile_memories).settle_alone(kernel, lane, memory, &self.newest);
            (kernel.runner).align(words, window);
        }
        (words, window)
    }

    /// Makes what is remembered of a lane, which is about to change, be in its own memory.
    fn forget_memory_rows(&mut self, plan: &Plan, lane: usize) {
        self.settle_memory(plan, lane);
        self.tile_memories.forget(lane);
    }

    /// Brings the memory of a lane and its neighbours up to date.
    fn settle_memory(&mut self, plan: &Plan, lane: usize) {
        let mut lanes = LaneMemory {
            words: &mut self.words,
            windows: &mut self.windows,
        };
        (self.tile_memories).settle(plan, lane, &mut lanes, &self.newest);
    }

    /// Reads what `save` wrote into a lane.
    pub(crate) fn load(
        &mut self,
        plan: &Plan,
        lane: usize,
        reader: &mut Reader<'_>,
    ) -> Result<(), SnapshotError> {
        self.newest.settle(lane, &mut self.history);
        self.newest.forget_one(lane);
        self.forget_memory_rows(plan, lane);
        self.history.load(lane, reader)?;
        for kernel in &plan.kernels {
            reader.words(self.words.of_mut(kernel.words, lane))?;
        }
        for kernel in &plan.kernels {
            reader.floats(self.windows.of_mut(kernel.window, lane))?;
        }
        Ok(())
    }

    /// Reads what the series of a whole tile remember before the kernels do.
    fn bring_nearer(&self, plan: &Plan, tile: usize) {
        self.newest.bring_nearer(tile, plan.beside_rows.kept());
        self.tile_memories.bring_nearer(plan, tile);
        for kernel in plan.kernels.iter().filter(|kernel| kernel.rows.is_none()) {
            read_through(self.words.of_tile(kernel.words, tile), |word| word);
            read_through(self.windows.of_tile(kernel.window, tile), f64::to_bits);
        }
    }

    /// Whether a tile's memory has most likely left the caches since the bar before.
    fn is_far(&self, plan: &Plan) -> bool {
        let series_bytes = 8 * (plan.words + plan.window) + plan.tile_bytes();
        self.count * series_bytes > FAR
    }

    /// Whether a bar can advance a lane.
    pub(crate) fn admit(&self, lane: usize, bar: &Bar) -> Result<(), InvalidBar> {
        bar.check()?;
        match self.history.last_open_time_ns(lane) {
            Some(last_open_time_ns) if bar.open_time_ns <= last_open_time_ns => {
                Err(InvalidBar::OutOfOrder {
                    open_time_ns: bar.open_time_ns,
                    last_open_time_ns,
                })
            }
            _ => Ok(()),
        }
    }

    /// Steps `lanes[i]` by `bars[i]` and writes row `i` of `out`; a refused bar gives a row of NaN and its reason.
    ///
    /// `out` holds one row of `plan.features` values for each bar; lanes may repeat, in order of time.
    pub(crate) fn step(
        &mut self,
        plan: &Plan,
        mode: Mode,
        (lanes, bars): (&[usize], &[Bar]),
        out: &mut [f64],
        mut refuse: impl FnMut(usize, InvalidBar),
    ) {
        let mut out = Output::new(out);
        for rows in parts(lanes) {
            self.step_part(plan, mode, rows, (lanes, bars), &mut out, &mut refuse);
        }
    }

    /// Steps some of the rows of [`Lanes::step`].
    fn step_part(
        &mut self,
        plan: &Plan,
        mode: Mode,
        rows: Range<usize>,
        (lanes, bars): (&[usize], &[Bar]),
        out: &mut Output<'_>,
        mut refuse: impl FnMut(usize, InvalidBar),
    ) {
        let mut tile = [(0, 0); TILE];
        let mut undo = [None; TILE];
        let (mut filled, mut beyond) = (0, 0);
        for row in rows {
            let (lane, bar) = (lanes[row], &bars[row]);
            // A lane that repeats must see its earlier bar first.
            if lane < beyond && tile[..filled].iter().any(|(earlier, _)| *earlier == lane) {
                self.run(plan, mode, &tile[..filled], &undo, bars, out);
                filled = 0;
            }
            if let Err(reason) = self.admit(lane, bar) {
                out.cells[row * plan.features..][..plan.features].fill(f64::NAN);
                refuse(row, reason);
                continue;
            }
            undo[filled] = Some(self.history.count(lane, bar));
            tile[filled] = (lane, row);
            beyond = beyond.max(lane + 1);
            filled += 1;
            if filled == TILE {
                self.run(plan, mode, &tile, &undo, bars, out);
                filled = 0;
            }
        }
        self.run(plan, mode, &tile[..filled], &undo, bars, out);
    }

    /// Steps each lane of `rows` by the bar of its row.
    fn run(
        &mut self,
        plan: &Plan,
        mode: Mode,
        rows: &[(usize, usize)],
        undo: &[Option<Undo>],
        bars: &[Bar],
        out: &mut Output<'_>,
    ) {
        // A frame is large: no more room than there are bars.
        match rows.len() {
            0 => {}
            1 => self.run_in::<1>(plan, mode, rows, undo, bars, out),
            2..=8 => self.run_in::<8>(plan, mode, rows, undo, bars, out),
            _ => self.run_in::<TILE>(plan, mode, rows, undo, bars, out),
        }
    }

    fn run_in<const ROOM: usize>(
        &mut self,
        plan: &Plan,
        mode: Mode,
        rows: &[(usize, usize)],
        undo: &[Option<Undo>],
        bars: &[Bar],
        out: &mut Output<'_>,
    ) {
        let (Some((_, first)), Some((_, last))) = (rows.first(), rows.last()) else {
            return;
        };
        let goes_on = mode == Mode::Update
            && self.newest.holds(rows)
            && !rows.iter().all(|(_, row)| is_near(bars[*row].close));
        let is_warm = |lane| self.history.bars_seen(lane) > plan.settled_bars as u64 + 1;
        let remembers_rows =
            goes_on && plan.memory_rows() > 0 && rows.iter().all(|(lane, _)| is_warm(*lane));
        if !remembers_rows {
            // Before the newest bar is another one.
            for (lane, _) in rows {
                match mode {
                    Mode::Update => self.forget_memory_rows(plan, *lane),
                    Mode::Peek => self.settle_memory(plan, *lane),
                }
            }
        }
        // Kernels that all read the tile's rows need no history, which is brought up to date when it is asked for.
        let on_rows = goes_on && plan.rows_suffice;
        if on_rows {
            self.newest.run_ahead(rows);
        } else {
            for (lane, row) in rows {
                self.newest.settle(*lane, &mut self.history);
                self.history.append(*lane, &bars[*row]);
            }
        }
        let tile = tile_of(rows);
        let far = tile.filter(|_| on_rows && self.is_far(plan));
        let end = (last + 1) * plan.features;
        let far_cells = far.map_or(0, |_| TILE * plan.features);
        if let Some(tile) = far {
            self.bring_nearer(plan, tile);
            out.bring_nearer(end, far_cells);
        }
        let (cells, ahead) = out.split(end, far_cells);
        let frames: [Frame<'_>; ROOM] = std::array::from_fn(|place| match rows.get(place) {
            Some((_, row)) if on_rows => Frame::new(bars[*row], [&[]; KEPT]),
            Some((lane, row)) => self.history.frame(*lane, &bars[*row]),
            None => Frame::new(bars[*first], [&[]; KEPT]),
        });
        // Series that warm up have fewer bars than that.
        let added = match (mode, frames.first_chunk::<TILE>()) {
            (Mode::Update, Some(frames)) if rows.len() == TILE => {
                self.newest.add(plan.side_by_side, rows, frames).is_some()
            }
            (Mode::Update, _) => {
                self.newest.forget(rows);
                false
            }
            // Nothing will have changed.
            (Mode::Peek, _) => false,
        };
        let newest = if added { self.newest.of(rows) } else { None };
        let whole = tile.filter(|_| remembers_rows);
        if let (Some(tile), Some(newest)) = (whole, &newest) {
            let mut lanes = LaneMemory {
                words: &mut self.words,
                windows: &mut self.windows,
            };
            (self.tile_memories).run_ahead(plan, tile, &mut lanes, newest);
        }
        for kernel in &plan.kernels {
            let bars = Tile {
                rows,
                frames: &frames,
                newest,
                columns: &kernel.columns,
                features: plan.features,
                ahead: &ahead,
            };
            let memory = TileMemory {
                words: self.words.of_some(kernel.words, tile),
                windows: self.windows.of_some(kernel.window, tile),
            };
            match mode {
                Mode::Update => {
                    let rows = whole.and_then(|tile| self.tile_memories.of(kernel, tile));
                    (kernel.runner).run_tile(memory, rows, &bars, cells);
                }
                Mode::Peek => kernel.runner.peek_tile(memory, &bars, cells),
            }
        }
        let asked = ahead.asked();
        out.note(end + asked);
        if let Some(tile) = whole {
            self.tile_memories.count(tile);
        }
        if mode == Mode::Peek {
            for ((lane, _), undo) in rows.iter().zip(undo) {
                if let Some(undo) = undo {
                    self.history.undo(*lane, *undo);
                }
            }
        }
    }
}

/// Rows that are worked on part by part: whole tiles of neighbours, and what is between them, so that a series without a
/// bar leaves the tiles after its own whole.
fn parts(lanes: &[usize]) -> impl Iterator<Item = Range<usize>> {
    let in_order = lanes.is_sorted_by(|earlier, later| earlier < later);
    let is_whole = |row: usize| {
        let first = lanes[row];
        first.is_multiple_of(TILE) && lanes.get(row + TILE - 1) == Some(&(first + TILE - 1))
    };
    let mut first = 0;
    std::iter::from_fn(move || {
        let end = match lanes.len() {
            rows if first >= rows => return None,
            rows if !in_order => rows,
            _ if is_whole(first) => first + TILE,
            rows => (first..rows).find(|row| is_whole(*row)).unwrap_or(rows),
        };
        Some(std::mem::replace(&mut first, end)..end)
    })
}
