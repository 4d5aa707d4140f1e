"""Questions about policies: why may or may not somebody, what would change, a grant as ODRL, a document checked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from policies import Context, Resource, Scope
from policies.explain import Explanation, explain
from policies.odrl import read_odrl, write_odrl
from policies.whatif import Difference, compare_scopes, cut_scope
from shuzha.authorization.agreement import STRICT, Agreement, Operation, OutputKind, Term
from shuzha.authorization.base import Room, authorization_views, grant_views
from shuzha.authorization.model import Grant, GrantState
from shuzha.authorization.store import AUTHORIZATIONS, GRANTS
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid, NotFound
from shuzha.core.work import Work
from shuzha.people.store import ACCOUNTS, find_account


@dataclass(frozen=True, slots=True)
class Question:
    """May this account do this? `account` is an id or a login, empty for whoever asks.

    `permission` is `<noun>:<verb>`. For `data:*` name the grant: entry, organisation and authorization follow from it,
    and `at` is now where it is left out. For others, `kind`, `organisation` and `author` describe the thing.
    """

    __pydantic_config__ = STRICT
    permission: str
    account: str = ""
    grant: str = ""
    columns: frozenset[str] = frozenset()
    operation: str = ""
    output_kind: str = ""
    purpose: str = ""
    place: str = ""
    partners: frozenset[str] = frozenset()
    at: dt.datetime | None = None
    kind: str = ""
    organisation: str = ""
    author: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """Other words in some clauses of an agreement; None leaves a clause as it is."""

    __pydantic_config__ = STRICT
    entries: tuple[str, ...] | None = None
    purposes: tuple[str, ...] | None = None
    operations: tuple[Operation, ...] | None = None
    output_kinds: tuple[OutputKind, ...] | None = None
    term: Term | None = None

    def apply(self, agreement: Agreement) -> Agreement:
        """Return the agreement with the changed clauses."""
        named = {name: getattr(self, name) for name in self.__slots__}
        return replace(agreement, **{name: value for name, value in named.items() if value is not None})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a changed agreement would do: of each grant in force its difference; clauses name what was changed."""

    authorization: str
    clauses: tuple[str, ...]
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """What an ODRL document says of a grant: whether that is exactly the grant in force, and what differs if not."""

    grant: str
    version: str
    known: bool
    identical: bool
    difference: Difference | None = field(default=None)


class PolicyVerbs(Room):
    """Reads only; whoever asks sees no grant and no account that is not his to see."""

    def explain(self, actor: Actor, question: Question) -> Explanation:
        """Return why the account may, or may not, do this; raises NotFound for an account or grant not to be seen.

        People ask about themselves, operating units about their own people, authority and regulator about anybody.
        """
        with self._database.read() as work:
            subject = self._subject(actor, question.account, work)
            grant = self._seen_grant(actor, question.grant, work) if question.grant else None
            at = question.at or work.now()
        if at.tzinfo is None:
            raise Invalid("the question has a moment without a time zone", rule="policies.moment", accepted="+08:00")
        if not dt.MINYEAR < at.year < dt.MAXYEAR:
            raise Invalid("the question has a moment that cannot be counted with", rule="policies.moment")
        if grant is None:
            resource = Resource(question.kind, "", question.organisation, question.author)
            return explain(self._policies, subject, question.permission, resource, Context(at))
        resource = Resource("grant", grant.id, grant.operator, question.author, grant.authorization, grant.id)
        context = Context(
            at, grant.entry, question.columns, question.operation, question.output_kind, question.purpose,
            question.place, question.partners,
        )  # fmt: skip
        return explain(self._policies, subject, question.permission, resource, context)

    def export_odrl(self, actor: Actor, grant_id: str) -> dict[str, Any]:
        """Return a grant as an ODRL 2.2 Agreement between the provider of its entry and the operating unit."""
        with self._database.read() as work:
            grant = self._seen_grant(actor, grant_id, work)
        return write_odrl(grant.scope, grant.provider)

    def check_odrl(self, actor: Actor, document: Mapping[str, Any]) -> Checked:
        """Return whether a document is the grant that it names; refuses one that is not in this platform's form.

        A grant that the actor may not see is not known to him.
        """
        read = read_odrl(document)
        with self._database.read() as work:
            try:
                grant = self._seen_grant(actor, read.grant, work)
            except NotFound:
                return Checked(read.grant, read.version, known=False, identical=False)
        if grant.scope.version == read.version:
            return Checked(read.grant, read.version, known=True, identical=True)
        difference = compare_scopes(grant.scope, read, self._policies.calendar)
        return Checked(read.grant, read.version, known=True, identical=False, difference=difference)

    def what_if(self, actor: Actor, authorization_id: str, change: Change) -> Outcome:
        """Return what would change for each grant in force if the agreement's clauses were these; changes nothing.

        A grant holds what its demand asked for: a wider agreement alone widens none, a narrower one cuts it.
        """
        with self._database.read() as work:
            authorization = self._get_seen(work, actor, AUTHORIZATIONS, authorization_id, authorization_views)
            found = work.list(GRANTS, authorization=authorization_id)
            now = work.now()
        before, after = authorization.agreement, change.apply(authorization.agreement)
        changed = [clause for clause in after.clauses() if clause != before.clause(clause.part)]
        mine = [
            grant for grant in found
            if grant.state is not GrantState.CLOSED and self._can_see(actor, "grant:view", grant_views(grant), now)
        ]  # fmt: skip
        differences = (compare_scopes(grant.scope, _cut(grant.scope, after), self._policies.calendar) for grant in mine)
        return Outcome(
            authorization_id, tuple(f"{clause.citation()}: {clause.text}" for clause in changed), tuple(differences)
        )

    def _subject(self, actor: Actor, account: str, work: Work) -> Actor:
        if account in ("", actor.id):
            return actor
        found = work.find(ACCOUNTS, account) or find_account(work, account)
        if found is not None:
            resource = Resource("policy", organisation=found.organisation, author=found.id)
            if self._can_see(actor, "policy:view", [resource], work.now()):
                return found.actor(actor.via)
        raise NotFound("no account of this id or login")

    def _seen_grant(self, actor: Actor, grant_id: str, work: Work) -> Grant:
        return self._get_seen(work, actor, GRANTS, grant_id, grant_views)


def _cut(scope: Scope, agreement: Agreement) -> Scope | None:
    return cut_scope(
        scope, entries=agreement.entries, purposes=agreement.purposes, operations=agreement.operations,
        output_kinds=agreement.output_kinds, term=(agreement.term.start(), agreement.term.end()),
    )  # fmt: skip
