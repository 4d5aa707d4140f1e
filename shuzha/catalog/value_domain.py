"""The value domain (值域) of a column: which values it may hold, said beforehand and never read from the data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ValueDomain:
    """Which values a column may hold (值域), said beforehand: one of `values`, `edges` and `regions`.

    `edges` cut numbers or ISO days into bins, their values multiples of `step`; `regions` are the GB/T 2260 codes of a
    `level` (province, city, district) under a code. What the data hold is never asked: that would tell of rare values.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it so
    values: tuple[str | int | bool, ...] = ()
    edges: tuple[float | str, ...] = ()
    step: float | None = None
    regions: str = ""
    level: str = "district"
