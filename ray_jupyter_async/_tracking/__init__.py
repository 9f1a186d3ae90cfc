"""What this kernel waits for, and what became of it.

This room turns the records of `_awaiting` and the names of submitted tasks into
counts per cell and name. It knows no IPython and no widget, and it holds no
ref, no value and no error object: only ids, names, counts and times. Two exceptions
are in `retries`: small plain arguments of the last tasks, and the refs that come
of a retry until they are taken.
"""
