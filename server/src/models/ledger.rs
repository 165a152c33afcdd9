//! The ledger of promotions: `promotions.jsonl` in the store, a line each.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    time::SystemTime,
};

const FILE: &str = "promotions.jsonl";

/// What was switched, and why.
pub(super) struct Entry<'a> {
    pub(super) action: &'a str,
    pub(super) model: &'a str,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) reason: &'a str,
}

/// A ledger with an entry at its end.
pub(super) struct Written {
    file: File,
    length_before: u64,
}

impl Entry<'_> {
    /// Writes it durably at the end of the ledger of `store`, whole or not at all.
    pub(super) fn append(&self, store: &Path) -> Result<Written, String> {
        let seconds = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |elapsed| elapsed.as_secs());
        let entry = serde_json::json!({
            "time_s": seconds, "action": self.action, "model": self.model,
            "from": self.from, "to": self.to, "reason": self.reason,
        });
        append(&store.join(FILE), &format!("{entry}\n")).map_err(|error| format!("{FILE}: {error}"))
    }
}

fn append(path: &Path, line: &str) -> io::Result<Written> {
    let file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?;
    let length_before = file.metadata()?.len();
    let mut ledger = Written {
        file,
        length_before,
    };
    let written = ledger.file.write_all(line.as_bytes());
    match written.and_then(|()| ledger.file.sync_all()) {
        Ok(()) => Ok(ledger),
        Err(error) => {
            ledger.take_back();
            Err(error)
        }
    }
}

impl Written {
    /// Removes the entry again.
    pub(super) fn take_back(self) {
        if let Err(error) = self.file.set_len(self.length_before) {
            tracing::error!(%error, "{FILE} ends with an entry of a switch that failed");
        }
    }
}
