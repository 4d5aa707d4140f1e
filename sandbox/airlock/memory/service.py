"""The memory's verbs: compare new outputs with all that was released from their entries, and keep them when they leave.

Both happen under the entry's lock when a request is released: two requests that were screened side by side are compared
before the second leaves.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import polars as pl

from sandbox.airlock.inputs import Source
from sandbox.airlock.memory.comparing import Comparison, Earlier, Effort, How, Near
from sandbox.airlock.memory.identity import Identities
from sandbox.airlock.memory.layers import CLAIMS, Array, Layers, Members, make_layers
from sandbox.airlock.memory.population import Selection, claim_members, row_members, table_members
from sandbox.airlock.memory.records import KEPT, KeptOutput
from sandbox.airlock.memory.zone import MemoryZone
from sandbox.airlock.specification import Specification, TableSpecification, VerificationSpecification, encode
from shuzha.core.errors import Invalid, Unavailable
from shuzha.core.ids import new_id
from shuzha.core.work import Database, Work

SAME_REQUEST = "file:"


@dataclass(frozen=True, slots=True)
class Output:
    """A new output: what describes it, what it is computed from, and for a table the result as it would leave.

    `content` is the SHA-256 of the bytes that would leave, empty where they are not known.
    """

    name: str
    specification: Specification
    source: Source
    result: pl.DataFrame | None = None
    content: str = ""


@dataclass(frozen=True, slots=True)
class Compared:
    """What the memory says of one output: how it comes near, and what is kept of the outputs that it comes near to.

    `cells` has the labels of the output's own cells by number. `unlike` counts earlier outputs over rows that nothing
    identifies in another release, which could not be compared. `claims` are never told figures.
    """

    name: str
    near: tuple[Near, ...]
    cells: Mapping[int, dict[str, str | None]]
    earlier: Mapping[str, KeptOutput]
    unlike: int = 0
    claims: bool = False

    @property
    def too_near(self) -> bool:
        """Whether the output may not leave: something was found, not only left open."""
        return any(one.how is not How.UNSURE for one in self.near)


@dataclass(slots=True)
class Leaving:
    """A request on its way out: what the last comparison said, and the records that are added when it leaves."""

    compared: tuple[Compared, ...]
    records: tuple[KeptOutput, ...] = ()

    def add_to(self, work: Work) -> None:
        """Add the records in the unit of work that releases the request; those that are there stay."""
        for record in self.records:
            if not work.list(KEPT, export=record.export, file=record.file):
                work.add(KEPT, record)


@dataclass(frozen=True, slots=True)
class _Placed:
    """A new output with its place in the roll."""

    output: Output
    members: Members
    layers: Layers


class Memory:
    """The differencing memory of one installation."""

    def __init__(
        self, database: Database, zone: MemoryZone, identities: Identities, effort: Effort | None = None
    ) -> None:
        self._database = database
        self._zone = zone
        self._identities = identities
        self._effort = effort or Effort()

    def compare(
        self, outputs: Sequence[Output], limit: int, *, export: str = "", unit: str | None = None
    ) -> tuple[Compared, ...]:
        """Return for each output how it comes near to those before it and to all that was released of its entry.

        `limit` is the least number of entities that may lie between two populations. What `export` released itself is
        left out. With `unit` only what this organisation released counts: advice tells nobody what others have.
        Refuses outputs whose entities its source does not explain, a memory that is not whole, and more work than the
        effort allows.
        """
        found = [
            one
            for entry, group in _by_entry(outputs).items()
            for one in self._compare(self._place(entry, group)[1], self._kept(entry, unit, export), limit)
        ]
        return _in_order(outputs, found)

    @contextmanager
    def leaving(self, outputs: Sequence[Output], limit: int, *, export: str, organisation: str) -> Iterator[Leaving]:
        """Hold the memories of the outputs' entries; yield the last comparison, with what to keep where all may leave.

        Populations are written before the block runs; without their records they count for nothing. The caller adds
        the records in the unit of work that releases (`Leaving.add_to`), or does not release.
        """
        groups = _by_entry(outputs)
        with self._zone.lock(tuple(groups)):
            placed = {entry: self._place(entry, group) for entry, group in groups.items()}
            found = [
                one
                for entry, (_, group) in placed.items()
                for one in self._compare(group, self._kept(entry, None, export), limit)
            ]
            leaving = Leaving(_in_order(outputs, found))
            if not any(one.too_near for one in found):
                leaving.records = tuple(
                    record
                    for entry, (roll, group) in placed.items()
                    for record in self._write(entry, roll, group, export, organisation)
                )
            yield leaving

    def list_kept(self, entry: str) -> tuple[KeptOutput, ...]:
        """Return what is kept of an entry, oldest first: for reviewers and the platform, across all units."""
        return self._kept(entry, None, "")

    def _kept(self, entry: str, unit: str | None, without: str) -> tuple[KeptOutput, ...]:
        with self._database.read() as work:
            found = work.list(KEPT, entry=entry)
        return tuple(one for one in found if one.export != without and unit in (None, one.organisation))

    def _place(self, entry: str, outputs: Sequence[Output]) -> tuple[Array, list[_Placed]]:
        """Return the roll, grown by the outputs' entities, and each output as layers over it."""
        members = [self._members(one) for one in outputs]
        roll = self._zone.read_roll(entry)
        index = _Index(roll)
        fresh = np.concatenate([one.entities[index.find(one.entities) < 0] for one in members])
        if len(fresh):
            roll = np.concatenate([roll, np.unique(fresh)])
            index = _Index(roll)
        placed = [
            _Placed(output, one, make_layers(index.find(one.entities), one))
            for output, one in zip(outputs, members, strict=True)
        ]
        return roll, placed

    def _members(self, output: Output) -> Members:
        source = output.source
        asked: object = output.specification
        if isinstance(asked, VerificationSpecification):
            return claim_members(asked, source, self._identities.of_entry(source))
        known = self._identities.of_release(source)
        if isinstance(asked, TableSpecification):
            if output.result is None:
                raise Invalid(f"table {output.name} has no result", rule="airlock.memory")
            return table_members(asked, source, output.result, known, self._identities.key(source.entry))
        return row_members(cast(Selection, asked), source, known)

    def _compare(self, placed: Sequence[_Placed], kept: Sequence[KeptOutput], limit: int) -> Iterator[Compared]:
        comparisons = [Comparison(one.layers, limit, self._effort) for one in placed]
        unlike = [0] * len(placed)
        until = time.monotonic() + self._effort.most_seconds
        for record in kept:
            if time.monotonic() > until:
                raise Unavailable(f"comparing with {len(kept)} earlier outputs took too long", rule="airlock.memory")
            read = partial(self._zone.read, record.entry, record.id, record.sha256)
            earlier, layers = Earlier(record.id, record.family, record.fingerprint, read), read()
            for place, one in enumerate(placed):
                if record.rows_are_entities and record.release != one.output.source.release:
                    unlike[place] += 1
                else:
                    comparisons[place].meet(earlier, layers)
        named = {record.id: record for record in kept}
        for place, one in enumerate(placed):
            for other in placed[:place]:
                if one.output.source.entity is not None or other.output.source.release == one.output.source.release:
                    name = f"{SAME_REQUEST}{other.output.name}"
                    before = Earlier(
                        name, other.layers.family, other.layers.fingerprint(), partial(_same, other.layers)
                    )
                    comparisons[place].meet(before, other.layers)
            # What left before, byte for byte about the same entities, tells nothing new when it leaves again.
            near = () if any(_is_again(one, record) for record in kept) else comparisons[place].conclude()
            used = {name: named[name] for each in near for name in each.earlier if name in named}
            claims = one.layers.family == CLAIMS
            yield Compared(one.output.name, near, _labels(one, near), used, unlike[place], claims)

    def _write(
        self, entry: str, roll: Array, placed: Sequence[_Placed], export: str, organisation: str
    ) -> Iterator[KeptOutput]:
        self._zone.write_roll(entry, roll)
        now: dt.datetime = self._database.clock.now()
        for one in placed:
            kept, source, layers = new_id("kep"), one.output.source, one.layers
            form = str(one.output.specification.__struct_config__.tag)
            yield KeptOutput(
                id=kept, entry=entry, organisation=organisation, export=export, file=one.output.name, form=form,
                release=source.release, raw_version=source.version,
                specification=encode(one.output.specification).decode(), family=layers.family, cells=layers.count,
                entities=int(layers.present().sum()), fingerprint=layers.fingerprint(),
                sha256=self._zone.write(entry, kept, layers), kept_at=now, rows_are_entities=source.entity is None,
                content=one.output.content,
            )  # fmt: skip


def _is_again(placed: _Placed, record: KeptOutput) -> bool:
    """Return whether an output is the very one that left: bytes, specification, release and who is in which cell."""
    new = placed.output
    return (
        bool(new.content)
        and record.content == new.content
        and record.release == new.source.release
        and record.raw_version == new.source.version
        and record.specification == encode(new.specification).decode()
        and record.fingerprint == placed.layers.fingerprint()
    )


def _by_entry(outputs: Sequence[Output]) -> dict[str, list[Output]]:
    groups: dict[str, list[Output]] = {}
    for one in outputs:
        groups.setdefault(one.source.entry, []).append(one)
    return groups


class _Index:
    """The numbers of a roll's hashes."""

    def __init__(self, roll: Array) -> None:
        self._order = np.argsort(roll)
        self._sorted = roll[self._order]

    def find(self, wanted: Array) -> Array:
        """Return the number of each of these hashes, -1 where the roll has it not."""
        if len(self._sorted) == 0:
            return np.full(len(wanted), -1)
        # In order, the search stays in one place of memory after the other: several times faster than at random.
        turn = np.argsort(wanted)
        ordered = wanted[turn]
        place = np.minimum(np.searchsorted(self._sorted, ordered), len(self._sorted) - 1)
        found = np.empty(len(wanted), dtype=np.int64)
        found[turn] = np.where(self._sorted[place] == ordered, self._order[place], -1)
        return found


def _labels(placed: _Placed, near: Sequence[Near]) -> dict[int, dict[str, str | None]]:
    labels = placed.members.labels
    wanted = {each.cell for each in near if each.cell is not None}
    return {
        cell: {name: None if value is None else str(value) for name, value in labels.row(cell, named=True).items()}
        for cell in wanted
    }


def _in_order(outputs: Sequence[Output], found: Sequence[Compared]) -> tuple[Compared, ...]:
    named = {one.name: one for one in found}
    return tuple(named[one.name] for one in outputs)


def _same(layers: Layers) -> Layers:
    return layers
