"""Stands before the real `rfc3987_syntax`, which is as if not installed.

jsonschema imports it if it can, to check a format (``iri``) that nothing here
uses; Jupyter requires it, and Ray imports jsonschema in each of its processes.
Version 1.1.0 compiles a grammar at import: 1.2 s of CPU in each of the eight or
so processes of one ``ray.init``, which is three quarters of what a start takes
(8.3 s of CPU with it, 2.6 s without; Ray 2.60).
"""

raise ImportError("left out of the tests' processes: slow and not needed")
