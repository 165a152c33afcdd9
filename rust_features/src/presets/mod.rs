//! Specs that ship with the crate, as JSON files beside this one.

/// Name and text of each preset.
pub(crate) const PRESETS: &[(&str, &str)] = &[
    ("core", include_str!("core.json")),
    ("standard", include_str!("standard.json")),
    ("full", include_str!("full.json")),
    ("extended", include_str!("extended.json")),
];

/// Text of a preset.
pub(crate) fn json(name: &str) -> Option<&'static str> {
    PRESETS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
}
