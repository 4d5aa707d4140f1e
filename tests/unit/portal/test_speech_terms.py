"""How the portal writes sizes and the end of a term."""

from __future__ import annotations

import datetime as dt

import pytest

from shuzha.core.clock import end_of_day
from shuzha.portal.i18n import Speech


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 B"), (1023, "1,023 B"), (1536, "1.5 KiB"), (64 * 1024**2, "64 MiB"), (2 * 1024**3, "2 GiB")],
)
def test_sizes_are_in_units_of_1024_as_the_workspace_panel_writes_them(count: int, said: str) -> None:
    assert Speech("en").size(count) == said


def test_a_term_is_valid_until_its_last_day_and_not_the_day_after() -> None:
    assert Speech("en").last_day(end_of_day(dt.date(2027, 11, 21))) == "Nov 21, 2027"
    assert Speech("zh").last_day(dt.datetime(2027, 11, 21, 16, tzinfo=dt.UTC)) == "2027年11月21日"
    assert Speech("zh").last_day(dt.datetime(2027, 11, 21, 15, tzinfo=dt.UTC)) == "2027年11月21日"
    assert Speech("en").last_day(None) == "—"
