"""One thing that awaits a person: what is to be done, with what, where, and until when."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Task:
    """One thing that awaits a person: what to do (a message id), with which thing, where, and by when."""

    what: str
    titles: tuple[str, str]
    href: str
    state: object
    due: dt.date | None = None
    left: int | None = None

    def title(self, language: str) -> str:
        """Return the thing's name in a language."""
        return self.titles[0] if language.startswith("zh") else self.titles[1] or self.titles[0]
