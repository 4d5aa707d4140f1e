"""The pages of authorizations, their agreements, and the scenario demands under them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from policies import Resource
from sandbox.workspaces.computing import ComputeService
from shuzha.authorization.agreement import Agreement, Allocation, Income, Operation, OutputKind, Term
from shuzha.authorization.base import authorization_resource, demand_resource
from shuzha.authorization.model import (
    AUTHORIZATION,
    DEMAND,
    Application,
    AuthorizationState,
    Demand,
    DemandDraft,
    DemandState,
    Grant,
    Mode,
    clear_checks,
)  # fmt: skip
from shuzha.authorization.service import AuthorizationService
from shuzha.budgets.purse import ReleasePurse
from shuzha.catalog.model import Entry, EntryState
from shuzha.catalog.service import CatalogService
from shuzha.core.actor import Actor
from shuzha.core.calendar import Due
from shuzha.core.clock import city_date
from shuzha.core.errors import Invalid
from shuzha.portal.desk import Desk, Show, Verb, actor_of, parse, progress
from shuzha.portal.synthetic import SyntheticOffer, offer_synthetic, read_options
from shuzha.releases.service import ReleaseService

_A = AuthorizationState
WAY = (_A.APPLIED, _A.QUALIFIED, _A.REVIEWED, _A.APPROVED, _A.PUBLICIZED, _A.SIGNED, _A.ACTIVE)
DEMAND_WAY = (DemandState.DRAFT, DemandState.SUBMITTED, DemandState.CHECKED, DemandState.GRANTED)
NOTHING_ASKED: Mapping[str, str] = MappingProxyType({})
VERBS = (
    Verb("qualify", "Qualified: every fact looked up and clear", reason=True),
    Verb("review", "Record the experts' score", reason=True),
    Verb("approve", "Approve", reason=True),
    Verb("publicize", "Make public", reason=True),
    Verb("sign", "Sign the agreement"),
    Verb("countersign", "Countersign the agreement"),
    Verb("restore", "Restore", reason=True),
    Verb("suspend", "Suspend", reason=True, tone="bad"),
    Verb("reject", "Reject", reason=True, tone="bad"),
    Verb("withdraw", "Withdraw", reason=True, tone="bad"),
    Verb("terminate", "Terminate", reason=True, tone="bad"),
)
DEMAND_VERBS = (
    Verb("submit", "Submit"),
    Verb("check", "Checked: clear, implementable, of value", reason=True),
    Verb("grant", "Grant", reason=True),
    Verb("return", "Return for changes", reason=True, tone="bad"),
    Verb("refuse", "Refuse", reason=True, tone="bad"),
    Verb("close", "Close", reason=True, tone="bad"),
)


class AuthorizationPages:
    """The pages of this room."""

    def __init__(
        self, desk: Desk, service: AuthorizationService, catalog: CatalogService, releases: ReleaseService,
        purse: ReleasePurse, compute: ComputeService,
    ) -> None:  # fmt: skip
        self._desk = desk
        self._service = service
        self._catalog = catalog
        self._releases = releases
        self._purse = purse
        self._compute = compute

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/authorizations", self.show_list, methods=["GET"])
        router.add_api_route("/authorizations", self.apply, methods=["POST"])
        router.add_api_route("/authorizations/{authorization_id}", self.show, methods=["GET"])
        router.add_api_route("/authorizations/{authorization_id}/demands", self.demand, methods=["POST"])
        router.add_api_route("/authorizations/{authorization_id}/{verb}", self.move, methods=["POST"])
        router.add_api_route("/demands/{demand_id}", self.show_demand, methods=["GET"])
        router.add_api_route("/demands/{demand_id}/synthetic", self.synthesize, methods=["POST"])
        router.add_api_route("/demands/{demand_id}/{verb}", self.move_demand, methods=["POST"])
        return router

    def show_list(self, request: Request) -> Response:
        """Show the authorizations that the person may see, and the application form to whom may apply."""
        return self._list(request)

    def show(self, request: Request, authorization_id: str) -> Response:
        """Show one authorization: agreement, signatures, demands."""
        return self._authorization(request, authorization_id)

    def show_demand(self, request: Request, demand_id: str) -> Response:
        """Show one demand and what it asks for."""
        return self._demand(request, demand_id)

    def apply(
        self, request: Request, title: Annotated[str, Form()], responsible_person: Annotated[str, Form()],
        training_proof: Annotated[str, Form()], valid_from: Annotated[dt.date, Form()],
        valid_until: Annotated[dt.date, Form()], purposes: Annotated[str, Form()],
        entries: Annotated[list[str], Form()] = [], operations: Annotated[list[str], Form()] = [],  # noqa: B006
        output_kinds: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies a form's default
        infrastructure: Annotated[int, Form()] = 0, provider: Annotated[int, Form()] = 0,
        platform: Annotated[int, Form()] = 0, operator: Annotated[int, Form()] = 0,
        terms: Annotated[str, Form()] = "",
    ) -> Response:  # fmt: skip
        """Apply for an authorization with a proposed agreement; shares are whole percentages."""
        actor = actor_of(request)

        def apply() -> object:
            agreement = Agreement(
                entries=tuple(entries), term=Term(valid_from, valid_until), purposes=_lines(purposes),
                operations=tuple(parse(Operation, each) for each in operations),
                output_kinds=tuple(parse(OutputKind, each) for each in output_kinds),
                income=Income(
                    "usage at list price, one rounding per statement line", infrastructure * 100,
                    Allocation(provider * 100, platform * 100, operator * 100),
                ),
                rights_and_duties=terms, security=terms, exit=terms, asset_disposal=terms,
            )  # fmt: skip
            return self._service.apply(
                actor, Application(title, Mode.COMPREHENSIVE, "", responsible_person, training_proof, agreement)
            )

        show: Show = lambda errors, status: self._list(request, errors, status)  # noqa: E731
        return self._desk.attempt(request, apply, lambda found: f"/authorizations/{found.id}", show, "apply")

    def move(
        self, request: Request, authorization_id: str, verb: str, reason: Annotated[str, Form()] = "",
        score: Annotated[int, Form()] = -1, number: Annotated[str, Form()] = "",
    ) -> Response:  # fmt: skip
        """Move an authorization along its procedure, suspend it, or end it."""
        actor, service, one = actor_of(request), self._service, authorization_id
        checks = clear_checks(city_date(self._desk.clock.now()))
        actions = {
            "qualify": lambda: service.qualify(actor, one, checks, reason),
            "review": lambda: service.review(actor, one, score, reason),
            "approve": lambda: service.approve(actor, one, number, reason),
            "publicize": lambda: service.publicize(actor, one, reason),
            "sign": lambda: service.sign(actor, one),
            "countersign": lambda: service.countersign(actor, one),
            "suspend": lambda: service.suspend(actor, one, reason),
            "restore": lambda: service.restore(actor, one, reason),
            "reject": lambda: service.reject(actor, one, reason),
            "withdraw": lambda: service.withdraw(actor, one, reason),
            "terminate": lambda: service.terminate(actor, one, reason),
        }
        show: Show = lambda errors, status: self._authorization(request, one, errors, status)  # noqa: E731
        return self._desk.act(request, actions, verb, f"/authorizations/{one}", show)

    def demand(
        self, request: Request, authorization_id: str, entry: Annotated[str, Form()],
        scenario: Annotated[str, Form()], value: Annotated[str, Form()], columns: Annotated[str, Form()],
        valid_from: Annotated[dt.date, Form()], valid_until: Annotated[dt.date, Form()],
    ) -> Response:  # fmt: skip
        """Draft a demand for columns of one entry, for one scenario, within the agreement."""
        actor = actor_of(request)

        def draft() -> object:
            agreement = self._service.get_authorization(actor, authorization_id).agreement
            return self._service.draft_demand(actor, DemandDraft(
                authorization_id, entry, scenario, value, _lines(columns), agreement.operations,
                agreement.output_kinds, agreement.purposes, Term(valid_from, valid_until),
            ))  # fmt: skip

        show: Show = lambda errors, status: self._authorization(request, authorization_id, errors, status)  # noqa: E731
        return self._desk.attempt(request, draft, lambda found: f"/demands/{found.id}", show, "draft")

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

    def _list(self, request: Request, errors: Sequence[str] = (), status: int = 200) -> Response:
        actor = actor_of(request)
        own = Resource("authorization", organisation=actor.organisation, author=actor.id)
        entries = [entry for entry in self._catalog.list_entries(actor) if entry.state is EntryState.PUBLISHED]
        today = city_date(self._desk.clock.now())
        return self._desk.page(
            request, "authorizations.html", status, errors=errors, entries=entries, today=today,
            authorizations=self._service.list_authorizations(actor),
            may_apply=self._desk.can(actor, "authorization:apply", own),
            operations=list(Operation), output_kinds=list(OutputKind),
            last_day=_years_on(today, self._desk.law.get_rule("authorization.term").years or 1),
        )  # fmt: skip

    def _authorization(
        self, request: Request, authorization_id: str, errors: Sequence[str] = (), status: int = 200
    ) -> Response:
        actor = actor_of(request)
        found = self._service.get_authorization(actor, authorization_id)
        own = authorization_resource(found)
        demand = Resource("demand", organisation=found.operator, authorization=found.id)
        entries = {entry.id: entry for entry in self._catalog.list_entries(actor)}
        return self._desk.page(
            request, "authorization.html", status, errors=errors, authorization=found,
            steps=progress(AUTHORIZATION, WAY, found.state),
            verbs=self._desk.verbs(actor, AUTHORIZATION, found.state, own, VERBS),
            demands=self._service.list_demands(actor, found.id), entries=entries,
            used=self._compute.sum_authorization(actor, found.id),
            may_demand=found.state is _A.ACTIVE and self._desk.can(actor, "demand:draft", demand),
        )  # fmt: skip

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


def _lines(text: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in text.replace(",", "\n").splitlines() if part.strip())
    if not found:
        raise Invalid("the form leaves a list empty", rule="form.list", accepted="one item a line")
    return found


def _years_on(day: dt.date, years: int) -> dt.date:
    """Return the last day of a term of so many years that starts on `day`."""
    try:
        return day.replace(year=day.year + years) - dt.timedelta(days=1)
    except ValueError:  # 29 February
        return dt.date(day.year + years, 2, 28)
