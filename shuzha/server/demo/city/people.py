"""The register of residents."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl

from shuzha.server.demo.city import digits, draws, vocabulary
from shuzha.server.demo.city.draws import Booleans, Integers

_LOCAL_SHARE = 0.72
_ONE_CHARACTER_SHARE = 0.14
_SEQUENCES = 500


def residents(random: np.random.Generator, count: int, today: dt.date) -> pl.DataFrame:
    """Return `count` residents alive on `today`, with resident IDs that are valid and each used once."""
    male = random.random(count) < 0.512
    born = _birth_dates(random, count, today)
    district = draws.places(random, [weight for _, _, weight in vocabulary.DISTRICTS], count)
    codes = np.array([code for code, _, _ in vocabulary.DISTRICTS], dtype=np.int64)
    area = np.where(
        random.random(count) < _LOCAL_SHARE,
        codes[draws.places(random, [weight for _, _, weight in vocabulary.DISTRICTS], count)],
        np.array(vocabulary.ELSEWHERE, dtype=np.int64)[draws.integers(random, 0, len(vocabulary.ELSEWHERE), count)],
    )
    birth = born.dt.year().cast(pl.Int64) * 10_000 + born.dt.month().cast(pl.Int64) * 100 + born.dt.day().cast(pl.Int64)
    sequence = _sequences(random, area, birth.to_numpy(), male)
    return pl.DataFrame(
        {
            "resident_id": digits.resident_ids(area, birth.to_numpy(), sequence),
            "name": person_names(random, male),
            "sex": draws.pick(["女", "男"], male.astype(np.int64)),
            "birth_date": born,
            "district_code": pl.Series(codes[district]).cast(pl.String),
            "address": _addresses(random, district),
            "mobile": mobiles(random, count),
            "ethnicity": draws.words(random, vocabulary.ETHNIC_GROUPS, count),
            "education": _education(random, ages(born, today)),
        }
    )


def ages(born: pl.Series, today: dt.date) -> Integers:
    """Return whole years lived on `today`."""
    before = (born.dt.month().cast(pl.Int64) * 100 + born.dt.day().cast(pl.Int64)) > today.month * 100 + today.day
    return (today.year - born.dt.year().cast(pl.Int64) - before.cast(pl.Int64)).to_numpy()


def person_names(random: np.random.Generator, male: Booleans) -> pl.Series:
    """Return a full name for each person; surnames by their frequency, one given name in seven of one character."""
    count = len(male)
    surname = draws.words(random, vocabulary.SURNAMES, count)
    first, second = (_given_characters(random, male) for _ in range(2))
    second[random.random(count) < _ONE_CHARACTER_SHARE] = 0
    alphabet = ["", *vocabulary.MALE_GIVEN, *vocabulary.FEMALE_GIVEN]
    return surname + draws.pick(alphabet, first) + draws.pick(alphabet, second)


def _given_characters(random: np.random.Generator, male: Booleans) -> Integers:
    men, women = len(vocabulary.MALE_GIVEN), len(vocabulary.FEMALE_GIVEN)
    of_men = draws.places(random, draws.falling(men), len(male))
    of_women = draws.places(random, draws.falling(women), len(male))
    return np.where(male, 1 + of_men, 1 + men + of_women)


def mobiles(random: np.random.Generator, count: int) -> pl.Series:
    """Return mobile numbers in ranges that are in use."""
    prefix = np.array(vocabulary.MOBILE_PREFIXES, dtype=np.int64)[
        draws.places(random, draws.falling(len(vocabulary.MOBILE_PREFIXES)), count)
    ]
    return pl.Series(prefix * 10**8 + draws.integers(random, 0, 10**8, count)).cast(pl.String)


def _birth_dates(random: np.random.Generator, count: int, today: dt.date) -> pl.Series:
    band = draws.places(random, vocabulary.AGE_PYRAMID, count)
    days = (band * 5 * 365.2425 + random.random(count) * 5 * 365.2425).astype(np.int64)
    return pl.Series(np.datetime64(today, "D") - days.astype("timedelta64[D]")).cast(pl.Date)


def _sequences(random: np.random.Generator, area: Integers, birth: Integers, male: Booleans) -> Integers:
    """Return a sequence number for each person so that no two with the same region, birth date and sex share one."""
    group = area * 10**9 + birth * 10 + male
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(group) else np.array([], dtype=np.int64)
    sizes = np.diff(np.r_[starts, len(group)])
    if len(sizes) and sizes.max() > _SEQUENCES:
        raise ValueError(f"cannot make {len(area)} residents: a region and day hold at most {_SEQUENCES} of one sex")
    rank = np.arange(len(group)) - np.repeat(starts, sizes)
    offset = np.repeat(draws.integers(random, 0, _SEQUENCES, len(starts)), sizes)
    sequence = np.empty(len(group), dtype=np.int64)
    sequence[order] = (rank + offset) % _SEQUENCES
    return sequence * 2 + male


def _addresses(random: np.random.Generator, district: Integers) -> pl.Series:
    count = len(district)
    parts = pl.DataFrame(
        {
            "district": draws.pick([vocabulary.CITY + name for _, name, _ in vocabulary.DISTRICTS], district),
            "street": draws.pick(
                vocabulary.STREETS, draws.places(random, draws.falling(len(vocabulary.STREETS)), count)
            ),
            "number": draws.integers(random, 1, 600, count),
            "building": draws.integers(random, 1, 31, count),
            "unit": draws.integers(random, 1, 5, count),
            "room": draws.integers(random, 1, 34, count) * 100 + draws.integers(random, 1, 5, count),
        }
    )
    whole = pl.format("{}{}{}号{}栋{}单元{}室", "district", "street", "number", "building", "unit", "room")
    return parts.select(whole.alias("address")).to_series()


def _education(random: np.random.Generator, age: Integers) -> pl.Series:
    level = np.zeros(len(age), dtype=np.int64)
    lower = 0
    for upper, weights in vocabulary.EDUCATION_BY_AGE:
        here = (age >= lower) & (age < upper)
        level[here] = draws.places(random, weights, int(here.sum()))
        lower = upper
    return draws.pick(vocabulary.EDUCATION, level)
