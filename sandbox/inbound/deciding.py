"""The verbs of one reviewer of another organisation: let it in, ask for changes, reject; each with a reason."""

from __future__ import annotations

from typing import Any

from sandbox.airlock.findings import Severity
from sandbox.inbound.base import Desk
from sandbox.inbound.model import ImportRequest, check_reason
from shuzha.core.actor import Actor
from shuzha.core.errors import NotAllowed


class Deciding(Desk):
    """Approve, return, reject. One reviewer decides: what enters can be taken away, what leaves can't."""

    def approve(self, actor: Actor, import_id: str, reason: str) -> ImportRequest:
        """Return the request approved; the platform lets the file in next.

        Refuses whoever is of the applicant's unit, and a list of which some class has too few people in the release.
        """
        reason = check_reason(reason)
        with self._database.work(actor) as work:
            request = self._get_seen(work, actor, import_id)
            blocked = [one.rule for one in request.closed if one.severity is Severity.BLOCK]
            if blocked and actor.organisation != request.organisation:
                raise NotAllowed(
                    f"cannot approve {request.id}: a closed finding blocks it", rule=", ".join(blocked),
                    accepted="reject it, or ask for changes without saying how many were found",
                )  # fmt: skip
            return self._move(work, actor, request, "approve", "own file approved", reason=reason)

    def return_for_changes(self, actor: Actor, import_id: str, reason: str) -> ImportRequest:
        """Return the request to its applicant for changes; that is no refusal."""
        return self._decide(actor, import_id, "return", "own file returned for changes", reason, outcome="", closed=())

    def reject(self, actor: Actor, import_id: str, reason: str) -> ImportRequest:
        """Return the request rejected; nothing of the file is kept but its hash."""
        return self._decide(actor, import_id, "reject", "own file rejected", reason, outcome="", parsed="")

    def _decide(
        self, actor: Actor, import_id: str, verb: str, said: str, reason: str, **changes: Any
    ) -> ImportRequest:  # fmt: skip
        reason = check_reason(reason)
        with self._database.work(actor) as work:
            request = self._get_seen(work, actor, import_id)
            decided = self._move(work, actor, request, verb, said, reason=reason, **changes)
        self._forget(request.sha256, request.parsed, request.outcome)
        return decided
