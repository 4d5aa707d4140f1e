"""All pages together: the navigation, the desk, and one guard before every route."""

from __future__ import annotations

from typing import Protocol

from fastapi import APIRouter, Depends

from policies import Policies
from shuzha.authorization.service import AuthorizationService
from shuzha.catalog.service import CatalogService
from shuzha.core.clock import Clock
from shuzha.core.lawbook import LawBook
from shuzha.core.settings import Settings
from shuzha.people.service import People
from shuzha.portal.authorizations import AuthorizationPages
from shuzha.portal.desk import Desk, tone, word
from shuzha.portal.entries import EntryPages
from shuzha.portal.render import NavItem, Renderer
from shuzha.portal.session import SessionPages, make_guard

_BUSINESS = frozenset({"provider", "authority", "operator", "analyst", "checker", "regulator"})
NAVIGATION = (
    NavItem("/tasks", "My tasks"),
    NavItem("/entries", "Catalogue", _BUSINESS),
    NavItem("/authorizations", "Authorizations", frozenset({"provider", "authority", "operator", "regulator"})),
)


class Services(Protocol):
    """What the pages need of the composition root."""

    @property
    def settings(self) -> Settings:
        """The installation's settings."""
        ...

    @property
    def clock(self) -> Clock:
        """The installation's clock."""
        ...

    @property
    def law(self) -> LawBook:
        """The rules of the city."""
        ...

    @property
    def policies(self) -> Policies:
        """Who may do what."""
        ...

    @property
    def people(self) -> People:
        """Organisations and accounts."""
        ...

    @property
    def catalog(self) -> CatalogService:
        """Entries and batches."""
        ...

    @property
    def authorization(self) -> AuthorizationService:
        """Authorizations and demands."""
        ...


def make_desk(services: Services) -> Desk:
    """Return the pages' common ground."""
    settings = services.settings
    renderer = Renderer(NAVIGATION, sandbox_url=settings.sandbox_url, demo=settings.demo)
    renderer.add_helpers(names=_Names(services.people), word=word, tone=tone)
    return Desk(renderer, services.policies, services.clock, services.law)


def make_pages(services: Services, desk: Desk) -> APIRouter:
    """Return every page's route behind the guard."""
    pages = (
        SessionPages(desk, services.people, secure=services.settings.scheme == "https"),
        EntryPages(desk, services.catalog),
        AuthorizationPages(desk, services.authorization, services.catalog),
    )
    router = APIRouter(dependencies=[Depends(make_guard(services.people))], include_in_schema=False)
    for page in pages:
        router.include_router(page.router())
    return router


class _Names:
    """Names of organisations for people: the id where none is known. Names never change, so each is asked once."""

    def __init__(self, people: People) -> None:
        self._people = people
        self._known: dict[str, str] = {}

    def __call__(self, organisation: str) -> str:
        if organisation not in self._known:
            self._known[organisation] = self._people.get_organisation(organisation).name
        return self._known[organisation]
