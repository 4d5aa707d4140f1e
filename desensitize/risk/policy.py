"""The limits that a measured risk is judged by: policy data by release mode, and the probability of an attempt."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from desensitize.errors import InvalidPlan


@dataclass(frozen=True, slots=True)
class Limits:
    """What a release mode accepts.

    `threshold` for one class, `overall` for data risk times context, and where the numbers come from.
    """

    mode: str
    threshold: float
    measure: str
    context: float
    overall: float
    source: str

    @property
    def smallest_class(self) -> int:
        """Return the least class size whose risk does not exceed the threshold."""
        return -int(-1 // (self.threshold + 1e-12)) if self.threshold < 1 else 1


def limits_of(
    mode: str,
    *,
    control: str | None = None,
    motive: str | None = None,
    prevalence: float | None = None,
    acquaintances: int | None = None,
) -> Limits:
    """Return the limits of a release mode (`public`, `agreement`, `enclave`) from the policy data.

    The context, the probability that somebody tries, is the largest of a deliberate attempt and a breach (by the
    recipient's `control` and `motive`: high, medium, low; the mode's own by default) and, where `prevalence` says
    what share of people is in the data, of meeting an acquaintance: 1-(1-prevalence)^acquaintances. It is 1 for
    public data. Refuses another mode or word, and a prevalence that is no share.
    """
    policy = _policy()
    values = _look_up(policy["mode"], mode, "release mode")
    context = values.get("context")
    if context is None:
        attempt = policy["attempt"]
        held = control or values["control"]
        deliberate = _look_up(attempt["deliberate"], held, "control")
        context = max(_look_up(deliberate, motive or values["motive"], "motive"), attempt["breach"][held])
        if prevalence is not None:
            known = attempt["acquaintance"]["acquaintances"] if acquaintances is None else acquaintances
            context = max(context, _meets_acquaintance(prevalence, known))
    return Limits(mode, values["threshold"], values["measure"], context, policy["overall_limit"], policy["source"])


def _meets_acquaintance(prevalence: float, acquaintances: int) -> float:
    if not 0 <= prevalence <= 1 or acquaintances < 0:
        raise InvalidPlan("prevalence is a share between 0 and 1, and the number of acquaintances is not negative")
    return float(1.0 - (1.0 - prevalence) ** acquaintances)


def _look_up(table: Mapping[str, Any], name: str, what: str) -> Any:
    if name not in table:
        raise InvalidPlan(f"{what} `{name}` is not one of: {', '.join(table)}")
    return table[name]


@cache
def _policy() -> Mapping[str, Any]:
    text = resources.files("desensitize.risk").joinpath("risk_policy.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
