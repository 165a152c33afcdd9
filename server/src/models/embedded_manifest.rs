//! The manifest that a graph carries in its metadata, against the one beside it.
//!
//! The graph's bytes are held to their hash, so what the graph says of itself cannot have changed unseen;
//! `manifest.json` has nobody who holds it to anything. A digit that flipped in the band's target or in a threshold would
//! be served.

use prost::Message;
use serde_json::{Map, Value};

use super::bundle::BundleError;

/// Key in the graph's metadata.
const KEY: &str = "candlewire.manifest";
/// What the graph cannot say of itself: its own hash, and its outputs.
const BESIDE: [&str; 2] = ["onnx", "golden"];

/// ONNX's `ModelProto`, of which only the metadata is read.
#[derive(Clone, PartialEq, Message)]
struct Model {
    #[prost(message, repeated, tag = "14")]
    metadata: Vec<Entry>,
}

/// ONNX's `StringStringEntryProto`.
#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// Holds `manifest_json` to what `onnx` carries. A graph that carries no manifest was not written by Candlewire's training:
/// it says nothing against any.
///
/// # Errors
/// They differ: the message names the keys.
pub(super) fn check(manifest_json: &str, onnx: &[u8]) -> Result<(), BundleError> {
    // What is no model is refused by the engine, which can say more.
    let Ok(model) = Model::decode(onnx) else {
        return Ok(());
    };
    let Some(entry) = model.metadata.iter().find(|entry| entry.key == KEY) else {
        return Ok(());
    };
    let (beside, carried) = (keys(manifest_json)?, keys(&entry.value)?);
    let mut names: Vec<&String> = beside.keys().chain(carried.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let differing: Vec<&str> = names
        .into_iter()
        .filter(|name| beside.get(*name) != carried.get(*name))
        .map(String::as_str)
        .collect();
    if differing.is_empty() {
        return Ok(());
    }
    Err(BundleError(format!(
        "manifest.json and the manifest in model.onnx disagree about {}; copy the bundle again from where it was trained",
        differing.join(", ")
    )))
}

fn keys(json: &str) -> Result<Map<String, Value>, BundleError> {
    let mut keys: Map<String, Value> = serde_json::from_str(json)
        .map_err(|error| BundleError(format!("the manifest is no JSON object: {error}")))?;
    for name in BESIDE {
        keys.remove(name);
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn onnx(metadata: &[(&str, &str)]) -> Vec<u8> {
        let metadata = metadata.iter().map(|(key, value)| Entry {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
        });
        let model = Model {
            metadata: metadata.collect(),
        };
        model.encode_to_vec()
    }

    const CARRIED: &str = r#"{"model": "daily", "band": {"eta": 0.05, "target_coverage": 0.9}}"#;

    #[test]
    fn the_same_keys_in_any_order_agree() {
        let beside =
            r#"{"band":{"target_coverage":0.9,"eta":0.05},"golden":{},"model":"daily","onnx":{}}"#;
        check(beside, &onnx(&[("other", "x"), (KEY, CARRIED)])).unwrap();
    }

    #[test]
    fn a_flipped_digit_a_key_more_and_a_key_less_are_named() {
        let graph = onnx(&[(KEY, CARRIED)]);
        for (beside, named) in [
            (CARRIED.replace("0.9", "0.8"), "about band;"),
            (CARRIED.replace("daily", "daisy"), "about model;"),
            (
                CARRIED.replacen('{', r#"{"policy": {}, "#, 1),
                "about policy;",
            ),
            (r#"{"model": "daisy"}"#.to_owned(), "about band, model;"),
        ] {
            let error = check(&beside, &graph).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn a_graph_that_carries_none_says_nothing() {
        check(CARRIED, &onnx(&[])).unwrap();
        check(CARRIED, &onnx(&[("other", "x")])).unwrap();
    }

    #[test]
    fn what_is_no_json_is_refused_and_what_is_no_model_left_to_the_engine() {
        check(CARRIED, b"\xff\xff\xff").unwrap();
        assert!(check(CARRIED, &onnx(&[(KEY, "{")])).is_err());
    }
}
