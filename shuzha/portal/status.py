"""The status page and the pages of problems, for anybody: what is served now, what failed, what an error means."""

from __future__ import annotations

import re
from dataclasses import dataclass

import httpx
from fastapi import APIRouter, Request
from fastapi.responses import Response

from products.consumers.standing import DAYS
from products.serving.problems import PROBLEMS, ProblemType, find_problem
from shuzha.core.errors import NotFound
from shuzha.portal.desk import Desk
from shuzha.portal.services import Services

SECONDS = 2.0
FAULT = 500
_CALLS = re.compile(r'^shuzha_calls_total\{endpoint="[a-z_]+",status="(\d+)"\} (\d+)$', re.MULTILINE)

PLATFORM: tuple[ProblemType, ...] = (
    ProblemType("bad_request", 400, "The request cannot be read.", "Compare with /api/v1/openapi.json.",
                "请求无法读取。", "请对照 /api/v1/openapi.json。"),
    ProblemType("not_signed_in", 401, "Nobody is signed in.", "Sign in, or send the session's token.",
                "尚未登录。", "请登录或发送会话令牌。"),
    ProblemType("transition_not_allowed", 409, "The thing's state does not allow this verb.",
                "`accepted` names those it allows.",
                "当前状态不允许该操作。", "可用操作见 accepted。"),
    ProblemType("conflict", 409, "Somebody else was faster, or it exists already.", "Read it again, then decide.",
                "他人已先行更改，或已存在。", "请重新读取后再决定。"),
    ProblemType("too_many_attempts", 429, "Too many guesses.", "Wait a few minutes.",
                "尝试次数过多。", "请稍候几分钟。"),
)  # fmt: skip
"""Problems of the platform API that the consumer API does not have, or has by another meaning."""


@dataclass(frozen=True, slots=True)
class ApiNow:
    """What one process of the consumer API says of itself: whether it could answer, its calls and faults so far."""

    ready: bool
    calls: int = 0
    faults: int = 0

    @property
    def share(self) -> float:
        """The share of calls that ended with a fault of the platform (5xx)."""
        return self.faults / self.calls if self.calls else 0.0


class StatusPages:
    """The pages for everybody who calls products."""

    def __init__(self, desk: Desk, services: Services) -> None:
        self._desk = desk
        self._standings = services.standings
        settings = services.settings
        self._api = f"http://{settings.bind}:{settings.api_port}"
        self._api_url = settings.api_url

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/status", self.show, methods=["GET"])
        router.add_api_route("/problems", self.show_problems, methods=["GET"])
        router.add_api_route("/problems/{code}", self.show_problem, methods=["GET"])
        return router

    def show(self, request: Request) -> Response:
        """Show whether the API answers, and how each product stands."""
        return self._desk.page(
            request, "status.html", api=self._look(), standings=self._standings.list_standings(), days=DAYS,
            now=self._desk.clock.now(), api_url=self._api_url,
        )  # fmt: skip

    def show_problems(self, request: Request) -> Response:
        """Show every kind of problem of both APIs."""
        return self._desk.page(
            request, "problems.html", problems=sorted(_all(), key=lambda one: (one.status, one.code))
        )

    def show_problem(self, request: Request, code: str) -> Response:
        """Show one kind of problem: where a problem's `type` leads."""
        found = next((one for one in PLATFORM if one.code == code), None) or find_problem(code)
        if found is None:
            raise NotFound(f"no problem has the code {code[:40]}")
        return self._desk.page(request, "problems.html", problems=[found])

    def _look(self) -> ApiNow:
        try:
            with httpx.Client(base_url=self._api, timeout=SECONDS, trust_env=False) as client:
                ready = client.get("/readyz").status_code == 200
                counted = [(int(status), int(count)) for status, count in _CALLS.findall(client.get("/metrics").text)]
        except httpx.HTTPError:
            return ApiNow(ready=False)
        faults = sum(count for status, count in counted if status >= FAULT)
        return ApiNow(ready, sum(count for _, count in counted), faults)


def _all() -> tuple[ProblemType, ...]:
    known = {one.code for one in PLATFORM}
    return (*PLATFORM, *(one for one in PROBLEMS if one.code not in known))
