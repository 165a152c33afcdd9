"""Candlewire."""
