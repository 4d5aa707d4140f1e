"""What a notebook may ask, as typed JSON: one kind of question for each query of the engine, and nothing else.

    {"ask": "count", "by": ["district_code"], "epsilon": 0.1, "delta": 1e-9, "where": [{"column": "kind", ...}]}

The bounds of sums and means, the edges of histograms and the candidates of quantiles have no default.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from desensitize import dp
from desensitize.errors import DesensitizeError
from shuzha.core.conditions import Condition, read_conditions
from shuzha.core.errors import Invalid

RULE = "dp.question"
_MOST = 10_000

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
Part = str | int | bool | None


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="ask"):
    """What every question says: what it may cost (epsilon or rho), how much an entity may be, which rows it is of."""

    epsilon: float | None = None
    rho: float | None = None
    groups: int = 1
    rows: int = 1
    where: Annotated[list[dict[str, Any]], msgspec.Meta(max_length=50)] = []


class Grouped(Asked, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A question whose figures are told apart by columns, over known keys or over those that many entities have."""

    by: Annotated[list[Name], msgspec.Meta(max_length=8)] = []
    keys: Annotated[list[list[Part]], msgspec.Meta(max_length=_MOST)] | None = None
    delta: float = 0.0


class CountAsked(Grouped, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="count"):
    """How many."""

    of: Literal["entities", "rows"] = "entities"


class Valued(Grouped, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A question about a number, which is clipped to bounds."""

    value: Name
    lower: float
    upper: float
    step: float = 1.0
    each: Literal["row", "entity"] = "row"


class SumAsked(Valued, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="sum"):
    """How much together."""


class MeanAsked(Valued, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="mean"):
    """How much on average."""


class HistogramAsked(Asked, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="histogram"):
    """How many between each two edges."""

    value: Name
    edges: Annotated[list[float], msgspec.Meta(max_length=_MOST)]


class QuantileAsked(Asked, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="quantile"):
    """Below which candidate a share of the values lies."""

    value: Name
    alpha: float
    candidates: Annotated[list[float], msgspec.Meta(max_length=_MOST)]
    step: float = 1.0


Question = CountAsked | SumAsked | MeanAsked | HistogramAsked | QuantileAsked


def read_question(asked: dict[str, Any]) -> Question:
    """Return the question; refuses what is not of the grammar, naming the place and never a value."""
    try:
        found: Question = msgspec.convert(asked, Question, strict=True)
    except msgspec.ValidationError as error:
        place = str(error).rpartition(" - at ")[2] if " - at " in str(error) else "its fields"
        raise Invalid(
            f"cannot read the question: {place}", rule=RULE,
            accepted="ask: count, sum, mean, histogram or quantile, with that question's own fields",
        ) from None  # fmt: skip
    return found


def to_query(question: Question, unit: str) -> dp.Query:
    """Return the engine's query of a question over the privacy unit; refuses what the engine refuses."""
    try:
        return _query(question, dp.Unit(unit, question.groups, question.rows))
    except DesensitizeError as error:
        message, _, accepted = str(error).partition("; accepted: ")
        raise Invalid(message, rule=RULE, accepted=accepted) from None


def conditions_of(question: Question) -> tuple[Condition, ...]:
    """Return the question's conditions; refuses what is not of the platform's grammar."""
    return read_conditions(question.where)


def to_where(conditions: Sequence[Condition]) -> tuple[dp.Where, ...]:
    """Return the conditions as the engine takes them."""
    return tuple(dp.Where(one.column, _OPERATORS.get(one.op.value, one.op.value), one.value) for one in conditions)


_OPERATORS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


def _query(question: Question, unit: dp.Unit) -> dp.Query:
    noise = dp.Noise(question.epsilon, question.rho)
    match question:
        case CountAsked():
            return dp.Count(unit=unit, noise=noise, groups=_groups(question), of=question.of)
        case SumAsked() | MeanAsked():
            bounds = dp.Bounds(question.lower, question.upper, question.step, question.each)
            kind = dp.Sum if isinstance(question, SumAsked) else dp.Mean
            return kind(unit=unit, noise=noise, value=question.value, bounds=bounds, groups=_groups(question))
        case HistogramAsked():
            return dp.Histogram(unit=unit, noise=noise, value=question.value, edges=tuple(question.edges))
    return dp.Quantile(
        unit=unit, noise=noise, value=question.value, alpha=question.alpha, candidates=tuple(question.candidates),
        step=question.step,
    )  # fmt: skip


def _groups(question: Grouped) -> dp.Groups:
    keys = None if question.keys is None else tuple(tuple(key) for key in question.keys)
    return dp.Groups(tuple(question.by), keys, question.delta)
