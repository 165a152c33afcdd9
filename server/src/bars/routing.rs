//! Which version answers for a bar, and which others must see it.

use std::sync::Arc;

use super::{
    admission::{AdmittedBar, Rejection},
    pipeline::{Fate, Pipeline},
    regime,
};
use crate::{
    journal::bars::BarRecord,
    models::{deployment::RouteKey, loaded::LoadedModel, registry::Role},
};

/// The version that answers for a bar.
pub(super) struct Served {
    pub(super) model: Arc<LoadedModel>,
    pub(super) role: Role,
    /// False while the market's regime is not known that its route asks for: there is no score then.
    pub(super) is_routed: bool,
    /// Versions that answer in other regimes: their features take the bar too, and stay warm.
    pub(super) others: Vec<Arc<LoadedModel>>,
}

impl Served {
    fn alone(model: &Arc<LoadedModel>, role: Role) -> Self {
        Self {
            model: Arc::clone(model),
            role,
            is_routed: true,
            others: Vec::new(),
        }
    }
}

fn key_of<'a>(bar: &AdmittedBar<'a>) -> RouteKey<'a> {
    RouteKey {
        symbol: bar.symbol,
        timeframe: bar.timeframe.as_str(),
        ..RouteKey::default()
    }
}

impl Pipeline {
    /// The version that serves `bar` now, by the most specific route.
    pub(super) fn served(&self, bar: &AdmittedBar<'_>) -> Result<Served, Fate> {
        let deployment = self.registry.deployment();
        let key = key_of(bar);
        let served = if deployment.routes_by_regime(key) {
            let regime = self.regime_at(bar)?;
            let picked = deployment.pick("", 0, RouteKey { regime, ..key });
            let mut others: Vec<Arc<LoadedModel>> = deployment.of_regimes(key).cloned().collect();
            let (model, role, is_routed) = match picked {
                Ok((model, role)) => (Arc::clone(model), role, true),
                Err(_) => match others.first() {
                    Some(model) => (Arc::clone(model), Role::Production, false),
                    None => return Err(Fate::Rejected(unknown(bar))),
                },
            };
            others.retain(|other| other.spec.hash() != model.spec.hash());
            Served {
                model,
                role,
                is_routed,
                others,
            }
        } else {
            let picked = deployment.pick("", 0, key);
            let (model, role) = picked.map_err(|_| Fate::Rejected(unknown(bar)))?;
            Served::alone(model, role)
        };
        let model = &served.model;
        let serves = model.manifest.timeframe == bar.timeframe.as_str()
            && (self.settings.accept_unknown_symbols || model.knows(bar.symbol));
        if serves {
            Ok(served)
        } else {
            Err(Fate::Rejected(unknown(bar)))
        }
    }

    /// The version that served the bar of `record`, or else the one that serves its series now; and whether it is the same.
    pub(super) fn served_then(&self, record: &BarRecord) -> Option<(Served, bool)> {
        let bar = AdmittedBar {
            symbol: &record.symbol,
            timeframe: record.timeframe,
            bar: record.bar,
        };
        let deployment = self.registry.deployment();
        let key = key_of(&bar);
        let (regime, mut others) = if deployment.routes_by_regime(key) {
            let others = deployment.of_regimes(key).cloned().collect();
            (self.regime_at(&bar).unwrap_or_default(), others)
        } else {
            ("", Vec::new())
        };
        let then = deployment.pick(&record.model, record.version, RouteKey::default());
        let (model, role, is_same) = if let Ok((model, _)) = then {
            let role = deployment.role(&record.model, record.version);
            (Arc::clone(model), role, true)
        } else {
            let (model, role) = deployment.pick("", 0, RouteKey { regime, ..key }).ok()?;
            (Arc::clone(model), role, false)
        };
        others.retain(|other: &Arc<LoadedModel>| other.spec.hash() != model.spec.hash());
        let served = Served {
            model,
            role,
            is_routed: true,
            others,
        };
        Some((served, is_same))
    }

    /// Gives the bar to the regime of its series; its name there, or the fate of a bar that changed nothing.
    fn regime_at(&self, bar: &AdmittedBar<'_>) -> Result<&'static str, Fate> {
        let Some(spec) = regime::spec() else {
            return Ok("");
        };
        let mut code = [f64::NAN];
        self.advance_series(bar, spec, false, &mut code)?;
        Ok(regime::name(code[0]))
    }
}

fn unknown(bar: &AdmittedBar<'_>) -> Rejection {
    Rejection::UnknownSymbol {
        symbol: bar.symbol.to_owned(),
        timeframe: bar.timeframe.as_str(),
    }
}
