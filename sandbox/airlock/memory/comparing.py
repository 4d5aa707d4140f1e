"""A new output against all earlier ones: each pair of cells, then combinations and counts of the most alike.

Words: *near* is a way in which an output comes too close to earlier ones; an *earlier* output was released, or stands
before the new one in its request. Pairs are compared with every earlier output. Combinations and counts are worked out
with as many of the most alike as `Effort` allows; when some were left out, people judge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from sandbox.airlock.memory.atoms import Atoms, Cutter
from sandbox.airlock.memory.bounds import SECONDS, find_told
from sandbox.airlock.memory.isolation import find_isolated
from sandbox.airlock.memory.layers import CLAIMS, Array, Layers
from sandbox.airlock.memory.overlap import compare

MOST_PAIRS = 10


class How(StrEnum):
    """In which way an output comes near; `unsure` is what could not be worked out."""

    PAIR = "pair"
    COMBINATION = "combination"
    COUNTS = "counts"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Near:
    """How a new output comes too near: the entities concerned (or sizes possible), its cell, and the earlier outputs.

    `cell` is a number in the new output, None for everybody in it or where it has no one cell.
    """

    how: How
    figure: int | None
    cell: int | None
    earlier: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is worked out: outputs in combinations and what these may cost, and the seconds of the programmes.

    All pairs together have `most_seconds`; what takes longer is refused.
    """

    outputs: int = 48
    cost: int = 2_000_000_000
    counted: int = 4
    atoms: int = 300
    seconds: float = SECONDS
    most_seconds: float = 1_800.0


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier output: its id, and how its population is read."""

    id: str
    family: str
    fingerprint: str
    read: Callable[[], Layers]


@dataclass(slots=True)
class _Seen:
    """What comparing pairs showed of one earlier output."""

    earlier: Earlier
    likeness: float
    place: int


@dataclass(slots=True)
class Comparison:
    """A new output while it is compared with earlier ones, one after the other."""

    layers: Layers
    limit: int
    effort: Effort = field(default_factory=Effort)
    near: list[Near] = field(default_factory=list)
    _seen: list[_Seen] = field(default_factory=list)

    def meet(self, earlier: Earlier, layers: Layers) -> None:
        """Compare each cell, and the whole, with those of an earlier output; claims only with claims."""
        if (self.layers.family == CLAIMS) != (layers.family == CLAIMS):
            return
        found = compare(self.layers, layers)
        few = np.flatnonzero((found.differ > 0) & (found.differ < self.limit))
        cells: dict[int | None, int] = {}
        for place in few[np.argsort(found.differ[few], kind="stable")]:
            cell = int(found.first[place])
            cells.setdefault(None if cell == self.layers.count else cell, int(found.differ[place]))
        self.near += [Near(How.PAIR, figure, cell, (earlier.id,)) for cell, figure in list(cells.items())[:MOST_PAIRS]]
        self._seen.append(_Seen(earlier, found.likeness, len(self._seen)))

    def conclude(self) -> tuple[Near, ...]:
        """Return how the output comes near to what it met.

        Combinations are worked out where no pair was near, and counts where no combination was: one would say the same
        as the other.
        """
        if not self.near and self._seen:
            chosen, left_out = self._choose()
            found = self._combine(chosen, left_out)
            if not found:
                self._count(chosen[: self.effort.counted])
        return tuple(self.near)

    def _choose(self) -> tuple[list[_Seen], int]:
        """Return the earlier outputs to combine, the most alike first, each population once, and how many are left."""
        order = sorted(
            self._seen,
            key=lambda one: (-(one.earlier.family == self.layers.family), -round(one.likeness, 6), -one.place),
        )
        once: dict[str, _Seen] = {}
        for one in order:
            once.setdefault(one.earlier.fingerprint, one)
        once.pop(self.layers.fingerprint(), None)
        distinct = list(once.values())
        return distinct[: self.effort.outputs], len(distinct[self.effort.outputs :])

    def _combine(self, chosen: Sequence[_Seen], left_out: int) -> bool:
        """Look for combinations that rest on few: of all figures by who is in them, then of one family by its rows."""
        populations = [(one.earlier.id, one.earlier.read()) for one in chosen]
        exact = [(name, layers) for name, layers in populations if layers.exact]
        if not self.layers.exact or not exact:
            return False
        found, used = self._isolate(exact, counted=False)
        if left_out or used < len(exact):
            self._doubt(left_out + len(exact) - used)
        alike = [(name, layers) for name, layers in exact if layers.family == self.layers.family]
        several = any(_several(layers) for layers in (self.layers, *(layers for _, layers in alike)))
        if alike and several and not found and not self.layers.plain:
            found, _ = self._isolate(alike, counted=True)
        return found

    def _isolate(self, populations: Sequence[tuple[str, Layers]], *, counted: bool) -> tuple[bool, int]:
        """Note the combination of the new output's figures with these that rests on the fewest, if one does.

        Return whether one was noted, and how many of the outputs were within the bounds.
        """
        atoms, used = _cut(self.layers, populations, self.effort.cost, counted=counted)
        limit = min(self.limit, _least(atoms))
        found = find_isolated(atoms, limit)
        if found.freedom == 0:
            return False, len(used)
        # What the earlier figures gave away among themselves is not the new output's doing.
        before = find_isolated(atoms, limit, only=np.flatnonzero(atoms.outputs > 0))
        if before.freedom >= found.freedom:
            return False, len(used)
        best = min(found.found, key=lambda one: (one.entities, one.outputs), default=None)
        if best is None:
            self._doubt(None, tuple(used))
        else:
            self.near.append(Near(How.COMBINATION, best.entities, None, _names(best.outputs, used)))
        return True, len(used)

    def _count(self, chosen: Sequence[_Seen]) -> None:
        """Look for small groups that the counts of the most alike outputs tell."""
        populations = [(one.earlier.id, one.earlier.read()) for one in chosen]
        while populations:
            atoms, used = _cut(self.layers, populations, None, counted=False)
            if len(atoms.sizes) <= self.effort.atoms:
                break
            populations.pop()
        if not populations:
            return
        says = np.array([_counts(layers) for layers in (self.layers, *(layers for _, layers in populations))])
        columns: Array = np.flatnonzero(says[atoms.outputs])
        found = find_told(atoms, columns, self.limit, seconds=self.effort.seconds)
        if not found.sure:
            self._doubt(None, tuple(used))
        if found.told:
            earlier = columns[atoms.outputs[columns] > 0]
            before = find_told(atoms, earlier, self.limit, seconds=self.effort.seconds)
            if len(before.told) < len(found.told):
                least = min(one.possible for one in found.told)
                self.near.append(Near(How.COUNTS, least, None, tuple(used)))

    def _doubt(self, figure: int | None, earlier: tuple[str, ...] = ()) -> None:
        self.near.append(Near(How.UNSURE, figure, None, earlier))


def _cut(
    layers: Layers, populations: Sequence[tuple[str, Layers]], cost: int | None, *, counted: bool
) -> tuple[Atoms, list[str]]:
    """Return the atoms of a new output and as many earlier ones as the cost allows, and the ids of these."""
    cutter = Cutter(max([layers.height, *(one.height for _, one in populations)]), counted=counted)
    cutter.add(layers)
    used: list[str] = []
    for name, one in populations:
        if not cutter.add(one, cost):
            break
        used.append(name)
    return cutter.atoms(), used


def _least(atoms: Atoms) -> int:
    """Return the entities of the smallest cell that is shown: no combination may rest on fewer than that."""
    sizes = np.asarray((atoms.weights > 0).T @ atoms.sizes).ravel()
    return int(sizes[sizes > 0].min(initial=1 << 62))


def _several(layers: Layers) -> bool:
    return any(int(rows.max(initial=0)) > 1 for rows in layers.rows)


def _names(outputs: Sequence[int], used: Sequence[str]) -> tuple[str, ...]:
    """Return the ids of the earlier outputs among these numbers; 0 is the new one."""
    return tuple(used[number - 1] for number in outputs if number > 0)


def _counts(layers: Layers) -> bool:
    """Return whether an output's figures say exactly how many there are: sums and claims do not."""
    return layers.exact and layers.family in ("entities", "rows")
