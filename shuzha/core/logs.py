"""How every process of the platform logs: one line an event, without what libraries say of requests."""

from __future__ import annotations

import logging

# These log each request or decision with its attributes; ours are in the audit log.
_QUIET = ("casbin", "huey", "httpx", "httpcore", "alembic", "uvicorn.access", "presidio-analyzer")


def start_logging(level: int = logging.INFO) -> None:
    """Set up this process's log."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
