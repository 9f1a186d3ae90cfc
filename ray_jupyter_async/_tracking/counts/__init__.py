"""Counts, pace and errors per cell and line."""
