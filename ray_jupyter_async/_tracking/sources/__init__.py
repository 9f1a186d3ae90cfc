"""Wrappers of Ray's functions: what a process submits, waits for and cancels."""
