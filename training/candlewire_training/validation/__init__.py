"""Validation: splits that cannot leak, intervals that know rows depend on one another, baselines."""
