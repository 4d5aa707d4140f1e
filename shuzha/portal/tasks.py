"""我的待办: what awaits a person, from every room, with the working days that are left; and a first page for each."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from sandbox.airlock.model import ExportRequest
from shuzha.core.actor import Actor
from shuzha.core.clock import city_date
from shuzha.portal.awaiting import Awaiting
from shuzha.portal.desk import Desk, actor_of
from shuzha.portal.lately import list_happened
from shuzha.portal.services import Services

LINKS: dict[str, tuple[tuple[str, str], ...]] = {
    "provider": (("/entries", "List a dataset"), ("/usage", "See who uses my data"), ("/statements", "My income")),
    "authority": (("/authorizations", "Authorizations"), ("/oversight", "Oversight"), ("/entries", "Catalogue")),
    "operator": (
        ("/announcements", "Apply for an authorization"), ("/authorizations", "Demand data"),
        ("/products", "Register a product"), ("/statements", "Statements"),
    ),
    "analyst": (("/workspaces", "Open a workspace"), ("/exports", "My export requests"), ("/entries", "Catalogue")),
    "expert": (("/assessments", "What I assess"), ("/announcements", "Announcements")),
    "checker": (("/exports", "Exports to review"),),
    "registry": (("/registrations", "Registrations"), ("/products", "Products")),
    "consumer": (("/products", "Products and keys"), ("/usage", "My calls and costs"), ("/statements", "My bills")),
    "regulator": (("/oversight", "Usage beside money"), ("/audit", "Audit log"), ("/statements", "Statements")),
    "administrator": (("/accounts", "Accounts and organisations"), ("/host", "What this host enforces")),
    "auditor": (("/audit", "Audit log"),),
}  # fmt: skip


class TaskPages:
    """The first page of everybody."""

    def __init__(self, desk: Desk, services: Services) -> None:
        self._desk = desk
        self._services = services
        self._awaiting = Awaiting(services)

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/", self.home, methods=["GET"])
        router.add_api_route("/tasks", self.show, methods=["GET"])
        return router

    def home(self, request: Request) -> Response:
        """Show what is public to a visitor; lead a person to the tasks."""
        if getattr(request.state, "actor", None) is not None:
            return RedirectResponse("/tasks", 303)
        return self._desk.page(request, "home.html", public=self._services.disclosure.read())

    def show(self, request: Request) -> Response:
        """Show what awaits the person."""
        actor = actor_of(request)
        tasks = self._awaiting.list_tasks(actor)
        links = [link for role, found in LINKS.items() if actor.has(role) for link in found]
        return self._desk.page(
            request, "tasks.html", tasks=tasks, links=list(dict.fromkeys(links)), figures=self._figures(actor),
            lately=list_happened(actor, self._exports(actor), self._desk.clock.now()),
            late=sum(1 for task in tasks if task.left is not None and task.left < 0),
        )  # fmt: skip

    def _exports(self, actor: Actor) -> tuple[ExportRequest, ...]:
        return self._services.airlock.list_exports(actor) if actor.roles & {"analyst", "checker", "authority"} else ()

    def _figures(self, actor: Actor) -> dict[str, int]:
        """Return the figures of this month for those who may see usage."""
        if not actor.roles & {"provider", "authority", "operator", "consumer", "regulator"}:
            return {}
        period = f"{city_date(self._desk.clock.now()):%Y-%m}"
        facts = self._services.usage_views.list_facts(actor, period)
        charged = sum(one.fact.charged for one in facts)
        return {"uses": sum(one.fact.uses for one in facts), "fen": (charged + 50) // 100}
