"""Figures of the granted raw data with differential privacy, paid for from the entry's privacy budget.

    workbench.dp.count("social_insurance", by=["district_code"], where=[("paid", "==", True)], epsilon=0.1, delta=1e-9)
    workbench.dp.mean("social_insurance", "base", lower=0, upper=30000, epsilon=0.2)

`epsilon` buys Laplace noise, `rho` Gaussian noise. One entity counts in `groups` groups, with `rows` rows in each; the
rest of its rows is left out. Groups without `keys` come from the data: those that too few entities have are not shown,
and that takes a `delta`. Asking the very same again gives the same answer and costs nothing.
"""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from workbench.connection import ask
from workbench.show import Shown
from workbench.specifications import Condition, conditions

_FIGURES = ("estimate", "low", "high", "count")
_WIDTH = 160


class Answer(Shown):
    """Noisy figures: `.frame`, for one figure `.estimate` and `.interval`, and what the answer cost and left."""

    @property
    def frame(self) -> pl.DataFrame:
        """The figures as a table: the groups, `estimate`, and the ends `low` and `high` of its 95 % interval."""
        rows, columns = self.data["rows"], self.data["columns"]
        return pl.DataFrame(rows, infer_schema_length=None).select(columns) if rows else pl.DataFrame(schema=columns)

    @property
    def estimate(self) -> float:
        """The one figure of an answer without groups."""
        (row,) = self.data["rows"]
        return float(row["estimate"])

    @property
    def interval(self) -> tuple[float, float]:
        """Between what the figure without noise lies, in 95 of 100 answers."""
        (row,) = self.data["rows"]
        return float(row["low"]), float(row["high"])

    def __repr__(self) -> str:
        return f"{self.title}\n{self._price()}\n{self.frame}"

    def _repr_html_(self) -> str:
        labels = [name for name in self.data["columns"] if name not in _FIGURES]
        ends = [row[end] for row in self.data["rows"] for end in ("low", "high")]
        least, most = min([*ends, 0.0]), max([*ends, 1.0])
        heads = "".join(f'<th scope="col">{html.escape(one)}</th>' for one in (*labels, "estimate", "95 %", ""))
        body = "".join(f"<tr>{self._cells(row, labels, least, most)}</tr>" for row in self.data["rows"])
        nothing = "" if body else "<tr><td>没有达到阈值的组 · no group reached the threshold</td></tr>"
        caption = f"{html.escape(self.title)}<br><small>{html.escape(self._price())}</small>"
        return (
            f"<table><caption>{caption}</caption><thead><tr>{heads}</tr></thead><tbody>{body}{nothing}</tbody></table>"
        )

    def _cells(self, row: dict[str, Any], labels: list[str], least: float, most: float) -> str:
        named = "".join(f"<td>{html.escape('—' if row[one] is None else str(row[one]))}</td>" for one in labels)
        low, middle, high = row["low"], row["estimate"], row["high"]
        at = [round((one - least) / (most - least) * _WIDTH, 1) for one in (low, middle, high)]
        bar = (
            f'<svg width="{_WIDTH}" height="12" role="img" aria-label="{low:g} – {high:g}">'
            f'<line x1="{at[0]}" x2="{at[2]}" y1="6" y2="6" stroke="currentColor" stroke-width="2"/>'
            f'<circle cx="{at[1]}" cy="6" r="4" fill="currentColor"/></svg>'
        )
        return f"{named}<td>{middle:,g}</td><td>{low:,g} – {high:,g}</td><td>{bar}</td>"

    def _price(self) -> str:
        data = self.data
        cost = f"rho {data['rho']:g}" if data["epsilon"] is None else f"epsilon {data['epsilon']:g}"
        cost += f", delta {data['delta']:g}" if data["delta"] else ""
        paid = "同一问题，不再花费 · asked before, costs nothing" if data["repeated"] else f"花费 · spent: {cost}"
        return f"{paid}; 剩余 · left: epsilon {data['left']['left_epsilon']:g}"


def count(entry: str, *, of: str = "entities", by: Sequence[str] = (), **said: Any) -> Answer:
    """Return how many entities (or `of="rows"`) of `entry` meet `where`, in each group of `by`.

    Example: `workbench.dp.count("social_insurance", by=["district_code"], epsilon=0.1, delta=1e-9)`
    """
    return _ask("count", entry, by=list(by), of=of, **said)


def sum(entry: str, value: str, *, lower: float, upper: float, by: Sequence[str] = (), **said: Any) -> Answer:  # noqa: A001
    """Return the sum of `value`, each row clipped to [lower, upper] (or, with `each="entity"`, each entity's sum).

    Example: `workbench.dp.sum("social_insurance", "base", lower=0, upper=30000, epsilon=0.2)`
    """
    return _ask("sum", entry, value=value, lower=lower, upper=upper, by=list(by), **said)


def mean(entry: str, value: str, *, lower: float, upper: float, by: Sequence[str] = (), **said: Any) -> Answer:
    """Return the mean of `value`, clipped to [lower, upper]; how many there are is never taken as known.

    Example: `workbench.dp.mean("social_insurance", "base", lower=0, upper=30000, epsilon=0.2)`
    """
    return _ask("mean", entry, value=value, lower=lower, upper=upper, by=list(by), **said)


def histogram(entry: str, value: str, *, edges: Sequence[float], **said: Any) -> Answer:
    """Return how many rows have a `value` between each two `edges`.

    Example: `workbench.dp.histogram("social_insurance", "base", edges=range(0, 30001, 5000), epsilon=0.2)`
    """
    return _ask("histogram", entry, value=value, edges=list(edges), **said)


def quantile(entry: str, value: str, alpha: float, *, candidates: Sequence[float], **said: Any) -> Answer:
    """Return the one of `candidates` below which about a share `alpha` of the values lies.

    Example: `workbench.dp.quantile("social_insurance", "base", 0.5, candidates=range(0, 30001, 500), epsilon=0.2)`
    """
    return _ask("quantile", entry, value=value, alpha=alpha, candidates=list(candidates), **said)


def _ask(
    kind: str, entry: str, *, where: Iterable[Condition] = (), keys: Iterable[Any] | None = None, **said: Any
) -> Answer:
    query = {"ask": kind, **said, "where": list(conditions(where))}
    if keys is not None:
        query["keys"] = [[_plain(part) for part in (key if isinstance(key, (tuple, list)) else (key,))] for key in keys]
    return Answer(f"差分隐私 · {kind} of {entry}", ask("dp", entry=entry, query=query))


def _plain(part: Any) -> Any:
    return part.isoformat() if isinstance(part, dt.date) else part
