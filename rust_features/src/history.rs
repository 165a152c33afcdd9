//! The last bars of many series, so that every kernel reads one shared copy.

use crate::bar::Bar;
use crate::frame::{Column, Frame, KEPT, LOG_RETURNS, Lookback};
use crate::logarithm::log_ratio;
use crate::snapshot::{Reader, SnapshotError, Writer};

/// Bars appended to a column before its newest values move back to the front.
const SLACK: usize = 16;

/// Values that one series takes.
pub(crate) fn values_per_lane(lookback: Lookback) -> usize {
    lookback.kept().into_iter().map(capacity).sum()
}

const fn capacity(lookback: usize) -> usize {
    if lookback == 0 { 0 } else { lookback + SLACK }
}

/// Values that a lane holds of a column.
fn held(lookback: usize, bars_seen: u64) -> usize {
    usize::try_from(bars_seen).map_or(lookback, |seen| seen.min(lookback))
}

/// Contiguous, chronological windows of each column, and of the log returns, of each series (lane).
#[derive(Debug, Clone)]
pub(crate) struct History {
    lookback: [usize; KEPT],
    /// Per column: `capacity` values for each lane.
    columns: [Vec<f64>; KEPT],
    lanes: Vec<Lane>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Lane {
    bars_seen: u64,
    last_open_time_ns: i64,
    /// Bars appended since the values last moved to the front.
    appended: usize,
}

impl History {
    pub(crate) fn new(lookback: Lookback, lanes: usize) -> Self {
        let lookback = lookback.kept();
        let mut history = Self {
            lookback,
            columns: Default::default(),
            lanes: Vec::new(),
        };
        history.grow(lanes);
        history
    }

    /// Appends empty lanes until there are `lanes`.
    pub(crate) fn grow(&mut self, lanes: usize) {
        for (column, lookback) in self.columns.iter_mut().zip(self.lookback) {
            column.resize(lanes * capacity(lookback), 0.0);
        }
        let first = self.lanes.len();
        // Lanes that step together would also move their values together; spread that over the bars.
        self.lanes.extend((first..lanes).map(|lane| Lane {
            appended: lane % SLACK,
            ..Lane::default()
        }));
    }

    pub(crate) fn clear(&mut self, lane: usize) {
        self.lanes[lane] = Lane::default();
    }

    pub(crate) fn bars_seen(&self, lane: usize) -> u64 {
        self.lanes[lane].bars_seen
    }

    /// Open time of the newest bar.
    pub(crate) fn last_open_time_ns(&self, lane: usize) -> Option<i64> {
        let lane = &self.lanes[lane];
        (lane.bars_seen > 0).then_some(lane.last_open_time_ns)
    }

    /// Counts a bar, whose values [`History::append`] takes, and returns what undoes both.
    pub(crate) fn count(&mut self, lane: usize, bar: &Bar) -> Undo {
        let at = &mut self.lanes[lane];
        let undo = Undo {
            bars_seen: at.bars_seen,
            last_open_time_ns: at.last_open_time_ns,
        };
        at.bars_seen = at.bars_seen.saturating_add(1);
        at.last_open_time_ns = bar.open_time_ns;
        undo
    }

    /// Appends the values of a bar that was counted.
    pub(crate) fn append(&mut self, lane: usize, bar: &Bar) {
        // A series that keeps log returns keeps two closes; the first bar has no return.
        let log_return = match self.newest_close(lane) {
            Some(previous) if self.lookback[LOG_RETURNS] > 0 && self.lanes[lane].bars_seen > 1 => {
                log_ratio(bar.close, previous)
            }
            _ => 0.0,
        };
        let at = &mut self.lanes[lane];
        let full = at.appended == SLACK;
        if full {
            at.appended = 0;
        }
        let values = [
            bar.open, bar.high, bar.low, bar.close, bar.volume, log_return,
        ];
        for ((column, lookback), value) in self.columns.iter_mut().zip(self.lookback).zip(values) {
            if lookback == 0 {
                continue;
            }
            let buffer = &mut column[lane * capacity(lookback)..][..capacity(lookback)];
            if full {
                buffer.copy_within(SLACK.., 0);
            }
            buffer[lookback + at.appended] = value;
        }
        at.appended += 1;
    }

    /// Replaces what a lane holds of a column; every column must be replaced, each by as many values as it looks back on.
    pub(crate) fn replace(
        &mut self,
        lane: usize,
        column: usize,
        values: impl Iterator<Item = f64>,
    ) {
        self.lanes[lane].appended = 0;
        let lookback = self.lookback[column];
        let buffer = &mut self.columns[column][lane * capacity(lookback)..][..lookback];
        for (cell, value) in buffer.iter_mut().zip(values) {
            *cell = value;
        }
    }

    /// A copy of one lane alone.
    pub(crate) fn alone(&self, lane: usize) -> Self {
        let mut alone = Self {
            lookback: self.lookback,
            columns: Default::default(),
            lanes: Vec::new(),
        };
        alone.grow(1);
        alone.copy_lane(self, lane);
        alone
    }

    /// Takes the newest bar back. Nothing older was lost by appending it.
    pub(crate) fn undo(&mut self, lane: usize, undo: Undo) {
        let lane = &mut self.lanes[lane];
        lane.appended -= 1;
        lane.bars_seen = undo.bars_seen;
        lane.last_open_time_ns = undo.last_open_time_ns;
    }

    /// Close of the newest bar, where a kernel looks back on closes.
    pub(crate) fn newest_close(&self, lane: usize) -> Option<f64> {
        let (at, lookback) = (&self.lanes[lane], self.lookback[Column::Close as usize]);
        if at.bars_seen == 0 || lookback == 0 {
            return None;
        }
        // An empty lane that only counted a bar holds a zero there.
        let newest = lane * capacity(lookback) + lookback + at.appended - 1;
        self.columns[Column::Close as usize].get(newest).copied()
    }

    /// Makes the first lane a copy of a lane of another history.
    fn copy_lane(&mut self, from: &Self, lane: usize) {
        for ((to, from), lookback) in
            (self.columns.iter_mut().zip(&from.columns)).zip(self.lookback)
        {
            let size = capacity(lookback);
            to[..size].copy_from_slice(&from[lane * size..][..size]);
        }
        self.lanes[0] = from.lanes[lane];
    }

    /// Writes one lane, whatever its place in memory.
    pub(crate) fn save(&self, lane: usize, writer: &mut Writer) {
        let at = &self.lanes[lane];
        writer.u64(at.bars_seen);
        writer.i64(at.last_open_time_ns);
        for (column, lookback) in self.columns.iter().zip(self.lookback) {
            let end = lane * capacity(lookback) + lookback + at.appended;
            writer.floats(
                &column[if lookback == 0 {
                    0..0
                } else {
                    end - held(lookback, at.bars_seen)..end
                }],
            );
        }
    }

    /// Reads what `save` wrote into a lane.
    pub(crate) fn load(
        &mut self,
        lane: usize,
        reader: &mut Reader<'_>,
    ) -> Result<(), SnapshotError> {
        self.lanes[lane] = Lane {
            bars_seen: reader.u64()?,
            last_open_time_ns: reader.i64()?,
            appended: lane % SLACK,
        };
        let at = &self.lanes[lane];
        for (column, lookback) in self.columns.iter_mut().zip(self.lookback) {
            if lookback > 0 {
                let end = lane * capacity(lookback) + lookback + at.appended;
                reader.floats(&mut column[end - held(lookback, at.bars_seen)..end])?;
            }
        }
        Ok(())
    }

    /// What kernels see at the newest bar, which must be `bar`.
    pub(crate) fn frame(&self, lane: usize, bar: &Bar) -> Frame<'_> {
        let at = &self.lanes[lane];
        let windows = std::array::from_fn(|column| {
            let lookback = self.lookback[column];
            if lookback == 0 {
                return &[][..];
            }
            let end = lane * capacity(lookback) + lookback + at.appended;
            &self.columns[column][end - held(lookback, at.bars_seen)..end]
        });
        Frame::new(*bar, windows)
    }
}

/// What [`History::push`] replaced.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Undo {
    bars_seen: u64,
    last_open_time_ns: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(i: i32) -> Bar {
        let close = f64::from(i);
        Bar {
            open_time_ns: i64::from(i),
            open: close,
            high: close,
            low: close,
            close,
            volume: close,
        }
    }

    impl History {
        fn push(&mut self, lane: usize, bar: &Bar) -> Undo {
            let undo = self.count(lane, bar);
            self.append(lane, bar);
            undo
        }
    }

    #[test]
    fn windows_are_chronological_at_every_fill() {
        let mut history = History::new(
            Lookback::of(Column::Close, 5).and(Lookback::of(Column::High, 40)),
            3,
        );
        for i in 0..200 {
            for lane in 0..3 {
                history.push(lane, &bar(i));
                for (bars, window) in [(5, Frame::closes as fn(&_, _) -> _), (40, Frame::highs)] {
                    let frame = history.frame(lane, &bar(i));
                    let expected: Vec<f64> = (i + 1 - bars..=i).map(f64::from).collect();
                    let full = window(&frame, usize::try_from(bars).unwrap());
                    assert_eq!(
                        full,
                        (i + 1 >= bars).then_some(&expected[..]),
                        "lane {lane} bar {i}"
                    );
                }
            }
        }
    }

    #[test]
    fn undo_leaves_the_window_as_it_was() {
        let mut history = History::new(Lookback::of(Column::Close, 4), 1);
        for i in 0..100 {
            history.push(0, &bar(i));
            let before = history.frame(0, &bar(i)).closes(4).map(<[f64]>::to_vec);
            let undo = history.push(0, &bar(-1));
            history.undo(0, undo);
            assert_eq!(
                history.frame(0, &bar(i)).closes(4).map(<[f64]>::to_vec),
                before
            );
            assert_eq!(history.last_open_time_ns(0), Some(i64::from(i)));
        }
    }
}
