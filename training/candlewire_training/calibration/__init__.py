"""Calibration: margins become probabilities with an interval, fitted on rows that no member has seen."""
