"""Lifecycles are tables: one `Lifecycle` per noun, in that noun's own model.

A *move* takes a noun from one of its states to another by a *verb*. From the table come the database constraint, the
permission that each verb needs, the audit tag, the buttons and the progress steps, the statutory clock and the diagram.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from shuzha.core.errors import TransitionNotAllowed

State = TypeVar("State", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Move(Generic[State]):
    """`verb` takes a noun from any of `sources` to `target`; `owner` is the role whose turn it is in the target.

    `clock` names the rule of the law book whose days start to run when the move is made.
    """

    verb: str
    sources: tuple[State, ...]
    target: State
    owner: str = ""
    clock: str | None = None


class Lifecycle(Generic[State]):
    """The table of one noun; refuses at import a table that is not sound."""

    def __init__(self, noun: str, states: type[State], initial: State, moves: Iterable[Move[State]]) -> None:
        self.noun = noun
        self.states = states
        self.initial = initial
        self.moves = tuple(moves)
        self._table = {(source, move.verb): move for move in self.moves for source in move.sources}
        if len(self._table) != sum(len(move.sources) for move in self.moves):
            raise ValueError(f"lifecycle of {noun}: a state has two moves of one verb")
        unreached = set(states) - {initial} - {move.target for move in self.moves}
        if unreached:
            raise ValueError(f"lifecycle of {noun}: no move reaches {sorted(unreached)}")

    def next(self, state: State, verb: str, thing: str = "") -> Move[State]:
        """Return the move that `verb` makes from `state`, or raise TransitionNotAllowed naming both."""
        move = self._table.get((state, verb))
        if move is None:
            allowed = ", ".join(self.verbs(state)) or "nothing: it is final"
            name = f"{self.noun} {thing}".strip()
            raise TransitionNotAllowed(
                f"cannot {verb} {name}: it is {state.value}", rule=f"lifecycle.{self.noun}", accepted=allowed
            )
        return move

    def can(self, state: State, verb: str) -> bool:
        """Return whether the state allows the verb."""
        return (state, verb) in self._table

    def verbs(self, state: State) -> tuple[str, ...]:
        """Return the verbs that the state allows, in table order."""
        return tuple(dict.fromkeys(move.verb for move in self.moves if state in move.sources))

    @property
    def terminal(self) -> frozenset[State]:
        """The states that nothing leaves."""
        return frozenset(state for state in self.states if not self.verbs(state))

    def permission(self, verb: str) -> str:
        """Return the permission that the verb needs: `<noun>:<verb>`."""
        return f"{self.noun}:{verb}"

    def permissions(self) -> tuple[str, ...]:
        """Return every permission of the noun, in table order."""
        return tuple(dict.fromkeys(self.permission(move.verb) for move in self.moves))

    def diagram(self) -> str:
        """Return the table as a Mermaid state diagram, for the docs."""
        lines = ["stateDiagram-v2", f"    [*] --> {self.initial.value}"]
        for move in self.moves:
            lines += [f"    {source.value} --> {move.target.value}: {move.verb}" for source in move.sources]
        lines += [f"    {state.value} --> [*]" for state in self.states if state in self.terminal]
        return "\n".join(lines)
