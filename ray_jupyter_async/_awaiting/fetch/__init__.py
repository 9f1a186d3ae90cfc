"""Fetching of values: sessions, readiness, and reader threads."""
