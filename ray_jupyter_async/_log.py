"""The logger of the whole package."""

from __future__ import annotations

import logging

logger = logging.getLogger("ray_jupyter_async")
