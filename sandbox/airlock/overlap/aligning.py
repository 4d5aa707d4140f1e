"""Which columns of an export hold which columns of a release: found on few rows of the release, by what they share.

A large export shares rows with any sample of the release. Of a small one few rows would be in a sample; so the rows of
the release that agree with it in unlikely ways are taken instead. Columns that go together are told from columns that
agree by chance by mixing one column and counting again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from sandbox.airlock.overlap.forms import Form, Kind, can_skip_tidying, forms_of

ROWS: Final = 100_000
_KEPT: Final = 1_000_000
_ENOUGH: Final = 300
_PARTNERS: Final = 3
_MIX: Final = 6_364_136_223_846_793_005
_ROUNDS: Final = 4
_MIXED: Final = 4
_CHANCE: Final = 1.0
_TELLING: Final = 5.0
_APART: Final = 12.0
_COMMON: Final = 0.9
_PRIMES: Final = (
    1, 2, 3, 5, 7, 11, 13, 17, 23, 31, 41, 53, 71, 97, 131, 173, 233, 311, 419, 557, 743, 991, 1319, 1759,
    2341, 3121, 4157,
)  # fmt: skip

Keys = npt.NDArray[np.uint64]


class OutOfTime(Exception):
    """A comparison took longer than it may."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a comparison must have ended, by the monotonic clock."""

    at: float

    def check(self) -> None:
        """Raise OutOfTime once it is too late."""
        if time.monotonic() > self.at:
            raise OutOfTime


@dataclass(frozen=True, slots=True)
class Pair:
    """A column of the export that holds, in a form, values of a column of the release.

    `rare` is how telling it is that a row is met, in bits; `likeness` the share of each column that is in the other,
    multiplied; `bits` how far the column tells rows of the release apart.
    """

    export: str
    release: str
    form: Form
    rare: float
    likeness: float
    bits: float = 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows of a release that an export is aligned on, and how many rows the whole release has.

    `whole` is true where every row that the export could reproduce is in it; `plain` are rows taken whatever they say.
    """

    frame: pl.DataFrame
    rows: int
    whole: bool
    plain: pl.DataFrame


def mix_keys(keys: Sequence[Keys]) -> Keys:
    """Return the joint keys of columns whose own keys these are, as `joint_key` gives them."""
    return reduce(lambda one, other: one * np.uint64(_MIX) + other, keys)


def joint_key(columns: Sequence[tuple[str, Form]], schema: pl.Schema) -> pl.Expr:
    """Return the expression of 64 bits that is equal where all these columns are, each in its form."""
    keys = [form.plain(pl.col(name), schema[name]) for name, form in columns]
    return reduce(lambda one, other: one * pl.lit(_MIX, pl.UInt64) + other, keys).alias("key")


def sample_release(release: pl.LazyFrame, export: pl.DataFrame, deadline: Deadline) -> Sample:
    """Return rows of the release to align this export on, read as a stream."""
    rows = int(release.select(pl.len()).collect(engine="streaming").item())
    if rows <= ROWS:
        everything = release.collect(engine="streaming")
        return Sample(everything, rows, whole=True, plain=everything)
    step = next((prime for prime in _PRIMES if rows / prime <= ROWS * 1.2), rows // ROWS)
    plain = release.gather_every(step).collect(engine="streaming")
    deadline.check()
    if export.height * plain.height / rows >= _ENOUGH:
        return Sample(plain, rows, whole=False, plain=plain)
    return Sample(_agreeing(release, plain, export, rows), rows, whole=True, plain=plain)


def find_pairs(export: pl.DataFrame, sample: Sample, deadline: Deadline) -> list[Pair]:
    """Return the pairs that may hold, for each column of the export the likeliest few, the most telling first."""
    found: list[Pair] = []
    tidy = _tidiness(sample.frame)
    theirs: dict[tuple[str, Form], pl.Series] = {}
    for column in export.iter_columns():
        mine: dict[str, Pair] = {}
        for form in forms_of(column):
            keys = _keys(column, form)
            for name, dtype in sample.frame.schema.items():
                if not form.fits(dtype):
                    continue
                fitted = replace(form, tidy=tidy.get(name, True))
                if (name, fitted) not in theirs:
                    theirs[name, fitted] = sample.frame.select(fitted.key(pl.col(name), dtype))[name].drop_nulls()
                likeness, share = _likeness(keys, theirs[name, fitted])
                if likeness > 1.05 * (mine[name].likeness if name in mine else 0.0):
                    rare = -math.log2(max(share, 1 / sample.rows))
                    apart = _apart(theirs[name, fitted], sample.rows)
                    mine[name] = Pair(column.name, name, fitted, rare, likeness, apart)
        found += sorted(mine.values(), key=lambda pair: -pair.likeness)[:_PARTNERS]
        deadline.check()
    return sorted(found, key=lambda pair: -pair.rare)


def find_dresses(
    export: pl.DataFrame, sample: Sample, pairs: Sequence[Pair], deadline: Deadline
) -> list[tuple[Pair, ...]]:
    """Return sets of pairs that hold together in the same rows, each of columns that no earlier set has.

    Where none do, the most telling pairs by themselves.
    """
    left, dresses = list(pairs), list[tuple[Pair, ...]]()
    for _ in range(_ROUNDS):
        dress = _Search(export, sample.frame, left, deadline).run()
        if len(dress) < 2:
            break
        dresses.append(dress)
        used = {pair.export for pair in dress}
        left = [pair for pair in left if pair.export not in used]
    single: dict[str, Pair] = {}
    for pair in left:
        single.setdefault(pair.export, pair)
    # A day is nobody's by itself; a number or a name may be.
    alone = [pair for pair in single.values() if pair.form.kind is not Kind.DAY]
    telling = [pair for pair in alone if pair.rare >= _TELLING or pair.bits >= _APART]
    return dresses + [(pair,) for pair in sorted(telling, key=lambda pair: -pair.bits)[:_ROUNDS]]


class _Search:
    """Looks for pairs that hold together: all at once, grown from the most telling, or shrunk from all."""

    def __init__(self, export: pl.DataFrame, release: pl.DataFrame, pairs: Sequence[Pair], deadline: Deadline) -> None:
        self._export = export
        self._release = release
        self._pairs = pairs
        self._deadline = deadline
        self._keys: dict[tuple[str, Form, bool], Keys] = {}
        self._random = np.random.default_rng(7)

    def run(self) -> tuple[Pair, ...]:
        """Return the pairs that hold together, none where no two do."""
        everything = self._one_each(self._pairs)
        if len(everything) < 2:
            return ()
        best, excess = everything, self._excess(everything)
        if excess <= _CHANCE:
            best, excess = self._grow()
        if len(best) < 2 or excess <= _CHANCE:
            best, excess = self._shrink(everything)
        if len(best) < 2 or excess <= _CHANCE:
            return ()
        return self._trim(best, excess)

    def _grow(self) -> tuple[tuple[Pair, ...], float]:
        best: tuple[tuple[Pair, ...], float] = ((), 0.0)
        for base in list(self._pairs)[:6]:
            chosen: tuple[Pair, ...] = (base,)
            excess = 0.0
            for pair in self._pairs:
                if pair.export in {one.export for one in chosen} or pair.release in {one.release for one in chosen}:
                    continue
                more = self._excess((*chosen, pair), mixed=pair)
                if more > max(_CHANCE, 0.4 * excess):
                    chosen, excess = (*chosen, pair), more
            if len(chosen) > 1 and excess > best[1]:
                best = (chosen, excess)
        return best

    def _shrink(self, chosen: tuple[Pair, ...]) -> tuple[tuple[Pair, ...], float]:
        excess = self._excess(chosen)
        while len(chosen) > 2 and excess <= _CHANCE:
            tried = [(self._excess(rest), rest) for rest in (_without(chosen, pair) for pair in chosen)]
            excess, chosen = max(tried, key=lambda one: one[0])
        return chosen, excess

    def _trim(self, chosen: tuple[Pair, ...], excess: float) -> tuple[Pair, ...]:
        """Return the set without pairs that only some of its rows keep: a column of other values beside copied ones."""
        for pair in chosen:
            rest = _without(chosen, pair)
            if len(rest) >= 2 and (more := self._excess(rest)) > 1.3 * excess:
                chosen, excess = rest, more
        return chosen

    def _excess(self, chosen: tuple[Pair, ...], mixed: Pair | None = None) -> float:
        """Return how many rows of the release agree in all pairs beyond what a mixed column would give."""
        self._deadline.check()
        telling = [mixed] if mixed else sorted(chosen, key=lambda pair: -pair.rare)[:_MIXED]
        theirs = pl.Series(self._joint(chosen, mine=True)).implode()
        met = [self._joint(chosen, mine=False), *(self._joint(chosen, mine=False, mixed=pair) for pair in telling)]
        counts = pl.Series(np.concatenate(met)).is_in(theirs).to_numpy().reshape(len(met), -1).sum(axis=1)
        found, chance = int(counts[0]), int(counts[1:].min())
        return found - chance - 4 * math.sqrt(chance)

    def _joint(self, chosen: tuple[Pair, ...], *, mine: bool, mixed: Pair | None = None) -> Keys:
        """Return the joint keys of the export or the release, with one column mixed where that is asked."""
        keys = [self._key(one, mine=mine) for one in chosen]
        return mix_keys(
            [self._random.permutation(key) if one == mixed else key for one, key in zip(chosen, keys, strict=True)]
        )

    def _key(self, pair: Pair, *, mine: bool) -> Keys:
        name = pair.export if mine else pair.release
        place = (name, pair.form, mine)
        if place not in self._keys:
            frame = self._export if mine else self._release
            form = pair.form.tidied() if mine else pair.form
            self._keys[place] = frame.select(form.plain(pl.col(name), frame.schema[name]))[name].to_numpy()
        return self._keys[place]

    def _one_each(self, pairs: Sequence[Pair]) -> tuple[Pair, ...]:
        """Return for each column of the export its likeliest pair whose column of the release is still free."""
        chosen: dict[str, Pair] = {}
        taken: set[str] = set()
        for pair in sorted(pairs, key=lambda one: -one.likeness):
            if pair.export not in chosen and pair.release not in taken:
                chosen[pair.export] = pair
                taken.add(pair.release)
        return tuple(chosen.values())


def _without(chosen: tuple[Pair, ...], pair: Pair) -> tuple[Pair, ...]:
    return tuple(one for one in chosen if one != pair)


def _keys(column: pl.Series, form: Form) -> pl.Series:
    """Return the different keys that an export's column has in a form."""
    name = column.name
    known = column.drop_nulls().unique().to_frame()
    dtype = known.schema[name]
    return known.select(form.key(pl.col(name), dtype))[name].drop_nulls().unique()


def _likeness(keys: pl.Series, theirs: pl.Series) -> tuple[float, float]:
    """Return how alike two columns are (share of each met in the other, multiplied), and the release's share met."""
    if not len(theirs) or not len(keys):
        return 0.0, 0.0
    met = theirs.filter(theirs.is_in(keys.implode()))
    share = len(met) / len(theirs)
    return share * met.n_unique() / len(keys), share


def _apart(keys: pl.Series, rows: int) -> float:
    """Return by how many bits a column tells rows apart: of the chance that two rows have one value (Renyi)."""
    counts = keys.value_counts(name="n")["n"].cast(pl.Float64)
    size = float(len(keys))
    same = float((counts * (counts - 1)).sum()) / (size * (size - 1)) if size > 1 else 1.0
    return -math.log2(max(same, 1 / max(rows, 2)))


def _tidiness(frame: pl.DataFrame) -> dict[str, bool]:
    return {
        name: not can_skip_tidying(frame[name])
        for name, dtype in frame.schema.items()
        if dtype in (pl.String, pl.Categorical, pl.Enum)
    }


def _agreeing(release: pl.LazyFrame, plain: pl.DataFrame, export: pl.DataFrame, rows: int) -> pl.DataFrame:
    """Return the rows of the release that agree with a small export in the most unlikely ways.

    Each column in which a row agrees counts the bits that agreement is worth by a plain sample; the rows of most bits
    are taken, as many as the sample says. A row that was copied agrees wherever its values were kept.
    """
    tidy = _tidiness(plain)
    keys: dict[tuple[str, Form], list[pl.Series]] = {}
    for column in export.iter_columns():
        for form in forms_of(column):
            for name, dtype in plain.schema.items():
                if form.fits(dtype):
                    keys.setdefault((name, replace(form, tidy=tidy.get(name, True))), []).append(_keys(column, form))
    told: dict[str, list[pl.Expr]] = {}
    for (name, form), parts in keys.items():
        agrees = form.key(pl.col(name), plain.schema[name]).is_in(pl.concat(parts).unique().implode())
        bits = _bits(agrees.fill_null(value=False), plain, rows)
        if bits is not None:
            told.setdefault(name, []).append(bits)
    if not told:
        return plain.clear()
    score = reduce(lambda one, other: one + other, (pl.max_horizontal(tests) for tests in told.values()))
    share = min(1.0, _KEPT / 2 / rows)
    least = plain.select(score.alias("s"))["s"].quantile(1 - share, "higher") or 0.0
    return release.filter(score >= max(least, 1e-9)).head(_KEPT).collect(engine="streaming")


def _bits(agrees: pl.Expr, plain: pl.DataFrame, rows: int) -> pl.Expr | None:
    """Return what agreement in one column is worth in bits, None where nearly every row agrees."""
    share = float(plain.select(agrees.mean()).item() or 0.0)
    if share > _COMMON:
        return None
    return pl.when(agrees).then(-math.log2(max(share, 1 / rows))).otherwise(0.0)
