"""Defects of bars: found, counted, shown, and handled as asked. Nothing is repaired or filled in."""
