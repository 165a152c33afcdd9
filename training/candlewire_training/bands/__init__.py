"""Return bands: a volatility scale, quantiles in its units, conformal width."""
