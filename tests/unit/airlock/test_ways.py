"""What people are told to do about a finding: every rule has a next step, and places are said in their language."""

from __future__ import annotations

import re

import pytest

from sandbox.airlock.rules import NOTES
from sandbox.airlock.ways import WAYS
from shuzha.portal.finding_words import PLACE_WORDS, say_place


def test_every_rule_has_a_next_step_and_no_other_name_has() -> None:
    assert {note.rule for note in NOTES} == set(WAYS)


def _upper(message: str, **values: object) -> str:
    return re.sub(r"[a-z]+(?![^{]*})", lambda found: found[0].upper(), message).format(**values)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("column paid", "COLUMN paid"),
        ("outputs a, b; an output that left before", "OUTPUTS a, b; AN OUTPUT THAT LEFT BEFORE"),
        ("3 blocked, 2 to protect them", "3 BLOCKED, 2 TO PROTECT THEM"),
        ("release rel_1: 4 rows, by key", "release rel_1: 4 rows, by key"),
        ("column {0.__class__}", "COLUMN {0.__class__}"),
    ],
)
def test_a_place_is_said_in_the_readers_language(place: str, said: str) -> None:
    assert say_place(place, _upper) == said


def test_no_place_is_known_twice() -> None:
    assert len(PLACE_WORDS) == len(set(PLACE_WORDS))
