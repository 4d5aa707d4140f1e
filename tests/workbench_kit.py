"""The analysts' library for tests, imported afresh from its own folder as an environment would have it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parents[1] / "notebooks" / "workbench"


@contextmanager
def imported_workbench() -> Iterator[ModuleType]:
    """Import the library while the block lasts; what it remembers ends with it."""
    sys.path.insert(0, str(FOLDER))
    _forget()
    try:
        yield importlib.import_module("workbench")
    finally:
        _forget()
        sys.path.remove(str(FOLDER))


def _forget() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "workbench"]:
        del sys.modules[name]
