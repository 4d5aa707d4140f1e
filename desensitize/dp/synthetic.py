"""Synthetic tables under differential privacy: rows of nobody, with nearly the marginals of the original.

Noisy marginals are measured by discrete Gaussian noise, a graphical model is fitted to them, and rows are drawn from
it. The original is looked at only through the noise; the rows, the report and the certificate are all made from the
noisy answers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np
import polars as pl

from desensitize.dp.answers import Debits
from desensitize.dp.loss import Loss, concentrated
from desensitize.dp.synthetic_domain import Domain
from desensitize.dp.synthetic_noise import Budget, Cost
from desensitize.dp.synthetic_report import UtilityReport, report_utility
from desensitize.dp.synthetic_sampling import draw
from desensitize.dp.synthetic_selection import Fit, Task, run_aim, run_mst
from desensitize.dp.synthetic_tally import Tally, tally
from desensitize.errors import InvalidPlan
from desensitize.tables import Table, shown

METHODS: tuple[str, ...] = ("aim", "mst")
MOST_COLUMNS = 64
MOST_ROWS = 100_000_000
# As many marginals of three columns are still weighed in every round of AIM; more columns make do with pairs.
_MOST_TRIPLES = 500
_MOST_CELLS = 20_000


@dataclass(frozen=True, slots=True)
class Synthesis:
    """A synthetic table, what it cost, and what the noisy measurements say about it.

    `frame` has the domain's columns in its order. `spent` is the cost in rho, epsilon and delta. `report` and
    `certificate` hold nothing that the noise does not cover.
    """

    frame: pl.DataFrame
    spent: Cost
    report: UtilityReport
    certificate: dict[str, Any]

    def describe(self) -> str:
        """Return one paragraph for people: what this table is, what it cost, and how far to trust it."""
        privacy = self.certificate["privacy"]
        columns = self.report.list_columns()
        worst = max(columns, key=lambda each: each.at_most)
        return (
            f"{len(self.frame)} synthetic rows of {len(self.frame.columns)} columns, drawn from a model of noisy "
            f"counts ({self.certificate['method']['name'].upper()}). Differential privacy of epsilon "
            f"{self.spent.epsilon:.6g} at delta {self.spent.delta:.3g} (zCDP rho {self.spent.rho:.6g}): adding or "
            f"removing one {privacy['unit']} hardly changes the chance of any such table. Of single columns, "
            f"`{worst.columns[0]}` may be furthest from the truth: at most {worst.at_most:.1%} of its rows stand "
            f"elsewhere ({self.report.confidence:.0%} confidence for all columns together). "
            f"{self.report.not_measured_pairs} pairs of columns were not measured and follow from the model alone."
        )


def synthetic_loss(epsilon: float, delta: float) -> Loss:
    """Return what `synthesize` debits for (epsilon, delta): the largest rho within it, whichever way it is used.

    Refuses an epsilon that is no finite number above 0, and a delta outside (0, 1).
    """
    return concentrated(Budget.within(epsilon, delta).left)


def synthesize(
    table: Table,
    domain: Domain,
    *,
    epsilon: float,
    delta: float,
    entity: str | None = None,
    rows_per_entity: int = 1,
    method: str = "aim",
    degree: int | None = None,
    rows: int | None = None,
    most_cells: int = _MOST_CELLS,
    seed: int | None = None,
    accountant: Debits | None = None,
) -> Synthesis:
    """Return a synthetic table that is (epsilon, delta)-differentially private.

    Privacy is for whoever stands behind `entity`, of whose rows at most `rows_per_entity`, drawn at random, are
    looked at; without `entity`, for single rows. Neighbours are tables with and without one of them.

    `method` is aim (adaptive, better) or mst (a spanning tree, faster). AIM looks at marginals of up to `degree`
    columns (3, or 2 where there are many); its model may grow to `most_cells` cells. `rows` is how many rows to
    make, if that is public; else it is the noisy number of rows. `seed` repeats the drawing of rows, never the noise.
    An `accountant` is debited the whole budget before the table is looked at.

    Refuses a table that holds other columns or values than the domain, more than 64 columns, and what `Domain`
    refuses. The exact number of rows of the original, and of those left out, is not told.
    """
    _check(domain, method, degree, rows, most_cells, entity, rows_per_entity)
    budget = Budget.within(epsilon, delta, rows_per_entity)
    if accountant is not None:
        accountant.debit(synthetic_loss(epsilon, delta))
    counted = tally(table, domain, entity, rows_per_entity)
    # A column of one cell says nothing; a table of such columns still has a number of rows.
    used = [at for at, size in enumerate(domain.sizes) if size > 1] or [0]
    known = counted.select(used)
    chosen = degree or (3 if math.comb(len(used), 3) <= _MOST_TRIPLES else 2)
    task = Task(known.sizes, known.count, chosen, most_cells)
    fit = (run_aim if method == "aim" else run_mst)(task, budget)
    made = min(round(fit.total), MOST_ROWS) if rows is None else rows
    codes, frame = _make_rows(domain, fit, used, made, np.random.default_rng(seed))
    names = [name for at, name in enumerate(domain.columns) if at in used]
    report = report_utility(fit.measured, codes.select(used), names, task.count_most())
    spent = budget.settle(delta)
    certificate = {
        "kind": "synthetic",
        "method": {"name": method, "degree": chosen if method == "aim" else 2, "most_cells": most_cells},
        "privacy": _describe_privacy(epsilon, entity, rows_per_entity, spent),
        "rows": {"made": made, "from": "a noisy count" if rows is None else "given"},
        **_describe_fit(domain, fit, names, report),
    }
    return Synthesis(frame, spent, report, certificate)


def _make_rows(
    domain: Domain, fit: Fit, used: Sequence[int], rows: int, random: np.random.Generator
) -> tuple[Tally, pl.DataFrame]:
    """Return so many rows of the model, as cells and as values; columns of one cell hold that cell."""
    drawn = dict(zip(used, draw(fit.model, rows, random), strict=True))
    codes = [drawn.get(at, np.zeros(rows, np.int32)) for at in range(len(domain.columns))]
    values = [
        column.decode(own, random).alias(name)
        for (name, column), own in zip(domain.columns.items(), codes, strict=True)
    ]
    return Tally(domain.sizes, np.stack(codes, axis=1), np.ones(rows, np.int64)), pl.DataFrame(values)


def _describe_fit(domain: Domain, fit: Fit, names: Sequence[str], report: UtilityReport) -> dict[str, Any]:
    return {
        "domain": domain.to_dict(),
        "measured": [
            {"columns": [names[column] for column in each.clique], "noise": each.scale} for each in fit.measured
        ],
        "utility": report.to_dict(),
        "withheld": "the number of rows of the input, its hash and what was found in it: they have no noise",
        "versions": {"opendp": metadata.version("opendp"), "numpy": np.__version__},
    }


def _describe_privacy(epsilon: float, entity: str | None, rows_per_entity: int, spent: Cost) -> dict[str, Any]:
    unit = "row" if entity is None else "entity"
    return {
        "definition": "(epsilon, delta)-differential privacy, by zero-concentrated differential privacy",
        "unit": unit,
        "entity": None if entity is None else shown(entity),
        "rows_per_entity": rows_per_entity,
        "neighbours": f"tables with and without one {unit}" + ("" if entity is None else " and all its rows"),
        "epsilon": epsilon,
        "delta": spent.delta,
        "spent": {"rho": spent.rho, "epsilon": spent.epsilon},
    }


def _check(
    domain: Domain,
    method: str,
    degree: int | None,
    rows: int | None,
    most_cells: int,
    entity: str | None,
    rows_per_entity: int,
) -> None:
    if not isinstance(domain, Domain):
        raise InvalidPlan("a synthetic table needs a Domain that says which values each column may hold")
    if method not in METHODS:
        raise InvalidPlan(f"method must be one of: {', '.join(METHODS)}")
    if degree is not None and degree not in (1, 2, 3):
        raise InvalidPlan("degree must be 1, 2 or 3 columns")
    if rows is not None and not 0 <= rows <= MOST_ROWS:
        raise InvalidPlan(f"rows must be between 0 and {MOST_ROWS}")
    if most_cells < 1:
        raise InvalidPlan("most_cells must be at least 1")
    if len(domain.columns) > MOST_COLUMNS:
        raise InvalidPlan(f"a synthetic table has at most {MOST_COLUMNS} columns; leave some out")
    if entity is not None and entity in domain.columns:
        raise InvalidPlan(f"entity column `{entity}` stands in the domain; it names people and cannot be synthesized")
    if entity is None and rows_per_entity != 1:
        raise InvalidPlan("rows_per_entity needs an entity column")
