"""The small city of `releases_kit` with privacy budgets: an entry, its grant, and an analyst who asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shuzha.authorization.model import Authorization, Grant
from shuzha.budgets.answering import AnswerService, Asker
from shuzha.budgets.service import BudgetService
from shuzha.catalog.model import Entry
from shuzha.catalog.store import ENTRIES
from shuzha.core.actor import Actor
from tests.releases_kit import ReleaseCity


@dataclass
class BudgetCity(ReleaseCity):
    """A city whose entry can have a privacy budget."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.budgets = BudgetService(self.database, self.policies)
        self.answers = AnswerService(self.database, self.policies, self.budgets, self.zone)

    def ready(self, epsilon: float | None = 1.0, delta: float = 1e-6, **draft: Any) -> Grant:
        """Return a grant over a filled entry, with a budget over the entry unless `epsilon` is None."""
        entry = self.filled()
        authorization = self.authorize(entry)
        columns = ("resident_id", "kind", "base", "paid", "district_code")
        grant = self.grant(authorization, entry, **({"columns": columns} | draft))
        if epsilon is not None:
            self.cap(entry, epsilon, delta)
        return grant

    def cap(self, entry: Entry, epsilon: float, delta: float = 1e-6, to: Authorization | str = "") -> None:
        name = to if isinstance(to, str) else to.id
        self.budgets.set_budget(self.provider, entry.id, epsilon, delta, "as agreed", authorization=name)

    def entry_of(self, grant: Grant) -> Entry:
        """Return the entry that a grant is over."""
        with self.database.read() as work:
            return work.get(ENTRIES, grant.entry)

    def ask(self, grant: Grant, actor: Actor | None = None, **asked: Any) -> dict[str, Any]:
        """Ask as the analyst would from a workspace of the grant."""
        question = {"ask": "count", "epsilon": 0.1} | asked
        return self.answers.answer(Asker(actor or self.analyst, "wsp_1", grant.id), "social_insurance", question)


SPENDER = """
import sys
from dataclasses import replace

from desensitize import dp
from policies import Policies
from shuzha.authorization.service import GrantScopes
from shuzha.budgets.service import BudgetService
from shuzha.budgets.store import SPENDS
from shuzha.core.actor import platform_actor
from shuzha.core.clock import SystemClock
from shuzha.core.errors import NotAllowed
from shuzha.core.ids import new_id
from shuzha.core.work import Database

database = Database(sys.argv[1], SystemClock())
service = BudgetService(database, Policies(GrantScopes(database)))
with database.read() as work:
    spend = work.list(SPENDS)[0]
for _ in range(40):
    try:
        service.spend(platform_actor("test"), replace(spend, id=new_id("spd")), dp.Loss(0.01, 0.00005))
    except NotAllowed:
        break
"""
# A process of its own: it repeats the one spend there is as often as the budget lets it.
