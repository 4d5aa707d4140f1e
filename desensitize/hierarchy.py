"""Generalization hierarchies: how a value becomes coarser, level by level.

Words: a *leaf* is a value as it stands in the table; *level* 0 is the leaf, the highest level is usually `*`; a
hierarchy is *static* when its rows are given and *open* when they are made for the values that a table holds
(dates, number bands, region codes).
"""

from __future__ import annotations

import csv
import datetime as dt
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from desensitize.errors import InvalidInput, InvalidPlan
from desensitize.regions import truncate_code

ANY = "*"
DATE_LEVELS: tuple[str, ...] = ("month", "quarter", "year", "decade")
Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One attribute's generalizations.

    Rows of equal length, the leaf first, or a rule that makes such a row from a leaf.
    """

    rows: tuple[Row, ...] = ()
    make_row: Callable[[str], Row] | None = None
    label: str = "table"

    def __post_init__(self) -> None:
        if self.make_row is None:
            _check_rows(self.rows)

    @classmethod
    def from_rows(cls, rows: Iterable[Sequence[object]]) -> Hierarchy:
        """Return the static hierarchy of these rows (leaf, then ever coarser values).

        Refuses no rows, rows of unequal length, a leaf given twice, and one value that becomes two different
        coarser values.
        """
        return cls(rows=tuple(tuple(str(cell) for cell in row) for row in rows))

    @classmethod
    def from_csv(cls, path: str | Path, separator: str = ";") -> Hierarchy:
        """Return the static hierarchy of a UTF-8 text file without a header, one leaf a line.

        Refuses what `from_rows` refuses.
        """
        file = Path(path)
        if not file.is_file():
            raise InvalidPlan(f"hierarchy file `{file.name}` does not exist")
        try:
            with file.open(encoding="utf-8-sig", newline="") as handle:
                rows = [row for row in csv.reader(handle, delimiter=separator) if row]
        except UnicodeDecodeError as error:
            raise InvalidPlan(f"hierarchy file `{file.name}` is not UTF-8 text") from error
        return cls.from_rows(rows)

    @classmethod
    def flat(cls) -> Hierarchy:
        """Return the open hierarchy of two levels: the value itself, and `*`."""
        return cls(make_row=lambda leaf: (leaf, ANY), label="flat")

    @classmethod
    def regions(cls) -> Hierarchy:
        """Return the open hierarchy of GB/T 2260 codes.

        District, city, province, `*` (18-digit resident IDs give their first six digits).
        """
        return cls(make_row=_region_row, label="region")

    @classmethod
    def dates(cls, levels: Sequence[str] = DATE_LEVELS) -> Hierarchy:
        """Return the open hierarchy of ISO dates.

        The day, then `levels` in the order month, quarter, year, decade, then `*`.
        """
        ranks = [DATE_LEVELS.index(level) if level in DATE_LEVELS else -1 for level in levels]
        if not ranks or -1 in ranks or ranks != sorted(set(ranks)):
            raise InvalidPlan(f"date levels must be taken, in this order, from: {', '.join(DATE_LEVELS)}")
        return cls(make_row=lambda leaf: _date_row(leaf, tuple(levels)), label="date")

    @classmethod
    def numbers(cls, widths: Sequence[float] = (5, 10, 20), origin: float = 0) -> Hierarchy:
        """Return the open hierarchy of number bands.

        The number, bands of each width (each a multiple of the last), `*`.

        Bands are written `[20,25)` and start at `origin`. Refuses widths that are not positive, or do not nest.
        """
        if not widths or any(not math.isfinite(width) or width <= 0 for width in widths):
            raise InvalidPlan("band widths must be positive numbers")
        for finer, coarser in itertools.pairwise(widths):
            if coarser <= finer or not math.isclose(coarser / finer, round(coarser / finer)):
                raise InvalidPlan("each band width must be a whole multiple of the one before it")
        return cls(make_row=lambda leaf: _number_row(leaf, tuple(widths), origin), label="number")

    def list_rows(self, leaves: Iterable[str | None], column: str) -> tuple[tuple[str | None, ...], ...]:
        """Return the rows that generalize every one of `leaves`, in the order of the hierarchy.

        A null stays null below the top.

        Refuses a leaf that the hierarchy does not hold, naming the column and how many, never the value.
        """
        seen = set(leaves)
        rows: list[tuple[str | None, ...]] = list(self.rows)
        if self.make_row is not None:
            rows.extend(self.make_row(leaf) for leaf in sorted(leaf for leaf in seen if leaf is not None))
        known = {row[0] for row in rows if row}
        rows = [row for row in rows if row]
        if ANY in seen and ANY not in known:
            rows.append((ANY,) * max((len(row) for row in rows), default=2))
            known.add(ANY)
        missing = len(seen - {None} - known)
        if missing:
            raise InvalidInput(
                f"column `{column}`: {missing} distinct values are not in its {self.label} hierarchy; "
                "add them to the hierarchy or transform the column first"
            )
        heights = {len(row) for row in rows} or {2}
        if len(heights) > 1:
            raise InvalidInput(f"column `{column}` mixes values of different forms (such as 6- and 18-digit codes)")
        if None in seen or not rows:
            tops = {row[-1] for row in rows}
            rows.append((*([None] * (heights.pop() - 1)), tops.pop() if len(tops) == 1 else ANY))
        return tuple(rows)


def _check_rows(rows: tuple[Row, ...]) -> None:
    if not rows or not rows[0]:
        raise InvalidPlan("a hierarchy has at least one row with at least one value")
    if any(len(row) != len(rows[0]) for row in rows):
        raise InvalidPlan("all rows of a hierarchy have the same number of values")
    if len({row[0] for row in rows}) != len(rows):
        raise InvalidPlan("a hierarchy names each leaf once; at least one is given twice")
    for level in range(1, len(rows[0])):
        parents: dict[str, str] = {}
        for row in rows:
            if parents.setdefault(row[level - 1], row[level]) != row[level]:
                raise InvalidPlan(f"one value of level {level - 1} becomes two different values at level {level}")


def _region_row(leaf: str) -> Row:
    code = leaf[:6]
    if len(leaf) not in (6, 12, 18) or not (code.isascii() and code.isdigit()):
        return ()
    return (leaf, *_distinct_codes(leaf, code), ANY)


def _distinct_codes(leaf: str, code: str) -> Row:
    district = () if len(leaf) == 6 else (code,)
    return (*district, truncate_code(code, "city"), truncate_code(code, "province"))


def _date_row(leaf: str, levels: tuple[str, ...]) -> Row:
    """Return the row of a day, or of a month or year: what is coarser than a level stands there itself."""
    try:
        day = dt.date.fromisoformat(
            leaf[:10] if len(leaf) > 7 else {4: f"{leaf}-01-01", 7: f"{leaf}-01"}.get(len(leaf), "")
        )
    except ValueError:
        return ()
    made = {
        "month": leaf if len(leaf) <= 7 else leaf[:7],
        "quarter": leaf if len(leaf) == 4 else f"{day.year:04}-Q{(day.month + 2) // 3}",
        "year": f"{day.year:04}",
        "decade": f"{day.year // 10 * 10:04}s",
    }
    return (leaf, *(made[level] for level in levels), ANY)


def _number_row(leaf: str, widths: tuple[float, ...], origin: float) -> Row:
    try:
        number = float(leaf)
    except ValueError:
        return ()
    if not math.isfinite(number):
        return ()
    bands = []
    for width in widths:
        start = origin + math.floor((number - origin) / width) * width
        bands.append(f"[{_plain(start)},{_plain(start + width)})")
    return (leaf, *bands, ANY)


def _plain(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else repr(round(number, 9))
