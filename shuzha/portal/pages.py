"""All pages together: the navigation, the desk, and one guard before every route."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Depends

from shuzha.core.clock import OffsetClock
from shuzha.core.errors import NotFound
from shuzha.people.service import People
from shuzha.portal.accounts import AccountPages
from shuzha.portal.alarms import AlarmPages
from shuzha.portal.announcements import AnnouncementPages
from shuzha.portal.apps import AppPages
from shuzha.portal.assessments import AssessmentPages
from shuzha.portal.authorizations import AuthorizationPages
from shuzha.portal.cases import CasePages
from shuzha.portal.demands import DemandPages
from shuzha.portal.desk import Desk, tone, word
from shuzha.portal.entries import EntryPages
from shuzha.portal.exits import ExitPages
from shuzha.portal.exports import ExportPages
from shuzha.portal.hosts import HostPages
from shuzha.portal.imports import ImportPages
from shuzha.portal.keys import KeyPages
from shuzha.portal.labels import label
from shuzha.portal.oversight import OversightPages
from shuzha.portal.oversight_usage import OversightUsagePages
from shuzha.portal.people import PeoplePages
from shuzha.portal.policies import PolicyPages
from shuzha.portal.prices import PricePages
from shuzha.portal.product_forms import ProductFormPages
from shuzha.portal.products import ProductPages
from shuzha.portal.public import PublicPages
from shuzha.portal.purposes import purpose_name
from shuzha.portal.register import RegisterPages
from shuzha.portal.registering import RegistrationPages
from shuzha.portal.releases import ReleasePages
from shuzha.portal.render import NavItem, Renderer
from shuzha.portal.requirements import RequirementPages
from shuzha.portal.services import Services
from shuzha.portal.session import SessionPages, make_guard
from shuzha.portal.statements import StatementPages
from shuzha.portal.status import StatusPages
from shuzha.portal.supervision import SupervisionPages
from shuzha.portal.tasks import TaskPages
from shuzha.portal.trying import TryPages
from shuzha.portal.usage import UsagePages
from shuzha.portal.webhooks import WebhookPages
from shuzha.portal.workspaces import WorkspacePages

__all__ = ["Services", "make_desk", "make_pages"]

NAVIGATION = (
    NavItem("/tasks", "My tasks"),
    NavItem(
        "/entries", "Catalogue", frozenset({"provider", "authority", "operator", "analyst", "checker", "regulator"})
    ),
    NavItem(
        "/authorizations", "Authorizations", frozenset({"provider", "authority", "operator", "regulator"}),
        also=("/demands", "/releases", "/policies", "/exits"),
    ),
    NavItem(
        "/requirements", "Data to mend", frozenset({"provider", "authority", "operator", "analyst", "regulator"})
    ),
    NavItem("/announcements", "Announcements", frozenset({"provider", "authority", "operator", "expert", "regulator"})),
    NavItem("/assessments", "Assessments", frozenset({"expert"})),
    NavItem("/workspaces", "Workspaces", frozenset({"analyst", "operator", "authority"})),
    NavItem(
        "/exports", "Airlock", frozenset({"analyst", "operator", "checker", "authority", "regulator"}),
        also=("/imports",),
    ),
    NavItem(
        "/products", "Products",
        frozenset({"provider", "authority", "operator", "analyst", "registry", "consumer", "regulator"}),
        also=("/alarms",),
    ),
    NavItem(
        "/apps", "Apps", frozenset({"consumer", "authority", "regulator"}), also=("/notices", "/keys", "/webhooks")
    ),
    NavItem(
        "/registrations", "Registrations", frozenset({"provider", "authority", "operator", "registry", "regulator"}),
        also=("/cases",),
    ),
    NavItem("/usage", "Usage", frozenset({"provider", "authority", "operator", "consumer", "regulator"})),
    NavItem("/statements", "Statements", frozenset({"provider", "authority", "operator", "consumer", "regulator"})),
    NavItem("/people", "Staff", frozenset({"operator", "analyst", "authority", "regulator", "administrator"})),
    NavItem("/oversight", "Oversight", frozenset({"authority", "regulator"}), also=("/alerts", "/orders")),
    NavItem("/audit", "Audit log", frozenset({"auditor", "regulator"})),
    NavItem("/accounts", "Accounts", frozenset({"administrator"})),
    NavItem("/host", "Host", frozenset({"administrator", "authority"})),
)  # fmt: skip


def make_desk(services: Services) -> Desk:
    """Return the pages' common ground."""
    settings = services.settings
    names = _Names(services.people)
    clock = services.clock
    renderer = Renderer(
        NAVIGATION, sandbox_url=settings.sandbox_url, demo=settings.demo, name_of=names.organisation,
        days_ahead=lambda: clock.offset().days if isinstance(clock, OffsetClock) else 0,
    )  # fmt: skip
    renderer.add_helpers(who=names.account, word=word, tone=tone, label=label, purpose_name=purpose_name)
    return Desk(renderer, services.policies, services.clock, services.law)


def make_pages(services: Services, desk: Desk) -> APIRouter:
    """Return every page's route behind the guard."""
    pages = (
        SessionPages(desk, services.people, secure=services.settings.scheme == "https"),
        TaskPages(desk, services),
        PublicPages(desk, services.disclosure, services.authorization),
        EntryPages(desk, services.catalog, services.budgets),
        AnnouncementPages(desk, services.authorization, services.catalog, services.people, services.rights),
        DemandPages(desk, services.authorization, services.catalog, services.releases, services.purse),
        AuthorizationPages(
            desk, services.authorization, services.catalog, services.compute, services.rights, services.exits
        ),
        ExitPages(desk, services.exits, services.authorization),
        PolicyPages(desk, services.policy_verbs, services.authorization, services.catalog),
        AssessmentPages(desk, services.authorization),
        ReleasePages(desk, services.releases, services.catalog),
        ImportPages(desk, services),
        WorkspacePages(desk, services),
        ExportPages(desk, services),
        PricePages(desk, services.pricing, services.registry),  # Before the products' verbs, which take any word.
        ProductFormPages(desk, services),
        ProductPages(desk, services),
        RegistrationPages(desk, services),
        CasePages(desk, services),
        RegisterPages(desk, services),
        AppPages(desk, services),
        KeyPages(desk, services),
        AlarmPages(desk, services),
        WebhookPages(desk, services),
        StatusPages(desk, services),
        TryPages(desk, services),
        UsagePages(desk, services.usage_views),
        StatementPages(desk, services.settlement, services.statement_desk, services.registry),
        OversightUsagePages(desk, services),
        OversightPages(desk, services),
        SupervisionPages(desk, services),
        RequirementPages(desk, services),
        PeoplePages(desk, services.staff, services.people),
        AccountPages(desk, services.people),
        HostPages(desk, services),
    )
    router = APIRouter(dependencies=[Depends(make_guard(services.people))], include_in_schema=False)
    for page in pages:
        router.include_router(page.router())
    return router


class _Names:
    """Names of organisations and accounts for people: the id where none is known. Each is asked once."""

    def __init__(self, people: People) -> None:
        self._people = people
        self._known: dict[tuple[str, str], str] = {}

    def organisation(self, identifier: str, language: str) -> str:
        """Return the name of an organisation in a language."""
        return self._ask(identifier, language, lambda: self._people.get_organisation(identifier).title(language))

    def account(self, identifier: str) -> str:
        """Return the name of a person; a process of the platform keeps its own."""
        return self._ask(identifier, "", lambda: self._people.get_account(identifier).name)

    def _ask(self, identifier: str, language: str, get: Callable[[], str]) -> str:
        key = (identifier, language)
        if key not in self._known:
            try:
                self._known[key] = get()
            except NotFound:
                return identifier.removeprefix("process:")
        return self._known[key]
