"""Regressions that the platform can fit itself, each a closed piece of JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from workbench import page
from workbench.errors import WorkbenchError
from workbench.specifications import Condition, conditions, said

MODELS = ("linear", "logistic")
ERRORS = ("classical", "robust", "clustered")


@dataclass(frozen=True)
class Regression:
    """A regression of a release by a formula: `model` is linear or logistic, `errors` how its errors are computed."""

    release: str
    formula: str
    model: str = "linear"
    where: tuple[dict[str, Any], ...] = ()
    errors: str = "classical"

    @property
    def specification(self) -> dict[str, Any]:
        """The JSON from which the platform fits it."""
        return {
            "kind": "regression",
            "release": self.release,
            "formula": self.formula,
            "model": self.model,
            "where": list(self.where),
            "errors": self.errors,
        }

    def _repr_html_(self) -> str:
        pairs = [("数据 release", self.release), ("公式 formula", self.formula), ("模型 model", self.model),
                 ("条件 where", said(self.where) or "无 none"), ("标准误 errors", self.errors)]  # fmt: skip
        how = page.quiet("预检 ", page.tag("code", "workbench.check(…)"), " · 由平台拟合 the platform fits it")
        return page.join([page.heading("回归 regression"), page.facts(pairs), how])


def regression(
    release: str, formula: str, *, model: str = "linear", where: Iterable[Condition] = (), errors: str = "classical"
) -> Regression:
    """Return a regression of `release`, which the platform fits anew when it is exported.

    Example: `workbench.regression("social_insurance", "base ~ C(kind) + C(district_code)", errors="clustered")`

    A formula reads `outcome ~ term + term`; a term is a column, C(column) for categories, log(column), or several
    joined by a colon. Where a person has several rows, take errors="clustered". Refuses another model or kind of error.
    """
    for given, known in ((model, MODELS), (errors, ERRORS)):
        if given not in known:
            raise WorkbenchError(f"cannot fit {given!r}", rule="airlock.specification", accepted=", ".join(known))
    if formula.count("~") != 1:
        raise WorkbenchError(
            "cannot read this formula", rule="airlock.formula", accepted="outcome ~ term + term, such as base ~ C(kind)"
        )
    return Regression(release, formula, model, conditions(where), errors)
