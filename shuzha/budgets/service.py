"""The verbs on budgets: set one, see what is left, and spend, one spender at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from desensitize.dp import Loss
from policies import Context, Policies, Resource
from shuzha.authorization.store import AUTHORIZATIONS
from shuzha.budgets.model import RULE, Budget, Spend, check_cap, sum_spends
from shuzha.budgets.store import BUDGETS, SPENDS, find_budget
from shuzha.catalog.model import Entry
from shuzha.catalog.store import ENTRIES
from shuzha.core.actor import Actor, platform_actor
from shuzha.core.errors import Invalid, NotAllowed
from shuzha.core.ids import new_id
from shuzha.core.work import Database, Work


def budget_resource(entry: str, provider: str, authorization: str = "") -> Resource:
    """Return a budget as decisions see it: the provider's, whose entry it guards."""
    return Resource("budget", entry, provider, authorization=authorization)


class BudgetService:
    """The privacy budgets of one installation."""

    def __init__(self, database: Database, policies: Policies) -> None:
        self._database = database
        self._policies = policies

    def set_budget(
        self, actor: Actor, entry_id: str, epsilon: float, delta: float, reason: str, *, authorization: str = ""
    ) -> Budget:
        """Return the entry's budget as set now, or the authorization's own within it; what was spent stays spent.

        Refuses an entry without an entity key (nobody's privacy could be kept), a share for an authorization that does
        not hold the entry or is larger than the entry's budget, and a cap that caps nothing.
        """
        check_cap(epsilon, delta, reason)
        with self._database.work(actor) as work:
            entry = work.get(ENTRIES, entry_id)
            resource = budget_resource(entry.id, entry.provider, authorization)
            self._policies.check(actor, "budget:set", resource, Context(at=work.now()))
            operator = self._check_share(work, entry, epsilon, delta, authorization) if authorization else ""
            _check_key(entry)
            now = work.now()
            found = find_budget(work, entry.id, authorization)
            if found is None:
                made = Budget(
                    new_id("bud"), entry.id, authorization, entry.provider, operator, epsilon, delta, actor.id, now,
                    reason,
                )  # fmt: skip
                # What the authorization spent before it had a share of its own counts in that share.
                before = work.list(SPENDS, entry=entry.id, authorization=authorization) if authorization else ()
                budget = work.add(BUDGETS, made.with_spent(sum_spends(before)))
            else:
                changed = replace(found, epsilon=epsilon, delta=delta, set_by=actor.id, set_at=now, reason=reason)
                budget = work.save(BUDGETS, changed)
            data = {
                "entry": entry.id, "authorization": authorization, "operator": operator, "epsilon": epsilon,
                "delta": delta, "reason": reason,
            }  # fmt: skip
            work.emit("budget:set", budget.id, "privacy budget set", data=data, approver=actor.id)
        return budget

    def spend(self, actor: Actor, spend: Spend, loss: Loss, *, method: str = "socket", once: bool = False) -> Spend:
        """Return the spend once it is stored and both budgets are debited; nothing gives it back.

        With `once`, a spend of this id that is there is returned as it is, and nothing is debited again.

        Refuses who may not spend it, an entry without a budget, and a cost that does not fit into the entry's budget
        or the authorization's own. Two spenders never see the same budget: the unit of work is one writer at a time.
        """
        with self._database.work(actor) as work:
            operator = work.get(AUTHORIZATIONS, spend.authorization).operator
            resource = Resource("budget", spend.entry, operator, actor.id, spend.authorization, spend.grant)
            self._policies.check(actor, "budget:spend", resource, Context(at=work.now()))
            known = work.find(SPENDS, spend.id) if once else None
            if known is not None:
                return known
            budgets = self._standing(work, spend.entry, spend.authorization)
            changed = [budget.with_loss(loss) for budget in budgets]
            for budget in changed:
                work.save(BUDGETS, budget)
            work.add(SPENDS, spend)
            data = {
                "entry": spend.entry, "authorization": spend.authorization, "grant": spend.grant,
                "workspace": spend.workspace, "query": spend.kind, "columns": list(spend.columns),
                "epsilon": spend.epsilon, "rho": spend.rho, "delta": spend.delta, "question": spend.question,
                "raw_version": spend.raw_version,
            }  # fmt: skip
            work.emit("budget:spend", spend.id, f"privacy budget spent on a {spend.kind}", data=data, method=method)
        return spend

    def keep_answer(self, spend: Spend, answer: dict[str, Any]) -> Spend:
        """Return the spend with what was answered, so that the same question need not be paid for again."""
        with self._database.work(platform_actor("budget")) as work:
            return work.save(SPENDS, replace(work.get(SPENDS, spend.id), answer=answer))

    def find_answer(self, authorization: str, question: str) -> Spend | None:
        """Return what this authorization was told before when it asked the very same, or None."""
        with self._database.read() as work:
            found = work.list(SPENDS, question=question, authorization=authorization)
        return next((one for one in found if one.answer), None)

    def find_standing(self, entry: str, authorization: str) -> tuple[Budget, ...]:
        """Return the entry's budget, then the authorization's own where it has one; nothing where none was set."""
        with self._database.read() as work:
            found = (find_budget(work, entry), find_budget(work, entry, authorization))
        return tuple(one for one in found if one is not None) if found[0] is not None else ()

    def list_budgets(self, actor: Actor, entry_id: str) -> tuple[Budget, ...]:
        """Return the budgets over an entry that the actor may see, the entry's own first."""
        with self._database.read() as work:
            found, now = work.list(BUDGETS, entry=entry_id), work.now()
        seen = [one for one in found if self._can_see(actor, one, Context(at=now))]
        return tuple(sorted(seen, key=lambda one: (bool(one.authorization), one.id)))

    def list_spends(self, actor: Actor, entry_id: str) -> tuple[Spend, ...]:
        """Return the spends over an entry that the actor may see, newest first."""
        with self._database.read() as work:
            entry, now = work.get(ENTRIES, entry_id), work.now()
            found = work.list(SPENDS, entry=entry_id, newest_first=True)
            owners = {one.authorization: work.get(AUTHORIZATIONS, one.authorization).operator for one in found}
        views = {name: (entry.provider, operator) for name, operator in owners.items()}
        can, at = self._policies.can, Context(at=now)
        return tuple(
            one
            for one in found
            if any(can(actor, "budget:view", budget_resource(entry_id, each), at) for each in views[one.authorization])
        )

    def may_set(self, actor: Actor, entry: Entry) -> bool:
        """Return whether a page offers the form to this person."""
        at = Context(at=self._database.clock.now())
        return self._policies.can(actor, "budget:set", budget_resource(entry.id, entry.provider), at)

    def _can_see(self, actor: Actor, budget: Budget, asked: Context) -> bool:
        owners = (budget.provider, *((budget.operator,) if budget.operator else ()))
        views = [budget_resource(budget.entry, owner, budget.authorization) for owner in owners]
        return any(self._policies.can(actor, "budget:view", view, asked) for view in views)

    def _standing(self, work: Work, entry: str, authorization: str) -> tuple[Budget, ...]:
        whole = find_budget(work, entry)
        if whole is None:
            raise no_budget(entry)
        own = find_budget(work, entry, authorization)
        return (whole,) if own is None else (whole, own)

    def _check_share(self, work: Work, entry: Entry, epsilon: float, delta: float, authorization: str) -> str:
        held = work.get(AUTHORIZATIONS, authorization)
        if entry.id not in held.agreement.entries:
            raise Invalid(
                f"authorization {authorization} does not hold entry {entry.code}", rule=RULE,
                accepted="an authorization whose agreement names the entry",
            )  # fmt: skip
        whole = find_budget(work, entry.id)
        if whole is None or epsilon > whole.epsilon or delta > whole.delta:
            most = "an entry's budget first" if whole is None else f"at most {whole.epsilon:g} and {whole.delta:g}"
            raise Invalid("the share is larger than the entry's budget", rule=RULE, accepted=most)
        return held.operator


def no_budget(entry: str) -> NotAllowed:
    """Return the refusal of every answer over an entry for which nobody set a budget."""
    return NotAllowed(
        f"entry {entry} has no privacy budget, so it answers no differentially private question", rule=RULE,
        accepted="a budget that the provider or the authority sets on the entry's page",
    )  # fmt: skip


def _check_key(entry: Entry) -> None:
    if entry.entity_key is None:
        raise Invalid(
            f"entry {entry.code} names no entity key, so nobody's privacy could be kept", rule=RULE,
            accepted="an entry whose sheet says whose data a row is",
        )  # fmt: skip
