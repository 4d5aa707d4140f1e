"""Where this kernel is: in a workspace with a platform socket, or in a clean room with an outbox."""

from __future__ import annotations

import os
from pathlib import Path


def data_folder() -> Path:
    """Return the folder of the granted releases."""
    return Path(os.environ.get("SHUZHA_DATA", "/data"))


def outbox() -> Path | None:
    """Return the clean room's outbox, None in a workspace."""
    path = os.environ.get("SHUZHA_OUTBOX")
    return None if path is None else Path(path)


def platform_socket() -> Path | None:
    """Return the platform's socket, None in a clean room."""
    path = os.environ.get("SHUZHA_PLATFORM_SOCKET")
    return None if path is None else Path(path)
