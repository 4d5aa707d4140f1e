"""How requests fared: how many passed at the first submission, and what the others came back for. Pure.

Counted over the requests that the asker may see, by the steps that each went: nothing here names a person or a figure.
"""

from __future__ import annotations

import datetime as dt
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sandbox.airlock.model import ExportRequest, Step
from shuzha.core.actor import platform_actor

NOTEBOOK: Final = "notebook"
"""The cause of a return where the notebook failed in the clean room."""
REVIEWERS: Final = "reviewers"
"""The cause of a return where people asked for changes."""
_PLATFORM: Final = platform_actor("airlock").id
_DECIDED: Final = frozenset({"approve", "reject", "return"})


@dataclass(frozen=True, slots=True)
class Cause:
    """What requests came back for (a rule's id, `notebook` or `reviewers`), and how often."""

    cause: str
    count: int


@dataclass(frozen=True, slots=True)
class Fared:
    """How a number of requests fared.

    `first` of `submitted` were screened at their first submission without a return; `hours` is the median from the
    end of screening to the decision of the reviewers, None before the first.
    """

    submitted: int
    first: int
    released: int
    causes: tuple[Cause, ...]
    hours: float | None


def count_causes(requests: Sequence[ExportRequest], since: dt.datetime | None = None) -> Fared:
    """Return how these requests fared; with `since`, only what happened from then on is counted."""
    causes: Counter[str] = Counter()
    submitted = first = released = 0
    waits: list[float] = []
    for request in requests:
        steps = [step for step in request.steps if since is None or step.at >= since]
        for step in steps:
            if step.verb == "return":
                causes.update(step.rules or (NOTEBOOK if step.by == _PLATFORM else REVIEWERS,))
        released += any(step.verb == "release" for step in steps)
        answer = next((step.verb for step in steps if step.verb in ("screen", "return", "reject")), None)
        submitted += answer is not None
        first += answer == "screen"
        waits += _waits(steps)
    ordered = tuple(Cause(cause, count) for cause, count in sorted(causes.items(), key=lambda one: (-one[1], one[0])))
    return Fared(submitted, first, released, ordered, round(statistics.median(waits), 1) if waits else None)


def _waits(steps: Sequence[Step]) -> list[float]:
    """Return the hours from the end of each screening to the reviewers' decision on it."""
    found, screened = [], None
    for step in steps:
        if step.verb == "screen":
            screened = step.at
        elif step.verb in _DECIDED and screened is not None:
            found.append((step.at - screened).total_seconds() / 3600)
            screened = None
    return found
