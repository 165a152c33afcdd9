//! Computes logged decisions again and compares them bit for bit.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use serde::Serialize;

use super::{
    decisions::{DecisionRecord, pack},
    scores::ScoreRecord,
    segments::read,
    writer::signal_name,
};
use crate::{
    models::{bundle::Bundle, golden},
    scoring::{
        band::IssuedBand,
        engine::{Engine, EngineLoader, ModelFile, RowScore},
    },
};

/// Differences told one by one; the rest is only counted.
const TOLD: usize = 20;

/// What replaying found.
#[derive(Debug, Default, Serialize)]
pub struct Audit {
    /// Decisions in the log.
    pub decisions: usize,
    /// Those that came out the same, bit for bit.
    pub identical: usize,
    /// Those whose model version the store does not hold.
    pub without_model: usize,
    /// Segments whose end is torn.
    pub torn_segments: usize,
    /// The first differences, a line each.
    pub differences: Vec<String>,
}

/// Replays every decision of the journal in `folder` with the versions in `store`.
///
/// # Errors
/// The journal cannot be read; the message is one line.
pub fn replay_decisions(
    store: &Path,
    folder: &Path,
    engines: &Arc<dyn EngineLoader>,
) -> Result<Audit, String> {
    let unreadable = |error| format!("journal: {}: {error}", folder.display());
    let bars = read::<DecisionRecord>(folder).map_err(unreadable)?;
    let scores = read::<ScoreRecord>(folder).map_err(unreadable)?;
    let mut audit = Audit {
        decisions: bars.records.len() + scores.records.len(),
        torn_segments: bars.torn.len() + scores.torn.len(),
        ..Audit::default()
    };
    let mut versions: BTreeMap<(String, u64), Vec<DecisionRecord>> = BTreeMap::new();
    let scores = scores.records.into_iter().map(|record| record.0);
    for record in bars.records.into_iter().chain(scores) {
        let key = (record.model.clone(), record.version);
        versions.entry(key).or_default().push(record);
    }
    for ((model, version), records) in versions {
        let mut replayer = match Replayer::load(store, &model, version, engines) {
            Ok(replayer) => replayer,
            Err(problem) => {
                audit.without_model += records.len();
                audit.tell(format!("{model} {version}: {problem}"));
                continue;
            }
        };
        for record in &records {
            match replayer.replay(record) {
                Ok(()) => audit.identical += 1,
                Err(difference) => audit.tell(format!(
                    "decision {} ({} at {}): {difference}",
                    record.decision_id, record.symbol, record.bar_open_time_ns
                )),
            }
        }
    }
    Ok(audit)
}

impl Audit {
    fn tell(&mut self, difference: String) {
        if self.differences.len() < TOLD {
            self.differences.push(difference);
        }
    }
}

struct Replayer {
    bundle: Bundle,
    engine: Box<dyn Engine>,
}

impl Replayer {
    fn load(
        store: &Path,
        model: &str,
        version: u64,
        engines: &Arc<dyn EngineLoader>,
    ) -> Result<Self, String> {
        let folder = store.join(model).join(version.to_string());
        let bundle = Bundle::read(&folder, model, version).map_err(|error| error.to_string())?;
        let golden = golden::read(&bundle).map_err(|error| error.to_string())?;
        let file = ModelFile {
            bytes: &bundle.onnx,
            features: bundle.spec.len(),
            layout: bundle.layout(),
            sample: &golden.features,
        };
        let engine = engines
            .load(file, 1)
            .map_err(|error| error.to_string())?
            .pop()
            .ok_or("no engine")?;
        Ok(Self { bundle, engine })
    }

    fn replay(&mut self, record: &DecisionRecord) -> Result<(), String> {
        let manifest = &self.bundle.manifest;
        if record.onnx_sha256 != manifest.onnx.sha256 {
            return Err(format!(
                "onnx_sha256 is {}, the store's is {}",
                record.onnx_sha256, manifest.onnx.sha256
            ));
        }
        let (words, _) = record.features.as_chunks::<4>();
        let features: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
        let layout = self.bundle.layout();
        let mut scores = vec![0.0; layout.width()];
        self.engine
            .score(&features, 1, &mut scores)
            .map_err(|error| error.to_string())?;
        if pack(&scores) != record.scores {
            return Err("scores differ".into());
        }
        let row = RowScore::new(layout, &scores);
        let band = IssuedBand::widen(
            row.band_low(),
            row.band_mid(),
            row.band_high(),
            record.width_multiplier,
        );
        if pack(&[band.low, band.mid, band.high]) != record.band {
            return Err("band differs".into());
        }
        let probability =
            |class: usize| row.probabilities().get(class).copied().unwrap_or(f32::NAN);
        let verdict = manifest
            .policy
            .judge(probability(self.bundle.up), probability(self.bundle.down));
        let same = signal_name(verdict.signal) == record.signal
            && f64::from(verdict.confidence).to_bits() == record.confidence.to_bits();
        if same {
            Ok(())
        } else {
            Err(format!(
                "signal is {}, the log says {}",
                signal_name(verdict.signal),
                record.signal
            ))
        }
    }
}
