"""A release's page: what was cut, what was done to each column, what was measured, and whether the signature holds."""

from __future__ import annotations

import json

from fastapi import APIRouter, Request
from fastapi.responses import Response

from shuzha.catalog.service import CatalogService
from shuzha.core.errors import NotFound
from shuzha.portal.charts import draw_share
from shuzha.portal.desk import Desk, actor_of
from shuzha.portal.paper import Paper, render_paper
from shuzha.portal.render import speech_of
from shuzha.releases.model import Release, ReleaseState
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
        router.add_api_route("/releases/{release_id}/certificate.html", self.page_of_its_own, methods=["GET"])
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
            request, "release.html", release=release, paper=Paper(certificate), entry=entry,
            wrong=self._releases.verify(actor, release.id) if ready else (), ready=ready, draw_share=draw_share,
            public_key=self._releases.public_key.hex(),
        )  # fmt: skip

    def certificate(self, request: Request, release_id: str) -> Response:
        """Give the certificate's exact bytes, over which the signature is."""
        release = self._certified(request, release_id)
        headers = {
            "Content-Disposition": f'attachment; filename="{release.id}.json"',
            "Shuzha-Signature": release.signature,
        }
        return Response(release.certificate, media_type="application/json", headers=headers)

    def page_of_its_own(self, request: Request, release_id: str) -> Response:
        """Give the certificate as one self-contained HTML file, in the reader's language."""
        release = self._certified(request, release_id)
        content = json.loads(release.certificate)
        html = render_paper(
            content, speech_of(request).language, name=f"{release.name} · {release.id}",
            made_at=content["made_at"], signature=release.signature, public_key=self._releases.public_key.hex(),
        )  # fmt: skip
        # It is a file to keep: shown by the portal itself, its inline styles would break the portal's policy.
        headers = {"Content-Disposition": f'attachment; filename="{release.id}.html"'}
        return Response(html, media_type="text/html; charset=utf-8", headers=headers)

    def _certified(self, request: Request, release_id: str) -> Release:
        release = self._releases.get_release(actor_of(request), release_id)
        if not release.certificate:
            raise NotFound(f"release {release_id} has no certificate", accepted="a ready release")
        return release
