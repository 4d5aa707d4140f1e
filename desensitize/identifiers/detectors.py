"""Counting identifiers in a whole column, vectorised: how many cells are one, hold one, or only look like one.

Words: a cell *is* an identifier when all of it matches and the check holds, *looks like* one when it matches, and
*holds* one when a part of it matches and the check of that part holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from desensitize.identifiers.checksums import run_check
from desensitize.identifiers.definitions import IDENTIFIERS, Identifier, polars_pattern

_TEXT_HINT = r"[^0-9A-Za-z]|^.{20,}$"
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


def compact(values: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return (distinct cells, how often each occurs) of a text column without nulls.

    All cells once where few repeat.
    """
    values = values.drop_nulls().alias("cell")
    if len(values) and values.n_unique() < _DISTINCT_FIRST_BELOW * len(values):
        counted = values.value_counts(name="n")
        return counted["cell"], counted["n"].cast(pl.Int64)
    return values, pl.Series("n", np.ones(len(values), np.int64))


def count_hits(cells: pl.Series, weights: pl.Series, identifiers: Iterable[Identifier] = IDENTIFIERS) -> list[Hits]:
    """Return the hits of every identifier that occurs at all, in order of priority."""
    chosen = list(identifiers)
    rest = pl.DataFrame({"cell": cells.str.strip_chars(), "n": weights})
    sizes = rest["cell"].str.len_bytes()
    low, high = int(sizes.min() or 0), int(sizes.max() or 0)  # type: ignore[arg-type]
    whole: dict[str, tuple[int, int]] = {}
    for identifier in chosen:
        if not rest.height or high < identifier.lengths[0] or low > identifier.lengths[1]:
            continue
        looks, valid, rest = _count_whole(rest, identifier)
        whole[identifier.entity] = (looks, valid)
    inside = _count_inside(rest, [one for one in chosen if not one.weak])
    return [
        Hits(one, *whole.get(one.entity, (0, 0)), inside.get(one.entity, 0))
        for one in chosen
        if whole.get(one.entity, (0, 0)) != (0, 0) or inside.get(one.entity)
    ]


def _count_whole(rest: pl.DataFrame, identifier: Identifier) -> tuple[int, int, pl.DataFrame]:
    matched = rest["cell"].str.contains("^(?:" + polars_pattern(identifier) + ")$")
    if not matched.any():
        return 0, 0, rest
    like = rest.filter(matched)
    looks = int(like["n"].sum())
    if identifier.check is None:
        return looks, looks, rest.filter(~matched)
    good = pl.Series(run_check(identifier.check, like["cell"]))
    valid = int(like["n"].filter(good).sum())
    return looks, valid, pl.concat([rest.filter(~matched), like.filter(~good)])


def _count_inside(rest: pl.DataFrame, identifiers: list[Identifier]) -> dict[str, int]:
    text = rest.filter(rest["cell"].str.contains(_TEXT_HINT))
    found: dict[str, int] = {}
    for identifier in identifiers:
        if not text.height:
            break
        pattern = polars_pattern(identifier)
        holding = text.filter(text["cell"].str.contains(pattern))
        if holding.height and identifier.check is not None:
            earlier = identifiers[: identifiers.index(identifier)]
            holding = holding.filter(_any_valid(holding["cell"], pattern, identifier.check, earlier))
        if holding.height:
            found[identifier.entity] = int(holding["n"].sum())
    return found


def _any_valid(cells: pl.Series, pattern: str, check: str, earlier: list[Identifier]) -> pl.Series:
    """Say for each cell whether any part that matches passes the check and is no other identifier.

    Say for each cell whether any part that matches passes the check and is not a valid identifier of higher
    priority.
    """
    found = cells.str.extract_all(pattern)
    owner = np.repeat(np.arange(len(cells)), found.list.len().to_numpy())
    parts = found.explode()
    good = run_check(check, parts)
    for other in earlier:
        if other.check is not None:
            like = np.flatnonzero(parts.str.contains("^(?:" + polars_pattern(other) + ")$").to_numpy() & good)
            good[like] = ~run_check(other.check, parts.gather(like))
    result = np.zeros(len(cells), bool)
    result[owner[good]] = True
    return pl.Series(result)
