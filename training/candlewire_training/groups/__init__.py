"""Groups: one configuration, many bundles, by symbol, asset class or regime, in many processes."""
