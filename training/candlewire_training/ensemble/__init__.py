"""Ensembles: how the members' probabilities become one."""
