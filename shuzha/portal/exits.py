"""The pages of exits: how far the end of an authorization has come, whose turn it is, and the certificate of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from policies import Resource
from shuzha.authorization.service import AuthorizationService
from shuzha.core.actor import Actor
from shuzha.core.calendar import Due
from shuzha.core.clock import city_date
from shuzha.core.errors import NotAllowed
from shuzha.exits.model import EXIT, Exit, ExitState, total_shares
from shuzha.exits.service import STUMBLED, ExitService, exit_resource
from shuzha.portal.desk import Desk, Show, Verb, actor_of, progress

WAY = tuple(ExitState)
VERBS = (Verb("close", "Sign the certificate and close", reason=True),)
NOT_THE_SIGNER = "it is closed by the authority that signed the agreement"
NOT_YET = "it is the operating unit's until its day has passed"
WAITING = ("the operating unit's hand-over", "the authority's signature", NOT_THE_SIGNER, NOT_YET, STUMBLED)
"""What an exit waits for when it waits for people, and why a button is grey."""
GONE = (
    "files removed", "home and own files removed", "salt overwritten and removed", "index files removed", "revoked",
)  # fmt: skip
"""How things of an exit were destroyed, as its certificate says."""
MOVING = (ExitState.OPENED, ExitState.HANDED_OVER, ExitState.DESTROYED)


class ExitPages:
    """The pages of exits."""

    def __init__(self, desk: Desk, exits: ExitService, service: AuthorizationService) -> None:
        self._desk = desk
        self._exits = exits
        self._service = service

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/exits", self.show_list, methods=["GET"])
        router.add_api_route("/exits/{exit_id}", self.show, methods=["GET"])
        router.add_api_route("/exits/{exit_id}/certificate", self.download, methods=["GET"])
        router.add_api_route("/exits/{exit_id}/hand-over", self.hand_over, methods=["POST"])
        router.add_api_route("/exits/{exit_id}/close", self.close, methods=["POST"])
        return router

    def show_list(self, request: Request) -> Response:
        """Show the exits that the person may see."""
        actor = actor_of(request)
        exits = self._exits.list_exits(actor)
        titles = {one.authorization: self._title(actor, one) for one in exits}
        return self._desk.page(request, "exits.html", exits=exits, titles=titles)

    def show(self, request: Request, exit_id: str) -> Response:
        """Show one exit: its steps, what it waits for, what is gone, what was settled, and the certificate."""
        return self._exit(request, exit_id)

    def download(self, request: Request, exit_id: str) -> Response:
        """Give the certificate with its signatures and proofs, as the file that anybody verifies offline."""
        found = self._exits.bundle(actor_of(request), exit_id)
        headers = {"Content-Disposition": f'attachment; filename="{exit_id}.certificate.json"'}
        return Response(found, media_type="application/json", headers=headers)

    def hand_over(
        self, request: Request, exit_id: str, products: Annotated[str, Form()] = "",
        customers: Annotated[str, Form()] = "", assets: Annotated[str, Form()] = "",
    ) -> Response:  # fmt: skip
        """State what becomes of products, customers and own assets."""
        actor = actor_of(request)
        said = (products, customers, assets)
        show: Show = lambda errors, status: self._exit(request, exit_id, errors, status, said)  # noqa: E731
        return self._desk.attempt(
            request, lambda: self._exits.hand_over(actor, exit_id, *said), f"/exits/{exit_id}", show, "hand over"
        )

    def close(self, request: Request, exit_id: str, reason: Annotated[str, Form()] = "") -> Response:
        """Sign the certificate and close the exit."""
        actor = actor_of(request)
        show: Show = lambda errors, status: self._exit(request, exit_id, errors, status)  # noqa: E731
        return self._desk.attempt(
            request, lambda: self._exits.close(actor, exit_id, reason), f"/exits/{exit_id}", show, "close"
        )

    def _exit(
        self, request: Request, exit_id: str, errors: Sequence[str] = (), status: int = 200,
        said: tuple[str, str, str] = ("", "", ""),
    ) -> Response:  # fmt: skip
        actor = actor_of(request)
        found = self._exits.get_exit(actor, exit_id)
        due = None if found.due is None else Due(found.due, found.due_provisional)
        verbs = self._desk.verbs(actor, EXIT, found.state, exit_resource(found), VERBS)
        return self._desk.page(
            request, "exit.html", status, errors=errors, exit=found, said=said, verbs=self._of(actor, found, verbs),
            title=self._title(actor, found), steps=progress(EXIT, WAY, found.state), moving=found.state in MOVING,
            left=None if due is None else self._desk.law.remaining(due, self._desk.clock.now()),
            hand_over=self._hand_over(actor, found), gone=Counter(one.kind for one in found.destroyed),
            shares=total_shares(found.settled), platform_key=self._exits.public_key.hex(),
            may_read_log=self._desk.can(actor, "ledger:view", Resource("ledger")),
        )  # fmt: skip

    def _of(self, actor: Actor, found: Exit, verbs: list[Verb]) -> list[Verb]:
        """Return the buttons; another authority's than that which signed the agreement is greyed with why."""
        if not found.authority or actor.organisation == found.authority:
            return verbs
        return [Verb(one.name, one.label, one.refusal or NOT_THE_SIGNER, one.reason, one.tone) for one in verbs]

    def _hand_over(self, actor: Actor, found: Exit) -> Verb | None:
        """Return the hand-over's button where the person's role has it: greyed for the authority until its day."""
        shown = self._desk.verbs(
            actor, EXIT, found.state, exit_resource(found), (Verb("hand_over", "State the hand-over"),)
        )
        verb = next(iter(shown), None)
        if verb is None or verb.refusal is not None or actor.organisation == found.operator:
            return verb
        if found.due is None or city_date(self._desk.clock.now()) <= found.due:
            return Verb(verb.name, verb.label, NOT_YET)
        return verb

    def _title(self, actor: Actor, found: Exit) -> str:
        try:
            return self._service.get_authorization(actor, found.authorization).title
        except NotAllowed:
            return found.authorization
