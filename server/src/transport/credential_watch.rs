//! Reads certificates and tokens again when their files change.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio_util::sync::CancellationToken;

use super::{access::Access, tls::Tls};

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_millis(500);

/// What tells one content of a file from another without reading it.
type Stamp = Option<(SystemTime, u64, u64)>;

fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

/// Files that are read together.
struct Watched {
    paths: Vec<PathBuf>,
    seen: Vec<Stamp>,
}

impl Watched {
    fn new<'a>(paths: impl Iterator<Item = &'a Path>) -> Self {
        let paths: Vec<PathBuf> = paths.map(Path::to_owned).collect();
        let seen = paths.iter().map(|path| stamp(path)).collect();
        Self { paths, seen }
    }

    fn changed(&mut self) -> bool {
        let now: Vec<Stamp> = self.paths.iter().map(|path| stamp(path)).collect();
        let changed = now != self.seen;
        self.seen = now;
        changed
    }
}

/// Watches until `stopped`. A file that cannot be used leaves what was read before in force, and is logged.
pub async fn watch(access: Arc<Access>, tls: Option<Arc<Tls>>, stopped: CancellationToken) {
    let mut tokens = Watched::new(access.tokens_file().into_iter());
    let mut certificates = Watched::new(tls.iter().flat_map(|tls| tls.files().paths()));
    if tokens.paths.is_empty() && certificates.paths.is_empty() {
        return;
    }
    let mut interval = tokio::time::interval(INTERVAL);
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            () = stopped.cancelled() => return,
        }
        if tokens.changed() {
            match access.reload() {
                Ok(()) => tracing::info!("tokens read again"),
                Err(error) => tracing::error!(%error, "the tokens read before stay in force"),
            }
        }
        if certificates.changed()
            && let Some(tls) = &tls
        {
            match tls.reload() {
                Ok(()) => tracing::info!("certificates read again"),
                Err(error) => tracing::error!(%error, "the certificates read before stay in force"),
            }
        }
    }
}
