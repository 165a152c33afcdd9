"""Backtest of a bundle: its own graph and policy on bars, filled at the next open, after costs."""
