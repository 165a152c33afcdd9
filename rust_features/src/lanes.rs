//! Every kernel of one spec for many series, stepped kernel by kernel over small tiles of series.

use std::ops::Range;

use crate::bar::{Bar, InvalidBar};
use crate::frame::{Frame, KEPT};
use crate::history::{History, Undo};
use crate::neighbours::WINDOWS;
use crate::newest::Newest;
use crate::plan::{Plan, PlannedKernel};
use crate::runner::{Memory, Tile};
use crate::snapshot::{Reader, SnapshotError, Writer};
use crate::subnormal::is_near;
use crate::window_rows::{LaneMemory, WindowRows};

/// Series per tile: enough to pay for a virtual call and for bringing a kernel's code nearer, which costs more than
/// bringing the rows from the second-level cache.
const TILE: usize = WINDOWS;

/// Bytes of all series that stay near: then to ask for them ahead costs more than it saves.
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
    /// Lanes there is room for; kernels find their memory at multiples of it.
    room: usize,
    history: History,
    words: Vec<u64>,
    windows: Vec<f64>,
    newest: Newest,
    window_rows: WindowRows,
}

impl Lanes {
    pub(crate) fn new(plan: &Plan, lanes: usize) -> Self {
        let mut new = Self {
            count: lanes,
            room: lanes,
            history: History::new(plan.lookback, lanes),
            words: vec![0; plan.words * lanes],
            windows: vec![0.0; plan.window * lanes],
            newest: Newest::default(),
            window_rows: WindowRows::default(),
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
            let (to, from) = (alone.words_of(kernel, 0), self.words_of(kernel, lane));
            alone.words[to].copy_from_slice(&self.words[from]);
            let (to, from) = (alone.window_of(kernel, 0), self.window_of(kernel, lane));
            alone.windows[to.clone()].copy_from_slice(&self.windows[from]);
            let ahead = self.window_rows.window_of(kernel, lane);
            for (cell, value) in alone.windows[to].iter_mut().zip(ahead) {
                *cell = value;
            }
        }
        alone
    }

    /// Appends one empty lane.
    pub(crate) fn add(&mut self, plan: &Plan) {
        if self.count == self.room {
            self.make_room(plan, (2 * self.room).max(TILE));
        }
        self.count += 1;
        self.history.grow(self.count);
        self.initialise(plan, self.count - 1);
    }

    fn make_room(&mut self, plan: &Plan, room: usize) {
        let mut words = vec![0; plan.words * room];
        let mut windows = vec![0.0; plan.window * room];
        for kernel in &plan.kernels {
            let (size, first) = (kernel.words, kernel.first_word);
            words[first * room..][..size * self.count]
                .copy_from_slice(&self.words[first * self.room..][..size * self.count]);
            let (size, first) = (kernel.window_len, kernel.first_window);
            windows[first * room..][..size * self.count]
                .copy_from_slice(&self.windows[first * self.room..][..size * self.count]);
        }
        (self.words, self.windows, self.room) = (words, windows, room);
    }

    /// Makes a lane as if it had seen no bar.
    pub(crate) fn reset(&mut self, plan: &Plan, lane: usize) {
        self.newest.settle(lane, &mut self.history);
        self.forget_window_rows(plan, lane);
        self.history.clear(lane);
        self.newest.forget_one(lane);
        self.initialise(plan, lane);
    }

    fn initialise(&mut self, plan: &Plan, lane: usize) {
        for kernel in &plan.kernels {
            let words = self.words_of(kernel, lane);
            kernel.runner.initialise(&mut self.words[words]);
            let window = self.window_of(kernel, lane);
            self.windows[window].fill(0.0);
        }
    }

    /// Words and window of one kernel, of one lane.
    pub(crate) fn memory(
        &mut self,
        kernel: &PlannedKernel,
        lane: usize,
    ) -> (&mut [u64], &mut [f64]) {
        let (words, window) = (self.words_of(kernel, lane), self.window_of(kernel, lane));
        (&mut self.words[words], &mut self.windows[window])
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
        for kernel in &plan.kernels {
            writer.words(&self.words[self.words_of(kernel, lane)]);
        }
        for kernel in &plan.kernels {
            if kernel.first_row.is_some() && self.window_rows.is_ahead(lane) {
                let window: Vec<f64> = self.window_rows.window_of(kernel, lane).collect();
                writer.floats(&window);
            } else {
                writer.floats(&self.windows[self.window_of(kernel, lane)]);
            }
        }
    }

    /// Makes the windows of a lane, which is about to change, be those of its own memory.
    fn forget_window_rows(&mut self, plan: &Plan, lane: usize) {
        self.settle_windows(plan, lane);
        self.window_rows.forget(lane);
    }

    /// Brings the windows of a lane and its neighbours up to date.
    fn settle_windows(&mut self, plan: &Plan, lane: usize) {
        let mut lanes = LaneMemory {
            words: &mut self.words,
            windows: &mut self.windows,
            room: self.room,
        };
        self.window_rows.settle(plan, lane, &mut lanes);
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
        self.forget_window_rows(plan, lane);
        self.history.load(lane, reader)?;
        for kernel in &plan.kernels {
            let words = self.words_of(kernel, lane);
            reader.words(&mut self.words[words])?;
        }
        for kernel in &plan.kernels {
            let window = self.window_of(kernel, lane);
            reader.floats(&mut self.windows[window])?;
        }
        Ok(())
    }

    /// Whether a tile's memory has most likely left the caches since the bar before.
    fn is_far(&self, plan: &Plan) -> bool {
        let series_bytes = 8 * (plan.words + plan.window) + plan.tile_bytes();
        self.count * series_bytes > FAR
    }

    fn words_of(&self, kernel: &PlannedKernel, lane: usize) -> Range<usize> {
        let size = kernel.words;
        let first = kernel.first_word * self.room + lane * size;
        first..first + size
    }

    fn window_of(&self, kernel: &PlannedKernel, lane: usize) -> Range<usize> {
        let size = kernel.window_len;
        let first = kernel.first_window * self.room + lane * size;
        first..first + size
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
        let mut tile = [(0, 0); TILE];
        let mut undo = [None; TILE];
        let (mut filled, mut beyond) = (0, 0);
        for (row, (lane, bar)) in lanes.iter().copied().zip(bars).enumerate() {
            // A lane that repeats must see its earlier bar first.
            if lane < beyond && tile[..filled].iter().any(|(earlier, _)| *earlier == lane) {
                self.run(plan, mode, &tile[..filled], &undo, bars, out);
                filled = 0;
            }
            if let Err(reason) = self.admit(lane, bar) {
                out[row * plan.features..][..plan.features].fill(f64::NAN);
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
        out: &mut [f64],
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
        out: &mut [f64],
    ) {
        let Some((_, first)) = rows.first() else {
            return;
        };
        let held = mode == Mode::Update && self.newest.holds(rows);
        // Kernels that all read the tile's rows need no history, which is brought up to date when it is asked for.
        let on_rows = mode == Mode::Update
            && plan.rows_suffice
            && held
            && !rows.iter().all(|(_, row)| is_near(bars[*row].close));
        if on_rows {
            self.newest.run_ahead(rows);
        } else {
            for (lane, row) in rows {
                self.newest.settle(*lane, &mut self.history);
                self.history.append(*lane, &bars[*row]);
            }
        }
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
        let lanes = LaneMemory {
            words: &mut self.words,
            windows: &mut self.windows,
            room: self.room,
        };
        let whole = (self.window_rows).lay(plan, (mode, rows), lanes, |lane| {
            held && added && self.history.bars_seen(lane) > plan.settled_bars as u64 + 1
        });
        let newest = if added { self.newest.of(rows) } else { None };
        let looks_ahead = on_rows && self.is_far(plan);
        for (at, kernel) in plan.kernels.iter().enumerate() {
            if looks_ahead {
                (self.newest).bring_next_nearer(rows, at, plan.kernels.len());
            }
            let tile = Tile {
                rows,
                frames: &frames,
                newest,
                columns: &kernel.columns,
                looks_ahead,
                features: plan.features,
            };
            let memory = Memory {
                words: &mut self.words[kernel.first_word * self.room..][..kernel.words * self.room],
                window: &mut self.windows[kernel.first_window * self.room..]
                    [..kernel.window_len * self.room],
            };
            match mode {
                Mode::Update => {
                    let window_rows = match whole {
                        Some(whole) => self.window_rows.of(kernel, whole),
                        None => &mut [],
                    };
                    kernel.runner.run_tile(memory, window_rows, &tile, out);
                }
                Mode::Peek => kernel.runner.peek_tile(memory, &tile, out),
            }
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
