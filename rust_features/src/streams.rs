//! Every feature of a spec for many series: the bars' own timeframe, the longer ones, and gaps between bars.

use crate::bar::{Bar, InvalidBar};
use crate::lanes::{Lanes, Mode};
use crate::snapshot::{Reader, SnapshotError, Writer};
use crate::spec::{FeatureSpec, GapPolicy, Higher};
use crate::timeframe::Resampler;

/// What there is to say about a bar; silence means it was simply applied.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Report {
    /// It changed nothing.
    Refused(InvalidBar),
    /// It was applied, and bars are missing before it.
    AfterGap,
    /// Too many bars are missing before it: its series started anew.
    ResetAfterGap,
}

/// Memory of some series.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    base: Lanes,
    higher: Vec<HigherStreams>,
}

/// Memory of one longer timeframe.
#[derive(Debug, Clone)]
struct HigherStreams {
    lanes: Lanes,
    resamplers: Vec<Resampler>,
    /// Features of the newest closed bar of each series.
    visible: Vec<f64>,
}

impl Streams {
    pub(crate) fn new(spec: &FeatureSpec, lanes: usize) -> Self {
        let higher = spec.higher().iter().map(|longer| HigherStreams {
            lanes: Lanes::new(&longer.plan, lanes),
            resamplers: vec![longer.resampler; lanes],
            visible: vec![f64::NAN; lanes * longer.columns.len()],
        });
        Self {
            base: Lanes::new(spec.plan(), lanes),
            higher: higher.collect(),
        }
    }

    /// The bars' own timeframe.
    pub(crate) fn base(&self) -> &Lanes {
        &self.base
    }

    /// As [`Streams::base`].
    pub(crate) fn base_mut(&mut self) -> &mut Lanes {
        &mut self.base
    }

    pub(crate) fn len(&self) -> usize {
        self.base.len()
    }

    pub(crate) fn bars_seen(&self, lane: usize) -> u64 {
        self.base.bars_seen(lane)
    }

    /// Appends one empty series.
    pub(crate) fn add(&mut self, spec: &FeatureSpec) {
        self.base.add(spec.plan());
        for (streams, longer) in self.higher.iter_mut().zip(spec.higher()) {
            streams.lanes.add(&longer.plan);
            streams.resamplers.push(longer.resampler);
            let lanes = streams.resamplers.len();
            streams
                .visible
                .resize(lanes * longer.columns.len(), f64::NAN);
        }
    }

    /// Makes a series as if it had seen no bar.
    pub(crate) fn reset(&mut self, spec: &FeatureSpec, lane: usize) {
        self.base.reset(spec.plan(), lane);
        for (streams, longer) in self.higher.iter_mut().zip(spec.higher()) {
            streams.lanes.reset(&longer.plan, lane);
            streams.resamplers[lane].reset();
            let width = longer.columns.len();
            streams.visible[lane * width..][..width].fill(f64::NAN);
        }
    }

    /// A copy of one series alone.
    pub(crate) fn extract(&self, spec: &FeatureSpec, lane: usize) -> Self {
        let higher = self.higher.iter().zip(spec.higher());
        Self {
            base: self.base.extract(spec.plan(), lane),
            higher: higher
                .map(|(streams, longer)| {
                    let width = longer.columns.len();
                    HigherStreams {
                        lanes: streams.lanes.extract(&longer.plan, lane),
                        resamplers: vec![streams.resamplers[lane]],
                        visible: streams.visible[lane * width..][..width].to_vec(),
                    }
                })
                .collect(),
        }
    }

    /// Steps `lanes[i]` by `bars[i]` and writes row `i` of `out`; a refused bar gives a row of NaN.
    ///
    /// `out` holds one row of features for each bar; lanes may repeat, in order of time.
    pub(crate) fn step(
        &mut self,
        spec: &FeatureSpec,
        mode: Mode,
        (lanes, bars): (&[usize], &[Bar]),
        out: &mut [f64],
        report: &mut dyn FnMut(usize, Report),
    ) {
        let gaps_matter = spec.gap() != GapPolicy::Skip;
        if self.higher.is_empty() && !gaps_matter {
            // The usual case.
            let batch = (lanes, bars);
            return (self.base).step(spec.plan(), mode, batch, out, |row, reason| {
                report(row, Report::Refused(reason));
            });
        }
        if mode == Mode::Peek {
            for (row, (lane, bar)) in lanes.iter().zip(bars).enumerate() {
                let cells = &mut out[row * spec.len()..][..spec.len()];
                let mut alone = self.extract(spec, *lane);
                let batch = (&[0][..], std::slice::from_ref(bar));
                alone.step(spec, Mode::Update, batch, cells, &mut |_, what| {
                    report(row, what);
                });
            }
            return;
        }
        // Whether a gap is there depends on the bar before, which must have been applied.
        if gaps_matter && !lanes.is_sorted_by(|earlier, later| earlier < later) {
            for (row, cells) in out.chunks_exact_mut(spec.len()).enumerate() {
                let batch = (&lanes[row..=row], &bars[row..=row]);
                self.step(spec, mode, batch, cells, &mut |_, what| report(row, what));
            }
            return;
        }
        if gaps_matter {
            for (row, (lane, bar)) in lanes.iter().zip(bars).enumerate() {
                match self.gap_before(spec, *lane, bar) {
                    Some(Report::ResetAfterGap) => {
                        self.reset(spec, *lane);
                        report(row, Report::ResetAfterGap);
                    }
                    Some(what) => report(row, what),
                    None => {}
                }
            }
        }
        let mut refused = Vec::new();
        (self.base).step(spec.plan(), mode, (lanes, bars), out, |row, reason| {
            refused.push(row);
            report(row, Report::Refused(reason));
        });
        for (streams, longer) in self.higher.iter_mut().zip(spec.higher()) {
            for (row, (lane, bar)) in lanes.iter().zip(bars).enumerate() {
                if refused.contains(&row) {
                    continue;
                }
                streams.advance(longer, *lane, bar);
                let width = longer.columns.len();
                let visible = &streams.visible[*lane * width..][..width];
                let cells = &mut out[row * spec.len()..][..spec.len()];
                for (column, value) in longer.columns.iter().zip(visible) {
                    cells[*column] = *value;
                }
            }
        }
    }

    fn gap_before(&self, spec: &FeatureSpec, lane: usize, bar: &Bar) -> Option<Report> {
        self.base.admit(lane, bar).ok()?;
        let missing = missing_bars(
            self.base.last_open_time_ns(lane)?,
            bar.open_time_ns,
            spec.timeframe()?.length_ns(),
        );
        match spec.gap() {
            GapPolicy::ResetAfter(most) if missing > most => Some(Report::ResetAfterGap),
            GapPolicy::Flag if missing > 0 => Some(Report::AfterGap),
            _ => None,
        }
    }

    /// Writes one series.
    pub(crate) fn save(&self, spec: &FeatureSpec, lane: usize, writer: &mut Writer) {
        self.base.save(spec.plan(), lane, writer);
        for (streams, longer) in self.higher.iter().zip(spec.higher()) {
            streams.lanes.save(&longer.plan, lane, writer);
            let width = longer.columns.len();
            writer.floats(&streams.visible[lane * width..][..width]);
            let resampler = &streams.resamplers[lane];
            writer.u64(u64::from(resampler.started) + 2 * u64::from(resampler.torn));
            writer.u64(u64::from(resampler.partial.is_some()));
            if let Some(partial) = &resampler.partial {
                writer.bar(partial);
            }
        }
    }

    /// Reads what `save` wrote into a series.
    pub(crate) fn load(
        &mut self,
        spec: &FeatureSpec,
        lane: usize,
        reader: &mut Reader<'_>,
    ) -> Result<(), SnapshotError> {
        self.base.load(spec.plan(), lane, reader)?;
        for (streams, longer) in self.higher.iter_mut().zip(spec.higher()) {
            streams.lanes.load(&longer.plan, lane, reader)?;
            let width = longer.columns.len();
            reader.floats(&mut streams.visible[lane * width..][..width])?;
            let resampler = &mut streams.resamplers[lane];
            let flags = reader.u64()?;
            (resampler.started, resampler.torn) = (flags & 1 != 0, flags & 2 != 0);
            resampler.partial = match reader.u64()? {
                0 => None,
                _ => Some(reader.bar()?),
            };
        }
        Ok(())
    }
}

impl HigherStreams {
    fn advance(&mut self, longer: &Higher, lane: usize, bar: &Bar) {
        let width = longer.columns.len();
        let visible = &mut self.visible[lane * width..][..width];
        for closed in self.resamplers[lane].push(bar).into_iter().flatten() {
            let batch = (&[lane][..], std::slice::from_ref(&closed));
            self.lanes
                .step(&longer.plan, Mode::Update, batch, visible, |_, _| {});
        }
    }
}

/// Bars that fit between two bars' open times.
pub(crate) fn missing_bars(last_ns: i64, next_ns: i64, length_ns: i64) -> u64 {
    let apart = next_ns.saturating_sub(last_ns) / length_ns.max(1);
    u64::try_from(apart - 1).unwrap_or(0)
}
