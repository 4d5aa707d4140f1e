"""The register of social insurance: a row is one person's payment of one kind for one month.

Words: a *member* is a resident whom the register knows. Members are *workers* (employed: four kinds; flexible:
pension and medical) or others (children, the retired: medical only, without a base). A month k counts back from
the latest one (k = 0).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import polars as pl

from shuzha.server.demo.city import draws, notes, people
from shuzha.server.demo.city.draws import Booleans, Integers

KINDS = ("pension", "medical", "unemployment", "injury")
BASE_FLOOR, BASE_CEILING = 4_494, 22_470

_PENSION, _MEDICAL = 0, 1
_LEFT_SHARE = 0.07
_UNPAID_SHARE = 0.03


@dataclass(frozen=True, slots=True)
class _Members:
    """Where each member stands in the register of residents, and what he pays from when to when."""

    resident: Integers
    worker: Booleans
    flexible: Booleans
    joined: Integers
    left: Integers
    employer: Integers
    base: Integers


def social_insurance(
    random: np.random.Generator, count: int, residents: pl.DataFrame, enterprises: pl.DataFrame, latest: dt.date
) -> pl.DataFrame:
    """Return `count` rows, whole months back from `latest`; the oldest month may hold a sample of the members only.

    Fewer than `count` rows come back when nobody is a member.
    """
    members = _members(random, residents, len(enterprises), latest)
    who, kind, month = _payments(random, members, count)
    employed = members.worker[who] & ~members.flexible[who]
    if not len(enterprises):
        employed = np.zeros(len(who), dtype=np.bool_)
    rows = members.resident[who]
    employer = (
        enterprises["uscc"].gather(np.where(employed, members.employer[who], 0))
        if employed.any()
        else pl.Series([None] * len(who), dtype=pl.String)
    )
    known = residents.select("resident_id", "name", "district_code")[rows]
    frame = known.with_columns(
        period=draws.pick([f"{day:%Y-%m}" for day in _months(latest, int(month.max(initial=0)) + 1)], month),
        kind=draws.pick(KINDS, kind),
        employer=employer,
        base=pl.Series(members.base[who]),
        paid=pl.Series(random.random(len(who)) >= _UNPAID_SHARE),
        employed=pl.Series(employed),
        worker=pl.Series(members.worker[who]),
        note=notes.notes(random, rows, residents, enterprises),
    )
    return frame.select(
        "resident_id", "name", "period", "kind",
        pl.when("employed").then("employer").alias("employer"),
        pl.when("worker").then("base").alias("base"),
        "paid", "district_code", "note",
    )  # fmt: skip


def _members(random: np.random.Generator, residents: pl.DataFrame, employers: int, latest: dt.date) -> _Members:
    age = people.ages(residents["birth_date"], latest)
    of_working_age = (age >= 18) & (age < 60)
    enrolled = random.random(len(age)) < np.where(of_working_age, 0.94, np.where(age < 18, 0.58, 0.72))
    chosen = np.flatnonzero(enrolled)
    size = len(chosen)
    left = np.where(random.random(size) < _LEFT_SHARE, draws.integers(random, 1, 30, size), 0)
    income = np.exp(random.normal(8.83, 0.45, size))
    return _Members(
        resident=chosen,
        worker=of_working_age[chosen],
        flexible=random.random(size) < 0.2,
        joined=left + 1 + random.geometric(1 / 60, size),
        left=left,
        employer=np.minimum((employers * random.random(size) ** 2.2).astype(np.int64), max(0, employers - 1)),
        base=np.clip(np.round(income / 10) * 10, BASE_FLOOR, BASE_CEILING).astype(np.int64),
    )


def _payments(random: np.random.Generator, members: _Members, count: int) -> tuple[Integers, Integers, Integers]:
    """Return member, kind and month of each row, oldest month first."""
    who: list[Integers] = []
    kinds: list[Integers] = []
    months: list[Integers] = []
    left, month = count, 0
    while left > 0 and len(members.resident):
        member, kind = _month(random, members, month)
        member, kind = member[:left], kind[:left]
        who.append(member)
        kinds.append(kind)
        months.append(np.full(len(member), month, dtype=np.int64))
        left -= len(member)
        month += 1
    empty = np.array([], dtype=np.int64)
    return tuple(np.concatenate([*parts[::-1], empty]) for parts in (who, kinds, months))  # type: ignore[return-value]


def _month(random: np.random.Generator, members: _Members, month: int) -> tuple[Integers, Integers]:
    """Return who pays what in `month`, the members in a random order, a member's kinds side by side."""
    active = (members.left <= month) & (month < members.joined)
    kinds = np.where(members.worker, np.where(members.flexible, 2, 4), 1) * (active | ~members.worker)
    order = random.permutation(len(members.resident))
    number = kinds[order]
    member = np.repeat(order, number)
    starts = np.cumsum(number) - number
    kind = np.arange(len(member)) - np.repeat(starts, number)
    return member, np.where(members.worker[member], kind, _MEDICAL)


def _months(latest: dt.date, count: int) -> list[dt.date]:
    """Return the first days of `count` months, from `latest` back."""
    first = latest.year * 12 + latest.month - 1
    return [dt.date((first - back) // 12, (first - back) % 12 + 1, 1) for back in range(count)]
