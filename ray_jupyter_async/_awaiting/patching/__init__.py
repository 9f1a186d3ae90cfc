"""Replacements in `ObjectRef`, `asyncio.gather` and event loops."""
