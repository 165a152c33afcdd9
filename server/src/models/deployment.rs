//! deployment.json: which versions serve, and how symbols route to models.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

/// Name of the file in the store.
pub const FILE: &str = "deployment.json";

/// The file's content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeploymentFile {
    /// 1.
    pub format_version: u32,
    /// Model of requests that name none and match no route.
    #[serde(default)]
    pub default_model: String,
    /// Versions by model.
    #[serde(default)]
    pub models: BTreeMap<String, DeployedVersions>,
    /// Routes; the most specific match wins.
    #[serde(default)]
    pub routes: Vec<Route>,
}

/// Versions of one model that serve.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DeployedVersions {
    /// Answers by default.
    pub production: u64,
    /// Answers for a share of the symbols.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// Score beside production.
    #[serde(default)]
    pub shadow: Vec<u64>,
    /// Earlier production versions, newest last: what a rollback returns to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub previous: Vec<u64>,
}

/// A version that answers for a share of the symbols.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Canary {
    /// The version.
    pub version: u64,
    /// Share of symbols, 0 to 1.
    pub share: f64,
}

/// Sends matching rows to a model. An unset key matches anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where to.
    pub model: String,
    /// Symbol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// Timeframe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeframe: Option<String>,
    /// Market regime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regime: Option<String>,
    /// Asset class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset_class: Option<String>,
}

/// What a row is known by when it is routed.
#[derive(Debug, Clone, Copy, Default)]
pub struct RouteKey<'a> {
    /// Symbol; empty when unknown.
    pub symbol: &'a str,
    /// Timeframe; empty when unknown.
    pub timeframe: &'a str,
    /// Market regime; empty when unknown.
    pub regime: &'a str,
    /// Asset class; empty when unknown.
    pub asset_class: &'a str,
}

/// A deployment that is on the disk, and not in force yet.
pub struct PreparedFile {
    file: NamedTempFile,
    store: PathBuf,
}

impl PreparedFile {
    /// Puts it in force.
    ///
    /// # Errors
    /// The store cannot be written; then the one before stays in force.
    pub fn put(self) -> Result<(), String> {
        let describe = |error: std::io::Error| format!("{FILE}: {error}");
        self.file
            .persist(self.store.join(FILE))
            .map_err(|error| describe(error.error))?;
        // The rename itself must survive a power cut.
        fs::File::open(&self.store)
            .and_then(|folder| folder.sync_all())
            .map_err(describe)
    }
}

impl Route {
    /// How specific the match is; `None` when it is none.
    fn rank(&self, key: RouteKey<'_>) -> Option<u8> {
        let agrees = |wanted: &Option<String>, got: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == got)
        };
        let matches = agrees(&self.symbol, key.symbol)
            && agrees(&self.timeframe, key.timeframe)
            && agrees(&self.regime, key.regime)
            && agrees(&self.asset_class, key.asset_class);
        let weigh = |set: bool, weight: u8| if set { weight } else { 0 };
        matches.then(|| {
            weigh(self.symbol.is_some(), 8)
                + weigh(self.regime.is_some(), 4)
                + weigh(self.asset_class.is_some(), 2)
                + weigh(self.timeframe.is_some(), 1)
        })
    }
}

impl DeploymentFile {
    /// Reads the file of `store`; `None` when there is none.
    ///
    /// # Errors
    /// The file cannot be read or is not what it should be.
    pub fn read(store: &Path) -> Result<Option<Self>, String> {
        let text = match fs::read_to_string(store.join(FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{FILE}: {error}")),
        };
        let file: Self = serde_json::from_str(&text).map_err(|error| format!("{FILE}: {error}"))?;
        if file.format_version != 1 {
            return Err(format!(
                "{FILE}: format_version is {}, this server reads 1",
                file.format_version
            ));
        }
        if let Some((model, canary)) = file
            .models
            .iter()
            .find_map(|(model, versions)| Some((model, versions.canary?)))
            .filter(|(_, canary)| !(0.0..=1.0).contains(&canary.share))
        {
            return Err(format!(
                "{FILE}: canary share {} of {model:?} is outside 0..=1",
                canary.share
            ));
        }
        Ok(Some(file))
    }

    /// Replaces the file of `store` atomically: a reader sees the old or the new one, whole.
    ///
    /// # Errors
    /// The store cannot be written; then it is as before.
    pub fn write(&self, store: &Path) -> Result<(), String> {
        self.prepare(store)?.put()
    }

    /// Writes the file beside its place and makes it durable there; dropped, it is gone again.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn prepare(&self, store: &Path) -> Result<PreparedFile, String> {
        let text =
            serde_json::to_string_pretty(self).map_err(|error| format!("{FILE}: {error}"))?;
        let write = || {
            let mut file = tempfile::Builder::new()
                .prefix(&format!(".{FILE}."))
                .permissions(fs::Permissions::from_mode(0o644))
                .tempfile_in(store)?;
            file.write_all(text.as_bytes())?;
            file.write_all(b"\n")?;
            file.as_file().sync_all()?;
            Ok(file)
        };
        let file = write().map_err(|error: std::io::Error| format!("{FILE}: {error}"))?;
        Ok(PreparedFile {
            file,
            store: store.to_owned(),
        })
    }

    /// Models of the routes that `key` would match in one regime or another.
    pub fn regime_routes<'a>(&'a self, key: RouteKey<'a>) -> impl Iterator<Item = &'a str> {
        let matching = self.routes.iter().filter(move |route| {
            let regime = route.regime.as_deref();
            regime.is_some_and(|regime| route.rank(RouteKey { regime, ..key }).is_some())
        });
        matching.map(|route| route.model.as_str())
    }

    /// Model that the most specific route names.
    #[must_use]
    pub fn route(&self, key: RouteKey<'_>) -> Option<&str> {
        let ranked = self
            .routes
            .iter()
            .filter_map(|route| Some((route.rank(key)?, route)));
        // Of equals the first in the file wins.
        ranked
            .reduce(|best, next| if next.0 > best.0 { next } else { best })
            .map(|(_, route)| route.model.as_str())
    }
}

/// Whether `symbol` belongs to a canary with `share`; stable across processes and restarts.
#[must_use]
pub fn in_canary(symbol: &str, share: f64) -> bool {
    // FNV-1a, then a finaliser: FNV alone leaves the high bits of short strings alike.
    let mut hash = symbol
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    !symbol.is_empty() && (hash >> 11) as f64 / (1u64 << 53) as f64 <= share && share > 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(
        model: &str,
        symbol: Option<&str>,
        timeframe: Option<&str>,
        regime: Option<&str>,
        asset_class: Option<&str>,
    ) -> Route {
        let own = |text: Option<&str>| text.map(ToOwned::to_owned);
        Route {
            model: model.into(),
            symbol: own(symbol),
            timeframe: own(timeframe),
            regime: own(regime),
            asset_class: own(asset_class),
        }
    }

    #[test]
    fn the_most_specific_route_wins() {
        let file = DeploymentFile {
            format_version: 1,
            default_model: String::new(),
            models: BTreeMap::new(),
            routes: vec![
                route("timeframe", None, Some("1d"), None, None),
                route("class", None, Some("1d"), None, Some("crypto")),
                route("symbol", Some("AAPL"), Some("1d"), None, None),
                route("regime", Some("AAPL"), Some("1d"), Some("calm"), None),
                route("late", None, Some("1d"), None, None),
            ],
        };
        let key = RouteKey {
            symbol: "AAPL",
            timeframe: "1d",
            regime: "calm",
            asset_class: "crypto",
        };
        assert_eq!(file.route(key), Some("regime"));
        assert_eq!(file.route(RouteKey { regime: "", ..key }), Some("symbol"));
        assert_eq!(
            file.route(RouteKey {
                symbol: "BTC",
                ..key
            }),
            Some("class")
        );
        assert_eq!(
            file.route(RouteKey {
                symbol: "X",
                timeframe: "1d",
                ..RouteKey::default()
            }),
            Some("timeframe")
        );
        assert_eq!(
            file.route(RouteKey {
                timeframe: "1h",
                ..key
            }),
            None
        );
    }

    #[test]
    fn a_canary_takes_its_share_of_symbols() {
        let taken = (0..20_000)
            .filter(|index| in_canary(&format!("SYM{index}"), 0.1))
            .count();
        assert!((1_800..2_200).contains(&taken), "{taken}");
        assert!(!in_canary("AAPL", 0.0) && in_canary("AAPL", 1.0) && !in_canary("", 1.0));
    }

    #[test]
    fn a_written_file_reads_back() {
        let store = tempfile::tempdir().unwrap();
        assert_eq!(DeploymentFile::read(store.path()).unwrap(), None);
        let file = DeploymentFile {
            format_version: 1,
            default_model: "daily".into(),
            models: BTreeMap::from([(
                "daily".into(),
                DeployedVersions {
                    production: 7,
                    canary: Some(Canary {
                        version: 8,
                        share: 0.1,
                    }),
                    ..Default::default()
                },
            )]),
            routes: vec![route("daily", None, Some("1d"), None, None)],
        };
        file.write(store.path()).unwrap();
        assert_eq!(DeploymentFile::read(store.path()).unwrap(), Some(file));
    }
}
