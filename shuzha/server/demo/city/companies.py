"""The register of enterprises with their licences."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl

from shuzha.server.demo.city import columns, digits, draws, people, vocabulary
from shuzha.server.demo.city.draws import Integers

_ADULT = 22


def enterprises(random: np.random.Generator, count: int, residents: pl.DataFrame, today: dt.date) -> pl.DataFrame:
    """Return `count` enterprises; a legal representative is an adult of `residents` (left empty when there is none)."""
    industry = draws.places(random, [share for *_, share in vocabulary.INDUSTRIES], count)
    district = draws.places(random, [weight for _, _, weight in vocabulary.DISTRICTS], count)
    codes = np.array([code for code, _, _ in vocabulary.DISTRICTS], dtype=np.int64)[district]
    serial = (random.integers(0, 31**6, dtype=np.int64) + np.arange(count) * 15_485_863) % 31**6
    frame = pl.DataFrame(
        {
            "uscc": digits.credit_codes("91", codes, serial),
            "name": _names(random, industry),
            "district_code": pl.Series(codes).cast(pl.String),
            "industry": draws.pick([name for name, *_ in vocabulary.INDUSTRIES], industry),
            "status": draws.words(random, vocabulary.STATUSES, count),
            "registered_capital": _capital(random, count),
        }
    )
    licences = _licences(random, industry, today)
    representatives = _representatives(random, count, residents, today)
    whole = pl.concat([frame, licences, representatives], how="horizontal")
    return whole.select(column.name for column in columns.COLUMNS["enterprises"])


def _names(random: np.random.Generator, industry: Integers) -> pl.Series:
    count = len(industry)
    first, second, third = (
        draws.pick(list(vocabulary.BRANDS), draws.integers(random, 0, len(vocabulary.BRANDS), count)) for _ in range(3)
    )
    trade = draws.pick([word for _, word, _, _ in vocabulary.INDUSTRIES], industry)
    return (
        pl.DataFrame({"a": first, "b": second, "c": third, "t": trade})
        .select(pl.format("济南{}{}{}{}有限公司", "a", "b", "c", "t").alias("n"))
        .to_series()
    )


def _capital(random: np.random.Generator, count: int) -> pl.Series:
    """Return registered capital in yuan: log-normal around one million, in whole ten thousands."""
    return pl.Series(np.maximum(1, np.exp(random.normal(4.6, 1.4, count)).astype(np.int64)) * 10_000)


def _licences(random: np.random.Generator, industry: Integers, today: dt.date) -> pl.DataFrame:
    count = len(industry)
    kinds = [kind or None for _, _, kind, _ in vocabulary.INDUSTRIES]
    has_one = np.array([kind is not None for kind in kinds])[industry] & (random.random(count) < 0.9)
    start = np.datetime64(today, "D") - draws.integers(random, 30, 5 * 365 + 200, count).astype("timedelta64[D]")
    end = start + np.timedelta64(5 * 365 + 1, "D")
    serial = draws.integers(random, 0, 10**8, count)
    frame = pl.DataFrame(
        {
            "licence_number": pl.Series(serial).cast(pl.String).str.zfill(8),
            "licence_kind": draws.pick(kinds, industry),
            "licence_valid_from": pl.Series(start).cast(pl.Date),
            "licence_valid_to": pl.Series(end).cast(pl.Date),
            "has_one": has_one,
        }
    ).with_columns(
        pl.format("鲁{}字第{}号", pl.col("licence_kind").str.slice(0, 2), "licence_number").alias("licence_number")
    )
    return frame.select(pl.when("has_one").then(pl.exclude("has_one")))


def _representatives(random: np.random.Generator, count: int, residents: pl.DataFrame, today: dt.date) -> pl.DataFrame:
    adults = np.flatnonzero(people.ages(residents["birth_date"], today) >= _ADULT)
    if not len(adults):
        nobody = pl.Series([None] * count, dtype=pl.String)
        return pl.DataFrame({"legal_representative": nobody, "legal_representative_id": nobody})
    chosen = adults[draws.integers(random, 0, len(adults), count)]
    return residents[chosen].select(
        pl.col("name").alias("legal_representative"), pl.col("resident_id").alias("legal_representative_id")
    )
