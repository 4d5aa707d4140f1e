"""The table as anonymization sees it.

The distinct tuples of quasi-identifiers, how many rows and which entities stand behind each.

Words: an *attribute* is one quasi-identifier with its hierarchy bound to the values in the table; a *tuple* is one
combination of leaves; an *entity* is whose data a row is; it is *single* when all its rows fall in one tuple,
otherwise it appears as *pairs*. For a sensitive column an entity is *plain* when it has one tuple and one value, and
counted in *cells*; otherwise it appears as *links* of tuple, entity and value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from desensitize.hierarchy import Hierarchy

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Places = npt.NDArray[np.uint32]
Levels = tuple[int, ...]
_KEY_SPACE = 2**62
_COUNTING_SPACE = 300_000
_MARKS_PER_KEY = 64
_REMEMBERED_CODES = 8_000_000
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Attribute:
    """A quasi-identifier: for each level the code of every leaf, the label of every code.

    And the share of the domain it covers.
    """

    column: str
    leaves: tuple[str | None, ...]
    codes: tuple[Ints, ...]
    labels: tuple[tuple[str | None, ...], ...]
    shares: tuple[Floats, ...]

    @property
    def height(self) -> int:
        """Return the number of levels."""
        return len(self.codes)


def bind(column: str, hierarchy: Hierarchy, leaves: Sequence[str | None]) -> Attribute:
    """Return the attribute of `column` for these leaves. Refuses what `Hierarchy.list_rows` refuses."""
    rows = hierarchy.list_rows(leaves, column)
    codes, labels, shares = [], [], []
    for level in range(len(rows[0])):
        index: dict[str | None, int] = {}
        code = np.fromiter((index.setdefault(row[level], len(index)) for row in rows), np.int64, len(rows))
        codes.append(code)
        labels.append(tuple(index))
        shares.append(np.bincount(code)[code] / len(rows))
    return Attribute(column, tuple(row[0] for row in rows), tuple(codes), tuple(labels), tuple(shares))


@dataclass(frozen=True, slots=True)
class Crowd:
    """The entities behind the tuples: `singles` by tuple, and the pairs (tuple, entity) of all others."""

    singles: Ints
    pair_tuple: Ints
    pair_entity: Ints
    pair_share: Floats

    @classmethod
    def of(cls, singles: Ints, pair_tuple: Ints, pair_entity: Ints) -> Crowd:
        """Return the crowd; each entity's pairs together weigh one."""
        share = 1.0 / np.bincount(pair_entity)[pair_entity] if len(pair_entity) else np.zeros(0, np.float64)
        return cls(singles, pair_tuple, pair_entity, share)

    @classmethod
    def of_rows(cls, rows: Ints) -> Crowd:
        """Return the crowd in which every row is an entity of its own."""
        empty = np.zeros(0, np.int64)
        return cls.of(rows, empty, empty)

    def count(self, member: Ints, classes: int) -> Ints:
        """Return how many distinct entities each class holds; `member` is the class of every tuple."""
        single = np.bincount(member, self.singles, classes).astype(np.int64)
        entities = int(self.pair_entity.max(initial=0)) + 1
        members = distinct(member[self.pair_tuple] * entities + self.pair_entity) // entities
        result: Ints = single + np.bincount(members, minlength=classes)
        return result

    def lack(self, member: Ints, classes: int, k: int) -> Bools:
        """Say which classes hold fewer than `k` distinct entities, counting exactly only where bounds do not tell."""
        single = np.bincount(member, self.singles, classes)
        small: Bools = single < k
        if not len(self.pair_tuple):
            return small
        owner = member[self.pair_tuple]
        most = single + np.bincount(owner, minlength=classes)
        # Each entity's pairs weigh one together, so their weight in a class never exceeds the entities in it.
        least = single + np.bincount(owner, self.pair_share, classes) - _ROUNDING * len(owner)
        small &= least <= k - 1
        unsure = small & (most >= k)
        chosen = unsure[owner]
        entities = int(self.pair_entity.max()) + 1
        members = distinct(owner[chosen] * entities + self.pair_entity[chosen]) // entities
        small &= ~(unsure & (single + np.bincount(members, minlength=classes) >= k))
        return small

    def total(self, kept: Bools) -> int:
        """Return how many distinct entities stand behind the kept tuples together."""
        return int(self.singles[kept].sum()) + len(distinct(self.pair_entity[kept[self.pair_tuple]]))

    def merge(self, member: Ints, size: int) -> Crowd:
        """Return the crowd of merged tuples; entities whose tuples all fell together become single."""
        singles = np.bincount(member, self.singles, size).astype(np.int64)
        entity, owner = np.divmod(distinct(self.pair_entity * size + member[self.pair_tuple]), max(size, 1))
        alone = np.bincount(entity, minlength=1)[entity] == 1
        singles += np.bincount(owner[alone], minlength=size)
        return Crowd.of(singles, owner[~alone], entity[~alone])


@dataclass(frozen=True, slots=True)
class Sensitive:
    """One sensitive column: its values, the cells (tuple, value, plain entities), and the links of the others."""

    column: str
    values: tuple[str | None, ...]
    cell_tuple: Ints
    cell_value: Ints
    cell_count: Ints
    link_tuple: Ints
    link_entity: Ints
    link_value: Ints

    def merge(self, member: Ints) -> Sensitive:
        """Return the column over merged tuples."""
        size = len(self.values)
        keys, place = np.unique(member[self.cell_tuple] * size + self.cell_value, return_inverse=True)
        count = np.bincount(place, self.cell_count, len(keys)).astype(np.int64)
        merged = replace(self, cell_tuple=keys // size, cell_value=keys % size, cell_count=count)
        return replace(merged, link_tuple=member[self.link_tuple]) if len(self.link_tuple) else merged

    def spread(self, member: Ints) -> tuple[Ints, Ints, Floats]:
        """Return (class, value, weight) of every value in every class, ordered by class.

        Each entity weighs one in a class, split evenly over its distinct values there.
        """
        size = max(1, len(self.values))
        keys = member[self.cell_tuple] * size + self.cell_value
        weights = self.cell_count.astype(np.float64)
        if len(self.link_tuple):
            linked, share = self._spread_links(member, size)
            keys, weights = np.concatenate([keys, linked]), np.concatenate([weights, share])
        keys, weights = sum_by_key(keys, weights)
        return keys // size, keys % size, weights

    def _spread_links(self, member: Ints, size: int) -> tuple[Ints, Floats]:
        owner, entity, value = self.edges(member)
        people = int(entity.max(initial=0)) + 1
        _, person, values = np.unique(owner * people + entity, return_inverse=True, return_counts=True)
        return owner * size + value, 1.0 / values[person]

    def edges(self, member: Ints) -> tuple[Ints, Ints, Ints]:
        """Return the distinct (class, entity, value) of the entities that are not plain."""
        people = int(self.link_entity.max(initial=0)) + 1
        person, place = np.unique(member[self.link_tuple] * people + self.link_entity, return_inverse=True)
        place, value = np.divmod(distinct(place * len(self.values) + self.link_value), len(self.values))
        return person[place] // people, person[place] % people, value

    def overall(self) -> Floats:
        """Return the share of each value in the whole table."""
        whole = np.zeros(int(max(self.cell_tuple.max(initial=0), self.link_tuple.max(initial=0))) + 1, np.int64)
        _, value, weight = self.spread(whole)
        return weigh(value, weight, len(self.values)) / max(float(weight.sum()), 1.0)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Distinct tuples with the rows, the entities and the sensitive values behind each.

    `marginals` counts the rows of every leaf; `floor` gives the levels below which tuples are merged already. Tuples
    without rows come from a population, whose entities are its own. `place` is the tuple of every row of a table that
    was read in memory, None for one that was streamed.
    """

    attributes: tuple[Attribute, ...]
    leaf: tuple[Ints, ...]
    rows: Ints
    entities: Crowd
    marginals: tuple[Floats, ...]
    floor: Levels
    sensitive: tuple[Sensitive, ...] = ()
    population: Crowd | None = None
    place: Places | None = None
    _codes: dict[tuple[int, int], Ints] = field(default_factory=dict, repr=False, compare=False)

    @property
    def is_plain(self) -> bool:
        """Say whether every row is an entity of its own."""
        return self.entities.singles is self.rows

    @property
    def total_rows(self) -> int:
        """Return how many rows the table has."""
        return int(self.rows.sum())

    def classes(self, levels: Levels) -> tuple[Ints, int]:
        """Return, for every tuple, the number of its class at these levels, and how many class numbers there may be."""
        key = np.zeros(len(self.rows), np.int64)
        space, most = 1, _MARKS_PER_KEY * len(key)
        for position, level in enumerate(levels):
            size = len(self.attributes[position].labels[level])
            if size == 1:
                continue
            if space * size >= _KEY_SPACE or space <= most < space * size:
                key, found = number_keys(key, space)
                space = len(found)
            key *= size
            key += self._code(position, level)
            space *= size
        if space <= max(1, 4 * len(key)):
            return key, space
        key, found = number_keys(key, space)
        return key, len(found)

    def _code(self, position: int, level: int) -> Ints:
        """Return the code of one attribute at a level for every tuple."""
        known = self._codes.get((position, level))
        if known is None:
            known = self.attributes[position].codes[level][self.leaf[position]]
            if (len(self._codes) + 1) * len(known) <= _REMEMBERED_CODES:
                self._codes[position, level] = known
        return known

    def rebase(self, levels: Levels) -> Histogram:
        """Return the histogram with all tuples merged that are equal at these levels.

        It serves every node at or above them. Where each row of the table went is no longer known.
        """
        return self._merge(levels)[0]

    def in_order(self) -> Histogram:
        """Return the histogram with its tuples in the order of their leaves, and those equal at its floor merged."""
        merged, member = self._merge(self.floor)
        return merged if self.place is None else replace(merged, place=member.astype(np.uint32)[self.place])

    def _merge(self, levels: Levels) -> tuple[Histogram, Ints]:
        """Return the merged histogram, and the new tuple of every old one."""
        member, found = number_keys(*self.classes(levels))
        size = len(found)
        first = np.empty(size, np.int64)
        first[member] = np.arange(len(member))
        rows = np.bincount(member, self.rows, size).astype(np.int64)
        merged = replace(
            self,
            leaf=tuple(leaf[first] for leaf in self.leaf),
            rows=rows,
            entities=Crowd.of_rows(rows) if self.is_plain else self.entities.merge(member, size),
            floor=tuple(max(pair) for pair in zip(levels, self.floor, strict=True)),
            sensitive=tuple(one.merge(member) for one in self.sensitive),
            population=None if self.population is None else self.population.merge(member, size),
            place=None,
            _codes={},
        )
        return merged, member


def distinct(keys: Ints) -> Ints:
    """Return the distinct keys in order; sorting whole numbers is several times faster than `numpy.unique` here."""
    ordered = np.sort(keys)
    first = np.ones(len(ordered), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    result: Ints = ordered[first]
    return result


def weigh(place: Ints, weights: Ints | Floats, size: int = 0) -> Floats:
    """Return the sum of the weights at every place."""
    result: Floats = np.bincount(place, weights, size).astype(np.float64, copy=False)
    return result


def sum_by_key(keys: Ints, weights: Floats) -> tuple[Ints, Floats]:
    """Return the distinct keys in order with the sum of their weights."""
    space = int(keys.max(initial=-1)) + 1
    if space <= _COUNTING_SPACE:
        total = weigh(keys, weights, space)
        found = np.flatnonzero(total)
        return found, total[found]
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return ordered[starts], np.add.reduceat(weights[order], starts)


def number_keys(key: Ints, space: int) -> tuple[Ints, Ints]:
    """Return the number of every key among the distinct ones in order, and these; keys are below `space`.

    Marking those that occur in a table is ten times as fast as sorting, if the table is not much longer.
    """
    if space > _MARKS_PER_KEY * len(key):
        values, dense = np.unique(key, return_inverse=True)
        return dense.astype(np.int64, copy=False), values
    occurs = np.zeros(space, bool)
    occurs[key] = True
    found: Ints = np.flatnonzero(occurs)
    numbered = np.empty(space, np.int64)
    numbered[found] = np.arange(len(found))
    return numbered[key], found
