"""Tells the platform's log of a fault in a check: what failed and where in the code, and never the error's own text.

The text of an error holds what was being read: a cast that fails quotes the values that it could not turn.
"""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from typing import Final

_FRAMES: Final = 8


def log_fault(log: logging.Logger, error: BaseException, message: str, *args: object) -> None:
    """Log `message` with the error's type and the innermost lines of code that it came through."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    way = " > ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
    log.error("%s: %s at %s", message % args, type(error).__name__, way or "no line")
