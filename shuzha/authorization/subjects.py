"""About whom one may ask: people one by one, or an organisation through the one of its people who comes nearest."""

from __future__ import annotations

from dataclasses import dataclass, replace

from policies import Resource
from policies.explain import Explanation
from shuzha.authorization.explaining import PolicyVerbs, Question
from shuzha.core.actor import Actor
from shuzha.core.errors import NotFound
from shuzha.people.model import Account
from shuzha.people.store import ACCOUNTS


@dataclass(frozen=True, slots=True)
class Subject:
    """Somebody about whom one may ask: an account, its organisation, its roles."""

    account: str
    name: str
    organisation: str
    roles: tuple[str, ...]


class SubjectVerbs(PolicyVerbs):
    """Questions about policies, with the people whom they may be about."""

    def list_subjects(self, actor: Actor) -> tuple[Subject, ...]:
        """Return the people about whom the actor may ask, by organisation and name; nobody where he may not ask.

        Accounts that are suspended are left out: nobody acts by them.
        """
        with self._database.read() as work:
            found, now = work.list(ACCOUNTS), work.now()
        return tuple(
            Subject(one.id, one.name, one.organisation, tuple(sorted(one.roles)))
            for one in sorted(found, key=lambda one: (one.organisation, one.name))
            if one.active and self._can_see(actor, "policy:view", [_resource(one)], now)
        )

    def can_ask(self, actor: Actor, organisation: str) -> bool:
        """Return whether the actor may ask about everybody of an organisation."""
        with self._database.read() as work:
            return self._can_see(actor, "policy:view", [Resource("policy", organisation=organisation)], work.now())

    def explain_organisation(self, actor: Actor, organisation: str, question: Question) -> tuple[Subject, Explanation]:
        """Return why one of an organisation's people may do this, or why the one who comes nearest may not, and who.

        Raises NotFound for an organisation about which the actor may not ask: one's own takes more than being of it.
        """
        if not self.can_ask(actor, organisation):
            raise NotFound(f"no organisation {organisation}")
        asked = [one for one in self.list_subjects(actor) if one.organisation == organisation]
        found = [(one, self.explain(actor, replace(question, account=one.account))) for one in asked]
        if not found:
            raise NotFound(f"no organisation {organisation}")
        return max(found, key=lambda pair: (pair[1].decision.allowed, bool(pair[1].lines)))


def _resource(account: Account) -> Resource:
    return Resource("policy", organisation=account.organisation, author=account.id)
