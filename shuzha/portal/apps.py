"""Apps: a consumer's systems, each with its keys and what it uses this moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from policies import Resource
from products.consumers.app_model import APP, AppState
from products.consumers.apps import app_resource
from products.consumers.webhook_model import NoticeType
from shuzha.core.actor import Actor
from shuzha.core.errors import NotFound
from shuzha.portal.desk import Desk, Show, Verb, actor_of
from shuzha.portal.services import Services

VERBS = (
    Verb("restore", "Restore the app", reason=True),
    Verb("suspend", "Suspend the app", reason=True, tone="bad"),
    Verb("close", "Close the app for good", reason=True, tone="bad"),
)
TOLD = tuple(one for one in NoticeType if one is not NoticeType.TEST)


class AppPages:
    """The pages of apps."""

    def __init__(self, desk: Desk, services: Services) -> None:
        self._desk = desk
        self._apps = services.apps
        self._keys = services.consumers
        self._usage = services.usage_now
        self._webhooks = services.webhooks
        self._registry = services.registry

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/apps", self.show_list, methods=["GET"])
        router.add_api_route("/apps", self.create, methods=["POST"])
        router.add_api_route("/apps/{app_id}", self.show, methods=["GET"])
        router.add_api_route("/apps/{app_id}/{verb}", self.move, methods=["POST"])
        return router

    def show_list(self, request: Request) -> Response:
        """Show the apps that the person may see, with what each uses now."""
        return self._list(request)

    def create(
        self, request: Request, name: Annotated[str, Form()], about: Annotated[str, Form()] = "",
        contact: Annotated[str, Form()] = "",
    ) -> Response:  # fmt: skip
        """Make an app."""
        actor = actor_of(request)
        show: Show = lambda errors, status: self._list(request, errors, status)  # noqa: E731
        return self._desk.attempt(
            request, lambda: self._apps.create_app(actor, name, about, contact), lambda made: f"/apps/{made.id}", show,
            "create",
        )  # fmt: skip

    def show(self, request: Request, app_id: str) -> Response:
        """Show one app."""
        return self._app(request, app_id)

    def move(self, request: Request, app_id: str, verb: str, reason: Annotated[str, Form()] = "") -> Response:
        """Suspend, restore or close an app."""
        actor = actor_of(request)
        actions = {
            "suspend": lambda: self._apps.suspend_app(actor, app_id, reason),
            "restore": lambda: self._apps.restore_app(actor, app_id, reason),
            "close": lambda: self._apps.close_app(actor, app_id, reason),
        }
        show: Show = lambda errors, status: self._app(request, app_id, errors, status)  # noqa: E731
        return self._desk.act(request, actions, verb, f"/apps/{app_id}", show)

    def _list(self, request: Request, errors: Sequence[str] = (), status: int = 200) -> Response:
        actor = actor_of(request)
        used = self._usage.of_all(actor)
        keys = self._keys.list_keys(actor)
        apps = self._apps.list_apps(actor)
        return self._desk.page(
            request, "apps.html", status, errors=errors, apps=apps,
            keys={app.id: sum(key.app == app.id and key.state.value == "active" for key in keys) for app in apps},
            today={app.id: sum(one.today for one in used if one.app == app.id) for app in apps},
            month={app.id: sum(one.month for one in used if one.app == app.id) for app in apps},
            may_create=self._desk.can(actor, "app:create", Resource("app", "", actor.organisation, actor.id)),
        )  # fmt: skip

    def _app(self, request: Request, app_id: str, errors: Sequence[str] = (), status: int = 200) -> Response:
        actor = actor_of(request)
        app = self._apps.get_app(actor, app_id)
        used = self._usage.of_app(actor, app_id)
        keys = self._keys.list_keys(actor, app=app_id)
        products = {one for key in keys for one in key.products or (key.product,)} | {one.product for one in used}
        return self._desk.page(
            request, "app.html", status, errors=errors, app=app, keys=keys, used=used,
            by_key=self._usage.of_keys(actor, app_id), titles=self._titles(actor, products),
            webhooks=self._webhooks.list_webhooks(actor, app_id), notice_types=TOLD,
            may_hook=app.state is AppState.ACTIVE and self._desk.can(
                actor, "webhook:create", Resource("webhook", "", app.organisation)
            ),
            now=self._desk.clock.now(), verbs=self._desk.verbs(actor, APP, app.state, app_resource(app), VERBS),
        )  # fmt: skip

    def _titles(self, actor: Actor, products: set[str]) -> Mapping[str, tuple[str, str]]:
        found = {}
        for each in products:
            try:
                sheet = self._registry.get_product(actor, each).sheet
            except NotFound:
                found[each] = (each, each)
            else:
                found[each] = (sheet.title_zh, sheet.title_en)
        return found
