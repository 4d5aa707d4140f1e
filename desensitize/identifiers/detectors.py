"""Counting identifiers in a whole column, vectorised: how many cells are one, hold one, or only look like one.

Words: a cell is *read* first (`reading`); it *is* an identifier when all of it matches and is valid, *looks like* one
when it matches, and *holds* one when a part of it matches and that part is valid. A part is valid when its check
holds and it is no valid identifier of higher priority (`list_rivals`). Presidio's recognizers decide the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from desensitize.identifiers.checksums import Bools, run_check
from desensitize.identifiers.definitions import IDENTIFIERS, Identifier, ascii_boundary, list_rivals, polars_pattern
from desensitize.identifiers.kinds import GATE_DIGITS
from desensitize.identifiers.reading import WIDE, read_column

# A cell of word characters only has no boundary inside: it is an identifier or holds none.
_WORD = "^[0-9A-Za-z_]*$"
# What every identifier that is not weak has in it: one pass over a cell instead of one for each of them. Before it is
# read, any character that is read as another one may be part of it.
_OTHER = "|".join(dict.fromkeys(one.gates[0] for one in IDENTIFIERS if one.gates and one.gates[0] != GATE_DIGITS))
_ANY = f"{WIDE}|{GATE_DIGITS}|{_OTHER}"
Counts: TypeAlias = npt.NDArray[np.int64]
_SHORTEST = min(identifier.lengths[0] for identifier in IDENTIFIERS if not identifier.weak)
_DISTINCT_FIRST_BELOW = 0.3
_SAMPLE = 200


@dataclass(frozen=True, slots=True)
class Hits:
    """Cells of one identifier in one column.

    `looks`, `valid` and `holds` count cells, each cell for one identifier only; `squares` is the sum of the squares of
    how often each cell that looks like it occurs, which says how far chance may carry the count of the valid ones.
    """

    identifier: Identifier
    looks: int
    valid: int
    holds: int
    squares: int


def compact(values: pl.Series) -> tuple[pl.Series, pl.Series, int]:
    """Return (distinct cells, how often each occurs, how many differ) of a text column, nulls left out.

    All cells once where few repeat: counting them would cost more than it saves.
    """
    values = values.alias("cell").drop_nulls()
    guess = values.to_frame().select(pl.col("cell").approx_n_unique()).item()
    if len(values) and guess < _DISTINCT_FIRST_BELOW * len(values):
        counted = values.value_counts(name="n")
        return counted["cell"], counted["n"].cast(pl.Int64), counted.height
    return values, pl.Series("n", np.ones(len(values), np.int64)), values.n_unique()


def count_hits(cells: pl.Series, weights: pl.Series, identifiers: Iterable[Identifier] = IDENTIFIERS) -> list[Hits]:
    """Return the hits of every identifier that occurs at all, in order of priority."""
    chosen = list(identifiers)
    frame = pl.DataFrame({"cell": cells, "n": weights})
    if not any(one.weak for one in chosen):
        frame = frame.filter(frame["cell"].str.len_bytes() >= _SHORTEST)
        frame = frame.filter(frame["cell"].str.contains(_ANY))
    read = read_column(frame["cell"])
    rest = frame.with_columns(read, read.str.len_bytes().alias("size"), read.str.contains(_WORD).alias("word"))
    words, marked = rest.filter(rest["word"]), _Marked(rest.filter(~rest["word"]))
    whole: dict[str, Counts] = marked.count_likely(chosen)
    for identifier in chosen:
        counts = whole[identifier.entity] if identifier.entity in whole else marked.count_whole(identifier)
        if not identifier.marked:
            more, words = _count_words(words, identifier)
            counts = counts + more
        whole[identifier.entity] = counts
    inside = {one.entity: marked.count_inside(one) for one in chosen if not one.weak}
    return [
        Hits(one, int(looks), int(valid), inside.get(one.entity, 0), int(squares))
        for one in chosen
        for looks, valid, squares in [whole[one.entity]]
        if looks or inside.get(one.entity)
    ]


def find_holders(cells: pl.Series, identifier: Identifier) -> Bools:
    """Say for each cell, already read, whether a part of it is a valid identifier of this kind."""
    result = np.zeros(len(cells), bool)
    pattern = polars_pattern(identifier)
    holding = cells.str.contains(pattern)
    if not holding.any():
        return result
    if identifier.check is None:
        return np.asarray(holding.to_numpy(), bool)
    places = holding.arg_true().to_numpy()
    found = cells.gather(places).str.extract_all(pattern)
    owner = np.repeat(places, found.list.len().to_numpy())
    result[owner[_find_valid(found.explode(), identifier)]] = True
    return result


def _find_valid(parts: pl.Series, identifier: Identifier) -> Bools:
    """Say for each part that matches whether its check holds and it is no valid identifier of higher priority."""
    if identifier.check is None:
        return np.ones(len(parts), bool)
    good = run_check(identifier.check, parts)
    for rival in list_rivals(identifier):
        like = np.flatnonzero(parts.str.contains(_whole(rival)).to_numpy() & good)
        if len(like) and rival.check is not None:
            good[like] = ~run_check(rival.check, parts.gather(like))
    return good


def _whole(identifier: Identifier) -> str:
    return "^(?:" + polars_pattern(identifier) + ")$"


def _count_like(cells: pl.Series, weights: npt.NDArray[np.int64], identifier: Identifier) -> tuple[Counts, Bools]:
    """Return (how many cells look like it, how many are one, squares of the former), and which cells are one."""
    matched = cells.str.contains(_whole(identifier)).to_numpy()
    good = np.array(matched)
    if identifier.check is not None and matched.any():
        good[matched] = run_check(identifier.check, cells.filter(matched))
    looks = weights[matched]
    return np.array([looks.sum(), weights[good].sum(), (looks**2).sum()]), good


def _count_words(rest: pl.DataFrame, identifier: Identifier) -> tuple[Counts, pl.DataFrame]:
    """Return the counts of `_count_like` in cells without separators, and the cells that are none."""
    fitting = rest["size"].is_between(*(identifier.bare or identifier.lengths))
    if not fitting.any():
        return np.zeros(3, np.int64), rest
    some = rest if fitting.all() else rest.filter(fitting)
    counts, good = _count_like(some["cell"], some["n"].to_numpy(), identifier)
    if not good.any():
        return counts, rest
    kept = np.ones(rest.height, bool)
    kept[fitting.arg_true().to_numpy()[good]] = False
    return counts, rest.filter(kept)


class _Marked:
    """Cells with other characters than letters and digits, each identifier looking only at those its gates let by."""

    def __init__(self, rest: pl.DataFrame) -> None:
        self._weights = rest["n"].to_numpy()
        self._left = np.ones(rest.height, bool)
        self._passed: dict[tuple[str, ...], tuple[Counts, pl.Series]] = {(): (np.arange(rest.height), rest["cell"])}

    def _pass(self, gates: tuple[str, ...]) -> tuple[Counts, pl.Series]:
        """Return the places and the cells that pass these gates, one after the other."""
        if gates not in self._passed:
            places, cells = self._pass(gates[:-1])
            if len(places):
                passing = cells.str.contains(ascii_boundary(gates[-1]))
                if not passing.all():
                    places, cells = places[passing.to_numpy()], cells.filter(passing)
            self._passed[gates] = places, cells
        return self._passed[gates]

    def _select(self, identifier: Identifier) -> tuple[Counts, pl.Series]:
        gates = identifier.gates
        places, cells = self._pass(gates if not gates or gates[0] == GATE_DIGITS else (_OTHER, *gates))
        left = self._left[places]
        return (places, cells) if left.all() else (places[left], cells.filter(left))

    def count_likely(self, identifiers: list[Identifier]) -> dict[str, Counts]:
        """Return the counts of the one identifier that most cells seem to be, if there is one, without its gates.

        It is taken out before those of higher priority only where no text is two of them: it has no rivals.
        """
        places, cells = self._passed[()]
        some = cells.head(_SAMPLE)
        for one in identifiers if len(some) else []:
            if not list_rivals(one) and not one.weak and some.str.contains(_whole(one)).sum() > len(some) / 2:
                counts, good = _count_like(cells, self._weights, one)
                self._left[good] = False
                self._passed = {(): (places[~good], cells.filter(~good))}
                return {one.entity: counts}
        return {}

    def count_whole(self, identifier: Identifier) -> Counts:
        """Return the counts of `_count_like`; what is one is taken out."""
        places, cells = self._select(identifier)
        if not len(places):
            return np.zeros(3, np.int64)
        counts, good = _count_like(cells, self._weights[places], identifier)
        self._left[places[good]] = False
        return counts

    def count_inside(self, identifier: Identifier) -> int:
        """Return how many of the cells left hold one."""
        places, cells = self._select(identifier)
        if not len(places):
            return 0
        return int(self._weights[places[find_holders(cells, identifier)]].sum())
