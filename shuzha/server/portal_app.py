"""The portal's process: pages, the platform API under /api/v1 and the OpenID provider, in one app."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

import products.consumers.app_routes
import products.consumers.routes
import products.consumers.webhook_routes
import products.defence.routes
import products.forms.routes
import products.registry.routes
import products.registry.routes_cases
import products.serving.routes_index
import sandbox.airlock.routes
import sandbox.inbound.routes
import sandbox.workspaces.routes_api
import shuzha.authorization.policy_routes
import shuzha.authorization.routes
import shuzha.authorization.routes_holds
import shuzha.budgets.routes
import shuzha.catalog.routes
import shuzha.exits.routes
import shuzha.oversight.routes
import shuzha.oversight.routes_ledger
import shuzha.oversight.routes_supervision
import shuzha.people.routes
import shuzha.people.staff_routes
import shuzha.releases.routes
import shuzha.settlement.routes
from products.serving.protocol import PunctualProtocol
from shuzha import __version__
from shuzha.core.errors import ShuzhaError
from shuzha.core.logs import start_logging
from shuzha.core.outbox import Follower
from shuzha.core.settings import load_settings
from shuzha.people.oidc_routes import oidc_router
from shuzha.people.web import actor_dependency, sign_in_path
from shuzha.portal.desk import Desk
from shuzha.portal.pages import make_desk, make_pages
from shuzha.portal.redraw import draw_again
from shuzha.portal.refused import AMISS, Refused, mark_misfits, typed_of
from shuzha.portal.render import STATIC, speech_of
from shuzha.server import documents, problems, schema
from shuzha.server.caps import BodyCap
from shuzha.server.platform import Platform
from shuzha.server.subscriptions import cache_handlers

API = "/api/v1"
REDRAWN = frozenset({409, 422, 503})
"""Refusals after which a form is worth another try, so that its page is shown again."""


def make_app(platform: Platform) -> FastAPI:
    """Return the portal's app; it follows the outbox while it runs, so that what it decides is never a second old."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        follower = Follower(platform.database, cache_handlers(platform.policies))
        follower.start()
        yield
        follower.stop()

    app = FastAPI(
        title="Shuzha platform API", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        openapi_url=f"{API}/openapi.json",
    )  # fmt: skip
    app.add_middleware(BodyCap)
    desk = make_desk(platform)
    problems.install(app)
    documents.describe(app)
    _install_pages_problems(app, desk)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.include_router(_api(platform), prefix=API)
    app.include_router(oidc_router(platform.people, platform.provider))
    logs = platform.settings.folder("logs")
    app.include_router(shuzha.oversight.routes_ledger.make_public_router(platform.witnesses, logs))
    app.include_router(make_pages(platform, desk))

    @app.get("/healthz", include_in_schema=False)
    def healthz() -> PlainTextResponse:
        platform.database.last_sequence()
        return PlainTextResponse("ok")

    return app


def _api(platform: Platform) -> APIRouter:
    actor = actor_dependency(platform.people)
    router = APIRouter()
    router.include_router(shuzha.people.routes.make_router(platform.people, actor))
    router.include_router(shuzha.people.staff_routes.make_router(platform.staff, actor))
    router.include_router(shuzha.catalog.routes.make_router(platform.catalog, actor))
    router.include_router(shuzha.authorization.routes.make_router(platform.authorization, actor))
    router.include_router(shuzha.authorization.policy_routes.make_router(platform.policy_verbs, actor))
    router.include_router(shuzha.authorization.routes_holds.make_router(platform.rights, actor))
    router.include_router(shuzha.releases.routes.make_router(platform.releases, actor))
    router.include_router(shuzha.budgets.routes.make_router(platform.budgets, actor))
    router.include_router(sandbox.workspaces.routes_api.make_router(platform.workspaces, platform.screens, actor))
    router.include_router(sandbox.inbound.routes.make_router(platform.inbound, actor))
    router.include_router(sandbox.airlock.routes.make_router(platform.airlock, actor))
    router.include_router(products.registry.routes.make_router(platform.registry, actor))
    router.include_router(products.forms.routes.make_router(platform.forms, actor))
    router.include_router(products.registry.routes_cases.make_resource_router(platform.resources, actor))
    router.include_router(products.registry.routes_cases.make_case_router(platform.cases, actor))
    router.include_router(products.defence.routes.make_router(platform.defence, actor))
    router.include_router(products.serving.routes_index.make_router(platform.indexes, actor))
    sheets = platform.sheets, platform.dossiers, platform.addresses
    router.include_router(products.registry.routes_cases.make_sheet_router(*sheets, actor))
    router.include_router(products.consumers.app_routes.make_router(platform.apps, actor))
    router.include_router(products.consumers.routes.make_router(platform.consumers, actor))
    router.include_router(products.consumers.webhook_routes.make_router(platform.webhooks, actor))
    router.include_router(
        shuzha.settlement.routes.make_router(
            platform.settlement, platform.statement_desk, platform.pricing, platform.contributions, actor
        )
    )
    router.include_router(shuzha.exits.routes.make_router(platform.exits, actor))
    router.include_router(shuzha.oversight.routes.make_router(platform.oversight, actor))
    router.include_router(shuzha.oversight.routes_ledger.make_router(platform.witnesses, actor))
    supervision = shuzha.oversight.routes_supervision.Supervision(
        platform.alerts, platform.orders, platform.requirements, platform.walks, platform.live, platform.usage_views
    )
    router.include_router(shuzha.oversight.routes_supervision.make_router(supervision, actor))
    return router


def _install_pages_problems(app: FastAPI, desk: Desk) -> None:
    """Show a person's browser a page where a program gets a problem document."""
    answer_ours = app.exception_handlers[ShuzhaError]
    answer_http = app.exception_handlers[HTTPException]
    answer_misfit = app.exception_handlers[RequestValidationError]

    @app.exception_handler(ShuzhaError)
    async def _ours(request: Request, error: ShuzhaError) -> Response:
        if not _wants_page(request):
            return await answer_ours(request, error)  # type: ignore[misc, no-any-return]
        if error.code == "not_signed_in" and not Refused(request.url.path, typed_of(request)).texts:
            return RedirectResponse(sign_in_path(request) if request.method == "GET" else "/sign-in", 303)
        refused = desk.refusal(request, error)
        again = await draw_again(request, refused) if request.method == "POST" and refused.status in REDRAWN else None
        return again or desk.problem(request, refused.status, refused.said[0])

    @app.exception_handler(RequestValidationError)
    async def _misfit(request: Request, error: RequestValidationError) -> Response:
        if not _wants_page(request):
            return await answer_misfit(request, error)  # type: ignore[misc, no-any-return]
        speech = speech_of(request)
        refused = Refused(request.url.path, typed_of(request), mark_misfits(error.errors(), speech), (speech.t(AMISS),))
        again = await draw_again(request, refused) if request.method == "POST" else None
        return again or desk.problem(request, refused.status, refused.said[0])

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        if not _wants_page(request):
            return await answer_http(request, error)  # type: ignore[misc, no-any-return]
        return desk.problem(request, error.status_code, "")


def _wants_page(request: Request) -> bool:
    return not request.url.path.startswith(
        (API, "/oidc", "/static", "/ledger/")
    ) and "text/html" in request.headers.get("accept", "")


def main() -> None:
    """Serve the portal with the settings that the environment names."""
    start_logging()
    settings = load_settings()
    platform = Platform(settings)
    schema.check_current(platform.database)
    uvicorn.run(
        make_app(platform), host=settings.bind, port=settings.portal_port, log_level="warning", proxy_headers=False,
        server_header=False, http=PunctualProtocol, ws="none",
    )  # fmt: skip


if __name__ == "__main__":
    main()
