"""The verbs of people over a screened request: vote, consolidate, comment, return, reject; hold, resume and recall."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sandbox.airlock.base import Desk
from sandbox.airlock.model import (
    ENDED,
    EXPORT,
    HOLDABLE,
    OUTCOME,
    Choice,
    Comment,
    ExportRequest,
    ExportState,
    Vote,
    as_seen_by,
    check_comment,
    check_reason,
    check_reviewer,
    check_withheld,
    outcome,
    resumed_state,
    settle_files,
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
    """Vote, consolidate, comment, return, reject, hold, resume, recall."""

    def vote(
        self, actor: Actor, export_id: str, choice: Choice, reason: str, withheld: Mapping[str, str] | None = None
    ) -> ExportRequest:
        """Return the request with the actor's vote; the second vote decides it, or sends it to consolidation.

        An approval may withhold some outputs (name: reason), which then stay behind. Refuses the author, his unit, a
        second vote in the round, and a vote without a reason. What the other reviewer said is not shown before both
        have voted.
        """
        reason, choice = check_reason(reason), Choice(choice)
        with self._database.work(actor) as work:
            request = self._get_seen(work, actor, export_id)
            EXPORT.next(request.state, "review", request.id)
            check_reviewer(request, actor.id, actor.organisation)
            kept = check_withheld(request, choice, withheld or {})
            vote = Vote(actor.id, actor.organisation, choice, reason, work.now(), request.round, kept)
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
            return request if verb is None else self._decide(work, actor, request, verb, reason, vote)

    def consolidate(
        self, actor: Actor, export_id: str, choice: Choice, reason: str, withheld: Mapping[str, str] | None = None
    ) -> ExportRequest:
        """Return a request on which the two reviewers differed, decided by a third who is independent of all three."""
        reason, choice = check_reason(reason), Choice(choice)
        with self._database.work(actor) as work:
            request = self._get_seen(work, actor, export_id)
            if request.state is not ExportState.CONSOLIDATION:
                EXPORT.next(request.state, "consolidate", request.id)
                raise Conflict(f"cannot consolidate {request.id}: both reviewers have not voted", accepted="wait")
            check_reviewer(request, actor.id, actor.organisation)
            kept = check_withheld(request, choice, withheld or {})
            vote = Vote(actor.id, actor.organisation, choice, reason, work.now(), request.round, kept)
            request = replace(request, votes=(*request.votes, vote))
            return self._decide(work, actor, request, OUTCOME[choice], reason, vote)

    def comment(
        self, actor: Actor, export_id: str, text: str, *, file: str = "", private: bool = False
    ) -> ExportRequest:
        """Return the request with a remark on it, or on one of its outputs; nothing is decided by it.

        A `private` one is between reviewers and the authority, and other reviewers see it when both votes are in.
        The author's own unit can leave none. Refuses a remark on a request that has ended.
        """
        with self._database.work(actor) as work:
            request = self._get_seen(work, actor, export_id)
            self._check(actor, "export:comment", request, work.now())
            text = check_comment(request, text, file)
            if request.state in ENDED:
                raise Conflict(f"cannot comment on {request.id}: it is {request.state}", accepted="an open request")
            if private and actor.organisation == request.organisation:
                raise NotAllowed(f"{request.id}: a private comment is not for its author's unit", rule="export.comment")
            made = Comment(actor.id, actor.organisation, work.now(), text, request.round, file, private)
            fresh = work.save(EXPORTS, replace(request, comments=(*request.comments, made)))
            data = {"organisation": request.organisation, "private": private}
            work.emit("export:comment", request.id, "a comment on an export request", data=data)
            return as_seen_by(fresh, actor.id, actor.organisation)

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
        """Return a released request recalled; the registry hears of it and suspends the products made of it."""
        reason = check_reason(reason)
        with self._database.work(actor) as work:
            request = self._get_seen(work, actor, export_id)
            data = {"reason": reason, "outputs": [file.sha256 for file in request.leaving]}
            return self._move(work, actor, request, "recall", "export recalled", reason=reason, data=data)

    def _decide(
        self, work: Work, actor: Actor, request: ExportRequest, verb: str, reason: str, vote: Vote
    ) -> ExportRequest:
        changes: dict[str, Any] = {} if verb == "consolidate" else {"due": None}
        if verb == "approve":
            changes["files"] = settle_files(request.files, vote.withheld)
        return self._move(work, actor, request, verb, _SAID[verb], reason=reason, votes=request.votes, **changes)

    def _hold(self, work: Work, actor: Actor, request: ExportRequest, reason: str) -> ExportRequest:
        before = request.state.value
        return self._move(work, actor, request, "hold", "export request held", reason=reason, held_from=before)

    def _resume(self, work: Work, actor: Actor, request: ExportRequest, reason: str) -> ExportRequest:
        EXPORT.next(request.state, "resume", request.id)
        target = resumed_state(request)
        return self._move(
            work, actor, request, "resume", "export request resumed", reason=reason, state=target, held_from=""
        )
