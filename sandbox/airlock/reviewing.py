"""The verbs of people over a screened request: vote, consolidate, return, reject; hold, resume and recall."""

from __future__ import annotations

from sandbox.airlock.base import Desk
from sandbox.airlock.model import (
    EXPORT,
    HOLDABLE,
    OUTCOME,
    Choice,
    ExportRequest,
    ExportState,
    Vote,
    check_reason,
    check_reviewer,
    outcome,
    resumed_state,
)
from sandbox.airlock.store import EXPORTS
from shuzha.core.actor import Actor, platform_actor
from shuzha.core.errors import Conflict, NotAllowed
from shuzha.core.work import Work

_SAID = {
    "approve": "export approved by two reviewers",
    "return": "export request returned for changes",
    "reject": "export rejected",
    "consolidate": "reviewers differ: to be consolidated",
}


class Reviewing(Desk):
    """Vote, consolidate, return, reject, hold, resume, recall."""

    def vote(self, actor: Actor, export_id: str, choice: Choice, reason: str) -> ExportRequest:
        """Return the request with the actor's vote; the second vote decides it, or sends it to consolidation.

        Refuses the author, his unit, a second vote in the round, and a vote without a reason. What the other reviewer
        said is not shown before both have voted.
        """
        reason = check_reason(reason)
        with self._database.work(actor) as work:
            request = self._get_seen(work, actor, export_id)
            EXPORT.next(request.state, "review", request.id)
            check_reviewer(request, actor.id, actor.organisation)
            vote = Vote(actor.id, actor.organisation, Choice(choice), reason, work.now(), request.round)
            # The event tells that a vote was cast and not which: the other reviewer may read the log.
            request = self._move(
                work,
                actor,
                request,
                "review",
                "a reviewer voted",
                votes=(*request.votes, vote),
                data={"round": request.round},
            )
            verb = outcome(request.round_votes)
            return request if verb is None else self._decide(work, actor, request, verb, reason)

    def consolidate(self, actor: Actor, export_id: str, choice: Choice, reason: str) -> ExportRequest:
        """Return a request on which the two reviewers differed, decided by a third who is independent of all three."""
        reason = check_reason(reason)
        with self._database.work(actor) as work:
            request = self._get_seen(work, actor, export_id)
            if request.state is not ExportState.CONSOLIDATION:
                EXPORT.next(request.state, "consolidate", request.id)
                raise Conflict(f"cannot consolidate {request.id}: both reviewers have not voted", accepted="wait")
            check_reviewer(request, actor.id, actor.organisation)
            vote = Vote(actor.id, actor.organisation, Choice(choice), reason, work.now(), request.round)
            return self._decide(work, actor, request, OUTCOME[vote.choice], reason, vote)

    def return_for_changes(self, actor: Actor, export_id: str, reason: str) -> ExportRequest:
        """Return the request to its author without waiting for votes: somebody saw that it cannot stand."""
        reason = check_reason(reason)
        with self._database.work(actor) as work:
            request = self._get_seen(work, actor, export_id)
            return self._move(work, actor, request, "return", _SAID["return"], reason=reason, due=None)

    def reject(self, actor: Actor, export_id: str, reason: str) -> ExportRequest:
        """Return the request rejected: it ends here. One under review ends so by votes, or by the authority."""
        reason = check_reason(reason)
        with self._database.work(actor) as work:
            request = self._get_seen(work, actor, export_id)
            if actor.has("checker") and not actor.has("authority"):
                raise NotAllowed(f"cannot reject {request.id} alone", rule="export.two_reviewers", accepted="a vote")
            return self._move(work, actor, request, "reject", _SAID["reject"], reason=reason, due=None)

    def hold(self, actor: Actor, export_id: str, reason: str) -> ExportRequest:
        """Return the request held: nothing is done on it until it is resumed or rejected."""
        reason = check_reason(reason)
        with self._database.work(actor) as work:
            request = work.get(EXPORTS, export_id)
            return self._hold(work, actor, request, reason)

    def hold_all(self, authorization: str, reason: str) -> tuple[ExportRequest, ...]:
        """Hold every open request of an authorization and return them: what follows its suspension. Bears a repeat."""
        actor = platform_actor("airlock")
        with self._database.work(actor) as work:
            found = work.list(EXPORTS, authorization=authorization)
            return tuple(self._hold(work, actor, one, reason) for one in found if one.state in HOLDABLE)

    def resume(self, actor: Actor, export_id: str, reason: str) -> ExportRequest:
        """Return a held request where it was before; one that was being run is run again from the start."""
        reason = check_reason(reason)
        with self._database.work(actor) as work:
            return self._resume(work, actor, work.get(EXPORTS, export_id), reason)

    def resume_all(self, authorization: str, reason: str) -> tuple[ExportRequest, ...]:
        """Resume every held request of an authorization and return them: what follows its restoration."""
        actor = platform_actor("airlock")
        with self._database.work(actor) as work:
            found = work.list(EXPORTS, authorization=authorization)
            held = [one for one in found if one.state is ExportState.HELD]
            return tuple(self._resume(work, actor, one, reason) for one in held)

    def recall(self, actor: Actor, export_id: str, reason: str) -> ExportRequest:
        """Return a released request recalled; products and buyers hear of it by `export:recall`."""
        reason = check_reason(reason)
        with self._database.work(actor) as work:
            request = self._get_seen(work, actor, export_id)
            data = {"reason": reason, "outputs": [file.sha256 for file in request.files]}
            return self._move(work, actor, request, "recall", "export recalled", reason=reason, data=data)

    def _decide(
        self, work: Work, actor: Actor, request: ExportRequest, verb: str, reason: str, vote: Vote | None = None
    ) -> ExportRequest:
        votes = request.votes if vote is None else (*request.votes, vote)
        due = {} if verb == "consolidate" else {"due": None}
        return self._move(work, actor, request, verb, _SAID[verb], reason=reason, votes=votes, **due)

    def _hold(self, work: Work, actor: Actor, request: ExportRequest, reason: str) -> ExportRequest:
        before = request.state.value
        return self._move(work, actor, request, "hold", "export request held", reason=reason, held_from=before)

    def _resume(self, work: Work, actor: Actor, request: ExportRequest, reason: str) -> ExportRequest:
        EXPORT.next(request.state, "resume", request.id)
        target = resumed_state(request)
        return self._move(
            work, actor, request, "resume", "export request resumed", reason=reason, state=target, held_from=""
        )
