"""A lifecycle refuses what its table does not hold, names state and verb, and draws itself."""

from enum import StrEnum

import pytest

from shuzha.core.errors import TransitionNotAllowed
from shuzha.core.lifecycle import Lifecycle, Move


class Door(StrEnum):
    OPEN = "open"
    SHUT = "shut"
    GONE = "gone"


DOOR = Lifecycle("door", Door, Door.OPEN, [
    Move("shut", (Door.OPEN,), Door.SHUT),
    Move("open", (Door.SHUT,), Door.OPEN),
    Move("remove", (Door.OPEN, Door.SHUT), Door.GONE),
])  # fmt: skip


def test_next_returns_the_move_of_the_table():
    assert DOOR.next(Door.OPEN, "shut").target is Door.SHUT


def test_next_refuses_naming_the_verb_the_thing_and_its_state():
    with pytest.raises(TransitionNotAllowed, match="cannot open door d1: it is gone"):
        DOOR.next(Door.GONE, "open", "d1")


def test_terminal_states_are_those_that_nothing_leaves():
    assert DOOR.terminal == {Door.GONE}


def test_diagram_shows_each_move_once():
    assert DOOR.diagram().count("remove") == 2


def test_a_table_with_an_unreachable_state_is_refused_at_import():
    with pytest.raises(ValueError, match="no move reaches"):
        Lifecycle("door", Door, Door.OPEN, [Move("shut", (Door.OPEN,), Door.SHUT)])
