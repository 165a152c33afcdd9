//! Which model a row goes to.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    deployment::{DeploymentFile, RouteKey},
    loaded::LoadedModel,
    registry::{Deployment, Serving},
};
use crate::{bars::regime, error::ServeError};

impl Deployment {
    /// Whether the model of a row depends on the regime of its market.
    #[must_use]
    pub fn routes_by_regime(&self, key: RouteKey<'_>) -> bool {
        self.has_regimes && self.file.regime_routes(self.classed(key)).next().is_some()
    }

    /// Production versions that answer for a row in one regime or another.
    pub fn of_regimes<'a>(
        &'a self,
        key: RouteKey<'a>,
    ) -> impl Iterator<Item = &'a Arc<LoadedModel>> {
        let models = self.file.regime_routes(self.classed(key));
        models.filter_map(|model| Some(&self.serving.get(model)?.production))
    }

    /// The key with the asset class of its symbol.
    fn classed<'a>(&'a self, key: RouteKey<'a>) -> RouteKey<'a> {
        match self.asset_classes.get(key.symbol) {
            Some(asset_class) if key.asset_class.is_empty() => RouteKey { asset_class, ..key },
            _ => key,
        }
    }

    /// The model of a row by the most specific route.
    pub(super) fn route<'a>(&'a self, key: RouteKey<'a>) -> Result<&'a str, ServeError> {
        let key = self.classed(key);
        if let Some(model) = self.file.route(key) {
            return Ok(model);
        }
        if key.regime.is_empty() && self.routes_by_regime(key) {
            return Err(ServeError::RegimeUnknown {
                timeframe: key.timeframe.to_owned(),
                needed: regime::bars_needed(),
            });
        }
        Ok(self.unrouted(key))
    }

    /// The model of a row that no route matches.
    fn unrouted(&self, key: RouteKey<'_>) -> &str {
        let own_timeframe = self
            .serving
            .iter()
            .find(|(_, serving)| serving.production.manifest.timeframe == key.timeframe);
        match own_timeframe {
            Some((model, _))
                if !self.serving.contains_key(&self.file.default_model)
                    || !key.timeframe.is_empty() =>
            {
                model
            }
            _ => &self.file.default_model,
        }
    }
}

/// Asset class of every symbol that a production version was trained on, when a route asks for one: that of the route
/// to such a version, else what the version says of itself.
pub(super) fn asset_classes(
    file: &DeploymentFile,
    serving: &BTreeMap<String, Serving>,
) -> BTreeMap<String, String> {
    let mut classes = BTreeMap::new();
    if file.routes.iter().all(|route| route.asset_class.is_none()) {
        return classes;
    }
    let mut tell = |serving: &Serving, class: &str| {
        let symbols = &serving.production.manifest.symbols;
        classes.extend(
            symbols
                .iter()
                .map(|symbol| (symbol.clone(), class.to_owned())),
        );
    };
    for serving in serving.values() {
        tell(serving, &serving.production.manifest.asset_class);
    }
    for route in &file.routes {
        if let (Some(class), Some(serving)) = (&route.asset_class, serving.get(&route.model)) {
            tell(serving, class);
        }
    }
    classes
}
