"""Benchmarks of awaiting, compared with Ray's own functions: `make bench`."""
