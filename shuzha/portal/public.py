"""The public page: what is held, authorized, sold and on notice, for anybody and without signing in."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from shuzha.oversight.disclosure import Disclosure
from shuzha.portal.desk import Desk


class PublicPages:
    """The pages for everybody."""

    def __init__(self, desk: Desk, disclosure: Disclosure) -> None:
        self._desk = desk
        self._disclosure = disclosure

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/public", self.show, methods=["GET"])
        return router

    def show(self, request: Request) -> Response:
        """Show entries, authorizations, products and notices; plain links, nothing loaded later."""
        found = self._disclosure.read()
        titles = {entry.id: entry.title for entry in found.entries}
        return self._desk.page(request, "public.html", public=found, titles=titles)
