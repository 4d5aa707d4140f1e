"""Uniform labels beside local ones: what each way of anonymizing a table keeps, in one table to decide by."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from desensitize.anonymity.anonymization import Anonymized, anonymize
from desensitize.anonymity.recoding import Recoded, recode_locally
from desensitize.hierarchy import Hierarchy
from desensitize.tables import Table
from desensitize.transform.goals import Model


@dataclass(frozen=True, slots=True)
class Comparison:
    """Full-domain generalization (`full`) beside local recoding (`local`) of one table, both under the same models.

    `table` has one row per measure: `measure`, `full_domain`, `local`. `loss` is the geometric-mean loss of both;
    `coverage: COLUMN` is how much of the column's domain a row's label covers on average, a left out row all of it;
    `labels: COLUMN` is how many different labels are left.
    """

    table: pl.DataFrame
    full: Anonymized = field(repr=False)
    local: Recoded = field(repr=False)

    def _repr_html_(self) -> str:
        """Return the table as HTML, for a notebook."""
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.table.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_text(cell))}</td>" for cell in row) + "</tr>"
            for row in self.table.rows()
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def compare(
    frame: Table,
    quasi_identifiers: Mapping[str, Hierarchy],
    k: int = 5,
    suppression_limit: float = 0.02,
    metric: str = "loss",
    l_diversity: object = None,
    t_closeness: object = None,
    entity: str | None = None,
    *,
    models: Sequence[Model] = (),
    max_visits: int | None = None,
    time_limit: float | None = None,
) -> Comparison:
    """Return both anonymizations of a table and one table of what each keeps.

    Refuses what `anonymize` and `recode_locally` refuse.
    """
    wanted = {"k": k, "l_diversity": l_diversity, "t_closeness": t_closeness, "entity": entity, "models": models}
    full = anonymize(
        frame,
        quasi_identifiers,
        suppression_limit=suppression_limit,
        metric=metric,
        max_visits=max_visits,
        time_limit=time_limit,
        **wanted,  # type: ignore[arg-type]
    )
    local = recode_locally(frame, quasi_identifiers, **wanted)  # type: ignore[arg-type]
    return Comparison(_tabulate(full, local), full, local)


def _tabulate(full: Anonymized, local: Recoded) -> pl.DataFrame:
    lines: list[tuple[str, float, float]] = [
        ("classes", full.classes.height, local.classes.height),
        ("smallest class", _least(full.classes), _least(local.classes)),
        ("average class", full.risk.average_class, local.risk.average_class),
        ("rows left out", full.suppressed, local.suppressed),
        ("loss", full.geometric_loss, local.loss),
        *((f"coverage: {column}", full.coverage[column], local.coverage[column]) for column in full.levels),
        *(
            (f"labels: {column}", full.classes[column].n_unique(), local.classes[column].n_unique())
            for column in full.levels
        ),
    ]
    return pl.DataFrame(
        [(name, float(left), float(right)) for name, left, right in lines],
        schema={"measure": pl.String, "full_domain": pl.Float64, "local": pl.Float64},
        orient="row",
    )


def _least(classes: pl.DataFrame) -> int:
    return int(classes["class_entities"].min() or 0)  # type: ignore[arg-type]


def _text(cell: object) -> str:
    if not isinstance(cell, float):
        return str(cell)
    return f"{cell:,.0f}" if cell.is_integer() else f"{cell:,.4g}"
