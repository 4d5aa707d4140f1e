"""The counts behind a synthetic table: the rows of each distinct tuple of cells, and their marginals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from desensitize.dp.synthetic_domain import Codes, Domain
from desensitize.dp.synthetic_model import Clique, count_cells
from desensitize.dp.synthetic_noise import Counts
from desensitize.errors import InvalidInput, InvalidPlan
from desensitize.leaves import as_entity
from desensitize.tables import Table, collect, hide, open_table, shown

_ENTITY = hide("entity")
_ORDER = hide("order")
_ROWS = hide("rows")


@dataclass(frozen=True, slots=True)
class Tally:
    """Distinct tuples of cells (one row each, one column a column of the domain), and how many rows hold each."""

    sizes: tuple[int, ...]
    tuples: Codes
    rows: Counts
    _known: dict[Clique, Counts] = field(default_factory=dict, repr=False)

    def count(self, clique: Clique) -> Counts:
        """Return the exact marginal over a clique; kept, since it is asked for again."""
        if clique not in self._known:
            shape = [self.sizes[column] for column in clique]
            cells = np.zeros(len(self.rows), np.int64)
            for column in clique:
                cells = cells * self.sizes[column] + self.tuples[:, column]
            sums = np.bincount(cells, weights=self.rows, minlength=count_cells(clique, self.sizes))
            self._known[clique] = np.rint(sums).astype(np.int64).reshape(shape)
        return self._known[clique]

    def select(self, columns: Sequence[int]) -> Tally:
        """Return the tally of these columns alone."""
        return Tally(tuple(self.sizes[column] for column in columns), self.tuples[:, list(columns)], self.rows)


def tally(table: Table, domain: Domain, entity: str | None = None, rows_per_entity: int = 1) -> Tally:
    """Return the tally of a table; with an entity column, of at most `rows_per_entity` rows of each entity.

    Which rows of an entity count is drawn at random. Refuses a table whose columns are not the domain's and the
    entity column, a value that no cell takes, and a null entity.
    """
    frame = open_table(table)
    schema = frame.collect_schema()
    _check_columns(schema.names(), domain, entity)
    codes = [_encode(domain, name, schema[name]).alias(str(at)) for at, name in enumerate(domain.columns)]
    names = [str(at) for at in range(len(codes))]
    if entity is None:
        cells = frame.select(codes)
    else:
        cells = _bound(frame.select(*codes, as_entity(entity, schema[entity]).alias(_ENTITY)), entity, rows_per_entity)
    found = collect(cells.group_by(names).agg(pl.len().cast(pl.Int64).alias(_ROWS)))
    for at, name in enumerate(domain.columns):
        if found[str(at)].null_count():
            raise InvalidInput(
                f"column `{name}` holds values (or nulls) that its domain does not; add them, or give an `other`, "
                "or allow nulls"
            )
    tuples = found.select(names).to_numpy().astype(np.int32).reshape(len(found), len(names))
    return Tally(domain.sizes, tuples, found[_ROWS].to_numpy())


def _check_columns(names: list[str], domain: Domain, entity: str | None) -> None:
    if missing := [name for name in domain.columns if name not in names]:
        raise InvalidInput(f"the domain names columns that the table does not have: {', '.join(missing)}")
    if unknown := [name for name in names if name not in domain.columns and name != entity]:
        raise InvalidPlan(f"the domain says nothing about: {', '.join(unknown)}; add them, or leave them out first")
    if entity is not None and entity not in names:
        raise InvalidInput(f"entity column `{entity}` is not in the table; it has: {', '.join(names)}")


def _encode(domain: Domain, name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if dtype in (pl.Categorical, pl.Enum):
        return domain.columns[name].encode(column.cast(pl.String), pl.String())
    return domain.columns[name].encode(column, dtype)


def _bound(cells: pl.LazyFrame, entity: str, rows: int) -> pl.LazyFrame:
    """Return at most so many rows of each entity, drawn afresh: a draw that could be repeated would not be private."""
    frame = collect(cells)
    if frame[_ENTITY].null_count():
        raise InvalidInput(f"entity column `{shown(entity)}` holds nulls; every row must say whose it is")
    order = pl.Series(_ORDER, np.random.default_rng().random(len(frame)))
    place = pl.col(_ORDER).rank("ordinal").over(_ENTITY)
    return frame.with_columns(order).filter(place <= rows).drop(_ENTITY, _ORDER).lazy()
