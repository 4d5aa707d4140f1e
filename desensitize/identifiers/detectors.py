"""Counting identifiers in a whole column, vectorised: how many cells are one, hold one, or only look like one.

Words: a cell is *read* first (`reading`); it *is* an identifier when all of it matches and is valid, *looks like* one
when it matches, and *holds* one when a part of it matches and that part is valid. A part is valid when its check
holds and it is no valid identifier of higher priority (`list_rivals`). Presidio's recognizers decide the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from desensitize.identifiers.checksums import Bools, run_check
from desensitize.identifiers.definitions import IDENTIFIERS, Identifier, ascii_boundary, list_rivals, polars_pattern
from desensitize.identifiers.reading import WIDE, read_column

# A cell of word characters only has no boundary inside: it is an identifier or holds none.
_WORD = "^[0-9A-Za-z_]*$"
# What every identifier that is not weak has in it before it is read: one pass over a cell instead of one for each.
_ANY = "|".join([WIDE, *dict.fromkeys(ascii_boundary(one.gates[0]) for one in IDENTIFIERS if not one.weak)])
_SHORTEST = min(identifier.lengths[0] for identifier in IDENTIFIERS if not identifier.weak)
_DISTINCT_FIRST_BELOW = 0.3


@dataclass(frozen=True, slots=True)
class Hits:
    """Cells of one identifier in one column.

    `looks`, `valid` and `holds` count cells, each cell for one identifier only.
    """

    identifier: Identifier
    looks: int
    valid: int
    holds: int


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
    words, marked = rest.filter(rest["word"]), rest.filter(~rest["word"])
    whole: dict[str, tuple[int, int]] = {}
    for identifier in chosen:
        looks, valid, marked = _count_whole(marked, identifier, identifier.lengths)
        if not identifier.marked:
            more, good, words = _count_whole(words, identifier, identifier.bare or identifier.lengths)
            looks, valid = looks + more, valid + good
        whole[identifier.entity] = (looks, valid)
    inside = _count_inside(marked, [one for one in chosen if not one.weak])
    return [
        Hits(one, *whole[one.entity], inside.get(one.entity, 0))
        for one in chosen
        if whole[one.entity] != (0, 0) or inside.get(one.entity)
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


def _count_whole(rest: pl.DataFrame, identifier: Identifier, lengths: tuple[int, int]) -> tuple[int, int, pl.DataFrame]:
    """Return how many cells look like it, how many are one, and the cells that are none."""
    fitting = rest["size"].is_between(*lengths)
    places = fitting.arg_true().to_numpy()
    if not len(places):
        return 0, 0, rest
    cells = rest["cell"] if len(places) == rest.height else rest["cell"].gather(places)
    mark = identifier.gates[0] if identifier.gates else ""
    if len(mark) == 1 and not cells.str.contains(mark, literal=True).any():
        return 0, 0, rest
    matched = cells.str.contains(_whole(identifier)).to_numpy()
    if not matched.any():
        return 0, 0, rest
    like = places[matched]
    counts = rest["n"].to_numpy()
    looks = int(counts[like].sum())
    if identifier.check is not None:
        like = like[run_check(identifier.check, rest["cell"].gather(like))]
    kept = np.ones(rest.height, bool)
    kept[like] = False
    return looks, int(counts[like].sum()), rest.filter(kept)


def _count_inside(text: pl.DataFrame, identifiers: list[Identifier]) -> dict[str, int]:
    left: dict[tuple[str, ...], pl.DataFrame] = {(): text.select("cell", "n")}
    found: dict[str, int] = {}
    for identifier in identifiers:
        for passed in range(1, len(identifier.gates) + 1):
            gates = identifier.gates[:passed]
            if gates not in left:
                before = left[gates[:-1]]
                passing = before["cell"].str.contains(ascii_boundary(gates[-1]))
                left[gates] = before if passing.all() else before.filter(passing)
        some = left[identifier.gates]
        if some.height:
            holding = find_holders(some["cell"], identifier)
            if holding.any():
                found[identifier.entity] = int(some["n"].to_numpy()[holding].sum())
    return found
