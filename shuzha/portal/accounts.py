"""The administrator's pages: organisations and accounts. No data is seen here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from policies import Resource
from policies.roles import PERSONAL_ROLES
from shuzha.core.actor import Actor
from shuzha.people.model import ACCOUNT, Account, OrganisationKind
from shuzha.people.service import People
from shuzha.portal.desk import Desk, Show, Verb, actor_of, parse

VERBS = (
    Verb("suspend", "Suspend", reason=True, tone="bad"),
    Verb("restore", "Restore", reason=True),
)


class AccountPages:
    """The pages of administration."""

    def __init__(self, desk: Desk, people: People) -> None:
        self._desk = desk
        self._people = people

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/accounts", self.show_list, methods=["GET"])
        router.add_api_route("/accounts", self.create_account, methods=["POST"])
        router.add_api_route("/organisations", self.create_organisation, methods=["POST"])
        router.add_api_route("/accounts/{account_id}/{verb}", self.move, methods=["POST"])
        return router

    def show_list(self, request: Request) -> Response:
        """Show organisations and accounts."""
        return self._list(request)

    def create_organisation(
        self, request: Request, code: Annotated[str, Form()], name: Annotated[str, Form()],
        kind: Annotated[str, Form()], responsible_person: Annotated[str, Form()],
        name_en: Annotated[str, Form()] = "",
    ) -> Response:  # fmt: skip
        """Add an organisation."""
        actor = actor_of(request)

        def create() -> object:
            return self._people.create_organisation(
                actor, code=code, name=name, kind=parse(OrganisationKind, kind),
                responsible_person=responsible_person, name_en=name_en,
            )  # fmt: skip

        return self._desk.attempt(request, create, "/accounts", self._again(request), "create")

    def create_account(
        self, request: Request, login: Annotated[str, Form()], password: Annotated[str, Form()],
        name: Annotated[str, Form()], organisation: Annotated[str, Form()],
        roles: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies a form's default
    ) -> Response:  # fmt: skip
        """Add an account with its roles."""
        actor = actor_of(request)

        def create() -> object:
            return self._people.create_account(
                actor, login=login, password=password, name=name, organisation=organisation, roles=roles
            )

        return self._desk.attempt(request, create, "/accounts", self._again(request), "create")

    def move(self, request: Request, account_id: str, verb: str, reason: Annotated[str, Form()] = "") -> Response:
        """Suspend or restore an account."""
        actor = actor_of(request)
        actions = {
            "suspend": lambda: self._people.suspend_account(actor, account_id, reason),
            "restore": lambda: self._people.restore_account(actor, account_id, reason),
        }
        return self._desk.act(request, actions, verb, "/accounts", self._again(request))

    def _again(self, request: Request) -> Show:
        return lambda errors, status: self._list(request, errors, status)

    def _list(self, request: Request, errors: Sequence[str] = (), status: int = 200) -> Response:
        actor = actor_of(request)
        accounts = self._people.list_accounts(actor)
        return self._desk.page(
            request, "accounts.html", status, errors=errors,
            accounts=[(one, self._verbs(actor, one)) for one in accounts],
            organisations=self._people.list_organisations(actor), kinds=list(OrganisationKind),
            roles=PERSONAL_ROLES,
        )  # fmt: skip

    def _verbs(self, actor: Actor, account: Account) -> list[Verb]:
        own = Resource("account", account.id, account.organisation, account.id)
        return self._desk.verbs(actor, ACCOUNT, account.state, own, VERBS)
