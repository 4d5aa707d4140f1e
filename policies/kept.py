"""What the policy layer keeps: bounded, and never longer than it is true."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from policies.scopecheck import CompiledScope
from policies.scopes import ScopeState
from shuzha.core.calendar import WorkingCalendar

V = TypeVar("V")
_NEVER = float("-inf")


class Recent(Generic[V]):
    """The values asked for last, at most twice `size` of them: two halves, the older one dropped when one is full.

    `young` is the half that is looked in first; whoever is in a hurry may do so himself. `dropped` is told of each
    value that is dropped for want of room. Safe from any thread: each step is one operation on a dict, and the worst
    that two threads do to each other is to forget a value, which is then worked out again.
    """

    __slots__ = ("_dropped", "_old", "_size", "young")

    def __init__(self, size: int, dropped: Callable[[V], None] | None = None) -> None:
        self._size = size
        self._dropped = dropped
        self.young: dict[Hashable, V] = {}
        self._old: dict[Hashable, V] = {}

    def __len__(self) -> int:
        """Return how many values are kept."""
        return len(self.young) + len(self._old)

    def find(self, key: Hashable) -> V | None:
        """Return the value kept under the key, or None."""
        found = self.young.get(key)
        if found is None:
            found = self._old.pop(key, None)
            if found is not None:
                self.keep(key, found)
        return found

    def keep(self, key: Hashable, value: V) -> None:
        """Keep a value."""
        if len(self.young) >= self._size:
            gone, self._old, self.young = self._old, self.young, {}
            if self._dropped is not None:
                for each in gone.values():
                    self._dropped(each)
        self.young[key] = value

    def drop(self, key: Hashable) -> None:
        """Forget a value, if there is one."""
        self.young.pop(key, None)
        self._old.pop(key, None)

    def items(self) -> list[tuple[Any, V]]:
        """Return what is kept now."""
        return list((self._old | self.young).items())


class KeptGrant:
    """What is known of one grant. Answers point to it, so that all of them end with it, at `fresh_until`."""

    __slots__ = ("active", "compiled", "fresh_until", "reason")

    def __init__(self, state: ScopeState, before: KeptGrant | None, calendar: WorkingCalendar) -> None:
        known: CompiledScope | None = None if before is None else before.compiled
        same = known is not None and known.scope == state.scope
        self.compiled: CompiledScope = known if known is not None and same else CompiledScope(state.scope, calendar)
        self.active = state.active is True
        self.reason = state.reason
        self.fresh_until = _NEVER

    def says(self, state: ScopeState) -> bool:
        """Return whether the records still say what is known here."""
        known = (self.active, self.reason, self.compiled.scope)
        return known == (state.active is True, state.reason, state.scope)

    def end(self) -> None:
        """Make every answer that points here stale."""
        self.fresh_until = _NEVER
