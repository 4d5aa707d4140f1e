"""Says that something is still going on, in one line that is written over: only after a second, only in a notebook."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self

from workbench import page

_QUIET_SECONDS = 1.0
_STEP_SECONDS = 2.0


class _Line:
    def __init__(self, words: str) -> None:
        self.words = words

    def __repr__(self) -> str:
        return self.words

    def _repr_html_(self) -> str:
        return page.quiet(self.words) if self.words else page.Markup()


class Progress:
    """A line in the notebook while the block lasts; `tick()` keeps it moving. Outside a notebook it says nothing."""

    def __init__(self, words: str) -> None:
        self._words = words
        self._began = self._told = time.monotonic()
        self._handle: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            self._handle.update(_Line(""))

    def tick(self, words: str = "") -> None:
        """Show how long it has taken so far, with new words if there are any."""
        now = time.monotonic()
        changed = bool(words) and words != self._words
        self._words = words or self._words
        if now - self._began < _QUIET_SECONDS or (now - self._told < _STEP_SECONDS and self._handle and not changed):
            return
        self._told = now
        line = _Line(f"⏳ {self._words} … {now - self._began:.0f} s")
        if self._handle is not None:
            self._handle.update(line)
        elif (show := find_display()) is not None:
            self._handle = show(line, display_id=True)


def find_display() -> Any:
    """Return IPython's `display` inside a notebook, None anywhere else; nothing is imported for it."""
    module = sys.modules.get("IPython")
    if module is None or module.get_ipython() is None:
        return None
    return module.display.display
