//! What happened after each score: kept a series until it is known, then in a log of the newest.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;

use super::{
    admission::Timeframe,
    image::{OutcomeImage, PendingImage, SeriesImage, VersionImage, Versions},
};
use crate::{
    models::loaded::LoadedModel,
    scoring::band::{BandOutcome, IssuedBand},
};

/// What happened `horizon` bars after one score.
#[derive(Clone)]
pub struct Outcome {
    /// Symbol.
    pub symbol: String,
    /// Timeframe.
    pub timeframe: Timeframe,
    /// The version that scored.
    pub model: Arc<LoadedModel>,
    /// Open time of the bar scored.
    pub bar_open_time_ns: i64,
    /// Open time of the bar whose close realised it.
    pub realised_open_time_ns: i64,
    /// P(up) as issued.
    pub probability_up: f32,
    /// Band as issued.
    pub band: IssuedBand,
    /// Natural log return over the horizon.
    pub realised_return: f64,
    /// Whether the band held it.
    pub covered: bool,
}

/// The newest outcomes of all series.
pub struct OutcomeLog {
    kept: usize,
    outcomes: Mutex<VecDeque<Outcome>>,
}

impl OutcomeLog {
    /// A log of the newest `kept` outcomes.
    #[must_use]
    pub fn new(kept: usize) -> Self {
        Self {
            kept,
            outcomes: Mutex::new(VecDeque::new()),
        }
    }

    /// Adds one.
    pub fn push(&self, outcome: Outcome) {
        let mut outcomes = self.outcomes.lock();
        if outcomes.len() >= self.kept.max(1) {
            outcomes.pop_front();
        }
        outcomes.push_back(outcome);
    }

    /// All of them, oldest first, for a snapshot.
    #[must_use]
    pub fn images(&self) -> Vec<OutcomeImage> {
        self.outcomes.lock().iter().map(OutcomeImage::of).collect()
    }

    /// The newest `limit` of `symbols` (all when empty), newest first.
    #[must_use]
    pub fn newest(&self, symbols: &[String], limit: usize) -> Vec<Outcome> {
        let outcomes = self.outcomes.lock();
        let wanted = outcomes
            .iter()
            .rev()
            .filter(|outcome| symbols.is_empty() || symbols.contains(&outcome.symbol));
        wanted.take(limit).cloned().collect()
    }
}

/// A score whose outcome is not known yet.
struct Pending {
    bar_open_time_ns: i64,
    model: Arc<LoadedModel>,
    band: IssuedBand,
    probability_up: f32,
}

/// Closes and open scores of one series.
#[derive(Default)]
pub struct OpenScores {
    /// Time and close of the newest bars, oldest first.
    closes: VecDeque<(i64, f64)>,
    pending: VecDeque<Pending>,
}

impl OpenScores {
    /// Writes itself into the image of its series.
    pub fn save(&self, image: &mut SeriesImage) {
        (image.close_times_ns, image.closes) = self.closes.iter().copied().unzip();
        let pending = self.pending.iter().map(|pending| PendingImage {
            bar_open_time_ns: pending.bar_open_time_ns,
            version: Some(VersionImage::of(&pending.model)),
            band: Some(pending.band.into()),
            probability_up: pending.probability_up,
        });
        image.pending = pending.collect();
    }

    /// Reads itself from the image of its series.
    ///
    /// # Errors
    /// A score's version is not loaded, or a part is missing.
    pub fn load(image: &SeriesImage, versions: &Versions) -> Result<Self, String> {
        let pending = image.pending.iter().map(|pending| {
            Ok(Pending {
                bar_open_time_ns: pending.bar_open_time_ns,
                model: Arc::clone(versions.find(pending.version.as_ref())?),
                band: pending.band.ok_or("a score without its band")?.into(),
                probability_up: pending.probability_up,
            })
        });
        let closes = image.close_times_ns.iter().zip(&image.closes);
        Ok(Self {
            closes: closes.map(|(time, close)| (*time, *close)).collect(),
            pending: pending.collect::<Result<_, String>>()?,
        })
    }

    /// Takes in a bar's close (new, corrected or late) and gives the outcomes that it makes known.
    pub fn record_close(
        &mut self,
        symbol: &str,
        timeframe: Timeframe,
        (open_time_ns, close): (i64, f64),
        late_window: usize,
        mut realised: impl FnMut(Outcome),
    ) {
        let position = self
            .closes
            .partition_point(|(time, _)| *time < open_time_ns);
        match self.closes.get_mut(position) {
            Some((time, held)) if *time == open_time_ns => *held = close,
            _ => self.closes.insert(position, (open_time_ns, close)),
        }
        while let Some(outcome) = self.realise_front(symbol, timeframe) {
            realised(outcome);
        }
        let needed_from = self
            .pending
            .front()
            .map_or(i64::MAX, |pending| pending.bar_open_time_ns);
        while self.closes.len() > late_window + 2
            && self
                .closes
                .front()
                .is_some_and(|(time, _)| *time < needed_from)
        {
            self.closes.pop_front();
        }
    }

    /// Remembers a score until its outcome is known; a second score of the same bar replaces the first.
    pub fn record_score(
        &mut self,
        bar_open_time_ns: i64,
        model: &Arc<LoadedModel>,
        band: IssuedBand,
        probability_up: f32,
    ) {
        let position = self
            .pending
            .partition_point(|pending| pending.bar_open_time_ns < bar_open_time_ns);
        let pending = Pending {
            bar_open_time_ns,
            model: Arc::clone(model),
            band,
            probability_up,
        };
        match self.pending.get_mut(position) {
            Some(held) if held.bar_open_time_ns == bar_open_time_ns => *held = pending,
            _ => self.pending.insert(position, pending),
        }
    }

    fn realise_front(&mut self, symbol: &str, timeframe: Timeframe) -> Option<Outcome> {
        let front = self.pending.front()?;
        let issued_at = self
            .closes
            .partition_point(|(time, _)| *time < front.bar_open_time_ns);
        let (time, issued_close) = *self.closes.get(issued_at)?;
        if time != front.bar_open_time_ns {
            // The bar of the score is no longer held; its outcome cannot be known.
            self.pending.pop_front();
            return self.realise_front(symbol, timeframe);
        }
        let (realised_open_time_ns, realised_close) = *self
            .closes
            .get(issued_at + front.model.manifest.horizon_bars as usize)?;
        let pending = self.pending.pop_front()?;
        let realised_return = (realised_close / issued_close).ln();
        let covered = pending.band.covers(realised_return);
        pending.model.band.lock().realise(&BandOutcome {
            symbol,
            realised_open_time_ns,
            covered,
            probability_up: pending.probability_up,
            went_up: realised_return > 0.0,
        });
        Some(Outcome {
            symbol: symbol.to_owned(),
            timeframe,
            model: pending.model,
            bar_open_time_ns: pending.bar_open_time_ns,
            realised_open_time_ns,
            probability_up: pending.probability_up,
            band: pending.band,
            realised_return,
            covered,
        })
    }
}
