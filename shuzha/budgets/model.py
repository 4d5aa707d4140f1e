"""A privacy budget and what is spent of it. Pure: no SQL, HTTP, files.

Words: a *budget* (隐私预算) caps what all differentially private answers over one entry may cost together, whoever
asks; with an `authorization` it caps what this authorization may cost within that. A *spend* is one answer's cost,
debited before the answer is made and never given back. Without a budget for the entry there are no such answers.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from desensitize.dp import BudgetSpent, Cap, Loss, Spent, left_of
from desensitize.dp.accounting import check_fits
from desensitize.errors import InvalidPlan
from shuzha.core.errors import Invalid, NotAllowed

RULE = "dp.budget"
MOST_EPSILON = 100.0


@dataclass(frozen=True, slots=True)
class Budget:
    """The cap of an entry, or of one authorization within it, and the exact sums of what was spent (decimal text)."""

    id: str
    entry: str
    authorization: str
    provider: str
    operator: str
    epsilon: float
    delta: float
    set_by: str
    set_at: dt.datetime
    reason: str
    spent_epsilon: str = "0"
    spent_rho: str = "0"
    spent_delta: str = "0"
    answers: int = 0
    revision: int = 1

    @property
    def cap(self) -> Cap:
        """The cap."""
        return Cap(self.epsilon, self.delta)

    @property
    def spent(self) -> Spent:
        """What was spent so far."""
        epsilon, rho, delta = Decimal(self.spent_epsilon), Decimal(self.spent_rho), Decimal(self.spent_delta)
        return Spent(epsilon, rho, delta, self.answers)

    @property
    def name(self) -> str:
        """What the budget is of, as a refusal says it."""
        whose = f"authorization {self.authorization} over entry {self.entry}" if self.authorization else self.entry
        return f"the privacy budget of {whose}" if self.authorization else f"the privacy budget of entry {whose}"

    @property
    def left(self) -> Loss:
        """What one more answer may cost at most: an epsilon or a rho."""
        return left_of(self.cap, self.spent)

    @property
    def spent_share(self) -> float:
        """Which part of the cap's epsilon is spent, between 0 and 1."""
        return min(1.0, self.spent.epsilon_under(self.cap) / self.epsilon)

    def with_loss(self, loss: Loss) -> Budget:
        """Return the budget after one more answer; refuses one that does not fit, with what would."""
        try:
            spent = check_fits(self.cap, self.spent, loss, self.name)
        except BudgetSpent as error:
            message, _, accepted = str(error).partition("; accepted: ")
            raise NotAllowed(message, rule=RULE, accepted=accepted) from None
        return self.with_spent(spent)

    def with_spent(self, spent: Spent) -> Budget:
        """Return the budget with these sums."""
        return replace(
            self, spent_epsilon=str(spent.epsilon), spent_rho=str(spent.rho), spent_delta=str(spent.delta),
            answers=spent.answers,
        )  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """Return the budget as a notebook reads it."""
        left = self.left
        return {
            "epsilon": self.epsilon, "delta": self.delta, "answers": self.answers,
            "spent_epsilon": round(self.spent.epsilon_under(self.cap), 9), "left_epsilon": left.epsilon,
            "left_rho": left.rho, "left_delta": left.delta,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spend:
    """One answer: what it cost, who asked, and what was said; `answer` is empty where computing it failed.

    A synthetic release is an answer too: `kind` is synthetic, no workspace asked, and `answer` names the release.

    `question` is the hash of all that was asked of which version of the data, so that the same question is known again.
    """

    id: str
    entry: str
    authorization: str
    grant: str
    workspace: str
    by: str
    at: dt.datetime
    kind: str
    columns: tuple[str, ...]
    epsilon: str
    rho: str
    delta: str
    raw_version: int
    question: str
    answer: dict[str, Any] = field(default_factory=dict)
    revision: int = 1


def sum_spends(spends: Iterable[Spend]) -> Spent:
    """Return the exact sums of spends, as a budget over them has to say them."""
    found = Spent()
    for one in spends:
        found = found.with_loss(Loss(float(one.epsilon), float(one.rho), float(one.delta)))
    return found


def check_cap(epsilon: float, delta: float, reason: str) -> None:
    """Refuse a cap that caps nothing, and one without a reason."""
    try:
        Cap(epsilon, delta)
    except InvalidPlan as error:
        raise Invalid(str(error), rule=RULE, accepted="an epsilon above 0 and a delta of 0 or such as 1e-6") from None
    if epsilon > MOST_EPSILON or delta > 0.001:
        raise Invalid(
            "a budget of this size protects nobody", rule=RULE,
            accepted=f"an epsilon of at most {MOST_EPSILON:g} and a delta of at most 0.001",
        )  # fmt: skip
    if not reason.strip():
        raise Invalid("a decision without a reason", rule="decision.reason", accepted="a sentence that says why")
