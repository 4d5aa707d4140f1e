"""A release's page: what was cut, what was done to each column, what was measured, and whether the signature holds."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from shuzha.catalog.service import CatalogService
from shuzha.core.errors import NotFound
from shuzha.portal.desk import Desk, actor_of
from shuzha.releases.model import ReleaseState
from shuzha.releases.service import ReleaseService


class ReleasePages:
    """The pages of releases; a release is requested on its demand's page."""

    def __init__(self, desk: Desk, releases: ReleaseService, catalog: CatalogService) -> None:
        self._desk = desk
        self._releases = releases
        self._catalog = catalog

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/releases/{release_id}", self.show, methods=["GET"])
        router.add_api_route("/releases/{release_id}/certificate", self.certificate, methods=["GET"])
        return router

    def show(self, request: Request, release_id: str) -> Response:
        """Show one release with its certificate."""
        actor = actor_of(request)
        release = self._releases.get_release(actor, release_id)
        ready = release.state is ReleaseState.READY
        certificate = json.loads(release.certificate) if release.certificate else {}
        try:
            entry = self._catalog.get_entry(actor, release.entry)
        except NotFound:  # A suspended entry is not everybody's to see; the release still says what it is of.
            entry = None
        return self._desk.page(
            request, "release.html", release=release, certificate=certificate, entry=entry,
            wrong=self._releases.verify(actor, release.id) if ready else (), ready=ready,
            columns=columns_of(certificate), risk=risk_of(certificate), done_at=release.ready_at,
        )  # fmt: skip

    def certificate(self, request: Request, release_id: str) -> Response:
        """Give the certificate's exact bytes, over which the signature is."""
        release = self._releases.get_release(actor_of(request), release_id)
        if not release.certificate:
            raise NotFound(f"release {release_id} has no certificate", accepted="a ready release")
        headers = {
            "Content-Disposition": f'attachment; filename="{release.id}.json"',
            "Shuzha-Signature": release.signature,
        }
        return Response(release.certificate, media_type="application/json", headers=headers)


def columns_of(certificate: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what was done to each column, as the certificate's plan says it, beside what was found there."""
    made = certificate.get("desensitization", {})
    done = made.get("done", {}).get("plan", {}).get("columns", {})
    found = certificate.get("found") or {}
    levels = (made.get("done", {}).get("anonymized") or {}).get("levels") or {}
    return [
        {"name": name, "done": _said(each), "found": found.get(name), "level": levels.get(name)}
        for name, each in done.items()
    ]


def risk_of(certificate: dict[str, Any]) -> dict[str, Any]:
    """Return the measured risk, empty where none was measured."""
    risk = certificate.get("desensitization", {}).get("measured") or {}
    return risk if isinstance(risk, dict) else {}


def _said(step: Any) -> str:
    """Return a step of the plan in one line."""
    if not isinstance(step, dict):
        return str(step)
    rest = ", ".join(
        f"{name} {value}" for name, value in step.items() if name != "technique" and value not in (None, "", [])
    )
    return f"{step.get('technique', '')} ({rest})" if rest else str(step.get("technique", ""))
