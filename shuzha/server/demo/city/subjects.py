"""Subjects whose true answer is known, for the demo's and the tests' verification calls.

Words: *insured* means that the pension payment of the claim's month arrived; *not insured* is a resident of the
register without it; *unknown* is a well-formed number that no register holds; *misnamed* is an insured resident
under another name.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import polars as pl

from shuzha.server.demo.city import digits, draws, people
from shuzha.server.demo.city.generate import LATEST_MONTH, TODAY, City

CLAIM_NAME = "insured"
CLAIM_MONTH = f"{LATEST_MONTH:%Y-%m}"


@dataclass(frozen=True, slots=True)
class Subject:
    """A person to ask about; `expected` is the true answer, `match` or `no_match`."""

    resident_id: str
    name: str
    expected: str
    why: str


@dataclass(frozen=True, slots=True)
class Subjects:
    """Subjects by what is true of them."""

    insured: tuple[Subject, ...]
    not_insured: tuple[Subject, ...]
    unknown: tuple[Subject, ...]
    misnamed: tuple[Subject, ...]

    def all(self) -> tuple[Subject, ...]:
        """Return every subject."""
        return self.insured + self.not_insured + self.unknown + self.misnamed


def claim_conditions(month: str = CLAIM_MONTH) -> tuple[dict[str, object], ...]:
    """Return the conditions of the claim `insured` in the grammar of a verification specification."""
    return (
        {"column": "kind", "op": "eq", "value": "pension"},
        {"column": "period", "op": "eq", "value": month},
        {"column": "paid", "op": "eq", "value": True},
    )


def pick_subjects(city: City, seed: int = 1, *, each: int = 5, month: str = CLAIM_MONTH) -> Subjects:
    """Return `each` subjects of every kind, drawn from the city's registers; the same seed gives the same ones.

    Refuses a city without a single insured and a single not insured resident in the social insurance register.
    """
    random = draws.stream(seed, "subjects")
    people_known = (
        city.register("social_insurance")
        .scan()
        .group_by("resident_id", "name")
        .agg(insured=((pl.col("kind") == "pension") & (pl.col("period") == month) & pl.col("paid")).any())
        .sort("resident_id")
        .collect()
    )
    insured = _draw(random, people_known.filter("insured"), 2 * each)
    without = _draw(random, people_known.filter(~pl.col("insured")), each)
    if not len(insured) or not len(without):
        raise ValueError(
            f"the city's social insurance holds no insured or no uninsured resident in {month}; make it larger"
        )
    known = insured.head(each)
    wrong = insured.tail(each).with_columns(name=pl.format("{}某", pl.col("name").str.slice(0, 1)))
    return Subjects(
        insured=_subjects(known, "match", "insured"),
        not_insured=_subjects(without, "no_match", "not insured"),
        unknown=_subjects(_strangers(random, city, each), "no_match", "unknown"),
        misnamed=_subjects(wrong, "no_match", "misnamed"),
    )


def _draw(random: np.random.Generator, frame: pl.DataFrame, count: int) -> pl.DataFrame:
    return frame[np.sort(random.permutation(len(frame))[:count])]


def _subjects(frame: pl.DataFrame, expected: str, why: str) -> tuple[Subject, ...]:
    return tuple(
        Subject(number, name, expected, why) for number, name in frame.select("resident_id", "name").iter_rows()
    )


def _strangers(random: np.random.Generator, city: City, count: int) -> pl.DataFrame:
    """Return well-formed numbers of adults that the register of residents does not hold."""
    tries = 4 * count + 16
    male = random.random(tries) < 0.5
    days = draws.integers(random, 20 * 366, 60 * 365, tries)
    born = pl.Series([TODAY - dt.timedelta(days=int(day)) for day in days], dtype=pl.Date)
    birth = born.dt.strftime("%Y%m%d").cast(pl.Int64).to_numpy()
    number = digits.resident_ids(
        np.full(tries, 370102, dtype=np.int64), birth, draws.integers(random, 0, 500, tries) * 2 + male
    )
    strangers = pl.DataFrame({"resident_id": number, "name": people.person_names(random, male)})
    held = city.register("residents").scan().select("resident_id").collect()
    return strangers.join(held, on="resident_id", how="anti", maintain_order="left").head(count)
