"""How requests fared, counted from their steps."""

from __future__ import annotations

import datetime as dt
from typing import cast

from sandbox.airlock.model import ExportRequest, Step
from sandbox.airlock.statistics import Cause, count_causes

AIRLOCK = "process:airlock"
BEGUN = dt.datetime(2026, 11, 2, 9, tzinfo=dt.UTC)


class Went:
    """A request of which only the steps matter."""

    def __init__(self, *steps: tuple[str, str, float, tuple[str, ...]]) -> None:
        self.steps = tuple(
            Step(verb, by, BEGUN + dt.timedelta(hours=hours), "why", rules) for verb, by, hours, rules in steps
        )


def went(*steps: tuple[str, str, float, tuple[str, ...]]) -> ExportRequest:
    return cast("ExportRequest", Went(*steps))


PASSED = went(
    ("submit", "li", 0, ()), ("screen", AIRLOCK, 1, ()), ("review", "he", 2, ()), ("approve", "lin", 9, ()),
    ("release", AIRLOCK, 9, ()),
)  # fmt: skip
REPAIRED = went(
    ("submit", "li", 0, ()), ("return", AIRLOCK, 1, ("min_count", "zero_cell")), ("submit", "li", 30, ()),
    ("screen", AIRLOCK, 31, ()), ("return", "lin", 33, ()), ("submit", "li", 40, ()), ("return", AIRLOCK, 41, ()),
)  # fmt: skip
FRESH = went(("submit", "li", 50, ()), ("rerun", AIRLOCK, 50, ()))


def test_causes_are_counted_the_most_frequent_first() -> None:
    fared = count_causes([PASSED, REPAIRED, FRESH, REPAIRED])
    assert (fared.submitted, fared.first, fared.released) == (3, 1, 1)
    assert fared.causes == (
        Cause("min_count", 2), Cause("notebook", 2), Cause("reviewers", 2), Cause("zero_cell", 2),
    )  # fmt: skip
    assert fared.hours == 2.0, "8, 2 and 2 hours from screening to decision"


def test_only_what_happened_since_is_counted() -> None:
    fared = count_causes([PASSED, REPAIRED], since=BEGUN + dt.timedelta(hours=32))
    assert fared.causes == (Cause("notebook", 1), Cause("reviewers", 1))
    assert fared.released == 0


def test_nothing_has_no_median() -> None:
    fared = count_causes([])
    assert (fared.submitted, fared.first, fared.causes, fared.hours) == (0, 0, (), None)
