"""What the tests stand on: a real Ray, real kernels, a real JupyterLab.

Helpers only, no test and no fixture (those are in ``tests/conftest.py``). Each
module imports what it needs and no more: against the oldest supported Ray the
awaiting tests run in an environment that holds no Jupyter at all, so nothing
may be imported here.
"""
