"""An output that left is the same when it leaves again; whatever differs in anything is a new one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from sandbox.airlock.memory.service import Output
from tests.memory_kit import Remembering, output, source, table

PEOPLE = pl.DataFrame(
    {
        "person": [f"p{n}" for n in (*range(100), *range(99))],
        "kind": ["injury"] * 100 + ["unemployment"] * 99,
        "income": list(range(199)),
    }
)
ASKED = table("kind")


@pytest.fixture
def left(tmp_path: Path) -> tuple[Remembering, Output]:
    """A memory of one table in which a person is in one of two cells only, and that table."""
    city = Remembering(tmp_path)
    first = replace(output("by_kind", ASKED, source(PEOPLE)), content="1" * 64)
    assert city.release(first)[0].near == ()
    return city, first


def test_what_left_leaves_again(left: tuple[Remembering, Output]) -> None:
    city, first = left
    assert city.near(replace(first, name="the same by another name")) == set()
    assert city.release(first)[0].near == ()
    assert len(city.memory.list_kept("ent_1")) == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"content": "2" * 64}, {"content": ""}, {"source": source(PEOPLE, "rel_2")},
        {"source": source(PEOPLE, version=2)}, {"specification": table("kind", repair="round")},
    ],
)  # fmt: skip
def test_what_differs_in_anything_is_compared(left: tuple[Remembering, Output], changed: dict[str, object]) -> None:
    city, first = left
    assert ("pair", 1) in city.near(replace(first, **changed))


def test_other_people_under_the_same_bytes_are_compared(left: tuple[Remembering, Output]) -> None:
    city, _ = left
    fewer = replace(output("by_kind", ASKED, source(PEOPLE.filter(pl.col("person") != "p7"))), content="1" * 64)
    assert ("pair", 1) in city.near(fewer)


def test_nothing_is_the_same_as_what_left_before_bytes_were_remembered(tmp_path: Path) -> None:
    city = Remembering(tmp_path)
    first = output("by_kind", ASKED, source(PEOPLE))
    city.release(first)
    assert ("pair", 1) in city.near(replace(first, content="1" * 64))
