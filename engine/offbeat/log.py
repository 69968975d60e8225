"""The engine's own log: structlog on top of the standard library's logger `offbeat`, which the host configures or not."""

from __future__ import annotations

import logging
from typing import Any


def get_logger() -> Any:
    """A structlog logger that hands `key=value` lines to `logging.getLogger("offbeat")` and configures nothing.

    Where the host has not configured logging either, the standard library prints warnings to standard error.
    """
    import structlog

    return structlog.wrap_logger(
        logging.getLogger("offbeat"),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
