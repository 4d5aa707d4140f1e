"""The pages of scenario demands: no scenario, no data (J23 art. 16)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from policies import OWN_FILE, Period, Resource
from shuzha.authorization.agreement import Agreement, Place
from shuzha.authorization.base import demand_resource
from shuzha.authorization.model import DEMAND, Demand, DemandState, Grant
from shuzha.authorization.service import AuthorizationService
from shuzha.budgets.purse import ReleasePurse
from shuzha.catalog.model import Entry
from shuzha.catalog.service import CatalogService
from shuzha.core.actor import Actor
from shuzha.core.calendar import Due
from shuzha.portal.asking import Asked, Limits, read_asked, read_limits, shown_limits
from shuzha.portal.desk import Desk, Show, Verb, actor_of, progress
from shuzha.portal.forms import write_rows
from shuzha.portal.render import speech_of
from shuzha.portal.synthetic import SyntheticOffer, offer_synthetic, read_options
from shuzha.releases.service import ReleaseService

DEMAND_WAY = (DemandState.DRAFT, DemandState.SUBMITTED, DemandState.CHECKED, DemandState.GRANTED)
NOTHING_ASKED: Mapping[str, str] = MappingProxyType({})
DEMAND_VERBS = (
    Verb("submit", "Submit"),
    Verb("check", "Checked: clear, implementable, of value", reason=True),
    Verb("grant", "Grant", reason=True),
    Verb("return", "Return for changes", reason=True, tone="bad"),
    Verb("refuse", "Refuse", reason=True, tone="bad"),
    Verb("close", "Close", reason=True, tone="bad"),
)


class DemandPages:
    """The pages of demands."""

    def __init__(
        self, desk: Desk, service: AuthorizationService, catalog: CatalogService, releases: ReleaseService,
        purse: ReleasePurse,
    ) -> None:  # fmt: skip
        self._desk = desk
        self._service = service
        self._catalog = catalog
        self._releases = releases
        self._purse = purse

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/authorizations/{authorization_id}/demands", self.ask, methods=["GET"])
        router.add_api_route("/authorizations/{authorization_id}/demands", self.draft, methods=["POST"])
        router.add_api_route("/demands/{demand_id}", self.show_demand, methods=["GET"])
        router.add_api_route("/demands/{demand_id}/change", self.ask_change, methods=["GET"])
        router.add_api_route("/demands/{demand_id}/change", self.change, methods=["POST"])
        router.add_api_route("/demands/{demand_id}/synthetic", self.synthesize, methods=["POST"])
        router.add_api_route("/demands/{demand_id}/{verb}", self.move_demand, methods=["POST"])
        return router

    def ask(self, request: Request, authorization_id: str, entry: str) -> Response:
        """Show the form of a demand for one entry of an agreement."""
        return self._form(request, authorization_id, entry)

    def draft(
        self, request: Request, authorization_id: str, entry: Annotated[str, Form()],
        asked: Annotated[Asked, Depends(read_asked)], limits: Annotated[Limits, Depends(read_limits)],
    ) -> Response:  # fmt: skip
        """Draft a demand for columns of one entry, for one scenario, within the agreement."""
        actor = actor_of(request)

        def draft() -> Demand:
            elements = self._catalog.get_entry(actor, entry).elements
            return self._service.draft_demand(actor, asked.draft(authorization_id, entry, elements, limits))

        show: Show = lambda errors, status: self._form(request, authorization_id, entry, errors, status)  # noqa: E731
        return self._desk.attempt(request, draft, lambda found: f"/demands/{found.id}", show, "draft")

    def ask_change(self, request: Request, demand_id: str) -> Response:
        """Show the form of a draft, filled with what it says."""
        found = self._service.get_demand(actor_of(request), demand_id)
        return self._form(request, found.authorization, found.entry, demand=found)

    def change(
        self, request: Request, demand_id: str, asked: Annotated[Asked, Depends(read_asked)],
        limits: Annotated[Limits, Depends(read_limits)],
    ) -> Response:  # fmt: skip
        """Give a draft another content."""
        actor = actor_of(request)
        found = self._service.get_demand(actor, demand_id)

        def change() -> Demand:
            elements = self._catalog.get_entry(actor, found.entry).elements
            draft = asked.draft(found.authorization, found.entry, elements, limits, found.content.narrowed)
            return self._service.change_demand(actor, demand_id, draft)

        def show(errors: Sequence[str], status: int) -> Response:
            return self._form(request, found.authorization, found.entry, errors, status, found)

        return self._desk.attempt(request, change, f"/demands/{demand_id}", show, "change")

    def show_demand(self, request: Request, demand_id: str) -> Response:
        """Show one demand and what it asks for."""
        return self._demand(request, demand_id)

    def move_demand(self, request: Request, demand_id: str, verb: str, reason: Annotated[str, Form()] = "") -> Response:
        """Submit, check, grant, return, refuse or close a demand."""
        actor, service = actor_of(request), self._service
        actions = {
            "submit": lambda: service.submit_demand(actor, demand_id),
            "check": lambda: service.check_demand(actor, demand_id, reason),
            "grant": lambda: service.grant_demand(actor, demand_id, reason),
            "return": lambda: service.return_demand(actor, demand_id, reason),
            "refuse": lambda: service.refuse_demand(actor, demand_id, reason),
            "close": lambda: service.close_demand(actor, demand_id, reason),
            "release": lambda: self._releases.request_release(actor, service.get_demand(actor, demand_id).grant),
        }
        show: Show = lambda errors, status: self._demand(request, demand_id, errors, status)  # noqa: E731
        return self._desk.act(request, actions, verb, f"/demands/{demand_id}", show)

    def synthesize(
        self, request: Request, demand_id: str, epsilon: Annotated[str, Form()], rows: Annotated[str, Form()] = "1",
        method: Annotated[str, Form()] = "aim", without: Annotated[str, Form()] = "",
        domains: Annotated[str, Form()] = "",
    ) -> Response:  # fmt: skip
        """Request a synthetic release, paid for from the entry's privacy budget when it is built."""
        actor = actor_of(request)
        asked = {"epsilon": epsilon, "rows": rows, "method": method, "without": without, "domains": domains}

        def ask() -> object:
            options = read_options(epsilon, rows, method, without, domains)
            return self._releases.request_release(actor, self._service.get_demand(actor, demand_id).grant, options)

        show: Show = lambda errors, status: self._demand(request, demand_id, errors, status, asked)  # noqa: E731
        return self._desk.attempt(request, ask, f"/demands/{demand_id}", show, "release")

    def _demand(
        self, request: Request, demand_id: str, errors: Sequence[str] = (), status: int = 200,
        asked: Mapping[str, str] = NOTHING_ASKED,
    ) -> Response:  # fmt: skip
        actor = actor_of(request)
        found = self._service.get_demand(actor, demand_id)
        # A demand is the operating unit's and, once checked, the provider's to answer: either relation counts.
        both = (demand_resource(found), demand_resource(found, found.provider))
        offered = [verb for own in both for verb in self._desk.verbs(actor, DEMAND, found.state, own, DEMAND_VERBS)]
        verbs = {verb.name: verb for verb in sorted(offered, key=lambda verb: verb.refusal is None)}
        grant = self._service.get_grant(actor, found.grant) if found.grant else None
        entry = self._catalog.get_entry(actor, found.entry)
        may_release = found.state is DemandState.GRANTED and self._may_release(actor, found)
        offer = self._offer(entry, grant) if grant and may_release else None
        return self._desk.page(
            request, "demand.html", status, errors=errors, demand=found, grant=grant, verbs=list(verbs.values()),
            steps=progress(DEMAND, DEMAND_WAY, found.state), entry=entry,
            rows=write_rows(found.content.row_filter).splitlines(), limits=shown_limits(found.content),
            may_change=found.state is DemandState.DRAFT and self._desk.can(actor, "demand:change", both[0]),
            releases=self._releases.list_releases(actor, demand=found.id), may_release=may_release,
            offer=offer, asked=asked, written={**offer.proposed, **asked} if offer else {},
            left=None if found.due is None else self._desk.law.remaining(Due(found.due), self._desk.clock.now()),
        )  # fmt: skip

    def _offer(self, entry: Entry, grant: Grant) -> SyntheticOffer | None:
        """Return what a synthetic release could be; None where no row has a subject whose privacy could be kept."""
        if entry.entity_key is None:
            return None
        return offer_synthetic(entry, grant, self._purse.left_epsilon(entry.id, grant.authorization))

    def _may_release(self, actor: Actor, found: Demand) -> bool:
        own = Resource("release", organisation=found.operator, authorization=found.authorization, grant=found.grant)
        return self._desk.can(actor, "release:request", own)

    def _form(
        self, request: Request, authorization_id: str, entry: str, errors: Sequence[str] = (), status: int = 200,
        demand: Demand | None = None,
    ) -> Response:  # fmt: skip
        actor = actor_of(request)
        authorization = self._service.get_authorization(actor, authorization_id)
        agreement: Agreement = authorization.agreement
        content = demand.content if demand else None
        partners = [one for one in agreement.entries if one != entry]
        language = speech_of(request).language
        titles = {one: self._catalog.get_entry(actor, one).title.text(language) for one in partners}
        return self._desk.page(
            request, "demand_form.html", status, errors=errors, authorization=authorization, agreement=agreement,
            entry=self._catalog.get_entry(actor, entry), demand=demand, content=content, places=list(Place),
            rows=write_rows(content.row_filter) if content else "", limits=shown_limits(content),
            partners=titles, own_file=OWN_FILE, periods=list(Period),
        )  # fmt: skip
