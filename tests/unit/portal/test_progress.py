"""Steps of a thing's usual way, and where a thing that left it stands."""

from __future__ import annotations

from sandbox.airlock.model import EXPORT, ExportState
from shuzha.portal.desk import progress

S = ExportState
WAY = (S.SUBMITTED, S.RERUNNING, S.SCREENED, S.UNDER_REVIEW, S.RELEASED)


def test_what_is_on_its_way_stands_between_done_and_later() -> None:
    marks = [mark for _, mark in progress(EXPORT, WAY, S.SCREENED)]
    assert marks == ["done", "done", "now", "later", "later"]


def test_what_left_its_way_stands_behind_the_last_step_that_it_surely_made() -> None:
    assert progress(EXPORT, WAY, S.RETURNED) == [
        ("submitted", "done"), ("rerunning", "done"), ("returned", "off"), ("screened", "later"),
        ("under review", "later"), ("released", "later"),
    ]  # fmt: skip


def test_what_is_known_of_its_way_is_said() -> None:
    assert [mark for _, mark in progress(EXPORT, WAY, S.RETURNED, S.UNDER_REVIEW)] == [
        "done", "done", "done", "done", "off", "later",
    ]  # fmt: skip
