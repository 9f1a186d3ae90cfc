"""Refs to asyncio: usable alone, in a script or a server, without Jupyter.

Modules here import ray and asyncio, never IPython.
"""
