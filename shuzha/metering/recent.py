"""The usage ids seen last, so that a new one is known to be new without asking the table."""

from __future__ import annotations

from collections.abc import Mapping

KEPT = 50_000


class RecentIds:
    """The newest ids with their places, at most twice `kept`; whatever was dropped is not above `floor`.

    Ids sort by time, so nearly all are above the floor and need no look-up.
    """

    __slots__ = ("_floor", "_kept", "_old", "_young")

    def __init__(self, floor: str = "", kept: int = KEPT) -> None:
        self._floor = floor
        self._kept = kept
        self._young: dict[str, int] = {}
        self._old: dict[str, int] = {}

    def is_new(self, usage_id: str) -> bool:
        """Return True for an id that surely was not added; False says that it has to be looked for."""
        return usage_id > self._floor and usage_id not in self._young and usage_id not in self._old

    def find(self, usage_id: str) -> int | None:
        """Return the place of an id that is still kept, or None."""
        found = self._young.get(usage_id)
        return self._old.get(usage_id) if found is None else found

    def add_all(self, ids: Mapping[str, int], first: int) -> None:
        """Add ids with their places behind `first`."""
        for usage_id, place in ids.items():
            self._young[usage_id] = first + place

    def turn(self) -> None:
        """Drop the older half when the younger one is full; for when the table knows all that was added."""
        if len(self._young) >= self._kept:
            self._floor = max(self._floor, max(self._old, default=""))
            self._old, self._young = self._young, {}
