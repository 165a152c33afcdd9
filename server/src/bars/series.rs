//! The series that the server follows, sharded by symbol: no lock is shared by all.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use candlewire_features::{Bar, BarFate, FeatureSpec, FeatureSpecHash, OrderedSeries};
use parking_lot::{Mutex, MutexGuard};

use super::{
    admission::Timeframe,
    hub::Signal,
    image::{FeaturesImage, SeriesImage, Versions, timeframe},
    outcomes::OpenScores,
    regime,
};

const SHARDS: usize = 64;

/// State of one series.
pub struct SeriesState {
    timeframe: Timeframe,
    /// Features, once a distinct spec.
    features: Vec<(FeatureSpecHash, OrderedSeries)>,
    /// Scores that wait for their outcome.
    pub open_scores: OpenScores,
    /// The newest signal.
    pub latest: Option<Arc<Signal>>,
}

impl SeriesState {
    /// Applies a bar to the features of `spec`. When the series changed, `row` holds the features of its newest bar,
    /// which is returned with the bar's fate.
    pub fn apply(
        &mut self,
        spec: &FeatureSpec,
        bar: &Bar,
        late_window: usize,
        trades_always: bool,
        row: &mut [f64],
    ) -> (BarFate, Option<Bar>) {
        let hash = *spec.hash();
        let position = self
            .features
            .iter()
            .position(|(held, _)| *held == hash)
            .unwrap_or_else(|| {
                let series = OrderedSeries::new(spec, late_window);
                // Elsewhere a gap may be a night, a weekend or a holiday.
                let interval = self.timeframe.length_ns().filter(|_| trades_always);
                let series = match interval {
                    Some(interval) => series.with_bar_interval_ns(interval),
                    None => series,
                };
                self.features.push((hash, series));
                self.features.len() - 1
            });
        let Some((_, series)) = self.features.get_mut(position) else {
            return (BarFate::TooLate, None);
        };
        let fate = series.apply(bar, row);
        (fate, series.newest_bar().copied())
    }

    /// Forgets features of specs that nothing deployed needs.
    pub fn keep_specs(&mut self, needed: &[FeatureSpecHash]) {
        self.features.retain(|(hash, _)| needed.contains(hash));
    }
}

type Shard = HashMap<String, Vec<SeriesState>>;

/// All series.
pub struct SeriesBook {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    count: AtomicUsize,
    limit: usize,
}

impl SeriesBook {
    /// An empty book for up to `limit` series.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            count: AtomicUsize::new(0),
            limit,
        }
    }

    /// Series held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// True before the first bar.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Runs `work` on a series, which is made when new; `None` when the book is full.
    pub fn with<T>(
        &self,
        symbol: &str,
        timeframe: Timeframe,
        work: impl FnOnce(&mut SeriesState) -> T,
    ) -> Option<T> {
        let mut shard = self.shard(symbol)?;
        if !shard.contains_key(symbol) {
            shard.insert(symbol.to_owned(), Vec::new());
        }
        let series = shard.get_mut(symbol)?;
        let position = match series.iter().position(|state| state.timeframe == timeframe) {
            Some(position) => position,
            None if self.count.fetch_add(1, Ordering::Relaxed) >= self.limit => {
                self.count.fetch_sub(1, Ordering::Relaxed);
                if series.is_empty() {
                    shard.remove(symbol);
                }
                return None;
            }
            None => {
                series.push(SeriesState {
                    timeframe,
                    features: Vec::new(),
                    open_scores: OpenScores::default(),
                    latest: None,
                });
                series.len() - 1
            }
        };
        series.get_mut(position).map(work)
    }

    /// Every series, for a snapshot; `seen` is given the newest signal of each.
    pub fn images(&self, mut seen: impl FnMut(&Arc<Signal>)) -> Vec<SeriesImage> {
        let mut images = Vec::with_capacity(self.len());
        for shard in &self.shards {
            for (symbol, series) in shard.lock().iter() {
                for state in series {
                    let features = state.features.iter().map(|(hash, series)| FeaturesImage {
                        spec_hash: hash.to_string(),
                        snapshot: series.snapshot().into(),
                    });
                    let mut image = SeriesImage {
                        symbol: symbol.clone(),
                        timeframe: state.timeframe.as_str().to_owned(),
                        features: features.collect(),
                        latest: state.latest.as_ref().map_or(0, |signal| signal.sequence),
                        ..SeriesImage::default()
                    };
                    state.open_scores.save(&mut image);
                    if let Some(latest) = &state.latest {
                        seen(latest);
                    }
                    images.push(image);
                }
            }
        }
        images
    }

    /// Takes the series of a snapshot in, instead of what is here.
    ///
    /// # Errors
    /// A part is missing, or belongs to a spec or version that is not loaded.
    pub fn restore(
        &self,
        images: impl Iterator<Item = Result<SeriesImage, String>>,
        versions: &Versions,
        signals: &HashMap<u64, Arc<Signal>>,
    ) -> Result<(), String> {
        let specs: HashMap<String, &FeatureSpec> = versions
            .all()
            .map(|(_, model)| &model.spec)
            .chain(regime::spec())
            .map(|spec| (spec.hash().to_string(), spec))
            .collect();
        for image in images {
            let image = image?;
            let mut features = Vec::with_capacity(image.features.len());
            for held in &image.features {
                let spec = specs.get(&held.spec_hash).ok_or_else(|| {
                    format!("no loaded version has the feature spec {}", held.spec_hash)
                })?;
                let series = OrderedSeries::restore(spec, &held.snapshot)
                    .map_err(|error| format!("{}: {error}", image.symbol))?;
                features.push((*spec.hash(), series));
            }
            let state = SeriesState {
                timeframe: timeframe(&image.timeframe)?,
                features,
                open_scores: OpenScores::load(&image, versions)?,
                latest: signals.get(&image.latest).cloned(),
            };
            let held = self.with(&image.symbol, state.timeframe, |held| *held = state);
            held.ok_or("there are more series than this server may hold")?;
        }
        Ok(())
    }

    /// Forgets every series.
    pub fn clear(&self) {
        for shard in &self.shards {
            shard.lock().clear();
        }
        self.count.store(0, Ordering::Relaxed);
    }

    /// The newest signals of `symbols` (all when empty) at `timeframe` (all when `None`), and the symbols not seen.
    #[must_use]
    pub fn latest(
        &self,
        symbols: &[String],
        timeframe: Option<Timeframe>,
    ) -> (Vec<Arc<Signal>>, Vec<String>) {
        let mut signals = Vec::new();
        let mut unknown = Vec::new();
        let mut collect = |series: &[SeriesState]| {
            let wanted = series
                .iter()
                .filter(|state| timeframe.is_none_or(|timeframe| state.timeframe == timeframe));
            let before = signals.len();
            signals.extend(wanted.filter_map(|state| state.latest.clone()));
            signals.len() > before
        };
        if symbols.is_empty() {
            for shard in &self.shards {
                for series in shard.lock().values() {
                    collect(series);
                }
            }
        }
        for symbol in symbols {
            let seen = self
                .shard(symbol)
                .and_then(|shard| shard.get(symbol).map(|series| collect(series)));
            if seen != Some(true) {
                unknown.push(symbol.clone());
            }
        }
        signals.sort_by(|a, b| (&a.symbol, a.timeframe).cmp(&(&b.symbol, b.timeframe)));
        (signals, unknown)
    }

    fn shard(&self, symbol: &str) -> Option<MutexGuard<'_, Shard>> {
        let index = self.hasher.hash_one(symbol) as usize % SHARDS;
        self.shards.get(index).map(Mutex::lock)
    }
}
