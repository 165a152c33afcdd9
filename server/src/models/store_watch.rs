//! Looks at the store from time to time, and reads it again once a change has come to rest.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash, Hasher},
    io,
    path::Path,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use tokio_util::sync::CancellationToken;

use super::{deployment, registry::Registry};

/// What a store looked like: its deployment, and the files of its versions by name, size and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look(u64);

/// Looks at `store`. What cannot be read looks like nothing.
#[must_use]
pub fn look(store: &Path) -> Look {
    let mut hasher = DefaultHasher::new();
    see_file(&store.join(deployment::FILE), &mut hasher);
    for model in folders(store) {
        for version in folders(&model) {
            for file in entries(&version) {
                see_file(&file, &mut hasher);
            }
        }
    }
    Look(hasher.finish())
}

/// Reads the store of `registry` again when it looks otherwise than `seen` and twice the same: bundles are not copied in
/// one go. Calls `changed` after each time.
pub async fn watch(
    registry: Arc<Registry>,
    mut seen: Look,
    interval: Duration,
    stopped: CancellationToken,
    changed: Arc<dyn Fn() + Send + Sync>,
) {
    let mut before = seen;
    loop {
        tokio::select! {
            () = stopped.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
        let watched = Arc::clone(&registry);
        let last = (seen, before);
        let looked = tokio::task::spawn_blocking(move || {
            let now = look(watched.store());
            let at_rest = now != last.0 && now == last.1;
            (now, at_rest.then(|| watched.reload()))
        });
        let Ok((now, reloaded)) = looked.await else {
            return;
        };
        before = now;
        match reloaded {
            None => continue,
            Some(Ok(())) => tracing::info!("the store changed and was read again"),
            Some(Err(error)) => {
                tracing::error!(%error, "the store changed and cannot be read; what served goes on");
            }
        }
        seen = now;
        changed();
    }
}

fn see_file(path: &Path, hasher: &mut DefaultHasher) {
    let Ok(metadata) = fs::metadata(path) else {
        return;
    };
    path.hash(hasher);
    metadata.len().hash(hasher);
    let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
    modified.hash(hasher);
}

fn folders(folder: &Path) -> Vec<std::path::PathBuf> {
    entries(folder)
        .into_iter()
        .filter(|path| path.is_dir())
        .collect()
}

/// What `folder` holds, by name; hidden names are somebody's working files.
fn entries(folder: &Path) -> Vec<std::path::PathBuf> {
    let read = || -> io::Result<Vec<_>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if !entry.file_name().as_encoded_bytes().starts_with(b".") {
                found.push(entry.path());
            }
        }
        found.sort();
        Ok(found)
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_look_changes_with_versions_and_the_deployment_and_with_nothing_else() {
        let store = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = store.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let mut looks = vec![look(store.path())];
        for (name, text) in [
            ("daily/1/manifest.json", "{}"),
            ("daily/1/model.onnx", "graph"),
            ("daily/1/model.onnx", "longer graph"),
            ("daily/2/manifest.json", "{}"),
            (deployment::FILE, "{}"),
        ] {
            write(name, text);
            looks.push(look(store.path()));
        }
        for (index, one) in looks.iter().enumerate() {
            assert!(!looks.get(..index).unwrap().contains(one), "{index}");
        }
        write("promotions.jsonl", "{}");
        write(".studies/1/a", "b");
        write("daily/.new/manifest.json", "{}");
        assert_eq!(look(store.path()), *looks.last().unwrap());
        assert_eq!(look(&store.path().join("absent")), looks[0]);
    }
}
