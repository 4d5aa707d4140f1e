"""Anonymity worked out a second time, slowly and straight from the definitions: what the engine is compared with."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from desensitize import DeltaPresence, KAnonymity, KMap, LDiversity, TCloseness

Row = tuple[str, ...]


@dataclass
class Naive:
    """A table of quasi-identifier tuples, the sensitive value and the entity of every row, and a population."""

    rows: list[Row]
    illness: list[str]
    who: list[object]
    tables: list[dict[str, Row]]
    population: list[tuple[Row, object]]

    def nodes(self) -> Iterator[tuple[int, ...]]:
        return itertools.product(*(range(len(next(iter(table.values())))) for table in self.tables))

    def generalize(self, row: Row, levels: Sequence[int]) -> Row:
        return tuple(table[value][level] for table, value, level in zip(self.tables, row, levels, strict=True))

    def value_of(self, levels: Sequence[int], models: Sequence[Any], limit: int, metric: str) -> float | None:
        """Return what a node costs, or None when it suppresses too much."""
        made = [self.generalize(row, levels) for row in self.rows]
        members: dict[Row, list[int]] = defaultdict(list)
        for place, row in enumerate(made):
            members[row].append(place)
        outside: dict[Row, set[object]] = defaultdict(set)
        for row, who in self.population:
            outside[self.generalize(row, levels)].add(who)
        kept = {
            row: inside
            for row, inside in members.items()
            if all(self.holds(model, inside, len(outside[row])) for model in models)
        }
        gone = [place for row, inside in members.items() if row not in kept for place in inside]
        return None if len(gone) > limit else self.cost(metric, levels, made, kept, gone)

    def spread(self, inside: Sequence[int]) -> dict[str, Fraction]:
        values: dict[object, set[str]] = defaultdict(set)
        for place in inside:
            values[self.who[place]].add(self.illness[place])
        found: dict[str, Fraction] = defaultdict(Fraction)
        for own in values.values():
            for value in own:
                found[value] += Fraction(1, len(own))
        return found

    def holds(self, model: Any, inside: list[int], outside: int) -> bool:
        entities = len({self.who[place] for place in inside})
        if isinstance(model, KAnonymity):
            return entities >= model.k
        if isinstance(model, KMap):
            return outside >= model.k
        if isinstance(model, DeltaPresence):
            everyone = max(outside, entities)
            return model.low * everyone <= entities + 1e-9 and entities <= model.high * everyone + 1e-9
        spread = self.spread(inside)
        if isinstance(model, LDiversity):
            return self.is_diverse(model, inside, spread)
        assert isinstance(model, TCloseness)
        total, overall = sum(spread.values()), self.spread(range(len(self.rows)))
        everything = sum(overall.values())
        values = sorted(overall)
        extra = {value: spread.get(value, Fraction(0)) / total - overall[value] / everything for value in values}
        return float(distance(model, values, extra)) <= model.t + 1e-9

    def is_diverse(self, model: LDiversity, inside: list[int], spread: dict[str, Fraction]) -> bool:
        own: dict[object, set[str]] = defaultdict(set)
        for place in inside:
            own[self.who[place]].add(self.illness[place])
        if most_different(list(own.values()), frozenset()) < model.l:
            return False
        if model.kind == "entropy":
            total = float(sum(spread.values()))
            entropy = -sum(float(w) / total * math.log(float(w) / total) for w in spread.values())
            return entropy >= math.log(model.l) - 1e-9
        if model.kind == "recursive":
            counts = sorted(map(float, spread.values()), reverse=True)
            assert model.c is not None
            return counts[0] < model.c * sum(counts[int(model.l) - 1 :]) - 1e-9
        return True

    def cost(
        self, metric: str, levels: Sequence[int], made: list[Row], kept: dict[Row, list[int]], gone: list[int]
    ) -> float:
        count = len(made)
        if metric == "discernibility":
            return float(sum(len(inside) ** 2 for inside in kept.values()) + count * len(gone))
        if metric == "average_class_size":
            return count / max(1, len(kept) + bool(gone))
        parts = []
        for axis, table in enumerate(self.tables):
            if metric == "entropy":
                fine, coarse = Counter(row[axis] for row in self.rows), Counter(row[axis] for row in made)
                lost = Counter(made[place][axis] for place in gone)
                bits = sum(math.log2(coarse[m[axis]] / fine[r[axis]]) for m, r in zip(made, self.rows, strict=True))
                parts.append(bits + sum(math.log2(len(gone) / lost[made[place][axis]]) for place in gone))
                continue
            leaves = Counter(other[levels[axis]] for other in table.values())
            covered = sum(leaves[row[axis]] * len(inside) for row, inside in kept.items()) / len(table) + len(gone)
            least = count / len(table)
            parts.append((covered - least) / (count - least) if count > least else 0.0)
        if metric == "entropy":
            return sum(parts)
        if metric == "loss_arithmetic":
            return sum(parts) / len(parts)
        return math.prod((1 + part) ** (1 / len(parts)) for part in parts) - 1


def most_different(own: list[set[str]], used: frozenset[str]) -> int:
    """Return how many of these people can be given different values of their own, trying everything."""
    if not own:
        return 0
    first, rest = own[0], own[1:]
    tries = [1 + most_different(rest, used | {value}) for value in first - used]
    without = 0 if tries and max(tries) == len(own) else most_different(rest, used)
    return max([without, *tries])


def distance(model: TCloseness, values: list[str], extra: dict[str, Fraction]) -> Fraction:
    if model.distance == "equal":
        return sum((abs(one) for one in extra.values()), Fraction(0)) / 2
    if model.distance == "ordered":
        running = itertools.accumulate(extra[value] for value in values)
        return sum(map(abs, running), Fraction(0)) / max(1, len(values) - 1)
    assert model.hierarchy is not None
    rows = {row[0]: row for row in model.hierarchy.rows}
    height = len(model.hierarchy.rows[0]) - 1
    cost = Fraction(0)
    for level in range(1, height + 1):
        for parent in {rows[value][level] for value in values}:
            parts: dict[str, Fraction] = defaultdict(Fraction)
            for value in values:
                if rows[value][level] == parent:
                    parts[rows[value][level - 1]] += extra[value]
            more = sum((part for part in parts.values() if part > 0), Fraction(0))
            less = -sum((part for part in parts.values() if part < 0), Fraction(0))
            cost += Fraction(level, height) * min(more, less)
    return cost
