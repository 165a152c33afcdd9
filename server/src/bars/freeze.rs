//! Copies the state of the bar path for a snapshot, and takes it up again.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    hub::Signal,
    image::{SeriesImage, SignalImage, StateImage, VersionPool, Versions},
    outcomes::Outcome,
    pipeline::Pipeline,
};

impl Pipeline {
    /// The state after the newest bar of the journal, and that bar's sequence. Bars wait meanwhile.
    pub async fn image(&self) -> (u64, StateImage) {
        let _calm = self.calm.write().await;
        let sequence = self
            .journal
            .get()
            .map_or(0, |journal| journal.order().sequence() - 1);
        let versions = Versions::of(&self.registry);
        let pools = versions.all().map(|(version, model)| VersionPool {
            version: Some(version.clone()),
            pool: Some(model.band.lock().image()),
        });
        let (ring, head) = self.hub.held();
        let mut signals: BTreeMap<u64, Arc<Signal>> = ring
            .iter()
            .map(|signal| (signal.sequence, Arc::clone(signal)))
            .collect();
        let series = self.series.images(|signal| {
            signals.insert(signal.sequence, Arc::clone(signal));
        });
        let image = StateImage {
            series,
            pools: pools.collect(),
            outcomes: self.outcomes.images(),
            signals: signals
                .values()
                .map(|signal| SignalImage::of(signal))
                .collect(),
            head,
            ring: ring.len() as u64,
        };
        (sequence, image)
    }

    /// Takes the state of a snapshot and its series, before the first bar. After an error nothing of it is left.
    ///
    /// # Errors
    /// It needs a version that is not loaded, or is broken.
    pub fn restore(
        &self,
        image: StateImage,
        series: impl Iterator<Item = Result<SeriesImage, String>>,
    ) -> Result<(), String> {
        let versions = Versions::of(&self.registry);
        self.try_restore(image, series, &versions).inspect_err(|_| {
            self.series.clear();
        })
    }

    fn try_restore(
        &self,
        image: StateImage,
        series: impl Iterator<Item = Result<SeriesImage, String>>,
        versions: &Versions,
    ) -> Result<(), String> {
        let (head, in_ring) = (image.head, image.ring as usize);
        let mut ring = Vec::with_capacity(image.signals.len());
        for signal in image.signals {
            ring.push(Arc::new(signal.restore(versions)?));
        }
        let by_sequence: HashMap<u64, Arc<Signal>> = ring
            .iter()
            .map(|signal| (signal.sequence, Arc::clone(signal)))
            .collect();
        let outcomes: Vec<Outcome> = image
            .outcomes
            .into_iter()
            .map(|outcome| outcome.restore(versions))
            .collect::<Result<_, _>>()?;
        let mut pools = Vec::new();
        for held in image.pools {
            let model = versions.find(held.version.as_ref())?;
            pools.push((model, held.pool.ok_or("a pool without its state")?));
        }
        self.series.restore(series, versions, &by_sequence)?;
        // Nothing fails from here on.
        for (model, pool) in pools {
            model.band.lock().restore(pool);
        }
        for outcome in outcomes {
            self.outcomes.push(outcome);
        }
        let older = ring.len().saturating_sub(in_ring);
        self.hub.restore(ring.split_off(older), head);
        Ok(())
    }
}
