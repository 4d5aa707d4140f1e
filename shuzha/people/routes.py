"""People over HTTP: signing in and out, oneself, and the administration of organisations and accounts."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from shuzha.core.actor import Actor
from shuzha.people.model import Account, Organisation, OrganisationKind
from shuzha.people.service import People
from shuzha.people.sessions import NotSignedIn
from shuzha.people.web import ActorDependency, bearer_token, clear_session_cookie, cookie_token

Text = Annotated[str, Field(max_length=200)]
Secret = Annotated[str, Field(max_length=1000)]


class SignInForm(BaseModel):
    """Login and password."""

    login: Text
    password: Secret


class PasswordForm(BaseModel):
    """The old password and the new one."""

    old: Secret
    new: Secret


class ReasonForm(BaseModel):
    """Why."""

    reason: Text


class RolesForm(BaseModel):
    """The roles that an account shall hold, and why."""

    roles: list[Text]
    reason: Text


class OrganisationForm(BaseModel):
    """A new organisation."""

    code: Text
    name: Text
    name_en: Text = ""
    kind: OrganisationKind
    responsible_person: Text


class AccountForm(BaseModel):
    """A new account."""

    login: Text
    password: Secret
    name: Text
    organisation: Text
    roles: list[Text]


class AccountView(BaseModel):
    """An account as it is shown: never its password's hash."""

    id: str
    login: str
    handle: str
    name: str
    organisation: str
    roles: list[str]
    state: str

    @classmethod
    def of(cls, account: Account) -> AccountView:
        """Return the view of an account."""
        return cls(
            id=account.id, login=account.login, handle=account.handle, name=account.name,
            organisation=account.organisation, roles=sorted(account.roles), state=account.state.value,
        )  # fmt: skip


class OrganisationView(BaseModel):
    """An organisation as it is shown."""

    id: str
    code: str
    name: str
    name_en: str
    kind: OrganisationKind
    responsible_person: str
    created_at: dt.datetime

    @classmethod
    def of(cls, organisation: Organisation) -> OrganisationView:
        """Return the view of an organisation."""
        return cls(
            id=organisation.id, code=organisation.code, name=organisation.name, name_en=organisation.name_en,
            kind=organisation.kind, responsible_person=organisation.responsible_person,
            created_at=organisation.created_at,
        )  # fmt: skip


class SessionView(BaseModel):
    """A new session: the token is shown this once; use it as `Authorization: Bearer`."""

    token: str
    account: AccountView


class MeView(BaseModel):
    """Who is signed in, and the text that a change by cookie must carry in `X-CSRF-Token`."""

    account: AccountView
    organisation: OrganisationView
    csrf: str


def make_router(people: People, actor: ActorDependency) -> APIRouter:
    """Return the routes of people, to be mounted under /api/v1."""
    router = APIRouter(tags=["people"])
    _add_session_routes(router, people, actor)
    _add_organisation_routes(router, people, actor)
    _add_account_routes(router, people, actor)
    return router


def _add_session_routes(router: APIRouter, people: People, actor: ActorDependency) -> None:
    @router.post("/session", status_code=201)
    def sign_in(form: SignInForm) -> SessionView:
        signed_in = people.sign_in(form.login, form.password, "api")
        return SessionView(token=signed_in.token, account=AccountView.of(signed_in.account))

    @router.delete("/session", status_code=204, dependencies=[Depends(actor)])
    def sign_out(request: Request, response: Response) -> None:
        people.sign_out(_token(request))
        clear_session_cookie(response)

    @router.get("/me")
    def me(request: Request, actor: Actor = Depends(actor)) -> MeView:
        return MeView(
            account=AccountView.of(people.get_account(actor.id)),
            organisation=OrganisationView.of(people.get_organisation(actor.organisation)),
            csrf=people.csrf_token(_token(request)),
        )

    @router.post("/me/password", status_code=204)
    def change_password(request: Request, form: PasswordForm, actor: Actor = Depends(actor)) -> None:
        people.change_password(actor, form.old, form.new, keep_token=_token(request))


def _add_organisation_routes(router: APIRouter, people: People, actor: ActorDependency) -> None:
    @router.get("/organisations")
    def list_organisations(actor: Actor = Depends(actor)) -> list[OrganisationView]:
        return [OrganisationView.of(each) for each in people.list_organisations(actor)]

    @router.post("/organisations", status_code=201)
    def create_organisation(form: OrganisationForm, actor: Actor = Depends(actor)) -> OrganisationView:
        return OrganisationView.of(people.create_organisation(actor, **form.model_dump()))


def _add_account_routes(router: APIRouter, people: People, actor: ActorDependency) -> None:
    @router.get("/accounts")
    def list_accounts(actor: Actor = Depends(actor)) -> list[AccountView]:
        return [AccountView.of(each) for each in people.list_accounts(actor)]

    @router.post("/accounts", status_code=201)
    def create_account(form: AccountForm, actor: Actor = Depends(actor)) -> AccountView:
        return AccountView.of(people.create_account(actor, **form.model_dump()))

    @router.put("/accounts/{account_id}/roles")
    def change_roles(account_id: str, form: RolesForm, actor: Actor = Depends(actor)) -> AccountView:
        return AccountView.of(people.change_roles(actor, account_id, form.roles, form.reason))

    @router.post("/accounts/{account_id}/suspend")
    def suspend_account(account_id: str, form: ReasonForm, actor: Actor = Depends(actor)) -> AccountView:
        return AccountView.of(people.suspend_account(actor, account_id, form.reason))

    @router.post("/accounts/{account_id}/restore")
    def restore_account(account_id: str, form: ReasonForm, actor: Actor = Depends(actor)) -> AccountView:
        return AccountView.of(people.restore_account(actor, account_id, form.reason))


def _token(request: Request) -> str:
    token = bearer_token(request) or cookie_token(request)
    if not token:
        raise NotSignedIn("nobody is signed in", rule="session")
    return token
