"""Bars: reading, checking, adjusting, fingerprinting."""
