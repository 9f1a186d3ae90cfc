"""What becomes known of the refs of each cell.

This room turns the events of `_awaiting` and the names of submitted tasks into counts
per cell and name. It imports no IPython and no widget, and it holds ids, names, counts
and times, but no ref, no value and no error object. There are two exceptions: small
plain arguments of the last tasks (`sources/kept_arguments`), and the refs of retries
until they are taken (`retries`).
"""
