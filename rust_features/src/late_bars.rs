//! Bars as they really arrive: twice, corrected, or late.

use std::collections::VecDeque;

use crate::bar::{Bar, InvalidBar};
use crate::series::Series;
use crate::snapshot::{Kind, Reader, SnapshotError, Writer};
use crate::spec::FeatureSpec;
use crate::streams::missing_bars;
use crate::timeframe::Timeframe;

/// What became of a bar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BarFate {
    /// It advanced the series.
    Accepted {
        /// Bars missing before it; zero when the bar interval is unknown.
        gap_bars: u64,
    },
    /// A bar with the same values is there already; nothing changed.
    Duplicate,
    /// It took the place of a bar with the same open time and other values.
    Replaced,
    /// It came late and was applied in its place.
    LateApplied,
    /// It came later than the window allows; nothing changed.
    TooLate,
    /// It makes no sense; nothing changed.
    Invalid(InvalidBar),
}

/// A series that puts late and corrected bars where they belong.
///
/// It holds the newest bars and the series as it was before them; a bar among them rolls back and replays.
#[derive(Debug, Clone)]
pub struct OrderedSeries {
    /// State before the first of `recent`.
    base: Packed,
    /// State after the last of `recent`.
    live: Series,
    recent: VecDeque<Bar>,
    late_window: usize,
    bar_interval_ns: Option<i64>,
}

/// Newest bars that room is made for at once; wider windows grow with what comes.
const RESERVED_BARS: usize = 64;

/// A series that is rarely stepped, as the content of its snapshot: without slack and scratch, two thirds of its size.
#[derive(Debug, Clone)]
struct Packed {
    content: Box<[u8]>,
    bars_seen: u64,
}

impl Packed {
    fn of(series: &Series, likely_bytes: usize) -> Self {
        let mut writer = Writer::bare(likely_bytes);
        series.save(&mut writer);
        Self {
            content: writer.into_content(),
            bars_seen: series.bars_seen(),
        }
    }

    fn unpack(&self, spec: &FeatureSpec) -> Series {
        let mut series = Series::new(spec);
        let loaded = series.load(&mut Reader::bare(&self.content));
        debug_assert!(loaded.is_ok(), "{loaded:?}");
        series
    }
}

impl OrderedSeries {
    /// An empty series that corrects its newest bar and accepts bars up to `late_window` bars late.
    pub fn new(spec: &FeatureSpec, late_window: usize) -> Self {
        let live = Series::new(spec);
        Self {
            base: Packed::of(&live, 0),
            live,
            recent: VecDeque::new(),
            late_window,
            bar_interval_ns: spec.timeframe().map(Timeframe::length_ns),
        }
    }

    /// Says how far apart bars open in a market without pauses, so that gaps can be counted.
    #[must_use]
    pub fn with_bar_interval_ns(mut self, bar_interval_ns: i64) -> Self {
        self.bar_interval_ns = (bar_interval_ns > 0).then_some(bar_interval_ns);
        self
    }

    /// The series after the newest bar.
    pub fn series(&self) -> &Series {
        &self.live
    }

    /// The newest bar.
    pub fn newest_bar(&self) -> Option<&Bar> {
        self.recent.back()
    }

    /// The series as bytes, its newest bars included.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut writer = Writer::new(Kind::OrderedSeries, self.live.spec());
        writer.u64(self.late_window as u64);
        writer.i64(self.bar_interval_ns.unwrap_or(0));
        writer.content(&self.base.content);
        writer.u64(self.recent.len() as u64);
        for bar in &self.recent {
            writer.bar(bar);
        }
        writer.finish()
    }

    /// The series of a snapshot: it continues with the bits of one that never stopped.
    ///
    /// # Errors
    /// Bytes that are damaged, or belong to something else; each error says what to do.
    pub fn restore(spec: &FeatureSpec, snapshot: &[u8]) -> Result<Self, SnapshotError> {
        let mut reader = Reader::open(snapshot, Kind::OrderedSeries, spec)?;
        let late_window = usize::try_from(reader.u64()?).unwrap_or(usize::MAX);
        let bar_interval_ns = reader.i64()?;
        let mut base = Series::new(spec);
        base.load(&mut reader)?;
        let bars = reader.count(8 * 6, "the number of bars")?;
        let packed = Packed::of(&base, 0);
        let mut live = base;
        let mut recent = VecDeque::with_capacity(bars);
        let mut scratch = vec![0.0; spec.len()];
        for _ in 0..bars {
            let bar = reader.bar()?;
            live.update(&bar, &mut scratch)
                .map_err(|_| SnapshotError::Content("the order of its bars"))?;
            recent.push_back(bar);
        }
        reader.finish()?;
        Ok(Self {
            base: packed,
            live,
            recent,
            late_window,
            bar_interval_ns: (bar_interval_ns > 0).then_some(bar_interval_ns),
        })
    }

    /// Takes a bar. When the series changed, `out` holds the features of its newest bar; else `out` is untouched.
    ///
    /// `out` must hold one value per feature; otherwise it stays untouched while the bar is applied.
    pub fn apply(&mut self, bar: &Bar, out: &mut [f64]) -> BarFate {
        if let Err(reason) = bar.check() {
            return BarFate::Invalid(reason);
        }
        // Bars at or after this position are newer than the bar.
        let position = self
            .recent
            .partition_point(|held| held.open_time_ns < bar.open_time_ns);
        match self.recent.get(position) {
            None => self.append(*bar, out),
            Some(held) if held.open_time_ns == bar.open_time_ns => {
                if held == bar {
                    return BarFate::Duplicate;
                }
                // Correcting the newest bar is always possible: it is held even when the window is zero.
                if self.recent.len() - 1 - position > self.late_window {
                    return BarFate::TooLate;
                }
                self.recent[position] = *bar;
                self.replay(out);
                BarFate::Replaced
            }
            Some(_) => {
                let bars_late = self.recent.len() - position;
                if bars_late > self.late_window || (position == 0 && self.base.bars_seen > 0) {
                    return BarFate::TooLate;
                }
                self.recent.insert(position, *bar);
                self.replay(out);
                BarFate::LateApplied
            }
        }
    }

    fn append(&mut self, bar: Bar, out: &mut [f64]) -> BarFate {
        let gap_bars = match (self.recent.back(), self.bar_interval_ns) {
            (Some(last), Some(interval)) => {
                missing_bars(last.open_time_ns, bar.open_time_ns, interval)
            }
            _ => 0,
        };
        advance(&mut self.live, &bar, out);
        // One bar more than the window, so that a bar exactly `late_window` late has its place; and a batch of slack.
        let held = self.late_window.saturating_add(1);
        let most = held.saturating_add(self.late_window.max(4));
        if self.recent.len() == self.recent.capacity() && most < RESERVED_BARS {
            // Doubling as it grows would hold nearly twice what is ever needed, for every series.
            let more = (most + 1).saturating_sub(self.recent.len());
            self.recent.reserve_exact(more);
        }
        self.recent.push_back(bar);
        if self.recent.len() > most {
            let mut scratch = vec![0.0; self.live.spec().len()];
            let mut base = self.base.unpack(self.live.spec());
            while self.recent.len() > held {
                if let Some(oldest) = self.recent.pop_front() {
                    advance(&mut base, &oldest, &mut scratch);
                }
            }
            self.base = Packed::of(&base, self.base.content.len());
        }
        BarFate::Accepted { gap_bars }
    }

    fn replay(&mut self, out: &mut [f64]) {
        self.live = self.base.unpack(self.live.spec());
        let mut scratch = vec![0.0; self.live.spec().len()];
        for bar in &self.recent {
            advance(&mut self.live, bar, &mut scratch);
        }
        if out.len() == scratch.len() {
            out.copy_from_slice(&scratch);
        }
    }
}

/// Applies a bar that was checked and is newer than the series.
fn advance(series: &mut Series, bar: &Bar, out: &mut [f64]) {
    if series.update(bar, out).is_err() {
        let mut scratch = vec![0.0; series.spec().len()];
        let applied = series.update(bar, &mut scratch);
        debug_assert!(applied.is_ok(), "{applied:?}");
    }
}
