//! Specs that ship with the crate, as JSON files beside this one.

use crate::spec::FeatureSpec;
use crate::spec_error::SpecError;

/// A spec that ships with the crate: what its name and version mean never changes, as its hash tells.
///
/// Other features or other parameters are a new version; the old one stays, for models that were trained with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Preset {
    /// Name in [`FeatureSpec::preset`].
    pub name: &'static str,
    /// Counted from 1.
    pub version: u32,
    /// The spec's hash, as hexadecimal.
    pub hash: &'static str,
    json: &'static str,
}

/// Every preset, older versions of a name before newer ones.
const PRESETS: &[Preset] = &[
    Preset {
        name: "core",
        version: 1,
        hash: "8e8628ef85ef68060a4195be6982c6983983eb9893353d4f8a6d878d53b35ab6",
        json: include_str!("core.json"),
    },
    Preset {
        name: "standard",
        version: 1,
        hash: "c5964920f9529ea21cda13214b90ea3268640814dbdd6156aae9c77dc81e65aa",
        json: include_str!("standard.json"),
    },
    Preset {
        name: "full",
        version: 1,
        hash: "f746db0b09708e3cd288cafd484f8c6c8133863f38f1eeac3afe7b2bf2e75cb2",
        json: include_str!("full.json"),
    },
    Preset {
        name: "extended",
        version: 1,
        hash: "4f1f1e8d643d236ee978d2bb059731efd4bc8828290d77db1de50210d51fd75d",
        json: include_str!("extended.json"),
    },
];

/// Every preset, older versions of a name before newer ones.
pub fn presets() -> impl Iterator<Item = &'static Preset> {
    PRESETS.iter()
}

/// Names of the specs that ship with the crate, each once.
pub fn preset_names() -> impl Iterator<Item = &'static str> {
    PRESETS
        .iter()
        .filter(|preset| preset.version == 1)
        .map(|preset| preset.name)
}

impl Preset {
    /// The newest preset of a name, or the one of `name@version`.
    pub(crate) fn find(asked: &str) -> Option<&'static Self> {
        let (name, version) = match asked.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (asked, None),
        };
        let mut versions = PRESETS.iter().filter(|preset| preset.name == name);
        match version {
            Some(version) => versions.find(|preset| preset.version.to_string() == version),
            None => versions.next_back(),
        }
    }
}

impl std::fmt::Display for Preset {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}@{}", self.name, self.version)
    }
}

impl FeatureSpec {
    /// A spec that ships with the crate: the newest version of a name, or the one of `name@version`; see [`presets`].
    ///
    /// # Errors
    /// No preset of that name, or not of that version.
    pub fn preset(name: &str) -> Result<Self, SpecError> {
        match Preset::find(name) {
            Some(preset) => Self::from_json(preset.json),
            None => Err(SpecError::UnknownPreset {
                name: name.to_owned(),
                known: presets()
                    .map(Preset::to_string)
                    .collect::<Vec<_>>()
                    .join(", "),
            }),
        }
    }

    /// The preset that these features are, if they are one.
    pub fn known_as(&self) -> Option<&'static Preset> {
        let hash = self.hash().to_string();
        PRESETS.iter().find(|preset| preset.hash == hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_of_most_presets_need_no_history_beside_their_rows() {
        for preset in presets() {
            let spec = FeatureSpec::preset(preset.name).ok();
            let suffice = spec.map(|spec| spec.plan().rows_suffice);
            assert_eq!(suffice, Some(preset.name != "extended"), "{preset}");
        }
    }
}
