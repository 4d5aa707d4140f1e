"""What releases need of privacy budgets: a synthetic table is one more spend, debited once for each release."""

from __future__ import annotations

import hashlib

from desensitize.dp import Loss, left_of
from desensitize.dp.loss import epsilon_of
from shuzha.budgets.model import RULE, Budget, Spend
from shuzha.budgets.service import BudgetService, no_budget
from shuzha.budgets.store import find_budget
from shuzha.catalog.model import Entry
from shuzha.core.actor import platform_actor
from shuzha.core.errors import NotAllowed
from shuzha.core.work import Database, Work
from shuzha.releases.model import Release, ReleaseKind
from shuzha.releases.synthetic import spend_of


class ReleasePurse:
    """The privacy budgets as `releases.synthetic.Purse`."""

    def __init__(self, database: Database, budgets: BudgetService) -> None:
        self._database = database
        self._budgets = budgets

    def find_delta(self, work: Work, entry: Entry) -> float:
        """Return half of the delta of the entry's budget, which is the part that counts Gaussian noise.

        Refuses an entry without a budget, and a budget without delta, which counts pure epsilon alone.
        """
        whole = find_budget(work, entry.id)
        if whole is None:
            raise no_budget(entry.code)
        if whole.delta == 0:
            raise NotAllowed(
                f"the privacy budget of entry {entry.code} has no delta, which a synthetic table needs", rule=RULE,
                accepted="a budget with a delta such as 1e-6, which the provider or the authority sets",
            )  # fmt: skip
        return whole.delta / 2

    def check(self, work: Work, entry: Entry, authorization: str, loss: Loss) -> None:
        """Refuse a cost that does not fit into the entry's budget or the authorization's share, with what would."""
        for budget in _standing(work, entry.id, authorization):
            budget.with_loss(loss)

    def pay(self, release: Release, columns: tuple[str, ...], loss: Loss) -> None:
        """Store the release's one spend and debit both budgets; does nothing where that was done before."""
        identifier = spend_of(release)
        spend = Spend(
            identifier, release.entry, release.authorization, release.grant, "", release.requested_by,
            self._database.clock.now(), ReleaseKind.SYNTHETIC.value, columns, repr(loss.epsilon), repr(loss.rho),
            repr(loss.delta), release.raw_version, hashlib.sha256(release.id.encode()).hexdigest(),
            {"release": release.id},
        )  # fmt: skip
        self._budgets.spend(platform_actor("release-build"), spend, loss, method="release", once=True)

    def left_epsilon(self, entry: str, authorization: str) -> float | None:
        """Return the largest epsilon that a synthetic release may have now; None where no budget allows one."""
        with self._database.read() as work:
            found = _standing(work, entry, authorization)
        if not found or found[0].delta == 0:
            return None
        rho = min(left_of(one.cap, one.spent).rho for one in found)
        # Rounded down: what is said to fit must fit.
        return max(0.0, epsilon_of(rho, found[0].delta / 2) * (1 - 1e-9)) if rho > 0 else 0.0


def _standing(work: Work, entry: str, authorization: str) -> tuple[Budget, ...]:
    whole, own = find_budget(work, entry), find_budget(work, entry, authorization)
    return tuple(one for one in (whole, own) if one is not None) if whole is not None else ()
