"""The value domain (值域) of a column: which values it may hold, said beforehand and never read from the data."""

from __future__ import annotations

from dataclasses import dataclass

_SHOWN = 4


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

    @property
    def label(self) -> str:
        """The domain in a few words of no language: its first values, its edges' ends, or the code of its regions."""
        if self.regions:
            return f"GB/T 2260 {self.regions} {self.level}"
        if self.edges:
            first, last = (
                str(each) if isinstance(each, str) else f"{each:g}" for each in (self.edges[0], self.edges[-1])
            )
            return f"{first} … {last} ({len(self.edges) - 1})"
        shown = ", ".join(str(value) for value in self.values[:_SHOWN])
        return f"{shown}, … ({len(self.values)})" if len(self.values) > _SHOWN else shown
