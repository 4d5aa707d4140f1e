"""The service of this room: verbs from announcement to grant, and the scopes that decisions ask."""

from __future__ import annotations

from policies import ScopeState
from shuzha.authorization.announcing import AnnouncementVerbs
from shuzha.authorization.assessing import AssessmentVerbs
from shuzha.authorization.demands import DemandVerbs
from shuzha.authorization.eligibility import check_eligible, check_lawful
from shuzha.authorization.holds import find_holds, was_lifted
from shuzha.authorization.model import AuthorizationState, Grant, GrantState
from shuzha.authorization.procedure import AuthorizationVerbs
from shuzha.authorization.store import AUTHORIZATIONS, GRANTS
from shuzha.catalog.model import EntryState
from shuzha.catalog.store import ENTRIES
from shuzha.core.errors import NotAllowed
from shuzha.core.work import Database, Event, Work

FORGET_TAGS = ("authorization:*", "grant:*", "entry:*")
"""The events after which a process drops what its policy layer keeps; join `forget_ids` to `Policies.forget` there."""


class GrantScopes:
    """The policy layer's source of scopes: it reads the records freshly, the cache is the policy layer's business."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find_scope(self, grant_id: str) -> ScopeState | None:
        """Return the scope of a grant and whether grant and authorization are both in force, or None."""
        with self._database.read() as work:
            return find_scope(work, grant_id)


class AuthorizationService(AnnouncementVerbs, AssessmentVerbs, AuthorizationVerbs, DemandVerbs):
    """Everything from announcement to grant; `find_scope` makes it a ScopeSource as well."""

    def find_scope(self, grant_id: str) -> ScopeState | None:
        """Return the scope of a grant and whether grant and authorization are both in force, or None."""
        with self._database.read() as work:
            return find_scope(work, grant_id)


def find_scope(work: Work, grant_id: str) -> ScopeState | None:
    """Return a grant's scope as the records say now; `reason` names what is not in force, and why it was decided."""
    grant = work.find(GRANTS, grant_id)
    if grant is None:
        return None
    authorization = work.get(AUTHORIZATIONS, grant.authorization)
    if authorization.state is not AuthorizationState.ACTIVE:
        reason = f"authorization {authorization.id} is {authorization.state}: {authorization.reason}"
        return ScopeState(grant.scope, active=False, reason=reason)
    if grant.state is not GrantState.ACTIVE:
        return ScopeState(grant.scope, active=False, reason=f"grant {grant.id} is {grant.state}: {grant.reason}")
    holds = find_holds(work, authorization.id, grant.id)
    if holds:
        return ScopeState(grant.scope, active=False, reason=f"{holds[0].subject} is {holds[0].says()}")
    unusable = _find_unusable(work, grant)
    return ScopeState(grant.scope, active=not unusable, reason=unusable)


def _find_unusable(work: Work, grant: Grant) -> str:
    """Return why the grant's entry may not be used now, empty where it may.

    Events about the entry place holds; this does not wait for whoever follows them. A suspended entry is used on only
    where the authority has lifted the hold of this grant.
    """
    entry = work.find(ENTRIES, grant.entry)
    if entry is None:
        return f"entry {grant.entry} is not in the catalogue"
    lifted = entry.state is EntryState.SUSPENDED and was_lifted(work, grant, entry)
    try:
        check_lawful(entry) if lifted else check_eligible(entry)
    except NotAllowed as error:
        return error.message
    return ""


def forget_ids(event: Event) -> tuple[str, ...]:
    """Return the ids of authorizations, grants and entries that an event makes stale in every process's cache."""
    named = [event.subject, *event.data.get("grants", ())]
    return tuple(dict.fromkeys(str(identifier) for identifier in named))
