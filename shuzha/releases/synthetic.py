"""A synthetic release: rows of nobody, drawn from noisy marginals of the raw rows that the grant allows.

Words: its *plan* says which cells every column has, by the entry's sheet or the request, never by the data; the *purse*
is who keeps the privacy budgets. The whole cost is paid before a raw row is read, and never given back.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import polars as pl

from desensitize.dp import Loss
from desensitize.dp.synthetic import synthetic_loss
from desensitize.dp.synthetic_domain import Categories, Column
from desensitize.errors import DesensitizeError, InvalidPlan
from desensitize.synthetic import SyntheticPlan, release_synthetic
from desensitize.transform.plan import Plan
from desensitize.transform.techniques import Drop, Keep, Technique
from shuzha.authorization.model import Grant
from shuzha.catalog.domains import accepted_of, find_domain
from shuzha.catalog.model import Element, Entry, Role
from shuzha.core.errors import Invalid
from shuzha.core.work import Work
from shuzha.releases import certificate as paper
from shuzha.releases.model import SYNTHETIC_NOT_PROMISED, SYNTHETIC_RULE, Release, SyntheticOptions

_NAMING = frozenset({Role.DIRECT, Role.FREE_TEXT})
SEED_POLICY = "none: noise and rows come from the operating system's randomness and cannot be repeated"


class Purse(Protocol):
    """Whoever keeps the privacy budgets, as releases need it; the room above implements it."""

    def find_delta(self, work: Work, entry: Entry) -> float:
        """Return the delta at which the entry's budget counts a synthetic table; refuses without such a budget."""
        ...

    def check(self, work: Work, entry: Entry, authorization: str, loss: Loss) -> None:
        """Refuse a cost that does not fit into the entry's budget, or the authorization's share of it."""
        ...

    def pay(self, release: Release, columns: tuple[str, ...], loss: Loss) -> None:
        """Debit the entry's budget and the authorization's share, once for this release however often it is asked."""
        ...


def loss_of(options: SyntheticOptions) -> Loss:
    """Return what a synthetic release costs, whatever comes of it; refuses an epsilon that is no number above 0."""
    try:
        return synthetic_loss(options.epsilon, options.delta)
    except InvalidPlan as error:
        message, _, accepted = str(error).partition("; accepted: ")
        raise Invalid(message, rule=SYNTHETIC_RULE, accepted=accepted) from None


def list_synthesized(entry: Entry, grant: Grant, without: tuple[str, ...] = ()) -> tuple[Element, ...]:
    """Return the granted elements that a synthetic table can hold: not the entity key, none that names somebody."""
    return tuple(
        element
        for element in entry.elements
        if element.name in grant.scope.columns
        and element.name not in without
        and element.name != entry.entity_key
        and element.role not in _NAMING
    )


def make_synthetic_plan(entry: Entry, grant: Grant, options: SyntheticOptions) -> SyntheticPlan:
    """Return the plan of a synthetic release, made without a look at the data.

    Refuses an entry without an entity key, a column whose domain nobody said (naming it and what would be accepted),
    options for columns that are not synthesized, a table of no column, and what the engine refuses.
    """
    if entry.entity_key is None:
        raise Invalid(
            f"entry {entry.code} names no entity key, so nobody's privacy could be kept", rule=SYNTHETIC_RULE,
            accepted="an entry whose sheet says whose data a row is",
        )  # fmt: skip
    elements = list_synthesized(entry, grant, options.without)
    named = {element.name for element in elements}
    unknown = sorted(set(options.domains) - named) or sorted(set(options.without) - grant.scope.columns)
    if unknown or not elements:
        what = f"the request speaks of `{unknown[0]}`" if unknown else "no column is left"
        granted = ", ".join(element.name for element in list_synthesized(entry, grant))
        raise Invalid(f"{what}, which no synthetic table of this grant holds", rule=SYNTHETIC_RULE, accepted=granted)
    columns: dict[str, Column] = {}
    for element in elements:
        found = find_domain(element, options.domains.get(element.name))
        if found is None:
            raise Invalid(
                f"nobody said which values `{element.name}` may hold, and the data must not be asked",
                rule=SYNTHETIC_RULE,
                accepted=f"its domain in the entry's sheet or in the request: {accepted_of(element)}; or leave it out",
            )  # fmt: skip
        columns[element.name] = found
    dropped = sorted((grant.scope.columns | {entry.entity_key}) - named)
    kept: dict[str, Technique] = {name: Keep() for name in columns}
    plan = Plan(kept | {name: Drop() for name in dropped}, title=f"{entry.code} {entry.name}")
    try:
        return SyntheticPlan(
            plan, epsilon=options.epsilon, delta=options.delta, columns=columns, entity=entry.entity_key,
            rows_per_entity=options.rows_per_entity, method=options.method,
        )  # fmt: skip
    except DesensitizeError as error:
        raise Invalid(str(error), rule=SYNTHETIC_RULE) from None


def fit_cells(frame: pl.LazyFrame, plan: SyntheticPlan) -> pl.LazyFrame:
    """Return the rows with every value in a cell of its column, so that no row can be refused for what it holds.

    What no cell takes becomes null; rows of nobody (a null entity) are left out. A refusal would tell of the data.
    """
    assert plan.entity is not None
    schema = frame.collect_schema()
    cells = [_fit(pl.col(name), schema[name], column).alias(name) for name, column in plan.columns.items()]
    return frame.filter(pl.col(plan.entity).is_not_null()).with_columns(cells)


def _fit(column: pl.Expr, dtype: pl.DataType, cells: Column) -> pl.Expr:
    if isinstance(cells, Categories):
        cast = column.cast(cells.dtype, strict=False)
        return pl.when(cast.is_in(pl.Series(cells.values, dtype=cells.dtype).implode())).then(cast)
    if dtype == pl.String:
        if cells.of_days:
            return column.str.to_date("%Y-%m-%d", strict=False)
        column = column.cast(pl.Float64, strict=False)
        dtype = pl.Float64()
    return column.fill_nan(None) if dtype.is_float() else column


class _Payment:
    """The records as the engine's budget: debited durably at the one moment at which the engine asks for it."""

    def __init__(self, purse: Purse, release: Release, columns: tuple[str, ...]) -> None:
        self._purse = purse
        self._release = release
        self._columns = columns
        self.paid = False

    def debit(self, loss: Loss) -> None:
        """Store the spend."""
        self._purse.pay(self._release, self._columns, loss)
        self.paid = True


def write_synthetic(
    folder: Path, release: Release, grant: Grant, entry: Entry, frame: pl.LazyFrame, purse: Purse
) -> dict[str, Any]:
    """Write a synthetic table and its plan into a new folder; return the part of its certificate that says so.

    `frame` are the raw rows and columns that the grant allows, with the entity key. Refuses what the plan and the
    purse refuse. Once it is paid for, a failure says nothing of the data.
    """
    assert release.synthetic is not None
    plan = make_synthetic_plan(entry, grant, release.synthetic)
    payment = _Payment(purse, release, tuple(plan.columns))
    try:
        made = release_synthetic(fit_cells(frame, plan), plan, accountant=payment)
        made.write(folder)
    except (DesensitizeError, pl.exceptions.PolarsError) as error:
        said = f": {error}" if isinstance(error, DesensitizeError) and not payment.paid else ""
        raise Invalid(f"cannot synthesize entry {entry.code}{said}", rule=SYNTHETIC_RULE) from None
    (folder / paper.PLAN_FILE).write_text(plan.to_toml(), "utf-8")
    return {
        "kind": "shuzha synthetic release certificate",
        "version": 1,
        "found": {"columns": [_describe(entry, name) for name in plan.plan.columns]},
        "desensitization": made.certificate,
        "budget": {"spend": spend_of(release), "seed": SEED_POLICY},
        "joined": None,
        "limits": None,
        "level": None,
        "not_promised": list(SYNTHETIC_NOT_PROMISED),
    }


def spend_of(release: Release) -> str:
    """Return the id of the one spend that pays for a release."""
    return f"spd_{release.id.partition('_')[2]}"


def _describe(entry: Entry, name: str) -> dict[str, Any]:
    """Return what the sheet says of a column; the hit rate of a scan has no noise and stays away."""
    element = entry.find_element(name)
    assert element is not None
    return {"name": name, "role": element.role.value, "grade": element.grade}
