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

COUNTS = ("rows", "entities", "classes", "smallest_class", "average_class", "level")
SHARES = ("prosecutor", "journalist", "marketer", "overall", "records_at_risk", "uniques")


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
            columns=columns_of(certificate), risk=risk_of(certificate), counts=COUNTS, shares=SHARES,
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
    """Return what was found in each column and done to it, as the certificate says it."""
    done = certificate.get("desensitization", {}).get("done", {})
    found = {each["name"]: each for each in (certificate.get("found") or {}).get("columns", ())}
    levels = (done.get("anonymized") or {}).get("levels") or {}
    return [
        {
            "name": name,
            "technique": str(step.get("technique", "")),
            "options": ", ".join(f"{key} {value}" for key, value in step.items() if key != "technique"),
            "role": found.get(name, {}).get("role", ""),
            "types": found.get(name, {}).get("types", []),
            "level": levels.get(name),
        }
        for name, step in done.get("plan", {}).get("columns", {}).items()
    ]


def risk_of(certificate: dict[str, Any]) -> dict[str, Any]:
    """Return the measured risk, empty where none was measured."""
    risk = certificate.get("desensitization", {}).get("measured") or {}
    return risk if isinstance(risk, dict) else {}
