"""Patches of `ObjectRef` and `asyncio.gather`, and blocking in a running loop."""
