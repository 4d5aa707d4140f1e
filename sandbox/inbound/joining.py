"""The key of an own file: its column becomes the release's pseudonyms, and what that would give away is measured.

Whoever brings a list of people knows who they are. If what enters beside a pseudonym is true of one person alone, he
has that person's pseudonym and with it the release's row. So the people of a list, and of all lists that one scenario
has brought, must share everything that they enter with at least some others; and of each such class either nobody or
at least as many must be in the release, or made-up people would fill the classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from desensitize.errors import DesensitizeError, InvalidPlan
from desensitize.release import apply
from desensitize.transform.plan import Plan
from desensitize.transform.techniques import Pseudonymize
from shuzha.core.errors import Invalid
from shuzha.releases.model import Release

_CLASS = "class {}"


@dataclass(frozen=True, slots=True)
class Linkage:
    """What the lists of one scenario give away: people, classes, the smallest, and how many are below the limit."""

    people: int
    classes: int
    smallest: int
    below: int


@dataclass(frozen=True, slots=True)
class Match:
    """How a list meets a release: its people, how many of them are in the release, and the classes of these.

    `smallest` is the smallest class that has anybody in the release, `below` counts classes with some but too few.
    """

    people: int
    matched: int
    smallest: int
    below: int


def joinable(release: Release) -> dict[str, Pseudonymize]:
    """Return the columns of a release that hold pseudonyms, each with how they were made."""
    try:
        plan = Plan.from_toml(release.plan_toml + "\n")
    except InvalidPlan:
        return {}  # A synthetic release: its rows are nobody's, and nothing joins them.
    return {
        name: technique
        for name, technique in plan.columns.items()
        if isinstance(technique, Pseudonymize) and name in release.columns
    }


def pseudonyms(values: pl.Series, technique: Pseudonymize, key: bytes) -> pl.Series:
    """Return the release's pseudonyms of these values; refuses missing and repeated ones, by count."""
    frame = pl.DataFrame({"key": values.cast(pl.String)})
    try:
        made = apply(frame, Plan({"key": technique}), key).frame.collect()["key"]
    except DesensitizeError as error:
        raise Invalid(f"the key cannot be made a pseudonym: {error}", rule="own.key") from None
    missing = made.null_count()
    if missing:
        raise Invalid(f"{missing} rows have no key", rule="own.key", accepted="a key in every row")
    repeated = made.len() - made.n_unique()
    if repeated:
        raise Invalid(f"{repeated} rows repeat a key", rule="own.key", accepted="one row for each key")
    return made


def enter(frame: pl.DataFrame, keep: Sequence[str], joins: str, made: pl.Series | None) -> pl.DataFrame:
    """Return what enters: the pseudonyms under the name of what they join, then the kept columns.

    A keyed table is in the order of its pseudonyms, so that the order of the list says nothing.
    """
    if made is None:
        return frame.select(keep)
    return frame.select(made.alias(joins), *keep).sort(joins)


def measure_linkage(tables: Sequence[pl.DataFrame], joins: str, least: int) -> Linkage:
    """Return what the tables say together of the people in any of them; to be left out of one says something too."""
    sizes = _join_classes(tables, joins).group_by(pl.exclude(joins)).len()["len"]
    smallest = sizes.min()
    people = int(sizes.sum())
    return Linkage(people, sizes.len(), int(smallest) if isinstance(smallest, int) else 0, int((sizes < least).sum()))


def measure_match(tables: Sequence[pl.DataFrame], joins: str, data: Path, least: int) -> Match:
    """Return how the last of the tables, and the classes of all of them, meet a release's file."""
    inside = pl.scan_parquet(data, glob=False).select(joins).unique().collect()
    last = tables[-1].select(joins)
    classes = _join_classes(tables, joins).join(inside, on=joins, how="semi")
    sizes = classes.group_by(pl.exclude(joins)).len()["len"]
    smallest = sizes.min()
    matched = last.join(inside, on=joins, how="semi").height
    return Match(last.height, matched, int(smallest) if isinstance(smallest, int) else 0, int((sizes < least).sum()))


def _join_classes(tables: Sequence[pl.DataFrame], joins: str) -> pl.DataFrame:
    """Return each person of any table with the number of his class in each, null where he is not in it."""
    joined: pl.DataFrame | None = None
    for place, table in enumerate(tables):
        classes = _classes(table, joins).rename({"class": _CLASS.format(place)})
        joined = classes if joined is None else joined.join(classes, on=joins, how="full", coalesce=True)
    assert joined is not None
    return joined


def _classes(table: pl.DataFrame, joins: str) -> pl.DataFrame:
    """Return the key and a number that is equal for those whose other columns are all equal."""
    others = [name for name in table.columns if name != joins]
    if not others:
        return table.select(joins, pl.lit(0, pl.UInt32).alias("class"))
    numbers = table.select(others).unique(maintain_order=True).with_row_index("class")
    return table.join(numbers, on=others, how="left", nulls_equal=True).select(joins, "class")
